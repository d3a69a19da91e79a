/**
 * who_can() in random graphs of roles: it agrees with the server about every role; without what its paths name a role
 * no longer can, and with any one of them it still can.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { placeOfFile } from '../support/place.ts';
import { seed } from '../support/seed.ts';

const {
  cluster: { version },
  admin: client,
} = await placeOfFile();

const roles = ['w a', 'w_b', 'w_c', 'w_d', 'w_e'] as const;
const predefined = ['pg_read_all_data', 'pg_write_all_data'] as const;
const quoted = (name: string) => `"${name}"`;
const literal = (text: string) => `'${text.replaceAll("'", "''")}'`;

/** What is asked about: the object as who_can() takes it and as GRANT does, and what the server is asked. */
interface Subject {
  readonly object: string;
  readonly on: string;
  readonly columns?: string;
  readonly privileges: readonly string[];
  readonly has: (privilege: string) => string;
}

const subjects: readonly Subject[] = [
  {
    object: 'w_s."T t"',
    on: 'TABLE w_s."T t"',
    privileges: ['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'],
    has: (privilege) => `has_table_privilege(r.oid, 'w_s."T t"', '${privilege}')`,
  },
  {
    object: 'w_s."T t"."C c"',
    on: 'TABLE w_s."T t"',
    columns: '("C c")',
    privileges: ['SELECT', 'UPDATE', 'REFERENCES'],
    has: (privilege) => `has_column_privilege(r.oid, 'w_s."T t"', 'C c', '${privilege}')`,
  },
  {
    object: 'w_s.q',
    on: 'SEQUENCE w_s.q',
    privileges: ['USAGE', 'SELECT', 'UPDATE'],
    has: (privilege) => `has_sequence_privilege(r.oid, 'w_s.q', '${privilege}')`,
  },
  {
    object: 'w_s',
    on: 'SCHEMA w_s',
    privileges: ['USAGE', 'CREATE'],
    has: (privilege) => `has_schema_privilege(r.oid, 'w_s', '${privilege}')`,
  },
  {
    object: 'w_s.f(integer)',
    on: 'FUNCTION w_s.f(integer)',
    privileges: ['EXECUTE'],
    has: (privilege) => `has_function_privilege(r.oid, 'w_s.f(integer)', '${privilege}')`,
  },
];

const index = fc.nat(roles.length - 1);
const graph = fc.record({
  subject: fc
    .constantFrom(...subjects)
    .chain((subject) =>
      fc.record({ subject: fc.constant(subject), privilege: fc.constantFrom(...subject.privileges) }),
    ),
  noinherit: fc.subarray([...roles], { maxLength: 2 }),
  superuser: fc.option(index, { freq: 4 }),
  // The member comes before the role, so there is no circle.
  edges: fc.uniqueArray(
    fc
      .record({ member: index, role: index, admin: fc.boolean(), inherit: fc.boolean(), set: fc.boolean() })
      .filter(({ member, role }) => member < role),
    { maxLength: 6, selector: ({ member, role }) => `${member} ${role}` },
  ),
  reads: fc.array(fc.record({ member: index, role: fc.constantFrom(...predefined) }), { maxLength: 2 }),
  owner: fc.option(index),
  granted: fc.array(fc.record({ to: index, columns: fc.boolean() }), { maxLength: 3 }),
  toPublic: fc.option(fc.boolean(), { freq: 3 }),
});

/** The statements that end what a path names, for everybody. */
function ending(path: string, role: string, { on, columns }: Subject, privilege: string, owner: string): string {
  const holder = path.startsWith('member of ') ? path.slice('member of '.length) : quoted(role);
  if (path === 'PUBLIC') return revoke('PUBLIC');
  if (predefined.some((name) => name === holder)) {
    return `DO $$ DECLARE v_member text; BEGIN FOR v_member IN
      SELECT m.member::regrole FROM pg_auth_members AS m WHERE m.roleid = '${holder}'::regrole
      LOOP EXECUTE format('REVOKE ${holder} FROM %s', v_member); END LOOP; END $$`;
  }
  return path === 'owner' || holder.replaceAll('"', '') === owner ? `ALTER ${on} OWNER TO postgres` : revoke(holder);

  function revoke(from: string): string {
    const ofColumns = columns === undefined ? '' : `; REVOKE ${privilege} ${columns} ON ${on} FROM ${from}`;
    return `REVOKE ${privilege} ON ${on} FROM ${from}${ofColumns}`;
  }
}

interface Way {
  role: string;
  path: string;
}

test('who_can() agrees with the server, and its paths are the ways', async () => {
  await client.query(`
    CREATE SCHEMA w_s;
    CREATE TABLE w_s."T t" (id integer, "C c" text);
    CREATE SEQUENCE w_s.q;
    CREATE FUNCTION w_s.f(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
    ${roles.map((role) => `CREATE ROLE ${quoted(role)};`).join('')}
  `);
  const property = fc.asyncProperty(graph, async (drawn) => {
    const { subject, privilege } = drawn.subject;
    const name = (number: number) => roles[number] as string;
    const options = (edge: (typeof drawn.edges)[number]) =>
      version < 16
        ? edge.admin
          ? 'WITH ADMIN OPTION'
          : ''
        : `WITH ADMIN ${edge.admin}, INHERIT ${edge.inherit}, SET ${edge.set}`;
    const columns = subject.columns ?? '';
    await client.query('BEGIN');
    try {
      for (const statement of [
        ...drawn.noinherit.map((role) => `ALTER ROLE ${quoted(role)} NOINHERIT`),
        ...(drawn.superuser === null ? [] : [`ALTER ROLE ${quoted(name(drawn.superuser))} SUPERUSER`]),
        ...drawn.edges.map(
          (edge) => `GRANT ${quoted(name(edge.role))} TO ${quoted(name(edge.member))} ${options(edge)}`,
        ),
        ...drawn.reads.map(({ member, role }) => `GRANT ${role} TO ${quoted(name(member))}`),
        ...(drawn.owner === null ? [] : [`ALTER ${subject.on} OWNER TO ${quoted(name(drawn.owner))}`]),
        ...drawn.granted.map(
          ({ to, columns: ofColumns }) =>
            `GRANT ${privilege} ${ofColumns ? columns : ''} ON ${subject.on} TO ${quoted(name(to))}`,
        ),
        ...(drawn.toPublic === null
          ? []
          : [
              `${drawn.toPublic ? 'GRANT' : 'REVOKE'} ${privilege} ON ${subject.on} ${drawn.toPublic ? 'TO' : 'FROM'} PUBLIC`,
            ]),
      ]) {
        await client.query(statement);
      }
      const asked = `rolecall.who_can(${literal(privilege)}, ${literal(subject.object)})`;
      const { rows: wrong } = await client.query(
        `WITH can AS MATERIALIZED (SELECT w.role FROM ${asked} AS w)
         SELECT r.rolname FROM pg_roles AS r
         WHERE ${subject.has(privilege)} <> (r.rolname IN (SELECT c.role FROM can AS c))`,
      );
      assert.deepEqual(wrong, []);

      const { rows: ways } = await client.query<Way>(
        `SELECT w.role, w.path FROM ${asked} AS w WHERE w.role LIKE 'w%' AND w.path <> 'superuser'`,
      );
      const owner = drawn.owner === null ? 'postgres' : name(drawn.owner);
      const can = async (role: string) =>
        (
          await client.query<{ can: boolean }>(
            `SELECT ${subject.has(privilege)} AS can FROM pg_roles AS r WHERE r.rolname = ${literal(role)}`,
          )
        ).rows[0]?.can;
      for (const role of new Set(ways.map((way) => way.role))) {
        const paths = [...new Set(ways.flatMap((way) => (way.role === role ? [way.path] : [])))];
        for (const left of [undefined, ...paths]) {
          await client.query('SAVEPOINT whole');
          for (const path of paths) {
            if (path !== left) await client.query(ending(path, role, subject, privilege, owner));
          }
          assert.equal(await can(role), left !== undefined, `${role}: ${paths.join(', ')}; left: ${left}`);
          await client.query('ROLLBACK TO whole');
        }
      }
    } finally {
      await client.query('ROLLBACK');
    }
  });
  await fc.assert(property, { numRuns: 60, seed });
});
