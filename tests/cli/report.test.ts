/**
 * The report: its tables without JavaScript, what it does with it in a real browser (Debian's chromium, where that is
 * installed), names that would be markup, and a cluster with many roles and schemas.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { until } from '../support/cluster.ts';
import { placeOfFile } from '../support/place.ts';
import { browser, Page } from './browser.ts';
import { environment, expectStatus } from './support.ts';

const { cluster, database, admin } = await placeOfFile({ name: 'shop' });
const env = environment(cluster, database);
const folder = mkdtempSync(join(tmpdir(), 'rolecall-cli-'));
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
const hostile = '<img src=x onerror=alert(1)></script><script>document.title=1';
const quoted = `"${hostile}"`;
await admin.query(`SELECT rolecall.create_base_roles(); SELECT rolecall.create_user('alice', 'x'); REVOKE anonymous FROM alice;
  CREATE ROLE ${quoted} LOGIN; CREATE ROLE reader; CREATE ROLE writer; CREATE ROLE silent NOINHERIT; CREATE ROLE dumper;
  GRANT pg_read_all_data TO dumper; GRANT reader TO writer, ${quoted}; GRANT writer TO silent; CREATE SCHEMA shop; CREATE TABLE shop.item (id int);
  GRANT USAGE ON SCHEMA shop TO reader; GRANT SELECT ON shop.item TO reader; GRANT INSERT ON shop.item TO writer`);

const file = join(folder, 'access.html');
await expectStatus(0, ['report', '--out', file], { env });
const page = readFileSync(file, 'utf8');
const withoutScripts = page.replaceAll(/<script.*?<\/script>/gs, '');

test('everything is in tables without JavaScript', () => {
  for (const [id, cells] of Object.entries({
    access: [
      '<td>writer</td><td>shop</td><td>member of reader</td><td>member of reader</td><td>itself</td><td></td><td></td>',
      '<td>dumper</td><td>shop</td><td>member of pg_read_all_data</td><td>member of pg_read_all_data</td><td></td>',
      '<td>PUBLIC</td><td>public</td><td>everybody</td>',
    ],
    memberships: ['<td>writer</td><td>reader</td>'],
    drift: ['<code>GRANT anonymous TO alice'],
    undeclared: ['<td>silent</td>'],
    findings: ['<strong class="critical">critical</strong>', '<td>shop.item</td>'],
    roles: ['<td>postgres</td><td>yes</td><td>yes</td>'],
  })) {
    const section = withoutScripts.split(`<section id="${id}"`)[1]?.split('</section>')[0] ?? '';
    for (const text of cells) assert.ok(section.includes(text), `${id}: ${text}\n${section}`);
  }
  assert.ok(!/<td>silent<\/td><td>shop<\/td>/.test(withoutScripts), 'a role without INHERIT has what its groups have');
});

test('a name is text, and nothing is fetched', () => {
  assert.ok(!withoutScripts.includes('<img') && withoutScripts.includes('&lt;img src=x onerror=alert(1)&gt;'));
  assert.equal(page.split('</script>').length, 2, 'a name ends the script');
  assert.ok(!/\b(?:src|href)="(?!#)/.test(withoutScripts));
  assert.match(page, /Content-Security-Policy" content="default-src 'none'; [^"]*script-src 'sha256-[^']+'/);
});

test('the same as JSON', async () => {
  const { stdout } = await expectStatus(0, ['report', '--json'], { env });
  const { access, memberships } = JSON.parse(stdout) as Record<string, Record<string, unknown>[]>;
  const writes = { use: 'member of reader', read: 'member of reader', write: 'itself', execute: '', create: '' };
  assert.deepEqual(
    access?.find(({ role }) => role === 'writer'),
    { role: 'writer', schema: 'shop', ...writes },
  );
  assert.ok(
    memberships?.some(({ role, member, inherit }) => role === 'reader' && member === 'writer' && inherit === true),
  );
});

const inBrowser = { skip: browser === undefined };
let opened: Promise<Page> | undefined;
const theBrowser = (): Promise<Page> => (opened ??= Page.open(join(folder, 'profile')));
after(async () => (await opened)?.close());

/** What a checker of contrast, names and roles of elements finds. */
async function violations(view: Page): Promise<unknown> {
  await view.evaluate(readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
  return view.evaluate(
    'axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, ...nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} ${failureSummary}`)]))',
  );
}
const cellOf = (role: string, column: number) =>
  `[...document.querySelectorAll('#matrix tbody tr')].find((row) => row.cells[0].textContent === '${role}').cells[${column}]`;
const visible = (id: string) =>
  `[...document.querySelectorAll('#${id} tbody tr')].filter((row) => row.offsetParent !== null)`;
const clickOnButton = (view: Page, within: string, text: string) =>
  view.clickOn(
    `[...document.querySelectorAll('${within} button')].find((each) => each.textContent.startsWith('${text}'))`,
  );
const type = (view: Page, id: string, text: string, event = 'input') =>
  view.evaluate(
    `(() => { const e = document.querySelector('${id}'); e.value = '${text}'; e.dispatchEvent(new Event('${event}')); })()`,
  );
/** The labels of the roles that are drawn. */
const drawn = (view: Page) =>
  view.evaluate<string[]>("document.getElementById('graph').graph.nodes().map((node) => node.data('label')).sort()");

test('the tables can be sorted and searched, and statements copied', inBrowser, async () => {
  const view = await theBrowser();
  await view.go(`file://${file}`);
  assert.equal(await view.evaluate('document.title'), 'Access to shop');
  const roles = () => view.evaluate<string[]>(`${visible('roles')}.map((row) => row.cells[0].textContent)`);
  const before = await roles();
  await clickOnButton(view, '#roles thead', 'role');
  await clickOnButton(view, '#roles thead', 'role');
  assert.deepEqual((await roles()).sort(), before.sort());
  assert.equal(await view.evaluate("document.querySelector('#roles th').ariaSort"), 'descending');
  await clickOnButton(view, '#findings thead', 'severity');
  assert.equal(await view.evaluate(`${visible('findings')}.at(-1).cells[0].textContent`), 'critical');
  await type(view, '#search input', 'writer');
  await view.until("document.querySelector('#search [role=status]').textContent !== ''");
  assert.deepEqual(await roles(), ['writer']);
  await type(view, '#search input', '');
  await view.until(`${visible('roles')}.length > 1`);
  await view.send('Browser.grantPermissions', { permissions: ['clipboardReadWrite', 'clipboardSanitizedWrite'] });
  await clickOnButton(view, '#drift', 'Copy');
  await view.until(
    "document.querySelector('#drift td button').textContent === 'Copied' || String(getSelection()) !== ''",
  );
});

test('the matrix tells by which way, by mouse and keyboard, and is filtered and sorted', inBrowser, async () => {
  const view = await theBrowser();
  await view.go(`file://${file}`);
  const column = await view.evaluate<number>(
    "[...document.querySelectorAll('#matrix thead th')].findIndex((each) => each.textContent === 'shop')",
  );
  assert.equal(await view.evaluate(`${cellOf('writer', column)}.textContent`), 'U R W');
  await view.clickOn(cellOf('writer', column));
  const about = () => view.evaluate("document.getElementById('matrix-about').textContent");
  assert.equal(await about(), 'writer, shop: use: member of reader; read: member of reader; write: itself');
  await view.press('ArrowUp');
  assert.match(String(await about()), /^reader, shop: use: itself; read: itself$/);
  await clickOnButton(view, '#matrix thead', 'shop');
  assert.equal(await view.evaluate("document.querySelector('#matrix tbody th').textContent"), 'writer');
  await type(view, '#matrix-kind', 'write');
  await type(view, '#matrix-schema', 'sho');
  await view.until("document.getElementById('matrix-about').textContent === '1 role, 1 schema'");
});

test('the graph is folded, searched, and shows what is around a role', inBrowser, async () => {
  const view = await theBrowser();
  await view.go(`file://${file}`);
  assert.ok((await drawn(view)).includes(hostile));
  await clickOnButton(view, '#graph-tools', 'Fold all');
  assert.ok((await drawn(view)).includes('reader (+3)') && !(await drawn(view)).includes('writer'));
  await until('the group to unfold', async () => {
    await view.show("document.getElementById('graph')");
    const { x, y } = await view.evaluate<{ x: number; y: number }>(`(() => {
      const box = document.getElementById('graph');
      const at = box.graph.getElementById('role reader').renderedPosition(); const b = box.getBoundingClientRect();
      return { x: b.x + at.x, y: b.y + at.y }; })()`);
    await view.click(x, y);
    return (await drawn(view)).includes('reader');
  });
  assert.ok((await drawn(view)).includes('writer (+1)'));
  await type(view, '#graph-find', 'silent', 'change');
  assert.ok((await drawn(view)).includes('silent'));
  assert.match(
    String(await view.evaluate("document.getElementById('graph-about').textContent")),
    /^silent: member of writer;/,
  );
  await clickOnButton(view, '#graph-actions', 'Show what is around it alone');
  assert.deepEqual(await drawn(view), ['reader', 'silent', 'writer']);
});

test('it can be read in light and in dark, and fetches nothing', inBrowser, async () => {
  const view = await theBrowser();
  for (const value of ['light', 'dark']) {
    await view.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value }] });
    await view.go(`file://${file}`);
    assert.deepEqual(await violations(view), [], value);
    if (process.env.SCREENSHOTS) writeFileSync(join(process.env.SCREENSHOTS, `${value}.png`), await view.screenshot());
  }
  await view.send('Emulation.setScriptExecutionDisabled', { value: true });
  await view.go(`file://${file}`);
  assert.equal(await view.evaluate("document.getElementById('graph-section').offsetParent"), null);
  assert.ok((await view.evaluate<number>(`${visible('roles')}.length`)) > 5);
  await view.send('Emulation.setScriptExecutionDisabled', { value: false });
  assert.deepEqual(
    [...new Set(view.requests)].filter((each) => !/^(file:\/\/\/.*access\.html|about:|data:|blob:)/.test(each)),
    [],
  );
  assert.deepEqual(view.complaints, []);
});

test('with 1,000 roles and 200 schemas it is made and shown in seconds', async (t) => {
  await admin.query(`DO $$ BEGIN
    FOR i IN 1..200 LOOP EXECUTE format('CREATE SCHEMA s%s; CREATE TABLE s%s.t (id int); CREATE ROLE many_g%s; GRANT USAGE ON SCHEMA s%s TO many_g%s; GRANT SELECT ON s%s.t TO many_g%s', i, i, i, i, i, i, i); END LOOP;
    FOR i IN 1..800 LOOP EXECUTE format('CREATE ROLE many_u%s LOGIN; GRANT many_g%s, many_g%s, many_g%s TO many_u%s', i, 1 + i % 200, 1 + (i * 7) % 200, 1 + (i * 13 + 5) % 200, i); END LOOP;
  END $$`);
  const large = join(folder, 'large-access.html');
  const begun = performance.now();
  await expectStatus(0, ['report', '--out', large], { env });
  const made = performance.now() - begun;
  t.diagnostic(`made in ${made.toFixed(0)} ms, ${readFileSync(large).length} bytes`);
  assert.ok(made < 60_000, `made in ${made} ms`);
  if (browser === undefined) return;
  const view = await theBrowser();
  const opens = performance.now();
  await view.go(`file://${large}`);
  await view.until("document.querySelectorAll('#matrix tbody tr').length === 100");
  t.diagnostic(`shown in ${(performance.now() - opens).toFixed(0)} ms`);
  assert.ok((await drawn(view)).length < 250, 'the graph is not folded');
  await type(view, '#graph-find', 'many_u77', 'change');
  assert.ok((await drawn(view)).includes('many_u77'));
  await type(view, '#matrix-role', 'many_u77');
  await view.until("document.querySelectorAll('#matrix tbody tr').length < 100");
  if (process.env.SCREENSHOTS) writeFileSync(join(process.env.SCREENSHOTS, 'large.png'), await view.screenshot());
});
