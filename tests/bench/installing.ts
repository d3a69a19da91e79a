/** CREATE EXTENSION, and the same functions without an extension. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { root } from '../support/cluster.ts';
import { splitStatements } from '../support/tap.ts';
import { type Bench, compare, inTurns } from './measure.ts';

export async function installing({ cluster, pick, report }: Bench): Promise<void> {
  const control = fs.readFileSync(join(root, 'extension/rolecall.control'), 'utf8');
  const version = /^default_version = '(.*)'$/m.exec(control)?.[1] ?? '';
  const script = fs.readFileSync(join(root, `extension/rolecall--${version}.sql`), 'utf8').replace(/^\\.*$/gm, '');
  const statements = (await splitStatements(script)).map(({ text }) => text);
  const functions = statements.filter((text) => text.startsWith('CREATE FUNCTION'));
  const bodies = `SET check_function_bodies = off; BEGIN; ${functions.join(';\n')}; COMMIT`;
  // The schema, and the types and tables that the functions name.
  const others = statements.filter((text) => /^CREATE (SCHEMA|TYPE|TABLE|DOMAIN)\b/.test(text)).join(';\n');

  // What only an extension's script may do is left out.
  const whole = statements.filter((text) => !text.includes('pg_extension_config_dump')).join(';\n');
  const client: Client = await cluster.connect({
    database: await cluster.createDatabase(undefined, 'template1'),
    host: cluster.socketDir,
  });
  const series = await inTurns(pick(20, 2), [
    {
      name: 'CREATE EXTENSION',
      client: () => client,
      run: () => client.query('CREATE EXTENSION rolecall'),
      after: () => client.query('DROP EXTENSION rolecall'),
    },
    {
      name: 'the script by hand',
      client: () => client,
      run: () => client.query(`SET check_function_bodies = off; BEGIN; ${whole}; COMMIT`),
      after: () => client.query('DROP SCHEMA rolecall, rolecall_internal, rolecall_watch CASCADE'),
    },
    {
      name: `${functions.length} CREATE FUNCTION`,
      client: () => client,
      before: () => client.query(others),
      run: () => client.query(bodies),
      after: () => client.query('DROP SCHEMA rolecall, rolecall_internal, rolecall_watch CASCADE'),
    },
  ]);
  report(...compare('CREATE EXTENSION', 'ms', series));
  await client.end();
}
