/**
 * The error policy: every operation has an executor with exactly the handlers that its policy asks for.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadModule, parsePlPgSQLSync } from 'libpg-query';
import { Project } from 'ts-morph';
import { functionNode } from '../../generator/emit/functions.ts';
import { executors } from '../../generator/engine/executors.ts';
import { _apply_to_new_tables } from '../../generator/engine/watch.ts';
import { hintFormat, operations, retriedMessages, type Operation } from '../../generator/model/operations.ts';
import { errorClasses, sqlstates, watchedClasses, type Condition } from '../../generator/model/sqlstates.ts';
import { print } from '../../generator/sql/print.ts';
import { literal } from '../../generator/sql/quote.ts';
import { nodesIn } from '../../generator/verify/problem.ts';

await loadModule();

const root = fileURLToPath(new URL('../..', import.meta.url));
const made = new Map(executors().map((spec) => [spec.name, spec]));
const policies = Object.entries(operations as Readonly<Record<string, Operation>>);

test('there is one executor for each operation, and none besides', () => {
  const names = [...made.keys()].filter((name) => name.startsWith('_execute_'));
  assert.deepEqual(names.sort(), policies.map(([name]) => `_execute_${name}`).sort());
});

for (const [name, policy] of policies) {
  test(`the executor of ${name} handles exactly what its policy says`, () => {
    const spec = made.get(`_execute_${name}`);
    assert.ok(spec);
    const handlers = nodesIn(parsePlPgSQLSync(print(functionNode(spec))), 'PLpgSQL_exception').map((handler) =>
      nodesIn(handler.conditions, 'PLpgSQL_condition').map(({ condname }) => condname),
    );
    assert.deepEqual(handlers, [
      ...(policy.ignored ?? []).map(({ conditions }) => conditions),
      ['internal_error', ...(policy.retried ?? [])],
      Object.values(errorClasses).filter((code) => code !== 'XX000'),
    ]);
    for (const message of retriedMessages) assert.ok(spec.body.includes(`'${message}'`));
    for (const retried of policy.retried ?? []) assert.ok(spec.body.includes(`'${sqlstates[retried]}'`));
    for (const { note, then } of policy.ignored ?? []) {
      assert.match(
        spec.body,
        new RegExp(then === 'skip' ? `'skipped', SQLSTATE, '${note}'` : `RETURN NULL; -- ${note}`),
      );
    }
  });

  test(`no condition of ${name} is both ignored and retried, or named twice`, () => {
    const named = [...(policy.ignored ?? []).flatMap(({ conditions }) => conditions), ...(policy.retried ?? [])];
    assert.equal(new Set(named).size, named.length);
  });

  test(`the hints of ${name} are raised`, () => {
    const body = made.get('_surface')?.body.replaceAll(/'\n +'/g, '') ?? '';
    const hints = [...body.matchAll(/IN \((.*)\) THEN\n +('(?:[^']|'')*')$/gm)];
    for (const { condition, hint } of policy.surfaced ?? []) {
      const found = hints.filter(([, failures = '']) => failures.includes(`'${name} ${sqlstates[condition]}'`));
      assert.deepEqual(
        found.map(([, , raised]) => raised),
        [literal(hintFormat(hint))],
      );
    }
  });
}

test('rollback and cancellation are caught by no class', () => {
  const classes = Object.values(errorClasses).map((code) => code.slice(0, 2));
  for (const state of ['40', '57']) assert.ok(!(classes as string[]).includes(state), state);
});

test('the event trigger lets no error pass but a cancellation', () => {
  const handlers = [..._apply_to_new_tables().text.matchAll(/WHEN (SQLSTATE (?:(?!THEN)[^])*) THEN$/gm)].map(
    ([, list = '']) => list.replace(/\s+/g, ' '),
  );
  const all = watchedClasses.map((code) => `SQLSTATE '${code}'`).join(' OR ');
  assert.deepEqual(handlers, [all, all]);
  assert.ok(!(watchedClasses as readonly string[]).includes('57000'));
  assert.equal(new Set(watchedClasses).size, watchedClasses.length);
  for (const code of Object.values(sqlstates).filter((one) => !one.startsWith('01'))) {
    assert.ok((watchedClasses as readonly string[]).includes(`${code.slice(0, 2)}000`), code);
  }
});

test('every condition that can be named is surfaced by its class or left to the caller on purpose', () => {
  const classes = Object.values(errorClasses).map((code) => code.slice(0, 2)) as string[];
  const uncaught = (Object.keys(sqlstates) as Condition[]).filter((name) => {
    const code = sqlstates[name];
    return !classes.includes(code.slice(0, 2));
  });
  // What pgcrypto says, which no operation runs; a warning; and a rollback that the caller has to repeat.
  const expected = ['external_routine_invocation_exception', 'privilege_not_revoked', 'serialization_failure'];
  assert.deepEqual(uncaught.sort(), expected);
});

test('a condition that is not in the table is a type error', () => {
  const project = new Project({ tsConfigFilePath: join(root, 'tsconfig.json'), skipAddingFilesFromTsConfig: true });
  const errors = (condition: string): string[] => {
    const source = project.createSourceFile(
      join(root, 'generator/model/_snippet.ts'),
      `import type { Operation } from './operations.ts';
       export const policy: Operation = { summary: 'x', retried: ['${condition}'] };`,
      { overwrite: true },
    );
    return source.getPreEmitDiagnostics().map((one) => JSON.stringify(one.getMessageText()));
  };
  assert.deepEqual(errors('unique_violation'), []);
  const [message, ...more] = errors('unique_violatoin');
  assert.match(message ?? '', /unique_violatoin.*is not assignable/);
  assert.deepEqual(more, []);
});
