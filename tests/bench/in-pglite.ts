/** The first call in PGlite, as a test has it that begins with a database of its own: by the clock, with no server. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { PGlite } from '@electric-sql/pglite';
import { root } from '../support/cluster.ts';
import { emptyPglite } from '../support/once.ts';
import { competitor } from './competitor.ts';
import { type Bench, compare } from './measure.ts';
import { bareUser, createUser, plain, verifier } from './statements.ts';

export async function inPglite({ pick, report }: Bench): Promise<void> {
  const baseRoles = 'SELECT * FROM rolecall.create_base_roles()';
  const reporting = 'SELECT * FROM rolecall.provision_reporting_roles()';
  // Two databases that run little: to compile all of PostgreSQL once more, and better, takes longer.
  if (pick(false, true)) setFlagsFromString('--liftoff-only');
  const made = pick(undefined, emptyPglite);
  const model = new PGlite(made && { loadDataDir: new Blob([fs.readFileSync(await made(PGlite))]) });
  await model.exec(fs.readFileSync(join(root, 'extension/rolecall.sql'), 'utf8'));
  for (const statement of [baseRoles, createUser('present', verifier), 'CREATE SCHEMA reporting', reporting])
    await model.exec(statement);
  const loadDataDir = await model.dumpDataDir('none');
  await model.close();

  const newUser = bareUser('first', verifier);
  const calls: [string, string, Record<string, string>][] = [
    ['a new user with a verifier', createUser('first', verifier), { 'bare statements': newUser }],
    ['a new user with a password', createUser('first', plain), { 'bare statements': bareUser('first', plain) }],
    [
      'create_user, nothing to do',
      createUser('present', verifier),
      { [competitor.name]: competitor.createUser('present', verifier) },
    ],
    ['create_base_roles, nothing to do', baseRoles, { [competitor.name]: competitor.createBaseRoles() }],
    ['provision_reporting_roles, nothing to do', reporting, { 'a bare new user': newUser }],
    ['drift(), nothing to find', 'SELECT * FROM rolecall.drift()', { 'a bare new user': newUser }],
    ['audit_role() of a user', `SELECT * FROM rolecall.audit_role('present')`, { 'a bare new user': newUser }],
  ];
  for (const [what, ours, theirs] of pick(calls, calls.slice(0, 1))) {
    const ways = Object.entries({ rolecall: ours, ...pick(theirs, {}) });
    const series = ways.map(([name]) => ({ name, samples: [] as number[] }));
    for (let round = 0; round < pick(3, 1); round++) {
      for (const [index, [, statement]] of ways.entries()) {
        const database = await PGlite.create({ loadDataDir });
        await database.exec('SELECT');
        const started = performance.now();
        await database.exec(statement);
        series[index]?.samples.push(performance.now() - started);
        await database.close();
      }
    }
    report(...compare(what, 'ms', series));
  }
}
