import pg from 'pg';

/** Drops every database and role, so that what comes next finds the server as new. */
export async function tidy(admin: pg.Client): Promise<void> {
  const names = async (query: string) => (await admin.query<{ name: string }>(query)).rows.map(({ name }) => name);
  const databases = "SELECT datname AS name FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'";
  for (const name of await names(databases)) await admin.query(`DROP DATABASE ${pg.escapeIdentifier(name)}`);
  await admin.query(`DO $$
    DECLARE
      v_name text;
    BEGIN
      FOR v_name IN SELECT rolname FROM pg_roles WHERE oid >= 16384 LOOP
        EXECUTE format('DROP ROLE %I', v_name);
        COMMIT;
      END LOOP;
    END $$`);
  const shared = "SELECT relname AS name FROM pg_class WHERE relisshared AND relkind = 'r'";
  for (const name of await names(shared)) await admin.query(`VACUUM ${name}`);
}
