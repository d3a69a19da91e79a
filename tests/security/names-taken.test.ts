/**
 * A role with a likely name, which somebody else creates first: from PostgreSQL 16 on its creator has ADMIN
 * OPTION on it, and so can take whatever the role is given.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { placeOfFile } from '../support/place.ts';

const major = Number(process.env.PG || 18);
let warnings: string[] = [];
const { cluster, admin, login } = await placeOfFile();
admin.on('notice', (notice) => warnings.push([notice.message, notice.hint].join(' ')));
await admin.query(`CREATE ROLE mallory LOGIN CREATEROLE PASSWORD 'mallory'`);
const mallory = await login('mallory');

/** From 16 the ADMIN OPTION of the creator; before, CREATEROLE can make itself a member, and here has. */
const take = async (role: string) => {
  await mallory.query(`CREATE ROLE ${role}`);
  if (major < 16) await mallory.query(`GRANT ${role} TO mallory`);
};
const by = major < 16 ? '' : ' GRANTED BY postgres';
const bypasses = async () =>
  (await admin.query(`SELECT rolbypassrls FROM pg_roles WHERE rolname = 'administrator'`)).rows[0].rolbypassrls;

test('the administrator of another gets no BYPASSRLS', async () => {
  const bootstrap = (await admin.query('SELECT pg_get_userbyid(10) AS name')).rows[0].name;
  await take('administrator');
  for (const call of ['create_base_roles()', 'create_base_roles()', 'drift()', 'converge()']) {
    warnings = [];
    const { rows } = await admin.query(`SELECT * FROM rolecall.${call} WHERE target = 'administrator'`);
    assert.deepEqual(
      rows.map(({ status, sqlstate, statement }) => [status, sqlstate, statement]),
      [
        [
          'skipped',
          '42501',
          `REVOKE administrator FROM mallory${by.replace('postgres', bootstrap)}; ALTER ROLE administrator BYPASSRLS`,
        ],
      ],
      call,
    );
    assert.match(rows[0].note, /"mallory"/);
    if (call !== 'drift()') assert.match(warnings.join(), /"mallory".*REVOKE administrator FROM mallory/);
    assert.equal(await bypasses(), false);
  }
  await admin.query((await admin.query('SELECT statement FROM rolecall.drift()')).rows[0].statement.split(';')[0]);
  await admin.query('SELECT rolecall.create_base_roles()');
  assert.equal(await bypasses(), true);
  await assert.rejects(mallory.query('SET ROLE administrator'), { code: '42501' });
});

test('who has BYPASSRLS already may keep its ADMIN OPTION', async () => {
  await admin.query('ALTER ROLE administrator NOBYPASSRLS');
  await admin.query('CREATE ROLE trusted BYPASSRLS; GRANT administrator TO trusted WITH ADMIN OPTION');
  await admin.query('SELECT rolecall.create_base_roles()');
  assert.equal(await bypasses(), true);
});

test('the role of another becomes no operator', async () => {
  await take('worker');
  await assert.rejects(
    admin.query(`SELECT rolecall.add_operator('worker')`),
    (error: Error & { code: string; hint: string }) => {
      assert.equal(error.code, '42501');
      assert.equal(error.message, 'the rights of operator "worker" could be taken by "mallory"');
      assert.match(error.hint, /REVOKE worker FROM mallory/);
      return true;
    },
  );
  await mallory.query(major < 16 ? 'SET ROLE worker' : 'GRANT worker TO mallory');
  await assert.rejects(mallory.query('SELECT FROM rolecall_internal.secret'), { code: '42501' });
  await mallory.query('RESET ROLE');
  await admin.query('REVOKE worker FROM mallory CASCADE');
  await admin.query(`SELECT rolecall.add_operator('worker')`);
  assert.deepEqual((await admin.query(`SELECT * FROM rolecall.add_operator('worker')`)).rows, []);
});

test('who could read what a reporting role of another reads is named, once, and again where it was made again', async () => {
  const provision = async () => {
    warnings = [];
    await admin.query(`SELECT rolecall.provision_reporting_role('reports', ARRAY['public'])`);
    return warnings.filter((text) => text.includes('"mallory"'));
  };
  await take('reports');
  assert.match((await provision()).join(), /REVOKE reports FROM mallory/);
  assert.deepEqual(await provision(), []);
  await admin.query('DROP OWNED BY reports');
  await admin.query('DROP ROLE reports');
  await take('reports');
  assert.match((await provision()).join(), /REVOKE reports FROM mallory/);
});

test('nobody gets a power through a user that it administers', async () => {
  await admin.query('ALTER ROLE administrator BYPASSRLS; CREATE ROLE auditors; GRANT pg_read_all_data TO auditors');
  await take('delegate');
  await admin.query('CREATE ROLE plain_group');
  for (const role of ['administrator', 'worker', 'auditors', 'pg_monitor']) {
    for (const call of [
      `grant_role('${role}', 'delegate')`,
      `create_user_with_grants('delegate', NULL, '{${role}}')`,
    ]) {
      warnings = [];
      const { rows } = await admin.query(`SELECT status, sqlstate, note, statement FROM rolecall.${call}`);
      assert.deepEqual(
        rows.map(({ status, sqlstate }) => `${status} ${sqlstate}`),
        ['skipped 42501'],
        call,
      );
      assert.match(rows[0].note, /"mallory"/);
      assert.match(rows[0].statement, /^REVOKE delegate FROM mallory.*; GRANT /);
      assert.match(warnings.join(), /the powers of role ".*" could be taken by "mallory"/);
    }
    const { rows } = await admin.query(`SELECT pg_has_role('delegate', '${role}', 'MEMBER') AS is_member`);
    assert.deepEqual(rows, [{ is_member: false }]);
  }
  // What is no power is granted, and so is everything once nobody else could take it.
  const { rows } = await admin.query(`SELECT status FROM rolecall.grant_role('plain_group', 'delegate')`);
  assert.deepEqual(rows, [{ status: 'applied' }]);
  await admin.query('REVOKE delegate FROM mallory CASCADE');
  const granted = await admin.query(`SELECT status FROM rolecall.grant_role('administrator', 'delegate')`);
  assert.deepEqual(granted.rows, [{ status: 'applied' }]);
});

test('nobody gets a power through a group, asked for, that it administers', async () => {
  // The team is to be among the deputies; that its maker can join it, nobody has asked for.
  await take('team');
  await admin.query(`CREATE ROLE deputies; SELECT rolecall.grant_role('deputies', 'team')`);
  const grant = async () =>
    (await admin.query(`SELECT status, sqlstate, statement FROM rolecall.grant_role('administrator', 'deputies')`))
      .rows;
  const revoke = `REVOKE team FROM mallory${by.replace('postgres', '.*')}; `;
  const [refused] = await grant();
  assert.deepEqual([refused.status, refused.sqlstate], ['skipped', '42501']);
  assert.match(refused.statement, new RegExp(`^${revoke}GRANT administrator TO deputies$`));

  // The other way round: the attribute comes last.
  await admin.query(`ALTER ROLE administrator NOBYPASSRLS; GRANT administrator TO deputies;
    INSERT INTO rolecall_internal.resource (section, key, resource)
    VALUES ('memberships', '["deputies", "administrator"]', '{"role": "administrator", "member": "deputies"}')`);
  await admin.query('SELECT rolecall.create_base_roles()');
  await mallory.query(major < 16 ? 'SET ROLE team' : 'GRANT team TO mallory; SET ROLE deputies');
  await mallory.query('SET ROLE administrator');
  assert.equal(await bypasses(), false);
  await mallory.query('RESET ROLE');
  await admin.query('REVOKE team FROM mallory CASCADE; SELECT rolecall.create_base_roles()');
  assert.equal(await bypasses(), true);
  await admin.query('REVOKE administrator FROM deputies');
  assert.deepEqual(
    (await grant()).map(({ status }) => status),
    ['applied'],
  );
});

test('the audit lists who can become a role that reports, bypasses or operates', async () => {
  const found = async (role: string) =>
    (
      await admin.query<{ path: string; object: string; remedy: string }>(
        `SELECT path, object, remedy FROM rolecall.audit_role('${role}') WHERE path ~ '-> (member|CREATEROLE)$'`,
      )
    ).rows;
  await take('second');
  await admin.query(`GRANT administrator, worker, reports TO second`);
  for (const role of ['administrator', 'worker', 'reports']) {
    const rows = await found(role);
    assert.ok(rows.some(({ path, object }) => path === `${role} -> member` && object === 'second'));
    assert.equal(
      rows.some(({ path, object }) => path === `${role} -> CREATEROLE` && /\bmallory\b/.test(object)),
      major < 16,
    );
    for (const { path, remedy } of rows) if (path.endsWith('member')) await admin.query(remedy);
    assert.deepEqual(
      (await found(role)).filter(({ path }) => path.endsWith('member')),
      [],
    );
  }
  assert.deepEqual(await found('plain_group'), []);
  // A member of a member is one more.
  await admin.query(`CREATE ROLE near; CREATE ROLE far LOGIN; GRANT reports TO near; GRANT near TO far`);
  const chain = (await found('reports')).filter(({ path }) => path.endsWith('member'));
  assert.deepEqual(
    chain.map(({ path, object }) => `${path} ${object}`),
    ['reports -> member near', 'reports -> near -> member far'],
  );
  await admin.query(chain[1]?.remedy ?? '');
  assert.deepEqual(
    (await found('reports')).map(({ object }) => object).filter((object) => object === 'near' || object === 'far'),
    ['near'],
  );
  await admin.query('DROP ROLE near, far');
});

test('the audit lists who could put code into the search path of a reporting role', async () => {
  await admin.query(`CREATE SCHEMA "His, ""own"""; CREATE SCHEMA shared; CREATE SCHEMA ours; CREATE ROLE owner_of_one;
    ALTER SCHEMA "His, ""own""" OWNER TO owner_of_one; GRANT CREATE ON SCHEMA shared TO mallory, PUBLIC`);
  await admin.query(
    `SELECT rolecall.provision_reporting_role('path_reports', ARRAY['His, "own"', 'shared', 'ours'], '{tokens}')`,
  );
  const found = async () =>
    (
      await admin.query<{ object: string; detail: string; remedy: string }>(
        `SELECT object, detail, remedy FROM rolecall.audit_role('path_reports') WHERE path = 'path_reports -> search_path'`,
      )
    ).rows;
  const rows = await found();
  assert.deepEqual(
    rows.map(({ object, detail }) => `${object}: ${detail.split(',')[0]}`),
    [
      '"His, ""own""": owner_of_one owns this schema',
      'shared: PUBLIC may create objects in this schema',
      'shared: mallory may create objects in this schema',
    ],
  );
  for (const { remedy } of rows) await admin.query(remedy);
  assert.deepEqual(await found(), []);
  const { rows: kept } = await admin.query(
    `SELECT setting FROM pg_roles, unnest(rolconfig) AS c(setting) WHERE rolname = 'path_reports' AND setting ~ 'search_path'`,
  );
  assert.deepEqual(kept, [{ setting: 'search_path=shared, ours' }]);
  assert.deepEqual((await admin.query(`SELECT target FROM rolecall.drift() WHERE target = 'path_reports'`)).rows, []);
});

test(
  'where a role loses the ADMIN OPTION of a creator, each who loses by that is a row',
  { skip: major < 16 },
  async () => {
    await admin.query(`CREATE ROLE maker LOGIN CREATEROLE PASSWORD 'maker'; CREATE ROLE first; CREATE ROLE next`);
    const maker = await cluster.connect({ database: admin.database ?? '', user: 'maker', password: 'maker' });
    await maker.query('CREATE ROLE made; GRANT made TO first WITH ADMIN OPTION');
    await maker.end();
    await admin.query('GRANT made TO next GRANTED BY first');
    const call = (dryRun: boolean) =>
      admin.query<{ statement: string }>(
        `SELECT statement FROM rolecall.provision_reporting_role('maker', '{public}', dry_run => ${dryRun})
       WHERE operation = 'revoke_role'`,
      );
    const expected = [
      'REVOKE made FROM next GRANTED BY first',
      'REVOKE made FROM first GRANTED BY maker',
      'REVOKE made FROM maker GRANTED BY postgres CASCADE',
    ];
    for (const dryRun of [true, false])
      assert.deepEqual(
        (await call(dryRun)).rows.map(({ statement }) => statement),
        expected,
      );
    const { rows } = await admin.query(`SELECT FROM pg_auth_members WHERE roleid = 'made'::regrole`);
    assert.deepEqual(rows, []);
  },
);

test('who administers a user or a group of another that is adopted is named, once', async () => {
  const bob = 'bob LOGIN';
  for (const role of [bob, 'anon', 'auth', 'client']) await take(role.split(' ')[0] as string);
  await mallory.query(`ALTER ROLE ${bob}`);
  await admin.query('CREATE ROLE member; GRANT anon TO member');
  await mallory.query(major < 16 ? 'GRANT anon, auth, client TO mallory WITH ADMIN OPTION' : 'SELECT');
  const calls: [string, string[]][] = [
    [`create_base_roles('anon', 'auth', 'adm')`, ['anon', 'auth']],
    [`create_user('bob', 'secret')`, ['bob']],
    [`create_client_role('client', '3s')`, ['client']],
  ];
  const named = () => warnings.filter((text) => text.includes('is there already'));
  for (const [call, roles] of calls) {
    warnings = [];
    await admin.query(`SELECT rolecall.${call.replace(/\)$/, ', dry_run => true)')}`);
    assert.deepEqual(named(), [], `${call}: a dry run adopts nothing`);
    await admin.query(`SELECT rolecall.${call}`);
    assert.equal(named().length, roles.length, call);
    for (const [position, role] of roles.entries()) {
      assert.match(
        named()[position] as string,
        new RegExp(
          `^role "${role}" is there already, and others administer it or can become it: "mallory" .*: REVOKE ${role} FROM mallory`,
        ),
      );
    }
    const finding = `SELECT object, remedy FROM rolecall.audit_role($1) WHERE detail ~ '^administers|can become it$'`;
    for (const role of roles) {
      const { rows } = await admin.query(finding, [role]);
      assert.deepEqual(
        rows.map(({ object }) => object),
        ['mallory'],
        role,
      );
      assert.match(rows[0].remedy, new RegExp(`^REVOKE ${role} FROM mallory`));
    }
    warnings = [];
    await admin.query(`SELECT rolecall.${call}`);
    assert.deepEqual(named(), [], `${call}: once`);
  }
  // Made again by somebody else, it is another role; what a call has created has nobody else.
  await admin.query('DROP ROLE bob');
  await take('bob');
  await mallory.query(`ALTER ROLE ${bob}`);
  await admin.query(`SELECT rolecall.create_user('bob', 'secret'); SELECT rolecall.create_user('own', 'secret')`);
  assert.equal(named().length, 1);
});

test(
  'what a reporting role was granted, and has granted on, stops no run',
  { skip: major < 16 && 'no grantors' },
  async () => {
    await admin.query(`CREATE ROLE h LOGIN CREATEROLE PASSWORD 'h'; CREATE ROLE op LOGIN CREATEROLE PASSWORD 'op';
      SELECT rolecall.add_operator('op')`);
    const database = admin.database ?? '';
    const h = await cluster.connect({ database, user: 'h', password: 'h' });
    const op = await cluster.connect({ database, user: 'op', password: 'op' });
    const provision = `SELECT statement, status, sqlstate FROM rolecall.provision_reporting_role('lent', '{public}')
      WHERE operation = 'revoke_role'`;
    await op.query(provision);
    const lend = async () => {
      await h.query('GRANT hg TO lent WITH ADMIN OPTION; GRANT hh TO lent');
      await admin.query('SET ROLE lent; GRANT hg TO mallory; RESET ROLE');
    };
    await h.query('CREATE ROLE hg; CREATE ROLE hh');

    // Neither is for the operator to revoke: that is said, and the rest is done.
    await lend();
    warnings = [];
    op.on('notice', (notice) => warnings.push(notice.message ?? ''));
    const edges = ['REVOKE hg FROM lent GRANTED BY h', 'REVOKE hh FROM lent GRANTED BY h'];
    const { rows: left } = await op.query<{ statement: string; status: string; sqlstate: string }>(provision);
    assert.deepEqual(
      left.map(({ statement, status, sqlstate }) => [statement.replace(' CASCADE', ''), status, sqlstate]),
      edges.map((edge) => [edge, 'skipped', '42501']),
    );
    assert.ok(warnings.some((warning) => warning.includes('lent')));

    // Who may revoke a role, but not what the reporting role granted of it, leaves both.
    await admin.query('GRANT h TO op WITH INHERIT TRUE');
    const all = ['REVOKE hg FROM mallory GRANTED BY lent', ...edges];
    const { rows } = await op.query<{ statement: string; status: string }>(provision);
    assert.deepEqual(
      rows.map(({ statement, status }) => [statement.replace(' CASCADE', ''), status]),
      all.map((statement) => [statement, statement.includes('hh') ? 'applied' : 'skipped']),
    );

    // A superuser may revoke all of it.
    for (const call of [provision, `SELECT * FROM rolecall.converge() WHERE operation = 'revoke_role'`]) {
      await h.query('GRANT hh TO lent');
      const { rows: steps } = await admin.query<{ statement: string; status: string }>(call);
      assert.deepEqual(
        steps.map(({ statement, status }) => [statement.replace(' CASCADE', ''), status]),
        all.map((statement) => [statement, 'applied']),
      );
      await lend();
    }
    await admin.query(provision);

    // What writes every table is no membership to leave: a call that names the role is refused, the others are done.
    for (const [give, statement] of [
      ['GRANT pg_write_all_data TO lent', 'REVOKE pg_write_all_data FROM lent GRANTED BY postgres'],
      ['ALTER ROLE lent BYPASSRLS', 'ALTER ROLE lent NOBYPASSRLS'],
    ] as const) {
      await admin.query(give);
      await assert.rejects(op.query(provision), { code: '42501' });
      const { rows: writing } = await op.query(`SELECT statement, status, sqlstate FROM rolecall.converge()`);
      assert.deepEqual(writing, [{ statement, status: 'skipped', sqlstate: '42501' }]);
      await admin.query(provision);
    }
    await admin.query(provision);
    await Promise.all([h.end(), op.end()]);
  },
);
