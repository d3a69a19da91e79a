/** The demo's commands, as the Makefile runs them, in a folder of this test's own. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import test from 'node:test';
import { makeDirectory, root } from '../support/cluster.ts';

const folder = makeDirectory();
const demos = () => fs.readdirSync(folder).filter((name) => name.startsWith('rolecall-demo-'));

function run(file: string, environment: NodeJS.ProcessEnv = {}, input = '') {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--import', './tests/support/typescript.mjs', `tests/demo/${file}`],
    {
      cwd: root,
      env: { ...process.env, TMPDIR: folder, ...environment },
      encoding: 'utf8',
      input,
    },
  );
  return { stdout, stderr, status };
}

test('the demo runs, once more while it is running, can be asked, and is stopped', () => {
  assert.match(run('sql.ts').stderr, /^no demo is running/);
  for (const attempt of [1, 2]) {
    const { stdout, stderr, status } = run('demo.ts');
    assert.equal(status, 0, `attempt ${attempt}: ${stdout}${stderr}`);
    assert.match(stdout, new RegExp(`^PostgreSQL ${process.env.PG} is running`));
    const [report = ''] = /\S+access\.html$/.exec(stdout.trimEnd()) ?? [];
    assert.match(fs.readFileSync(report, 'utf8'), /<title>Access to clinic<\/title>.*<td>clinic_raw<\/td>/s);
  }
  assert.equal(demos().length, 1);

  const input =
    "SELECT count(*)\nFROM patients;\n\\c - clinic_raw\nSELECT session_user;\nSELECT 'x\ny' AS t;\nnope;\n\\q\n";
  const { stdout } = run('sql.ts', { AS: 'clinic_app' }, input);
  assert.match(stdout, /^clinic=> clinic-> {2}count\n-------\n {5}2\n\(1 row\)\n\nclinic=> You are now connected/);
  assert.match(stdout, / session_user\n-+\n clinic_raw\n/);
  assert.match(stdout, / t\n---\n x\+\n y\n\(1 row\)\n/);
  assert.match(stdout, /ERROR: {2}syntax error at or near "nope"\nLINE 1: nope;\n {8}\^\n/);
  assert.match(run('sql.ts', { AS: 'nobody' }).stderr, /^AS=nobody: the logins are postgres, clinic_app/);

  for (const attempt of [1, 2]) assert.equal(run('stop.ts').status, 0, `attempt ${attempt}`);
  assert.deepEqual(demos(), []);
});
