/**
 * The error policy: what the table of operations says, and what the executor catches.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadModule, parsePlPgSQLSync } from 'libpg-query';
import { Project } from 'ts-morph';
import { functionNode } from '../../generator/emit/functions.ts';
import { executors } from '../../generator/engine/execute/execute.ts';
import { apply_to_new_tables } from '../../generator/engine/reading/watch.ts';
import { hintFormat, operations, type Operation } from '../../generator/model/operations.ts';
import { errorClasses, sqlstates, watchedClasses, type Condition } from '../../generator/model/sqlstates.ts';
import { print } from '../../generator/sql/print.ts';
import { literal } from '../../generator/sql/quote.ts';
import { nodesIn } from '../../generator/verify/problem.ts';

await loadModule();

const root = fileURLToPath(new URL('../..', import.meta.url));
const made = new Map(executors().map((spec) => [spec.name, spec]));
const policies = Object.entries(operations as Readonly<Record<string, Operation>>);

test('the one executor catches the classes of errors, and nothing else', () => {
  const spec = made.get('execute_change');
  assert.ok(spec);
  const handlers = nodesIn(parsePlPgSQLSync(print(functionNode(spec))), 'PLpgSQL_exception').map((handler) =>
    nodesIn(handler.conditions, 'PLpgSQL_condition').map(({ condname }) => condname),
  );
  assert.deepEqual(handlers, [Object.values(errorClasses)]);
});

// What becomes of each condition is tested on a server: tests/pgtap/generated/error_policy.sql.
for (const [name, policy] of policies) {
  test(`no condition of ${name} is both ignored and retried, or named twice`, () => {
    const named = [...(policy.ignored ?? []).flatMap(({ conditions }) => conditions), ...(policy.retried ?? [])];
    assert.equal(new Set(named).size, named.length);
  });

  test(`the hints of ${name} are raised`, () => {
    const body = made.get('hint_of')?.body.replaceAll(/'\n +'/g, '') ?? '';
    const cases = body.split('WHEN v_failure IN (').slice(1);
    for (const { condition, hint } of policy.surfaced ?? []) {
      const [found = '', ...more] = cases.filter((one) =>
        one.slice(0, one.indexOf(') THEN')).includes(`'${name} ${sqlstates[condition]}'`),
      );
      assert.deepEqual(more, []);
      for (const text of typeof hint === 'string' ? [hint] : [hint.since16, hint.before16])
        assert.ok(found.includes(literal(hintFormat(text))), text);
    }
  });
}

test('rollback and cancellation are caught by no class', () => {
  const classes = Object.values(errorClasses).map((code) => code.slice(0, 2));
  for (const state of ['40', '57']) assert.ok(!(classes as string[]).includes(state), state);
});

test('the event trigger lets no error pass but a cancellation', () => {
  const handlers = [...apply_to_new_tables().text.matchAll(/WHEN (SQLSTATE (?:(?!THEN)[^])*) THEN$/gm)].map(
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
  // What a call is started over for; what pgcrypto says, which no operation runs; a warning; and a rollback that the
  // caller has to repeat.
  const expected = [
    'deadlock_detected',
    'external_routine_invocation_exception',
    'privilege_not_revoked',
    'serialization_failure',
  ];
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
