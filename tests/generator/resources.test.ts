/** What a desired state may say; `tsc` fails if one of the lines below that must be errors is not one. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Membership, Role } from '../../generator/model/resources.ts';
import { desired } from '../../generator/model/resources.ts';
import { keyOf, namesIn, planning, sections } from '../../generator/model/sections.ts';
import { raw } from '../../generator/sql/template.ts';

export const roles: readonly Role[] = [
  { name: 'present', attributes: { login: true }, password: null },
  { name: 'existing', state: 'existing', attributes: { login: false }, initial: { login: true } },
  { name: 'absent', state: 'absent', drop_owned: true, terminate_sessions: true },
  // @ts-expect-error -- the sessions of a role that stays are not ended
  { name: 'present', terminate_sessions: true },
  // @ts-expect-error -- nor are its objects dropped
  { name: 'present', attributes: { login: true }, drop_owned: true },
  // @ts-expect-error -- a role that is to be absent has no attributes
  { name: 'absent', state: 'absent', attributes: { login: true } },
  // @ts-expect-error -- a role that must exist is never created
  { name: 'existing', state: 'existing', password: 'secret' },
];

export const memberships: readonly Membership[] = [
  { role: 'a', member: 'b', admin: true },
  { role: 'a', member: 'b', state: 'absent' },
  { every: true, member: 'b', state: 'absent' },
  // @ts-expect-error -- a membership that ends has no options
  { role: 'a', member: 'b', state: 'absent', admin: true },
  // @ts-expect-error -- nobody becomes a member of every role
  { every: true, member: 'b' },
  // @ts-expect-error -- which role?
  { member: 'b' },
];

test('every section of a desired state is in the table, and is planned or remembered', () => {
  const state = desired({ roles: [{ name: 'a', state: 'existing' }] });
  assert.match(state.text, /"state":"existing"/);
  const planned = planning(raw('changes'), { document: raw('document'), passwords: raw('passwords') })
    .map(({ text }) => text)
    .join('\n');
  const key = keyOf(raw('section'), raw('resource')).text;
  for (const name of Object.keys(sections)) {
    assert.ok(planned.includes(`'${name}'`) || key.includes(`'${name}'`), name);
  }
  assert.match(namesIn(raw('document'), false).text, /\$\.memberships\[\*\]\.member/);
});
