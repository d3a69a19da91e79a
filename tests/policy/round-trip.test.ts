/**
 * Random policies, applied to a database where random privileges were given by hand, give exactly what a model of this file
 * predicts; again they do nothing; after random changes converge() makes it exact again, and inspect() has no steps.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { startCluster } from '../support/cluster.ts';

const documents = Number(process.env.DOCUMENTS ?? 25);
const seed = process.env.SEED === undefined ? undefined : Number(process.env.SEED);

const roles = ['p r1', 'p_r2', 'p_r3'] as const;
const schemas = ['p_s1', 'P s2'] as const;
const tables = ['t1', 'T 2', 't3'] as const;
const columns = ['a', 'B b'] as const;
const ofTables = ['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'] as const;
const ofColumns = ['SELECT', 'INSERT', 'UPDATE', 'REFERENCES'] as const;
const ofSequences = ['USAGE', 'SELECT', 'UPDATE'] as const;
const ofSchemas = ['USAGE', 'CREATE'] as const;

const quoted = (name: string): string => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name}"`);

/** What an entry is about, and how the policy says it. */
interface On {
  readonly kind:
    'table' | 'tables_in' | 'columns' | 'sequence' | 'sequences_in' | 'schema' | 'function' | 'functions_in';
  readonly schema: string;
  readonly table: string;
  readonly column: string;
  /** Of all tables: whole tables, and columns of tables, that are excepted. */
  readonly except: readonly { readonly table: string; readonly column: string | null }[];
}

interface Entry {
  readonly to: string;
  readonly on: On;
  readonly grant: readonly string[];
  readonly option: boolean;
}

/** A membership, as the policy says it; the members come before the roles in the list, so there is no circle. */
interface Membership {
  readonly member: string;
  readonly role: string;
  readonly admin: boolean;
  readonly inherit: boolean | null;
  readonly set: boolean | null;
}

const membership: fc.Arbitrary<Membership> = fc
  .record({
    pair: fc.constantFrom<readonly [number, number]>([0, 1], [0, 2], [1, 2]),
    admin: fc.boolean(),
    inherit: fc.option(fc.boolean()),
    set: fc.option(fc.boolean()),
  })
  .map(({ pair: [member, role], ...options }) => ({
    member: roles[member] ?? '',
    role: roles[role] ?? '',
    ...options,
  }));

// One that gives ADMIN alone is how the server marks who created a role; it is left alone.
const memberships = fc.uniqueArray(
  membership.filter(({ inherit, set }) => (inherit ?? true) || (set ?? true)),
  { maxLength: 2, selector: ({ member, role }) => `${member}|${role}` },
);

/** A role, and those whose privileges it has by its memberships. */
function inherited(role: string, edges: readonly Membership[]): string[] {
  const above = edges.filter(({ member, inherit }) => member === role && (inherit ?? true)).map((edge) => edge.role);
  return [role, ...above.flatMap((one) => inherited(one, edges))];
}

const privilegesOf: Readonly<Record<On['kind'], readonly string[]>> = {
  table: ofTables,
  tables_in: ofTables,
  columns: ofColumns,
  sequence: ofSequences,
  sequences_in: ofSequences,
  schema: ofSchemas,
  function: ['EXECUTE'],
  functions_in: ['EXECUTE'],
};

const entry: fc.Arbitrary<Entry> = fc
  .record({
    kind: fc.constantFrom(...(Object.keys(privilegesOf) as On['kind'][])),
    schema: fc.constantFrom(...schemas),
    table: fc.constantFrom(...tables),
    column: fc.constantFrom(...columns),
    except: fc.array(fc.record({ table: fc.constantFrom(...tables), column: fc.option(fc.constantFrom(...columns)) }), {
      maxLength: 2,
    }),
  })
  .chain((on) =>
    fc.record({
      to: fc.constantFrom(...roles),
      on: fc.constant(on),
      grant: fc.uniqueArray(fc.constantFrom(...privilegesOf[on.kind]), { minLength: 1 }),
      option: fc.boolean(),
    }),
  );

const sqlName = (schema: string, name: string) => `${quoted(schema)}.${quoted(name)}`;

function written({ to, on, grant, option }: Entry): object {
  const name = sqlName(on.schema, on.table);
  const target: Readonly<Record<On['kind'], object>> = {
    table: { table: name },
    tables_in: {
      tables_in: on.schema,
      except: on.except.map(({ table, column }) =>
        column === null ? sqlName(on.schema, table) : `${sqlName(on.schema, table)}.${quoted(column)}`,
      ),
    },
    columns: { columns: [on.column], of: name },
    sequence: { sequence: sqlName(on.schema, 'q') },
    sequences_in: { sequences_in: on.schema },
    schema: { schema: on.schema },
    function: { function: `${sqlName(on.schema, 'f')}(integer)` },
    functions_in: { functions_in: on.schema },
  };
  return { to, on: target[on.kind], grant, ...(option ? { with_grant_option: true } : {}) };
}

/** Everything that can be held, as has_*_privilege() is asked for it, by what the model says it is. */
function expected(entries: readonly Entry[], edges: readonly Membership[] = []): Map<string, boolean> {
  const held = new Map<string, boolean>();
  for (const role of roles) {
    const own = entries.filter(({ to }) => inherited(role, edges).includes(to));
    const some = (kinds: readonly On['kind'][], schema: string, privilege: string, match: (on: On) => boolean) =>
      own.some(
        ({ on, grant }) => kinds.includes(on.kind) && on.schema === schema && grant.includes(privilege) && match(on),
      );
    for (const schema of schemas) {
      for (const privilege of ofSchemas)
        held.set(
          `${role}|schema|${schema}|${privilege}`,
          some(['schema'], schema, privilege, () => true),
        );
      for (const privilege of ofSequences)
        held.set(
          `${role}|sequence|${sqlName(schema, 'q')}|${privilege}`,
          some(['sequence', 'sequences_in'], schema, privilege, () => true),
        );
      held.set(
        `${role}|function|${sqlName(schema, 'f')}(integer)|EXECUTE`,
        some(['function', 'functions_in'], schema, 'EXECUTE', () => true),
      );
      for (const table of tables) {
        const name = sqlName(schema, table);
        const byTable = (privilege: string) =>
          some(['table'], schema, privilege, (on) => on.table === table) ||
          some(
            ['tables_in'],
            schema,
            privilege,
            ({ except }) =>
              !except.some(
                (one) =>
                  one.table === table && (one.column === null || (ofColumns as readonly string[]).includes(privilege)),
              ),
          );
        for (const privilege of ofTables) held.set(`${role}|table|${name}|${privilege}`, byTable(privilege));
        for (const privilege of ofColumns)
          for (const column of columns)
            held.set(
              `${role}|column|${name}|${privilege}|${column}`,
              byTable(privilege) ||
                some(['columns'], schema, privilege, (on) => on.table === table && on.column === column) ||
                some(['tables_in'], schema, privilege, ({ except }) => {
                  const here = except.filter((one) => one.table === table);
                  return here.length > 0 && here.every((one) => one.column !== null && one.column !== column);
                }),
            );
      }
    }
  }
  return held;
}

const cluster = await startCluster();
after(() => cluster.stop());
const client = await cluster.connect({ database: await cluster.createDatabase() });
await client.query(`
  CREATE ROLE p_owner; CREATE ROLE "p other"; REVOKE ALL ON SCHEMA public FROM PUBLIC;
  ${schemas.map((schema) => `CREATE SCHEMA ${quoted(schema)} AUTHORIZATION p_owner; GRANT ALL ON SCHEMA ${quoted(schema)} TO "p other";`).join('\n')}
  ${schemas
    .flatMap((schema) => [
      ...tables.map((table) => `CREATE TABLE ${sqlName(schema, table)} (a integer, "B b" text);`),
      `CREATE SEQUENCE ${sqlName(schema, 'q')};`,
      `CREATE FUNCTION ${sqlName(schema, 'f')}(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';`,
      `REVOKE ALL ON FUNCTION ${sqlName(schema, 'f')}(integer) FROM PUBLIC;`,
      `ALTER TABLE ${sqlName(schema, 't1')} OWNER TO p_owner; ALTER TABLE ${sqlName(schema, 't3')} OWNER TO "p other";`,
    ])
    .join('\n')}
`);

async function held(): Promise<Map<string, boolean>> {
  const { rows } = await client.query<{ key: string; has: boolean }>(
    `SELECT k.key, CASE p[2]
       WHEN 'schema' THEN has_schema_privilege(p[1], p[3], p[4])
       WHEN 'table' THEN has_table_privilege(p[1], p[3], p[4])
       WHEN 'sequence' THEN has_sequence_privilege(p[1], p[3], p[4])
       WHEN 'function' THEN has_function_privilege(p[1], p[3], p[4])
       WHEN 'column' THEN has_column_privilege(p[1], p[3], p[5], p[4]) END AS has
     FROM unnest($1::text[]) AS k(key) CROSS JOIN LATERAL string_to_array(k.key, '|') AS p`,
    [[...expected([]).keys()]],
  );
  return new Map(rows.map(({ key, has }) => [key, has]));
}

const differences = (is: Map<string, boolean>, wanted: Map<string, boolean>) =>
  [...wanted]
    .filter(([key, has]) => is.get(key) !== has)
    .map(([key, has]) => `${key}: ${has ? 'missing' : 'too much'}`);

/** By hand: what an entry says, granted to its role; of a role that may not be there yet nothing. */
async function grantByHand({ to, on, grant, option }: Entry): Promise<void> {
  const name = sqlName(on.schema, on.table);
  const target: Readonly<Record<On['kind'], string>> = {
    table: name,
    tables_in: `ALL TABLES IN SCHEMA ${quoted(on.schema)}`,
    columns: name,
    sequence: `SEQUENCE ${sqlName(on.schema, 'q')}`,
    sequences_in: `ALL SEQUENCES IN SCHEMA ${quoted(on.schema)}`,
    schema: `SCHEMA ${quoted(on.schema)}`,
    function: `FUNCTION ${sqlName(on.schema, 'f')}(integer)`,
    functions_in: `ALL FUNCTIONS IN SCHEMA ${quoted(on.schema)}`,
  };
  const what = grant.map((one) => (on.kind === 'columns' ? `${one} (${quoted(on.column)})` : one)).join(', ');
  await client.query(`GRANT ${what} ON ${target[on.kind]} TO ${quoted(to)}${option ? ' WITH GRANT OPTION' : ''}`);
}

/** Before 16 a membership has no options but ADMIN. */
const hasOptions = cluster.version >= 16;
const options = ({ inherit, set }: Membership) => ({
  ...(hasOptions && inherit !== null ? { inherit } : {}),
  ...(hasOptions && set !== null ? { set } : {}),
});
const edgesOf = (edges: readonly Membership[]) =>
  edges.map((edge) => (hasOptions ? edge : { ...edge, inherit: null, set: null }));

async function memberOf(): Promise<string[]> {
  const { rows } = await client.query<{ edge: string }>(
    `SELECT concat_ws(' ', pg_get_userbyid(m.member), pg_get_userbyid(m.roleid), bool_or(m.admin_option),
       bool_or(coalesce(to_jsonb(m) ->> 'inherit_option', 'true')::boolean),
       bool_or(coalesce(to_jsonb(m) ->> 'set_option', 'true')::boolean)) AS edge
     FROM pg_auth_members AS m WHERE pg_get_userbyid(m.member) = ANY ($1) GROUP BY m.member, m.roleid ORDER BY 1`,
    [roles],
  );
  return rows.map(({ edge }) => edge);
}

const flag = (value: boolean | null) => ((value ?? true) ? 't' : 'f');
const wantedEdges = (edges: readonly Membership[]) =>
  edges
    .map(({ member, role, admin, inherit, set }) => [member, role, flag(admin), flag(inherit), flag(set)].join(' '))
    .sort();

/** Of whom who_can() says otherwise than the server. */
async function misjudged({ on, grant }: Entry): Promise<unknown[]> {
  const table = sqlName(on.schema, on.table);
  const [object, has]: [string, string] =
    on.kind === 'schema'
      ? [quoted(on.schema), `has_schema_privilege(r.oid, '${on.schema}', $1)`]
      : on.kind === 'columns'
        ? [`${table}.${quoted(on.column)}`, `has_column_privilege(r.oid, '${table}', '${on.column}', $1)`]
        : /^seq/.test(on.kind)
          ? [sqlName(on.schema, 'q'), `has_sequence_privilege(r.oid, $2, $1)`]
          : /^fun/.test(on.kind)
            ? [`${sqlName(on.schema, 'f')}(integer)`, `has_function_privilege(r.oid, $2, $1)`]
            : [table, `has_table_privilege(r.oid, $2, $1)`];
  const { rows } = await client.query<{ role: string }>(
    `WITH can AS MATERIALIZED (SELECT w.role FROM rolecall.who_can($1, $2) AS w)
     SELECT r.rolname AS role FROM pg_roles AS r WHERE ${has} <> (r.rolname IN (SELECT c.role FROM can AS c))`,
    [grant[0], object],
  );
  return rows;
}

test(`${documents} random policies give what they say, and nothing else`, async () => {
  const policy = fc.record({
    entries: fc.array(entry, { maxLength: 8 }),
    before: fc.array(entry, { maxLength: 4 }),
    later: fc.array(entry, { maxLength: 4 }),
    revoked: fc.array(fc.constantFrom(...roles), { maxLength: 1 }),
    edges: memberships,
    edgesBefore: memberships,
    edgesLater: memberships,
  });
  await fc.assert(
    fc.asyncProperty(policy, async ({ entries, before, later, revoked, ...given }) => {
      const edges = edgesOf(given.edges);
      const join = async (all: readonly Membership[]) => {
        for (const { role, member, admin } of all)
          await client.query(`GRANT ${quoted(role)} TO ${quoted(member)}${admin ? ' WITH ADMIN OPTION' : ''}`);
      };
      await client.query('BEGIN');
      try {
        for (const role of roles) await client.query(`CREATE ROLE ${quoted(role)}`);
        for (const one of before) await grantByHand(one);
        await join(given.edgesBefore);
        const document = JSON.stringify({
          roles: Object.fromEntries(
            roles.map((role) => [
              role,
              {
                member_of: edges
                  .filter(({ member }) => member === role)
                  .map((edge) => ({ role: edge.role, admin: edge.admin, ...options(edge) })),
              },
            ]),
          ),
          privileges: entries.map(written),
        });
        const call = 'SELECT statement, status FROM rolecall.apply($1)';
        const first = (await client.query<{ status: string }>(call, [document])).rows;
        assert.deepEqual(
          first.filter(({ status }) => status !== 'applied'),
          [],
        );
        assert.deepEqual(await memberOf(), wantedEdges(edges), 'memberships after apply()');
        assert.deepEqual(differences(await held(), expected(entries, edges)), [], 'after apply()');
        for (const one of entries.slice(0, 2)) assert.deepEqual(await misjudged(one), [], 'who_can()');
        assert.deepEqual((await client.query(call, [document])).rows, [], 'apply() again');
        for (const one of later) await grantByHand(one);
        for (const role of revoked) await client.query(`REVOKE ALL ON ALL TABLES IN SCHEMA p_s1 FROM ${quoted(role)}`);
        await join(given.edgesLater);
        await client.query('SELECT FROM rolecall.converge()');
        assert.deepEqual(await memberOf(), wantedEdges(edges), 'memberships after converge()');
        assert.deepEqual(differences(await held(), expected(entries, edges)), [], 'after converge()');
        assert.deepEqual((await client.query('SELECT statement FROM rolecall.drift()')).rows, [], 'drift()');
        const back = 'SELECT statement FROM rolecall.apply(rolecall.policy())';
        assert.deepEqual((await client.query(back)).rows, [], 'apply(policy())');
        assert.deepEqual((await client.query(back.replace('policy', 'inspect'))).rows, [], 'apply(inspect())');
        await client.query(`SET LOCAL ROLE "p other"; CREATE TABLE p_s1.later (); RESET ROLE`);
        for (const role of roles)
          for (const privilege of ofTables) {
            const wanted = entries.some(
              ({ to, on, grant }) =>
                inherited(role, edges).includes(to) &&
                on.kind === 'tables_in' &&
                on.schema === 'p_s1' &&
                grant.includes(privilege),
            );
            const { rows } = await client.query<{ has: boolean }>('SELECT has_table_privilege($1, $2, $3) AS has', [
              role,
              'p_s1.later',
              privilege,
            ]);
            assert.equal(rows[0]?.has, wanted, `${privilege} of ${role} on a table that is made later`);
          }
      } finally {
        await client.query('ROLLBACK');
      }
    }),
    { numRuns: documents, ...(seed === undefined ? {} : { seed }) },
  );
});
