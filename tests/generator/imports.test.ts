/** The rooms of the engine import from those below only. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importProblems } from '../../generator/verify/imports.ts';

const file = 'generator/engine/plan/users.ts';
const text = (from: string) => `import type { Text } from '../../model/types.ts';\nimport { a } from '${from}';\n`;

for (const from of ['../../sql/template.ts', './removals.ts', '../plan/roles.ts', '../document/names.ts']) {
  test(`plan may import from ${from}`, () => {
    assert.deepEqual(importProblems(file, text(from)), []);
  });
}

for (const [from, room] of [
  ['../run/run.ts', 'run'],
  ['../audit/findings.ts', 'audit'],
  ['../../functions/_shared.ts', 'functions'],
  ['../nowhere/a.ts', 'nowhere'],
] as const) {
  test(`plan may not import from ${room}`, () => {
    const message = `plan imports from ${room}, which is not below it: see generator/model/rooms.ts`;
    assert.deepEqual(importProblems(file, text(from)), [{ file, line: 2, message }]);
  });
}
