/**
 * Two databases of a cluster whose policies are about the same roles: what only one says is that one's, what both say
 * differently is a skipped row in the second, and nobody but a superuser can say that another database says anything.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { type Cluster, startCluster, until } from '../support/cluster.ts';

let cluster: Cluster;
let one: Client;
let two: Client;
let names: string[];
const hasParameters = Number(process.env.PG ?? 18) >= 15;

before(async () => {
  cluster = await startCluster();
  names = [await cluster.createDatabase(), await cluster.createDatabase()];
  [one, two] = (await Promise.all(names.map((database) => cluster.connect({ database })))) as [Client, Client];
  await one.query('CREATE ROLE readers; CREATE ROLE writers');
});

after(async () => {
  await Promise.all([one.end(), two.end()]);
  await cluster.stop();
});

interface Row {
  statement: string;
  status: string;
  sqlstate: string | null;
  note: string | null;
}

const shown = ({ rows }: { rows: Row[] }): string[] =>
  rows
    .map(({ statement, status, sqlstate, note }) =>
      status === 'skipped' ? `${sqlstate}: ${statement} (${note})` : statement,
    )
    .sort();
const rowsOf = async (client: Client, call: string): Promise<string[]> =>
  shown(await client.query<Row>(`SELECT statement, status, sqlstate, note FROM rolecall.${call}`));
const apply = async (client: Client, roles: object, mode = 'adopt', dryRun = false): Promise<string[]> =>
  shown(
    await client.query<Row>('SELECT statement, status, sqlstate, note FROM rolecall.apply($1, $2, dry_run => $3)', [
      JSON.stringify({ roles }),
      mode,
      dryRun,
    ]),
  );
const drift = (client: Client): Promise<string[]> => rowsOf(client, 'drift()');
const otherwise = (statement: string, database = 0) =>
  `22023: ${statement} (the policy of database "${names[database] ?? ''}" says otherwise)`;
const marks = async (role = '%'): Promise<string[]> =>
  (
    await one.query<{ mark: string }>(
      `SELECT concat_ws(' ', r.rolname, d.datname, substr(e, 17)) AS mark
       FROM pg_db_role_setting AS s JOIN pg_roles AS r ON r.oid = s.setrole JOIN pg_database AS d ON d.oid = s.setdatabase,
         unnest(s.setconfig) AS e
       WHERE e LIKE 'rolecall.policy=%' AND r.rolname LIKE $1 ORDER BY 1`,
      [role],
    )
  ).rows.map(({ mark }) => mark);
/** What a call writes; the server writes WAL of its own now and then. */
const written = async (client: Client, call: () => Promise<unknown>): Promise<number> => {
  let least = Infinity;
  for (let round = 0; round < 20 && least > 0; round++) {
    const lsn = async () =>
      (await client.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn')).rows[0]?.lsn;
    const from = await lsn();
    await call();
    const { rows } = await client.query<{ bytes: string }>('SELECT pg_current_wal_insert_lsn() - $1::pg_lsn AS bytes', [
      from,
    ]);
    least = Math.min(least, Number(rows[0]?.bytes));
  }
  return least;
};

test('what only one says is that one’s', async () => {
  const first = { login: true, member_of: ['readers'], settings: { statement_timeout: '15s' }, comment: 'of one' };
  await apply(one, { app: first });
  const second = { connection_limit: 7, member_of: ['writers'], settings: { work_mem: '8MB' } };
  assert.deepEqual(await apply(two, { app: second }), [
    'ALTER ROLE app CONNECTION LIMIT 7',
    `ALTER ROLE app SET work_mem = '8MB'`,
    'GRANT writers TO app',
  ]);
  for (const [client, app] of [
    [one, first],
    [two, second],
  ] as const) {
    assert.deepEqual(await drift(client), []);
    assert.equal(await written(client, () => rowsOf(client, 'converge()')), 0);
    for (const mode of ['adopt', 'authoritative', 'additive']) {
      assert.deepEqual(await apply(client, { app }, mode), []);
      assert.equal(await written(client, () => apply(client, { app }, mode)), 0);
    }
    await client.query('BEGIN READ ONLY');
    assert.deepEqual(await apply(client, { app }), []);
    await client.query('COMMIT');
  }
  // Each restores its own, and nothing else.
  await one.query(
    'ALTER ROLE app NOLOGIN CONNECTION LIMIT 3; REVOKE readers, writers FROM app; ALTER ROLE app RESET ALL; COMMENT ON ROLE app IS NULL',
  );
  assert.deepEqual(await drift(one), [
    'ALTER ROLE app LOGIN',
    `ALTER ROLE app SET statement_timeout = '15s'`,
    `COMMENT ON ROLE app IS 'of one'`,
    'GRANT readers TO app',
  ]);
  await rowsOf(one, 'converge()');
  assert.deepEqual(await drift(two), [
    'ALTER ROLE app CONNECTION LIMIT 7',
    `ALTER ROLE app SET work_mem = '8MB'`,
    'GRANT writers TO app',
  ]);
  await rowsOf(two, 'converge()');
  for (const client of [one, two]) assert.deepEqual(await drift(client), []);
  // What the one says no longer ends, and what the other says stays; so in every mode but the one that only adds.
  assert.deepEqual(await apply(one, { app: {} }, 'additive'), []);
  assert.deepEqual(await apply(one, { app: { comment: 'of one' } }), [
    'ALTER ROLE app NOLOGIN',
    'ALTER ROLE app RESET statement_timeout',
    ...(cluster.version < 16 ? ['REVOKE readers FROM app'] : ['REVOKE readers FROM app GRANTED BY postgres']),
  ]);
  assert.deepEqual(await drift(two), []);
  // Nor do policies come in the way of calls.
  await one.query(
    `SELECT rolecall.create_base_roles(), rolecall.create_user('app'), rolecall.revoke_role('writers', 'app')`,
  );
  await two.query(`SELECT rolecall.create_user('app')`);
  assert.deepEqual(await drift(two), ['GRANT writers TO app']);
  await rowsOf(two, 'converge()');
});

test('what both say differently is skipped in the second, until the first says it no longer', async () => {
  const options = cluster.version < 16 ? {} : { set: false };
  const said = {
    login: true,
    connection_limit: 5,
    comment: 'of one',
    member_of: [{ role: 'readers', admin: true, ...options }],
    settings: { work_mem: '4MB', search_path: ['a', 'B'] },
  };
  await apply(one, { job: said });
  const hints: (string | undefined)[] = [];
  two.on('notice', ({ severity, hint }) => severity === 'WARNING' && hints.push(hint));
  const job = {
    login: false,
    connection_limit: 9,
    comment: 'of two',
    member_of: [{ role: 'readers', ...(cluster.version < 16 ? {} : { set: true }) }],
    settings: { work_mem: '9MB', statement_timeout: '9s', search_path: ['a', 'B'] },
  };
  const skipped = [
    otherwise('ALTER ROLE job NOLOGIN CONNECTION LIMIT 9'),
    otherwise(`ALTER ROLE job SET work_mem = '9MB'`),
    otherwise(`COMMENT ON ROLE job IS 'of two'`),
    ...(cluster.version < 16 ? [] : [otherwise('GRANT readers TO job WITH INHERIT TRUE, SET TRUE')]),
  ].sort();
  const all = [...skipped, `ALTER ROLE job SET statement_timeout = '9s'`].sort();
  assert.deepEqual(await apply(two, { job }, 'adopt', true), all);
  assert.deepEqual(hints, []);
  assert.deepEqual(await apply(two, { job }), all);
  assert.equal(hints.length, skipped.length);
  for (const hint of hints) assert.equal(hint, 'Leave it out of one of the two policies, or have both say the same.');
  // Again the same, in each mode; nothing is written; neither database knows of anything to restore.
  for (const mode of ['adopt', 'authoritative']) assert.deepEqual(await apply(two, { job }, mode), skipped);
  assert.equal(await written(two, () => apply(two, { job })), 0);
  for (const client of [one, two]) assert.deepEqual(await drift(client), []);
  // The first restores it, also where it is as the second would have it.
  await one.query(`ALTER ROLE job CONNECTION LIMIT 9; ALTER ROLE job SET work_mem = '9MB'`);
  assert.deepEqual(await drift(two), []);
  assert.deepEqual(await rowsOf(one, 'converge()'), [
    'ALTER ROLE job CONNECTION LIMIT 5',
    `ALTER ROLE job SET work_mem = '4MB'`,
  ]);
  // What the second says is the first's to respect.
  assert.deepEqual(await apply(one, { job: { ...said, settings: { ...said.settings, statement_timeout: '1s' } } }), [
    otherwise(`ALTER ROLE job SET statement_timeout = '1s'`, 1),
  ]);
  assert.deepEqual(await apply(one, { app: { exact: false }, job: { exact: false } }, 'authoritative'), []);
  assert.deepEqual(await apply(two, { job }), skipped);
  await apply(one, { job: {} });
  const taken = await apply(two, { job });
  assert.ok(taken.length > 0 && taken.every((row) => !row.startsWith('22023')), taken.join('\n'));
  for (const client of [one, two]) assert.deepEqual(await drift(client), []);
  two.removeAllListeners('notice');
});

test('a role that another policy describes is not removed', async () => {
  await apply(one, { shared: { login: true }, mine: {}, gone: {} });
  await apply(two, { shared: { login: true }, other: {} });
  const before = (await one.query('SELECT FROM pg_roles')).rows.length;
  const removed = ['DROP ROLE app', 'DROP ROLE job', 'DROP ROLE shared'].map((row) => otherwise(row, 1));
  for (const mode of ['additive', 'adopt']) assert.deepEqual(await apply(one, { mine: {}, gone: {} }, mode), []);
  assert.deepEqual(await apply(one, { mine: {} }, 'authoritative'), ['DROP ROLE gone', ...removed].sort());
  assert.deepEqual(await apply(one, { mine: {} }, 'authoritative'), removed);
  assert.equal((await one.query('SELECT FROM pg_roles')).rows.length, before - 1);
  assert.deepEqual(await apply(two, { other: {} }, 'authoritative'), []);
  // Nor where a policy says that it is absent; a call does what it is asked for.
  assert.deepEqual(await apply(two, { mine: { state: 'absent' }, other: { state: 'absent' } }), [
    otherwise('DROP ROLE mine'),
    'DROP ROLE other',
  ]);
  await two.query(`SELECT rolecall.remove_user('mine')`);
  assert.deepEqual(await marks('mine'), []);
  // A role that is created anew is described again.
  assert.deepEqual(await rowsOf(one, 'converge()'), [
    'CREATE ROLE mine NOCREATEDB NOCREATEROLE INHERIT NOLOGIN NOREPLICATION NOBYPASSRLS',
  ]);
  assert.deepEqual(await marks('mine'), [`mine ${names[0] ?? ''} {}`]);
  await one.query(`SELECT rolecall.forget('mine', dry_run => true)`);
  assert.equal((await marks('mine')).length, 1);
  await one.query(`SELECT rolecall.forget('mine')`);
  assert.deepEqual(await apply(two, { mine: { state: 'absent' } }), ['DROP ROLE mine']);
});

test('a copy of a database has created no role, whatever calls there say of the roles of the original', async () => {
  const source = await cluster.createDatabase();
  const first = await cluster.connect({ database: source });
  await apply(first, { kept: {}, narrowed: {} }, 'additive');
  // As if no superuser had applied the policy: only superusers leave marks.
  for (const role of ['kept', 'narrowed']) await first.query(`ALTER ROLE ${role} IN DATABASE ${source} RESET ALL`);
  await first.end();
  await one.query(`CREATE DATABASE its_copy TEMPLATE ${source}`);
  const [original, copy] = await Promise.all([source, 'its_copy'].map((database) => cluster.connect({ database })));
  assert.ok(original && copy);
  const removed = async (client: Client) =>
    (await apply(client, { other: {} }, 'authoritative', true)).filter((row) => row.startsWith('DROP'));
  await copy.query(`SELECT rolecall.rename_user('kept', 'kept_too')`);
  await copy.query(`SELECT rolecall.apply('{"roles": {"narrowed": {}}}')`);
  assert.deepEqual(await removed(copy), []);
  await copy.query(`SELECT rolecall.rename_user('kept_too', 'kept')`);
  await copy.query(`SELECT rolecall.apply('{"roles": {"kept": {}}}')`);
  assert.deepEqual(await removed(copy), []);
  await copy.end();
  await one.query('DROP DATABASE its_copy');
  assert.deepEqual(await removed(original), ['DROP ROLE kept', 'DROP ROLE narrowed']);
  await original.query(`SELECT rolecall.remove_user(r) FROM unnest('{kept,narrowed}'::text[]) AS r`);
  await original.end();
});

test('a mark is its database’s, whatever that is called, and is part of no policy', async () => {
  await one.query('CREATE DATABASE third TEMPLATE template1');
  const third = await cluster.connect({ database: 'third' });
  await third.query('CREATE EXTENSION rolecall');
  const extra = { connection_limit: 1, member_of: ['readers'], settings: { work_mem: '1MB' } };
  await apply(third, { extra });
  assert.deepEqual(await apply(two, { extra: { connection_limit: 2 } }), [
    '22023: ALTER ROLE extra CONNECTION LIMIT 2 (the policy of database "third" says otherwise)',
  ]);
  const { rows } = await third.query<{ policy: object }>(`SELECT rolecall.inspect('{extra}') AS policy`);
  assert.deepEqual(rows[0]?.policy, { roles: { extra } });
  for (const policy of ['policy()', `inspect('{extra}')`])
    assert.deepEqual(await rowsOf(third, `apply(rolecall.${policy})`), []);
  assert.deepEqual(
    (await third.query(`SELECT object FROM rolecall.audit_role('extra') WHERE object LIKE 'rolecall%'`)).rows,
    [],
  );
  await third.end();
  await one.query('ALTER DATABASE third RENAME TO renamed');
  await one.query('CREATE DATABASE copied TEMPLATE renamed');
  assert.deepEqual(await apply(two, { extra: { connection_limit: 2 } }, 'adopt', true), [
    '22023: ALTER ROLE extra CONNECTION LIMIT 2 (the policy of database "renamed" says otherwise)',
  ]);
  const copied = await cluster.connect({ database: 'copied' });
  assert.deepEqual(await drift(copied), []);
  assert.deepEqual(await rowsOf(copied, 'converge()'), []);
  assert.equal((await marks('extra')).length, 2);
  await copied.end();
  await one.query('DROP DATABASE copied');
  await one.query('DROP DATABASE renamed');
  const expected = cluster.version < 16 ? 'REVOKE readers FROM extra' : 'REVOKE readers FROM extra GRANTED BY postgres';
  assert.deepEqual(await apply(two, { extra: { connection_limit: 2 } }), [
    'ALTER ROLE extra CONNECTION LIMIT 2',
    'ALTER ROLE extra RESET work_mem',
    expected,
  ]);
});

test('of two at the same moment one sees the other', async () => {
  await one.query('CREATE ROLE racer CONNECTION LIMIT 5');
  for (const [limit, rows] of [
    [5, 'ALTER ROLE racer CONNECTION LIMIT 6'],
    [7, 'ALTER ROLE racer CONNECTION LIMIT 8'],
  ] as const) {
    // The first has nothing but its mark to write, then more than that.
    await one.query('BEGIN');
    await apply(one, { racer: { connection_limit: limit } });
    const second = apply(two, { racer: { connection_limit: limit + 1 } });
    await until('the second waits', async () => {
      await one.query('SELECT pg_stat_clear_snapshot()');
      const { rows } = await one.query(`SELECT FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'`, [
        names[1],
      ]);
      return rows.length > 0;
    });
    await one.query('COMMIT');
    assert.deepEqual(await second, [otherwise(rows)]);
    await one.query(`SELECT rolecall.forget('racer')`);
    await two.query(`SELECT rolecall.forget('racer')`);
  }
  // Neither sees the other's mark under a snapshot that is older: then both say so from then on.
  await two.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_roles');
  await apply(one, { racer: { connection_limit: 5 } });
  await apply(two, { racer: { connection_limit: 6 } });
  await two.query('COMMIT');
  assert.deepEqual(await apply(one, { racer: { connection_limit: 5 } }), [
    otherwise('ALTER ROLE racer CONNECTION LIMIT 5', 1),
  ]);
  assert.deepEqual(await apply(two, { racer: { connection_limit: 6 } }), []);
});

test('nobody but a superuser can say what the policy of another database says', async () => {
  const [first = ''] = names;
  await one.query(`CREATE ROLE eve LOGIN CREATEROLE CREATEDB PASSWORD 'eve'`);
  await one.query('SET ROLE eve; CREATE ROLE victim CONNECTION LIMIT 3; RESET ROLE');
  const eve = await cluster.connect({ database: first, user: 'eve', password: 'eve' });
  await eve.query('CREATE DATABASE hers');
  const hers = await cluster.connect({ database: 'hers', user: 'eve', password: 'eve' });
  await hers.query('CREATE EXTENSION rolecall');
  await hers.query(`SELECT rolecall.apply('{"roles": {"victim": {"connection_limit": 3}}}')`);
  const forged = '{"attributes": {"connection_limit": 8, "createrole": true}}';
  await eve.query(`SET rolecall.policy = '${forged}'`);
  for (const role of ['eve', 'victim'])
    for (const where of [
      `ROLE ${role} IN DATABASE ${first}`,
      `ROLE ${role} IN DATABASE hers`,
      `ROLE ${role}`,
      'DATABASE hers',
    ])
      for (const value of [`= '${forged}'`, 'FROM CURRENT'])
        // The server refuses a setting that it does not know unless the caller is a superuser.
        await assert.rejects(eve.query(`ALTER ${where} SET rolecall.policy ${value}`), { code: '42501' });
  assert.deepEqual(await marks('victim'), []);
  assert.deepEqual(await marks('eve'), []);
  const policy = { eve: { login: true }, victim: { connection_limit: 4 } };
  assert.deepEqual(await apply(two, policy), [
    'ALTER ROLE eve NOCREATEDB NOCREATEROLE',
    'ALTER ROLE victim CONNECTION LIMIT 4',
  ]);
  // The marks of others are not for her to end, and keep her calls from what another database says.
  await two.query('ALTER ROLE eve CREATEROLE');
  for (const reset of ['RESET rolecall.policy', 'RESET ALL'])
    await eve
      .query(`ALTER ROLE eve IN DATABASE ${names[1] ?? ''} ${reset}`)
      .catch(({ code }: { code: string }) => assert.equal(code, '42501'));
  assert.equal((await marks('eve')).length, 1);
  assert.deepEqual(await apply(hers, { victim: { connection_limit: 3 } }), [
    otherwise('ALTER ROLE victim CONNECTION LIMIT 3', 1),
  ]);
  // What is no mark says nothing, and fails nothing.
  for (const value of [
    '',
    'nonsense',
    '[]',
    '5',
    '{"attributes": 5}',
    '{"attributes": [{}]}',
    '{"memberships": {"readers": 1}}',
    '{"settings": {}}',
  ])
    await one.query(`ALTER ROLE victim IN DATABASE hers SET rolecall.policy = '${value}'`).then(async () => {
      assert.deepEqual(await apply(two, policy, 'adopt', true), ['ALTER ROLE eve NOCREATEROLE']);
    });
  await Promise.all([eve.end(), hers.end()]);
});

test('privileges on objects of the cluster: what only one says is that one’s, what both say differently is skipped in the second', async () => {
  const [first = '', second = ''] = names;
  /** What a policy says on such objects, as the entries of one role and as statements. */
  const said = (to: string, what: 'grant' | 'revoke') => {
    const verb = what === 'grant' ? ['GRANT', 'TO'] : ['REVOKE', 'FROM'];
    const objects: [object, string, string][] = [
      [{ database: first }, 'TEMPORARY', `DATABASE ${first}`],
      [{ database: second }, 'CREATE', `DATABASE ${second}`],
      [{ tablespace: 'pg_default' }, 'CREATE', 'TABLESPACE pg_default'],
      ...(hasParameters
        ? [
            [{ parameter: 'Log_Min_Duration_Statement' }, 'SET', 'PARAMETER "Log_Min_Duration_Statement"'] as [
              object,
              string,
              string,
            ],
          ]
        : []),
    ];
    return {
      entries: objects.map(([on, privilege]) => ({ to, on, [what]: [privilege] })),
      statements: objects
        .map(
          ([, privilege, object]) =>
            `${verb[0]} ${privilege} ON ${object} ${verb[1]} ${to}${what === 'grant' ? '' : ' CASCADE'}`,
        )
        .sort(),
    };
  };
  const policy = async (client: Client, privileges: object[]) =>
    shown(
      await client.query<Row>('SELECT statement, status, sqlstate, note FROM rolecall.apply($1)', [
        JSON.stringify({ roles: { keeper: { login: true } }, privileges }),
      ]),
    ).map((row) => row.replace('FROM public', 'FROM PUBLIC'));
  const left = async (client: Client) => (await drift(client)).filter((row) => /keeper|PUBLIC|undescribed/.test(row));
  await one.query('CREATE ROLE undescribed');
  for (const to of ['keeper', 'undescribed', 'PUBLIC']) {
    if (to === 'PUBLIC') await one.query(`REVOKE TEMPORARY ON DATABASE ${first} FROM PUBLIC`);
    const [granted, revoked] = [said(to, 'grant'), said(to, 'revoke')];
    await policy(one, []);
    assert.deepEqual(
      (await policy(one, granted.entries)).filter((row) => row.startsWith('GRANT')),
      granted.statements,
    );
    // The second leaves it, on its own database too, in the modes that end what a policy does not say.
    assert.deepEqual(await policy(two, []), []);
    for (const client of [one, two]) assert.deepEqual(await left(client), []);
    const skipped = revoked.statements.map((statement) => otherwise(statement));
    assert.deepEqual(await policy(two, revoked.entries), skipped);
    assert.deepEqual(await policy(two, revoked.entries), skipped);
    assert.equal(await written(two, () => policy(two, revoked.entries)), 0);
    for (const client of [one, two]) assert.deepEqual(await left(client), []);
    // The same said by both is no difference, nor is the right to grant it on.
    assert.deepEqual(await policy(two, granted.entries), []);
    // Once the first says nothing, the second is the one that says it.
    await policy(two, []);
    if (to !== 'keeper') await two.query(`SELECT rolecall.forget($1)`, [to.toLowerCase()]);
    await one.query(`SELECT rolecall.forget($1)`, [to.toLowerCase()]);
    assert.deepEqual(await policy(two, revoked.entries), revoked.statements);
    assert.deepEqual(
      await policy(one, granted.entries),
      granted.statements.map((statement) => otherwise(statement, 1)),
    );
    await two.query(`SELECT rolecall.forget($1)`, [to.toLowerCase()]);
  }
});

test(
  'privileges on parameters: what a role granted on is kept, and what does not exist is a row',
  { skip: !hasParameters },
  async () => {
    const policy = async (...privileges: object[]) =>
      shown(
        await one.query<Row>('SELECT statement, status, sqlstate, note FROM rolecall.apply($1)', [
          JSON.stringify({ privileges }),
        ]),
      );
    await one.query(`
    CREATE ROLE giver; CREATE ROLE friend;
    GRANT SET ON PARAMETER work_mem, my.own TO giver WITH GRANT OPTION;
    SET ROLE giver; GRANT SET ON PARAMETER work_mem, my.own TO friend; RESET ROLE`);
    const entry = (to: string, parameter: string, what: string) => ({ to, on: { parameter }, [what]: ['SET'] });
    assert.deepEqual(await policy(entry('friend', 'work_mem', 'revoke')), [
      '42501: SET ROLE giver; REVOKE SET ON PARAMETER work_mem FROM friend CASCADE; RESET ROLE (granted by giver, whose it is to take back)',
    ]);
    await one.query(`SELECT rolecall.forget('friend')`);
    assert.deepEqual(await policy(...['Work_mem', 'my.Own'].map((name) => entry('giver', name, 'revoke'))), [
      'GRANT SET ON PARAMETER my.own, work_mem TO friend',
      'REVOKE SET ON PARAMETER "Work_mem" FROM giver CASCADE',
      'REVOKE SET ON PARAMETER my."Own" FROM giver CASCADE',
    ]);
    assert.deepEqual(
      await policy(
        entry('nobody', 'work_mem', 'grant'),
        entry('friend', 'nonsense', 'grant'),
        entry('friend', 'my.other', 'grant'),
        // PL/pgSQL keeps the prefix for parameters that it has.
        entry('friend', 'plpgsql.nonsense', 'grant'),
      ),
      [
        '42704: GRANT SET ON PARAMETER nonsense TO friend (it does not exist)',
        '42704: GRANT SET ON PARAMETER plpgsql.nonsense TO friend (it does not exist)',
        '42704: GRANT SET ON PARAMETER work_mem TO nobody (role "nobody" does not exist)',
        'GRANT SET ON PARAMETER my.other TO friend',
      ],
    );
  },
);

test('a role that a policy removes leaves what it owns to another, once it owns nothing in other databases', async () => {
  await one.query('CREATE ROLE leaver LOGIN; CREATE ROLE heir');
  for (const client of [one, two])
    await client.query('CREATE TABLE public.left_behind (); ALTER TABLE left_behind OWNER TO leaver');
  const roles = { heir: {}, leaver: { state: 'absent', reassign_to: 'heir' } };
  const owners = async () =>
    (await one.query(`SELECT relowner::regrole::text AS owner FROM pg_class WHERE relname = 'left_behind'`)).rows;
  await assert.rejects(apply(one, roles), { code: '2BP01', detail: new RegExp(`In database ${names[1] ?? ''}: `) });
  assert.deepEqual(await owners(), [{ owner: 'leaver' }]);
  await two.query('REASSIGN OWNED BY leaver TO heir');
  const planned = await apply(one, roles, 'adopt', true);
  assert.ok(planned.includes('REASSIGN OWNED BY leaver TO heir'), planned.join('\n'));
  assert.deepEqual(await apply(one, roles), planned);
  assert.deepEqual(await owners(), [{ owner: 'heir' }]);
  for (const client of [one, two]) {
    assert.deepEqual(await apply(client, roles), []);
    assert.equal(await written(client, () => apply(client, roles)), 0);
  }
});

test('the note names the database whose policy says otherwise, where others are about the same role', async () => {
  await one.query('CREATE DATABASE "0" TEMPLATE template1');
  const other = await cluster.connect({ database: '0' });
  await other.query('CREATE EXTENSION rolecall');
  await apply(other, { several: { login: true } });
  await apply(one, { several: { connection_limit: 1 } });
  assert.deepEqual(await apply(two, { several: { connection_limit: 2 } }), [
    otherwise('ALTER ROLE several CONNECTION LIMIT 2'),
  ]);
  await other.end();
  await one.query('DROP DATABASE "0"');
});

test('passwords are not compared: the last word holds', async () => {
  const policy = async (client: Client, password: string) =>
    shown(
      await client.query<Row>('SELECT statement, status, sqlstate, note FROM rolecall.apply($1, passwords => $2)', [
        JSON.stringify({ roles: { guard: { login: true } } }),
        JSON.stringify({ guard: password }),
      ]),
    );
  await policy(one, 'of none');
  for (const [client, password] of [
    [one, 'of one'],
    [two, 'of two'],
    [one, 'of one'],
  ] as const) {
    const [statement = '', ...more] = await policy(client, password);
    assert.match(statement, /^ALTER ROLE guard PASSWORD '\*+'$/);
    assert.deepEqual(more, []);
    await (await cluster.connect({ database: names[0] ?? '', user: 'guard', password })).end();
    for (const each of [one, two])
      assert.deepEqual(
        (await drift(each)).filter((row) => row.includes('guard')),
        [],
      );
  }
});
