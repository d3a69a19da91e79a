/**
 * The administrators of managed servers, imitated on a plain server by roles with the attributes and memberships that
 * their providers document (docs/providers.md has the sources): each installs the plain script, calls every function,
 * and gets as far as the server lets it; what is left is a row or an error with a hint that it can follow.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import type { Client } from 'pg';
import { type Cluster, root, startCluster } from '../support/cluster.ts';

interface Provider {
  /** Creates the role `provider_admin`, and what else the provider has created. */
  readonly setup: string;
  /** Who owns the databases. */
  readonly owner?: string;
  /** Whether it has BYPASSRLS, and so can give it from 16 on. */
  readonly bypasses: boolean;
  /** Whether it can grant pg_monitor from 16 on. */
  readonly grantsMonitor: boolean;
  /** Names for the base roles, where the usual ones are the provider's. */
  readonly names?: string;
}

const providers: Readonly<Record<string, Provider>> = {
  'Amazon RDS': {
    setup: `CREATE ROLE rds_superuser; GRANT pg_monitor, pg_signal_backend TO rds_superuser WITH ADMIN OPTION;
      CREATE ROLE provider_admin LOGIN NOSUPERUSER INHERIT CREATEDB CREATEROLE NOREPLICATION VALID UNTIL 'infinity'
      PASSWORD 'x'; GRANT rds_superuser TO provider_admin`,
    bypasses: false,
    grantsMonitor: true,
  },
  'Google Cloud SQL': {
    setup: `CREATE ROLE cloudsqlsuperuser CREATEDB CREATEROLE; GRANT pg_monitor TO cloudsqlsuperuser;
      CREATE ROLE provider_admin LOGIN CREATEDB CREATEROLE PASSWORD 'x'; GRANT cloudsqlsuperuser TO provider_admin`,
    owner: 'cloudsqlsuperuser',
    bypasses: false,
    grantsMonitor: false,
  },
  'Azure Database': {
    setup: `CREATE ROLE azure_pg_admin; GRANT pg_monitor, pg_read_all_data TO azure_pg_admin WITH ADMIN OPTION;
      CREATE ROLE provider_admin LOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS PASSWORD 'x';
      GRANT azure_pg_admin TO provider_admin`,
    bypasses: true,
    grantsMonitor: true,
  },
  Supabase: {
    setup: `CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE service_role BYPASSRLS;
      CREATE ROLE provider_admin LOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS PASSWORD 'x';
      GRANT anon, authenticated, service_role, pg_monitor, pg_read_all_data, pg_signal_backend TO provider_admin`,
    bypasses: true,
    grantsMonitor: false,
    names: `'app_anonymous', 'app_authenticated', 'app_administrator'`,
  },
  Neon: {
    setup: `CREATE ROLE neon_superuser CREATEDB CREATEROLE BYPASSRLS REPLICATION;
      GRANT pg_read_all_data, pg_write_all_data TO neon_superuser;
      GRANT pg_monitor TO neon_superuser WITH ADMIN OPTION;
      CREATE ROLE provider_admin LOGIN CREATEDB CREATEROLE BYPASSRLS REPLICATION PASSWORD 'x';
      GRANT neon_superuser TO provider_admin`,
    bypasses: true,
    grantsMonitor: true,
  },
};

const version = Number(process.env.PG);
const is16 = version >= 16;

/** What a call came to: its rows, but for those that are applied; or its error, with the hint. */
async function outcome(client: Client, call: string): Promise<unknown> {
  try {
    const { rows } = await client.query<Record<string, string | null>>(`SELECT * FROM rolecall.${call}`);
    const left = rows.filter((row) => row['status'] !== undefined && row['status'] !== 'applied');
    return left.map(({ status, sqlstate, statement }) => [status, sqlstate, statement].join(' '));
  } catch (error) {
    const { code, hint } = error as { code: string; hint?: string };
    return [code, hint].join(' ');
  }
}

/** The calls that every administrator can make, in this order, and that leave nothing undone. */
const calls = [
  "role_name('administrator')",
  "create_client_role('app_client')",
  "create_user('alice', 'secret')",
  "create_user_with_grants('bob', NULL, ARRAY[rolecall.role_name('authenticated'), rolecall.role_name('administrator')])",
  "create_test_users('t_user', 'x', 't_admin', 'y')",
  "grant_role(rolecall.role_name('authenticated'), 'bob', admin_option => true)",
  "grant_role('app_client', 'alice')",
  "revoke_role(rolecall.role_name('administrator'), 'bob')",
  "set_password('alice', 'other', 'infinity')",
  "provision_reporting_roles('app_reporting', 'app_raw', withheld_tables => ARRAY['tokens'])",
  "provision_reporting_role('app_reports', ARRAY['reporting'])",
  "reporting_role_password('app_raw')",
  'rotate_reporting_secret()',
  "set_secret('key', 'value')",
  "set_secret_if_absent('key', 'value')",
  "get_secret('key')",
  "audit_role('app_raw')",
  "add_operator('alice')",
  "remove_operator('alice')",
  'generate_password()',
  "scram_sha_256('secret')",
  'version()',
  "user_dependencies('t_user')",
  "remove_user('t_user')",
  "remove_user('alice', terminate_sessions => true)",
];

async function prepare(cluster: Cluster, { setup, owner = 'provider_admin' }: Provider): Promise<Client> {
  const superuser = await cluster.connect();
  await superuser.query(setup);
  const database = await cluster.createDatabase('app', 'template1');
  await superuser.query(`ALTER DATABASE ${database} OWNER TO ${owner}`);
  await superuser.end();
  // On 14 PUBLIC may create in the schema public, which provisioning warns of.
  const admin = await cluster.connect({ database, user: 'provider_admin', password: 'x' });
  await admin.query(readFileSync(join(root, 'extension/rolecall.sql'), 'utf8'));
  await admin.query(`CREATE SCHEMA reporting; CREATE TABLE reporting.counts AS SELECT 1 AS n;
    CREATE SCHEMA app AUTHORIZATION provider_admin; CREATE TABLE app.patients AS SELECT 2 AS n;
    CREATE TABLE app.tokens (t text)`);
  return admin;
}

for (const [name, provider] of Object.entries(providers)) {
  const skip = [14, 16, 18].includes(version) ? false : 'providers are imitated on 14, 16 and 18';
  test(name, { skip }, async () => {
    const cluster = await startCluster({ version });
    after(() => cluster.stop());
    const admin = await prepare(cluster, provider);

    if (provider.names && is16) {
      // A role of the provider's by one of the usual names is not the administrator's to grant.
      await admin.query('BEGIN');
      assert.deepEqual(await outcome(admin, 'create_base_roles()'), []);
      assert.match(
        String(await outcome(admin, "create_user('alice')")),
        /^42501 .*GRANT authenticated TO provider_admin/,
      );
      await admin.query('ROLLBACK');
    }

    // The administrator role gets BYPASSRLS from who has it, from 16 on; else a row says who can give it.
    const administrator = provider.names ? 'app_administrator' : 'administrator';
    const left = is16 && provider.bypasses ? [] : [`skipped 42501 ALTER ROLE ${administrator} BYPASSRLS`];
    const base = `create_base_roles(${provider.names ?? ''})`;
    assert.deepEqual(await outcome(admin, base), left);
    assert.deepEqual(await outcome(admin, base), left);
    assert.deepEqual(await outcome(admin, 'drift()'), left);

    for (const call of calls) {
      const raw = call.replace("'app_raw', withheld", "'app_raw', raw_schema => 'app', withheld");
      assert.deepEqual(await outcome(admin, raw), [], call);
    }
    const { rows } = await admin.query<{ password: string }>(
      "SELECT rolecall.reporting_role_password('app_raw') AS password",
    );
    const raw = await cluster.connect({ database: 'app', user: 'app_raw', password: rows[0]?.password ?? '' });
    assert.equal((await raw.query('SELECT FROM app.patients')).rowCount, 1);
    await assert.rejects(raw.query('SELECT FROM app.tokens'), { code: '42501' });
    await raw.end();

    // A predefined role takes ADMIN OPTION on it from 16 on.
    const monitor = await outcome(admin, "grant_role('pg_monitor', 'bob')");
    if (!is16 || provider.grantsMonitor) assert.deepEqual(monitor, []);
    else assert.match(String(monitor), /^42501 This requires ADMIN OPTION on the granted role/);

    // Tables of a role that the administrator has created, but is not a member of: the rows say what is missing.
    await admin.query('CREATE ROLE worker; GRANT CREATE, USAGE ON SCHEMA app TO worker');
    await admin.query('GRANT worker TO provider_admin');
    await admin.query(
      'SET ROLE worker; CREATE TABLE app.work AS SELECT 3 AS n; RESET ROLE; REVOKE worker FROM provider_admin',
    );
    const again = "provision_reporting_role('app_raw', ARRAY['app'], ARRAY['tokens'])";
    const skipped = [
      'skipped 42501 GRANT SELECT ON app.work TO app_raw',
      'skipped 42501 ALTER DEFAULT PRIVILEGES FOR ROLE worker IN SCHEMA app GRANT SELECT ON SEQUENCES TO app_raw',
      'skipped 42501 ALTER DEFAULT PRIVILEGES FOR ROLE worker IN SCHEMA app GRANT SELECT ON TABLES TO app_raw',
    ];
    assert.deepEqual(await outcome(admin, again), skipped);
    await admin.query(`GRANT worker TO provider_admin${is16 ? ' WITH INHERIT TRUE' : ''}`);
    assert.deepEqual(await outcome(admin, again), []);

    assert.deepEqual(await outcome(admin, 'converge()'), left);
    assert.match(String(await outcome(admin, 'watch_new_tables()')), /^42501 \w+/);
    await admin.end();
    await cluster.stop();
  });
}
