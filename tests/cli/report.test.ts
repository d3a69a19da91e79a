/**
 * The report: its tables without JavaScript, what it does with it in a real browser (Debian's chromium, where that is
 * installed), and names that would be markup.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { startCluster } from '../support/cluster.ts';
import { environment, expectStatus } from './support.ts';

const cluster = await startCluster();
after(() => cluster.stop());
const database = await cluster.createDatabase('shop');
const env = environment(cluster, database);
const folder = mkdtempSync(join(tmpdir(), 'rolecall-cli-'));
after(() => rmSync(folder, { recursive: true }));
const admin = await cluster.connect({ database });
const hostile = '<img src=x onerror=alert(1)></script><script>document.title=1';
const quoted = `"${hostile}"`;
await admin.query(`SELECT rolecall.create_base_roles(); SELECT rolecall.create_user('alice', 'x'); REVOKE anonymous FROM alice;
  CREATE ROLE ${quoted} LOGIN; CREATE ROLE reader; CREATE ROLE writer; CREATE ROLE silent NOINHERIT;
  GRANT reader TO writer, ${quoted}; CREATE SCHEMA shop; CREATE TABLE shop.item (id int);
  GRANT USAGE ON SCHEMA shop TO reader; GRANT SELECT ON shop.item TO reader; GRANT INSERT ON shop.item TO writer`);
await admin.end();

const file = join(folder, 'access.html');
await expectStatus(0, ['report', '--out', file], { env });
const page = readFileSync(file, 'utf8');
const withoutScripts = page.replaceAll(/<script.*?<\/script>/gs, '');

test('everything is in tables without JavaScript', () => {
  for (const [id, cells] of Object.entries({
    access: ['<td>writer</td><td>shop</td><td>yes</td><td>yes</td><td>yes</td>', 'itself, member of reader'],
    memberships: ['<td>writer</td><td>reader</td>'],
    drift: ['<code>GRANT anonymous TO alice'],
    undeclared: ['<td>silent</td>'],
    findings: ['<strong class="critical">critical</strong>', '<td>shop.item</td>'],
    roles: ['<td>postgres</td><td>yes</td><td>yes</td>'],
  })) {
    const section = withoutScripts.split(`<section id="${id}">`)[1]?.split('</section>')[0] ?? '';
    for (const text of cells) assert.ok(section.includes(text), `${id}: ${text}\n${section}`);
  }
});

test('a name is text, and nothing is fetched', () => {
  assert.ok(!withoutScripts.includes('<img') && withoutScripts.includes('&lt;img src=x onerror=alert(1)&gt;'));
  assert.ok(!page.split('id="data">')[1]?.split('</script>')[0]?.includes('<'), 'the data ends the element');
  assert.ok(!/\b(?:src|href)="(?!#)/.test(withoutScripts));
  assert.match(page, /Content-Security-Policy" content="default-src 'none'; [^"]*script-src 'sha256-[^']+'/);
});

const browser = ['chromium', 'chromium-browser'].find((name) => spawnSync(name, ['--version']).status === 0);

/** The document after its script has run. */
function open(address: string): string {
  const flags = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--virtual-time-budget=5000',
    `--user-data-dir=${folder}/profile`,
  ];
  const { stdout, status } = spawnSync(browser ?? '', [...flags, '--dump-dom', address], {
    encoding: 'utf8',
    timeout: 300_000,
  });
  assert.equal(status, 0);
  return stdout;
}

test('in a browser it has a graph, and can be searched and sorted', { skip: browser === undefined }, () => {
  const all = open(`file://${file}`);
  assert.match(all, /<title>Access to shop<\/title>/);
  assert.match(all, /<div id="graph"[^>]*>.*<canvas/s);
  assert.match(all, /<th scope="col"><button>severity<\/button><\/th>/);
  assert.match(all, /<\/code><button>Copy<\/button>/);
  assert.ok(!all.includes('<tr hidden'));
  const found = open(`file://${file}#search=writer`);
  assert.match(found, /<tr><td>writer<\/td><td>shop<\/td>/);
  assert.match(found, /<tr hidden=""><td>reader<\/td><td>shop<\/td>/);
  assert.match(found, /<span role="status">\d+ rows<\/span>/);
});
