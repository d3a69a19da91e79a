/**
 * Names and values that are made to break quoting, cutting, comparing and patterns. Whatever they are: either the
 * stated error, and nothing has changed, or a role of exactly that name that logs in with exactly that password.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import pg, { type DatabaseError } from 'pg';
import { versions } from '../support/cluster.ts';
import { placeOfFile } from '../support/place.ts';
import { seed } from '../support/seed.ts';

/** Each version draws names of its own, so that it needs fewer. */
const version = Number(process.env.PG || versions().at(-1));
fc.configureGlobal({ seed: seed * 100 + version, endOnFailure: true, asyncAfterEach: cleanUp });

const { cluster, database, admin } = await placeOfFile();
await admin.query('SELECT rolecall.create_base_roles()');
await admin.query('CREATE ROLE "quoted group"; CREATE TABLE public.hostile_table ()');
const atFirst = await present();

// prettier-ignore
const fragments = [
  "'", "''", '"', '""', '\\', "\\'", '$do$', '$$', '$', '%', '%I', '%L', '%s', '%%', '\n', '\r\n', '\t', '\u0001', '\u007f',
  '😀', 'é', 'e\u0301', '\u0301', 'ß', 'ı', 'İ', '\u00a0', '\u200b', '\ufeff', '\u202e', '漢', 'ﬁ',
  'a', 'A', ' ', '.', ',', '=', ';', '--', '/*', '*/', '*', '{', '}', '[', ']', '(', ')', ':', '?', '@', '|', '~', '`', '#',
  '********', "'********'", 'rolecall', 'NULL', 'null', 'true', '0', '-1', '"; DROP ROLE postgres; --', "'; DROP ROLE postgres; --",
  'public', 'PUBLIC', 'none', 'current_user', 'Session_User', 'user', 'select', 'all', 'pg_', 'PG_', 'pg', 'role', 'default', '$user',
];
const joined = fc.array(fc.constantFrom(...fragments), { minLength: 1, maxLength: 6 }).map((parts) => parts.join(''));
/** Ends, or is cut at 63 bytes, inside or right after a character of several bytes. */
const aroundLimit = fc
  .tuple(
    fc.constantFrom('x', 'X', "'", 'é', '漢', '😀'),
    fc.constantFrom('x', '"', 'é', '漢', '😀'),
    fc.integer({ min: 58, max: 66 }),
  )
  .map(([start, end, length]) => {
    let name = '';
    while (Buffer.byteLength(name + start + end) <= length) name += start;
    return name + end;
  });
const anything = fc.string({ unit: 'binary', minLength: 0, maxLength: 20 }).filter(isText);
const hostile = fc.oneof({ weight: 4, arbitrary: joined }, { weight: 2, arbitrary: aroundLimit }, anything);

/** PostgreSQL's text holds every character but NUL, and half of a surrogate pair is no character. */
function isText(value: string): boolean {
  return !value.includes('\0') && Buffer.from(value).toString() === value;
}

const reserved = ['public', 'none', 'current_user', 'session_user', 'current_role'];

/** The SQLSTATE that a role name has to be refused with; none: it is a legal one. */
function refusal(name: string): string | undefined {
  const length = Buffer.byteLength(name);
  if (length === 0 || length > 63) return '42602';
  if (reserved.includes(name) || name.startsWith('pg_')) return '42939';
  return undefined;
}

/** Whether a schema of that name can be created. */
const isFree = (name: string): boolean => !name.startsWith('pg_') && !atFirst.schemas.includes(name);

/** Everything that the cluster says about roles. */
async function everything(): Promise<string> {
  const { rows } = await admin.query<{ all: string }>(`
    SELECT concat_ws(E'\\n',
      (SELECT string_agg(a::text, E'\\n' ORDER BY a.oid) FROM pg_authid AS a),
      (SELECT string_agg(m::text, E'\\n' ORDER BY m.roleid, m.member, m.grantor) FROM pg_auth_members AS m),
      (SELECT string_agg(s::text, E'\\n' ORDER BY s.setrole, s.setdatabase) FROM pg_db_role_setting AS s),
      (SELECT string_agg(d::text, E'\\n' ORDER BY d.objoid) FROM pg_shdescription AS d),
      (SELECT string_agg(n.nspname || n.nspacl::text, E'\\n' ORDER BY n.oid) FROM pg_namespace AS n WHERE n.nspname !~ '^pg_t'),
      (SELECT string_agg(r.section || r.key::text || r.resource::text, E'\\n' ORDER BY 1) FROM rolecall_internal.resource AS r)
    ) AS all`);
  return rows[0]?.all ?? '';
}

/** Calls; if the call fails, nothing may have changed. Returns the SQLSTATE, or none. */
async function call(text: string, values: unknown[]): Promise<string | undefined> {
  const present = await everything();
  try {
    await admin.query(text, values);
    return undefined;
  } catch (error) {
    assert.equal(await everything(), present);
    return (error as DatabaseError).code ?? String(error);
  }
}

interface Present {
  roles: string[];
  schemas: string[];
}

async function present(): Promise<Present> {
  const { rows } = await admin.query<Present>(
    `SELECT ARRAY(SELECT rolname::text FROM pg_roles) AS roles,
            ARRAY(SELECT nspname::text FROM pg_namespace WHERE nspname !~ '^pg_') AS schemas`,
  );
  return rows[0] ?? { roles: [], schemas: [] };
}

/** After each attempt, one that failed too: the next may be for the same name. */
async function cleanUp(): Promise<void> {
  const now = await present();
  const left = (what: keyof Present): string =>
    now[what]
      .filter((name) => !atFirst[what].includes(name))
      .map(pg.escapeIdentifier)
      .join();
  if (left('schemas') !== '') await admin.query(`DROP SCHEMA ${left('schemas')} CASCADE`);
  if (left('roles') !== '') await admin.query(`DROP OWNED BY ${left('roles')}; DROP ROLE ${left('roles')}`);
  await admin.query(`SELECT rolecall.create_base_roles('anonymous', 'authenticated', 'administrator')`);
}

async function logIn(user: string, password: string): Promise<string> {
  const client = await cluster.connect({ database, user, password });
  const { rows } = await client.query<{ session_user: string }>('SELECT session_user');
  await client.end();
  return rows[0]?.session_user ?? '';
}

test('a role of exactly that name, with exactly that password, or the stated error', async () => {
  await fc.assert(
    fc.asyncProperty(hostile, hostile, async (name, password) => {
      const expected = refusal(name) ?? (password === '' ? '22023' : undefined);
      assert.equal(await call('SELECT rolecall.create_user($1, $2)', [name, password]), expected);
      if (expected !== undefined) return;
      const { rows } = await admin.query<{ rolpassword: string; groups: string }>(
        `SELECT a.rolpassword, (SELECT string_agg(m.roleid::regrole::text, ' ' ORDER BY 1) FROM pg_auth_members AS m WHERE m.member = a.oid) AS groups
         FROM pg_authid AS a WHERE a.rolname = $1 COLLATE "C"`,
        [name],
      );
      assert.equal(rows[0]?.groups, 'anonymous authenticated');
      const verifier = rows[0].rolpassword;
      assert.match(verifier, /^SCRAM-SHA-256\$4096:/);
      // The client prepares a password, but does not look for forbidden characters first.
      if (
        password.normalize('NFKC') === password &&
        !/[\u00a0\u200b\ufeff\p{Cf}\p{Zs}\p{Mn}]/u.test(password.replaceAll(' ', ''))
      ) {
        assert.equal(await logIn(name, password), name);
        await assert.rejects(logIn(name, `${password}x`), { code: '28P01' });
      }
      // The server computes a verifier from the same bytes.
      const literal = pg.escapeLiteral(password);
      await admin.query(`ALTER ROLE ${pg.escapeIdentifier(name)} PASSWORD ${literal}`);
      const { rows: matching } = await admin.query(
        'SELECT rolecall_internal.password_matches($1, a.rolpassword) AS matches FROM pg_authid AS a WHERE a.rolname = $2',
        [password, name],
      );
      assert.deepEqual(matching, [{ matches: true }]);
      assert.equal((await admin.query('SELECT * FROM rolecall.set_password($1, $2)', [name, password])).rows.length, 0);
      await admin.query('SELECT * FROM rolecall.audit_role($1)', [name]);
      await admin.query('SELECT * FROM rolecall.add_operator($1)', [name]);
      // What it owns is found, cleared by the statement given, and the role removed with what is left.
      const schema = isFree(name) ? name : `its ${name}`;
      await admin.query(`CREATE SCHEMA ${pg.escapeIdentifier(schema)} AUTHORIZATION ${pg.escapeIdentifier(name)}`);
      const { rows: found } = await admin.query<{ kind: string; object: string; remedy: string }>(
        'SELECT * FROM rolecall.user_dependencies($1)',
        [name],
      );
      const { rows: quoted } = await admin.query<{ name: string }>('SELECT quote_ident($1) AS name', [schema]);
      assert.equal(quoted[0]?.name, found.find(({ kind }) => kind === 'schema')?.object);
      assert.equal(await call('SELECT * FROM rolecall.remove_user($1)', [name]), '2BP01');
      // The remedy leaves it to the reader who is to own the schema.
      const remedy = found.find(({ kind }) => kind === 'schema')?.remedy ?? '';
      await admin.query(remedy.replaceAll('"a plain owner"', 'CURRENT_USER'));
      await admin.query('SELECT * FROM rolecall.remove_user($1, drop_owned => true)', [name]);
      assert.equal((await admin.query('SELECT FROM pg_roles WHERE rolname = $1 COLLATE "C"', [name])).rows.length, 0);
    }),
    // The role that is called as the schema of the extension.
    { numRuns: 15, examples: [['rolecall', 'x']] },
  );
});

test('memberships of, and in, roles of such names', async () => {
  await fc.assert(
    fc.asyncProperty(hostile, hostile, async (group, member) => {
      const refused = [group, member].map(refusal).filter((code) => code !== undefined);
      const outcome = await call('SELECT rolecall.create_user_with_grants($1, NULL, $2, true)', [
        member,
        ['quoted group'],
      ]);
      if (refusal(member) !== undefined) {
        assert.equal(outcome, refusal(member));
        return;
      }
      assert.equal(outcome, undefined);
      const granted = await call('SELECT rolecall.grant_role($1, $2, true)', [group, member]);
      if (refused.length > 0) assert.equal(granted, refused[0]);
      else if (group === member) assert.equal(granted, '0LP01');
      else {
        // The role is missing: skipped. Then it is there.
        assert.equal(granted, undefined);
        await admin.query(`SELECT rolecall.create_client_role($1)`, [group]);
        await admin.query(`COMMENT ON ROLE ${pg.escapeIdentifier(member)} IS ${pg.escapeLiteral(group)}`);
        await admin.query('SELECT rolecall.grant_role($1, $2, true)', [group, member]);
        const { rows } = await admin.query(
          `SELECT m.admin_option, shobj_description(m.member, 'pg_authid') AS comment
           FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid JOIN pg_roles AS u ON u.oid = m.member
           WHERE g.rolname = $1 COLLATE "C" AND u.rolname = $2 COLLATE "C"`,
          [group, member],
        );
        assert.deepEqual(rows, [{ admin_option: true, comment: group }]);
        // The timeout of the client role ends with the membership.
        const ended = await admin.query('SELECT operation FROM rolecall.revoke_role($1, $2)', [group, member]);
        assert.deepEqual(ended.rows, [{ operation: 'revoke_role' }, { operation: 'set_config' }]);
      }
    }),
    { numRuns: 15, examples: [['*', 'member of *']] },
  );
});

test('base roles of such names', async () => {
  await fc.assert(
    fc.asyncProperty(hostile, hostile, hostile, async (...names) => {
      const outcome = await call('SELECT rolecall.create_base_roles($1, $2, $3)', names);
      if (new Set(names).size < 3) assert.equal(outcome, '22023');
      else if (names.some((name) => refusal(name) !== undefined)) {
        assert.ok(names.map(refusal).includes(outcome));
      } else {
        assert.equal(outcome, undefined);
        const { rows } = await admin.query<{ name: string }>(
          `SELECT rolecall.role_name(k) AS name FROM unnest('{anonymous,authenticated,administrator,default}'::text[]) AS k`,
        );
        assert.deepEqual(
          rows.map(({ name }) => name),
          [...names, names[0]],
        );
      }
    }),
    { numRuns: 10 },
  );
});

test('reporting roles, schemas and tables of such names', async () => {
  const schemaNames = fc.uniqueArray(
    hostile.filter((name) => Buffer.byteLength(name) >= 1 && Buffer.byteLength(name) <= 63 && isFree(name)),
    { minLength: 1, maxLength: 3 },
  );
  const tableNames = hostile.filter((name) => Buffer.byteLength(name) >= 1 && Buffer.byteLength(name) <= 63);
  await fc.assert(
    fc.asyncProperty(hostile, schemaNames, tableNames, async (role, schemas, table) => {
      const provision = 'SELECT rolecall.provision_reporting_role($1, $2, withheld_tables => $3)';
      const withheld = `${pg.escapeIdentifier(schemas[0] ?? '')}.${pg.escapeIdentifier(`w${table}`.slice(0, 12))}`;
      const outcome = await call(provision, [role, schemas, [withheld]]);
      assert.equal(outcome, refusal(role));
      if (outcome !== undefined) return;
      const inFirst = `${pg.escapeIdentifier(schemas[0] ?? '')}.${pg.escapeIdentifier(table)}`;
      await admin.query(`CREATE TABLE ${inFirst} AS SELECT 1 AS one`);
      await admin.query(`CREATE TABLE IF NOT EXISTS ${withheld} AS SELECT 2 AS one`);
      await admin.query(provision, [role, schemas, [withheld]]);
      const { rows } = await admin.query<{ password: string }>(
        'SELECT rolecall.reporting_role_password($1) AS password',
        [role],
      );
      const reader = await cluster.connect({ database, user: role, password: rows[0]?.password ?? '' });
      const { rows: path } = await reader.query<{ schemas: string[] }>(
        'SELECT current_schemas(false)::text[] AS schemas',
      );
      assert.deepEqual(
        path[0]?.schemas.filter((name) => schemas.includes(name)),
        // "$user" in a search_path is the schema named as the user, however it is quoted.
        schemas.filter((name) => name !== '$user' || role === '$user'),
      );
      if (withheld !== inFirst) {
        assert.equal((await reader.query(`SELECT * FROM ${inFirst}`)).rows.length, 1);
        await assert.rejects(reader.query(`SELECT * FROM ${withheld}`), { code: '42501' });
      }
      await reader.end();
    }),
    { numRuns: 10 },
  );
});

test('a timeout that is none', async () => {
  await fc.assert(
    fc.asyncProperty(hostile, async (timeout) => {
      const outcome = await call(`SELECT rolecall.create_client_role('hostile_client', $1)`, [timeout]);
      if (outcome === undefined) {
        assert.match(timeout, /^\s*[+-]?[\da-fx.]+\s*(us|ms|s|min|h|d)?\s*$/i);
      } else assert.equal(outcome, '22023');
    }),
    { numRuns: 20 },
  );
});

/**
 * A role's name is bytes of the cluster, in the encoding of the database that it was created from: the server does not
 * translate it for the others. What is promised is that nothing but such a name itself is hard to use there.
 */
test('databases in other encodings', async () => {
  const inUtf8 = await cluster.connect({ database: await cluster.createDatabase() });
  for (const [encoding, accents] of [
    ['LATIN1', 63],
    ['SQL_ASCII', 31],
  ] as const) {
    const name = `encoding_${encoding.toLowerCase()}`;
    await admin.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING '${encoding}' LOCALE 'C'`);
    const client = await cluster.connect({ database: name });
    await client.query('CREATE EXTENSION rolecall');
    // As many bytes as a name may have, of which each é is one here and two there.
    const longest = 'é'.repeat(accents) + encoding[0];
    await assert.rejects(client.query('SELECT rolecall.create_user($1)', [longest + 'é']), { code: '42602' });
    const group = longest.slice(1, -1) + encoding[0];
    const member = `member "of" ${encoding}`;
    await client.query('SELECT rolecall.create_user_with_grants($1, NULL, $2)', [group, []]);
    await client.query('SELECT rolecall.create_user_with_grants($1, $2, $3)', [member, "it's", [group]]);
    assert.equal(
      (await client.query('SELECT rolecall.create_user_with_grants($1, $2, $3)', [member, "it's", [group]])).rows
        .length,
      0,
    );
    assert.equal(await logIn(member, "it's"), member);
    // Its bytes are those of U+00B5 in UTF-8, which is normalized to another letter.
    await assert.rejects(client.query('SELECT rolecall.scram_sha_256($1)', [encoding === 'LATIN1' ? 'Âµ' : 'µ']), {
      code: '0A000',
      message: `password cannot be normalized in a database with encoding "${encoding}"`,
    });
    assert.equal((await client.query('SELECT * FROM rolecall.drift()')).rows.length, 0);

    // From the database in UTF-8 the group is a role like any other, even where its name is no text there.
    const { rows } = await inUtf8.query<{ operation: string; status: string }>(
      'SELECT operation, status FROM rolecall.provision_reporting_role($1, $2)',
      [member, ['public']],
    );
    assert.deepEqual(
      rows.filter(({ operation }) => operation === 'revoke_role'),
      [{ operation: 'revoke_role', status: 'applied' }],
    );
    assert.equal((await inUtf8.query('SELECT * FROM rolecall.drift()')).rows.length, 0);
    await assert.rejects(client.query('SELECT rolecall.provision_reporting_role($1, $2)', [member, ['public']]), {
      code: '22023',
    });
    await client.end();
    await inUtf8.query(`DROP OWNED BY ${pg.escapeIdentifier(member)}`);
    await inUtf8.query('TRUNCATE rolecall_internal.resource');
  }
  await inUtf8.end();
});
