/**
 * pg_upgrade from one version of PostgreSQL to the next that Debian has, with the last released version of the
 * extension, which is then updated. It runs both servers, and the older one only runs with the libraries of its own
 * Debian: its image is copied beside the newer one, and started by its own loader.
 */
import assert from 'node:assert/strict';
import { released } from '../../generator/model/released.ts';
import { Container, prefix, withVolume } from './docker.ts';

/** What is known of a database, and what pg_upgrade has to keep. */
const application = `
  CREATE EXTENSION rolecall VERSION '${Object.keys(released).at(-1)}';
  CREATE TABLE patient (id integer, ssn text);
  INSERT INTO patient VALUES (1, 'x');
  CREATE TABLE token (id integer);
  SELECT FROM rolecall.create_base_roles();
  SELECT FROM rolecall.create_user('alice', 'password of alice');
  SELECT FROM rolecall.provision_reporting_role('reports', '{public}', '{token}', rotate_after => NULL);
  SELECT FROM rolecall.set_secret('mail', 'a secret of the application');
  SELECT FROM rolecall.watch_new_tables();
`;

/** What is the same before and after. */
const kept = `
  SELECT rolecall.get_secret('mail'), rolecall.reporting_role_password('reports'),
    (SELECT count(*) FROM rolecall.drift()),
    (SELECT count(*) FROM rolecall.provision_reporting_role('reports', '{public}', '{token}', rotate_after => NULL))`;

/** A program of the older version, which takes its own loader and libraries. */
const wrapper = (program: string) => `#!/bin/sh
exec $(echo /old/usr/lib/*-linux-gnu*/ld-linux-*) --library-path $(echo /old/usr/lib/*-linux-gnu*) ${program}.real "$@"
`;

const connection = ['-X', '-At', '-v', 'ON_ERROR_STOP=1', '-h', '/tmp', '-d', 'app'];
const data = (version: string) => `/old/data/${version}`;
const start = (version: string) => [
  'pg_ctl',
  '-D',
  data(version),
  '-o',
  '-k /tmp',
  '-l',
  `/tmp/log-${version}`,
  '--wait',
  'start',
];
const stop = (version: string) => ['pg_ctl', '-D', data(version), '--wait', 'stop'];

/** Without checksums, which 18 has by default and the older ones do not. */
const initdb = (version: string, major: number) => [
  ...['initdb', '-D', data(version), '--username=postgres', '--encoding=UTF8', '--locale=C.UTF-8'],
  ...(major >= 18 ? ['--no-data-checksums'] : []),
];

export async function testUpgrade(from: string, to: string): Promise<void> {
  await withVolume(async (volume) => {
    const at = ['--volume', `${volume}:/old`, '--label', prefix];
    const older = await Container.start(`rolecall-test:${from}`, ...at);
    await older.run(
      'root',
      'sh',
      '-c',
      'mkdir /old/data && chown postgres /old/data && cd / && tar -c --exclude=libLLVM* usr/lib/*-linux-gnu* usr/lib/postgresql usr/share/postgresql usr/share/zoneinfo | tar -C /old -x',
    );
    await older.run('postgres', ...initdb(from, Number(from)));
    await older.run('postgres', ...start(from));
    await older.run('postgres', 'createdb', '-h', '/tmp', 'app');
    await older.run('postgres', 'psql', ...connection, '-q', '-c', application);
    const before = await older.run('postgres', 'psql', ...connection, '-c', kept);
    assert.match(before, /^a secret of the application\|.+\|0\|0$/m);
    await older.run('postgres', ...stop(from));
    const programs = `/old/usr/lib/postgresql/${from}/bin`;
    for (const program of ['postgres', 'pg_ctl', 'pg_controldata', 'pg_resetwal']) {
      const path = `${programs}/${program}`;
      await older.run('root', 'mv', path, `${path}.real`);
      await older.run('root', 'sh', '-c', 'printf %s "$1" > "$2" && chmod 755 "$2"', '-', wrapper(path), path);
    }
    await older.remove();

    const newer = await Container.start(`rolecall-test:${to}`, ...at);
    await newer.run('root', 'chown', '-R', 'postgres', '/old/data');
    await newer.run('postgres', ...initdb(to, Number(to)));
    await newer.run(
      'postgres',
      ...['sh', '-c', 'cd /tmp && exec "$@"', '-', 'pg_upgrade', '--username=postgres', '-b', programs],
      ...['-B', `/usr/lib/postgresql/${to}/bin`, '-d', data(from), '-D', data(to), '--socketdir=/tmp'],
    );
    await newer.run('postgres', ...start(to));
    assert.equal(await newer.run('postgres', 'psql', ...connection, '-c', kept), before);
    const update = ['ALTER EXTENSION rolecall UPDATE', 'SELECT FROM rolecall.converge()'];
    await newer.run('postgres', 'psql', ...connection, '-q', ...update.flatMap((statement) => ['-c', statement]));
    assert.equal(await newer.run('postgres', 'psql', ...connection, '-c', kept), before);
    const password = before.split('|')[1] ?? '';
    const login = [
      'env',
      `PGPASSWORD=${password}`,
      'psql',
      '-h',
      '127.0.0.1',
      ...connection.filter((word) => !['-h', '/tmp'].includes(word)),
    ];
    await newer.run(
      'postgres',
      'psql',
      ...connection,
      '-q',
      '-c',
      'CREATE TABLE later (id integer); DROP TABLE token; CREATE TABLE token (id integer)',
    );
    assert.equal(
      (await newer.run('postgres', ...login, '-U', 'reports', '-c', 'SELECT count(*) FROM later')).trim(),
      '0',
    );
    assert.match(
      (await newer.attempt('postgres', ...login, '-U', 'reports', '-c', 'TABLE token')).text,
      /permission denied/,
    );
    await newer.run('postgres', ...stop(to));
    await newer.remove();
  });
}
