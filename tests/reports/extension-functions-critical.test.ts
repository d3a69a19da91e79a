/**
 * An audit has EXECUTE revoked from PUBLIC on a function that an extension needs everybody to call.
 * pgpartman/pg_partman#512
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

const finding = `SELECT severity, remedy FROM rolecall.audit_role('reader') WHERE object LIKE 'partman.%'`;

report(
  'a pinned SECURITY DEFINER function of a superuser’s extension is no critical finding',
  async ({ admin, rows }) => {
    await admin.query(`
    CREATE ROLE reader LOGIN;
    CREATE SCHEMA partman; GRANT USAGE ON SCHEMA partman TO PUBLIC;
    CREATE FUNCTION partman.check_type(text) RETURNS boolean LANGUAGE sql SECURITY DEFINER
      SET search_path = pg_catalog, pg_temp AS 'SELECT $1 IN (''time'', ''id'')';
  `);
    const loose = [{ severity: 'critical', remedy: 'REVOKE EXECUTE ON FUNCTION partman.check_type(text) FROM PUBLIC' }];
    assert.deepEqual(await rows(finding), loose, 'of no extension');
    await admin.query('ALTER EXTENSION plpgsql ADD FUNCTION partman.check_type(text)');
    assert.deepEqual(await rows(finding), [{ severity: 'info', remedy: null }]);

    // Nothing else hides there.
    const changes = [
      `ALTER FUNCTION partman.check_type(text) RESET search_path`,
      `ALTER FUNCTION partman.check_type(text) SET search_path = pg_catalog`,
      `GRANT CREATE ON SCHEMA partman TO PUBLIC; ALTER FUNCTION partman.check_type(text) SET search_path = partman, pg_temp`,
      `CREATE ROLE installer; UPDATE pg_extension SET extowner = 'installer'::regrole WHERE extname = 'plpgsql'`,
      `GRANT EXECUTE ON FUNCTION partman.check_type(text) TO reader`,
    ];
    for (const change of changes) {
      await admin.query(`BEGIN; ${change}`);
      const found = await rows<{ severity: string }>(finding);
      assert.ok(
        found.some(({ severity }) => severity === 'critical'),
        change,
      );
      await admin.query('ROLLBACK');
    }
  },
);
