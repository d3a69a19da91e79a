/**
 * The report as one page. Its tables work without JavaScript, and it loads nothing. Every value from the database is
 * text, and the content security policy of the page allows no script but ours.
 */
import { createHash } from 'node:crypto';
import type { Cell, Row } from '../cli/command.ts';
import { line } from '../cli/escape.ts';
import type { Report } from './data.ts';

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
export const escape = (text: string): string =>
  line(text).replaceAll(/[&<>"']/g, (character) => entities[character] ?? '');

const cellText = (value: Cell | undefined): string =>
  value === true ? 'yes' : value === false || value === null || value === undefined ? '' : String(value);

function cell(column: string, value: Cell | undefined): string {
  const text = escape(cellText(value));
  if (text === '') return '<td></td>';
  if (column === 'severity') return `<td><strong class="${text}">${text}</strong></td>`;
  return column === 'remedy' || column === 'statement' ? `<td><code>${text}</code></td>` : `<td>${text}</td>`;
}

interface Section {
  readonly id: string;
  readonly title: string;
  readonly about: string;
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
}

function table({ id, title, about, columns, rows }: Section): string {
  const head = columns.map((column) => `<th scope="col">${escape(column.replaceAll('_', ' '))}</th>`).join('');
  const body = rows.map((row) => `<tr>${columns.map((column) => cell(column, row[column])).join('')}</tr>`).join('\n');
  const content =
    rows.length === 0
      ? '<p class="none">None.</p>'
      : `<div class="wide" role="region" aria-labelledby="${id}-title" tabindex="0"><table><thead><tr>${head}</tr></thead><tbody>\n${body}\n</tbody></table></div>`;
  return `<section id="${id}" data-table><h2 id="${id}-title">${title} <span class="count">${rows.length}</span></h2><p>${about}</p>${content}</section>`;
}

const accessAbout =
  'By which way a role can use the schema, read or write something in it, execute a function or create something: itself, or as a member of a role. What PUBLIC has, every role has; superusers have everything.';

const sections = (report: Report): Section[] => [
  {
    id: 'findings',
    title: 'Findings',
    about:
      'Ways by which roles that are no superusers can write, gain power or read what is withheld, with the statement that ends each.',
    columns: ['severity', 'role', 'path', 'object', 'detail', 'remedy'],
    rows: report.findings,
  },
  {
    id: 'drift',
    title: 'Drift',
    about: 'What is not as it was asked for, and the statements that restore it.',
    columns: ['target', 'operation', 'statement', 'note'],
    rows: report.drift,
  },
  {
    id: 'undeclared',
    title: 'Undeclared',
    about: 'What no call and no policy of this database asked for.',
    columns: ['kind', 'role', 'object', 'detail', 'remedy'],
    rows: report.undeclared,
  },
  {
    id: 'access',
    title: 'Access by role and schema',
    about: accessAbout,
    columns: ['role', 'schema', 'use', 'read', 'write', 'execute', 'create'],
    rows: report.access,
  },
  {
    id: 'memberships',
    title: 'Memberships',
    about: 'Which role is a member of which.',
    columns: ['member', 'role', 'admin', 'inherit', 'set'],
    rows: report.memberships,
  },
  {
    id: 'roles',
    title: 'Roles',
    about: 'All roles of the cluster but those of the server.',
    columns: ['role', 'login', 'superuser', 'createrole', 'createdb', 'replication', 'bypassrls', 'valid_until'],
    rows: report.roles,
  },
];

const style = `
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #c4cad1; --edge: #6b7480; --soft: #f3f5f7; --accent: #0b57d0; --bad: #b3261e; --warn: #7a5200; --reads: #dbe8fd; --writes: #fbe3c0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --paper: #14171a; --line: #454c54; --edge: #8b949e; --soft: #1f2429; --accent: #8ab4f8; --bad: #ff9d94; --warn: #f2c05c; --reads: #1c3156; --writes: #53380b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 90rem; font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
a { color: var(--accent); } nav a { margin-right: 1rem; } h2 { margin: 2rem 0 0; } section > p { margin: .4rem 0; }
.wide { overflow: auto; max-height: 75vh; border: 1px solid var(--line); }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; overflow-wrap: anywhere; min-width: 3.5rem; }
th { font-weight: 600; } thead th { position: sticky; top: 0; background: var(--soft); white-space: nowrap; z-index: 1; }
th button { all: unset; cursor: pointer; } [aria-sort=ascending] button::after { content: " \\2191"; } [aria-sort=descending] button::after { content: " \\2193"; }
button:focus-visible, input:focus-visible, select:focus-visible, td:focus-visible, .wide:focus-visible, a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
.count { font-weight: 400; } .critical { color: var(--bad); } .warning { color: var(--warn); }
#graph { height: 60vh; border: 1px solid var(--line); } input, select, button { font: inherit; padding: .25rem .5rem; } label { margin-right: 1rem; }
#search input { width: min(30rem, 100%); } td button { font-size: 12px; margin-left: .4rem; padding: 0 .4rem; }
#matrix { width: auto; } #matrix td { white-space: nowrap; font: 13px ui-monospace, monospace; cursor: default; } #matrix tbody th { position: sticky; left: 0; background: var(--soft); min-width: 10rem; }
#matrix thead th:first-child { left: 0; z-index: 2; } #matrix .reads { background: var(--reads); } #matrix .writes { background: var(--writes); }
[role=status] { min-height: 1.5em; } [hidden] { display: none !important; }`;

/** How many findings there are of each severity. */
function severities(rows: readonly Row[]): string {
  const counts = ['critical', 'warning', 'info'].map((each) => {
    const count = rows.filter(({ severity }) => severity === each).length;
    return `<strong class="${each}">${count} ${each}</strong>`;
  });
  return `Findings: ${counts.join(', ')}.`;
}

export function printReport(report: Report, script: string): string {
  const parts = sections(report);
  const hash = createHash('sha256').update(script).digest('base64');
  const links = parts.map(({ id, title, rows }) => `<a href="#${id}">${title} (${rows.length})</a>`).join('\n');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; script-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Access to ${escape(report.database)}</title>
<style>${style}</style>
</head>
<body>
<header><h1>Access to the database ${escape(report.database)}</h1>
<p>PostgreSQL ${escape(report.server)}, ${escape(report.at)}. What a page like this shows was true at that moment.</p>
<nav aria-label="Parts">${links}</nav>
<p>${severities(report.findings)}</p>
<p id="search" hidden><label>Search in all tables <input type="search" autocomplete="off"></label> <span role="status"></span></p>
</header>
<main>
<section id="graph-section" hidden><h2>Roles and memberships</h2>
<p>An arrow leads from a member to the role; a dashed one, that the member can grant it on. A round role can log in. A click on a role says more of it, and unfolds it. The table “Memberships” has the same as text.</p>
<p id="graph-tools"><label>Find a role <input id="graph-find" list="graph-names" autocomplete="off"></label> <datalist id="graph-names"></datalist></p>
<div id="graph" role="img" aria-label="Roles and memberships, as in the table Memberships"></div>
<p id="graph-about" role="status"></p><p id="graph-actions"></p></section>
<section id="matrix-section" hidden><h2 id="matrix-title">Roles and schemas</h2>
<p>U: uses the schema, R: reads, W: writes, E: executes, C: creates. A click on a cell, or the arrow keys, tell by which way; a click on a schema sorts by it. What PUBLIC has, every role has.</p>
<p><label>Roles <input id="matrix-role" autocomplete="off"></label> <label>Schemas <input id="matrix-schema" autocomplete="off"></label>
<label>That can <select id="matrix-kind"><option value="">do anything</option><option>read</option><option>write</option><option>execute</option><option>create</option><option>use</option></select></label></p>
<p id="matrix-about" role="status"></p>
<div class="wide" role="region" aria-labelledby="matrix-title" tabindex="0"><table id="matrix"></table></div><p><button id="matrix-more">Show more roles</button></p></section>
${parts.map(table).join('\n')}
</main>
<script>${script}</script>
</body>
</html>
`;
}
