import { install, isCondition, Rolecall } from 'rolecall';
const { owner, login } = await import(process.env.DATABASE_URL ? './server.js' : './in-process.js');
const { via } = await install(owner);
for (const sql of [
  'CREATE TABLE tokens (t text)',
  'CREATE SCHEMA reporting',
  'CREATE TABLE reporting.counts AS SELECT 42 AS n',
])
  await owner.query(sql);
await new Rolecall(owner).provision_reporting_role({ role_name: 'app_reports', schemas: ['reporting'] });
const reports = await login(
  'app_reports',
  await new Rolecall(owner).reporting_role_password({ role_name: 'app_reports' }),
);
const { rows } = await reports.query('SELECT n FROM reporting.counts');
const refused = await reports
  .query('SELECT * FROM public.tokens')
  .catch((error) => isCondition(error, 'insufficient_privilege'));
console.log(`${via}: app_reports reads ${JSON.stringify(rows)}, and of tokens nothing: ${refused === true}`);
