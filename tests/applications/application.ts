/**
 * A database for a package that creates tables: as a login role of its own, not as the provisioner.
 */
import assert from 'node:assert/strict';
import pg, { type Client } from 'pg';
import { type Cluster, password as superuserPassword } from '../support/cluster.ts';

/**
 * Who provisions: a superuser, or the owner of the database, who has CREATEROLE and is a member of the package's
 * role.
 */
export const provisioners = ['superuser', 'owner'] as const;

export interface Application {
  /** The package's own login. */
  readonly login: { host: string; port: number; database: string; user: string; password: string };
  readonly url: string;
  /** A superuser's connection. */
  readonly admin: Client;
  readonly provisioner: Client;
  readonly provisionerLogin: Application['login'];
  /** Provisions the reporting role; its steps without the passwords that the owner cannot compare. */
  provision(withheld?: readonly string[], owners?: readonly string[] | null): Promise<string[]>;
  /** The tables, views and so on of the schema. */
  tables(): Promise<string[]>;
  /** Logs in as the reporting role: it reads every table of the schema but those withheld. Returns their names. */
  reads(withheld?: readonly string[]): Promise<string[]>;
  end(): Promise<void>;
}

export async function makeApplication(
  cluster: Cluster,
  provisionedBy: (typeof provisioners)[number],
  name: string,
  schema: string,
): Promise<Application> {
  const database = `${name}_${provisionedBy}`;
  const [keeper, user, reports] = [`${database}_keeper`, `${database}_app`, `${database}_reports`];
  const superuser = await cluster.connect();
  await superuser.query(`CREATE ROLE ${user} LOGIN PASSWORD 'password'`);
  await superuser.query(`CREATE ROLE ${keeper} LOGIN CREATEROLE PASSWORD 'password'`);
  await superuser.query(`GRANT ${user} TO ${keeper}`);
  await superuser.query(`CREATE DATABASE ${database} OWNER ${keeper}`);
  await superuser.end();

  const { host, port } = cluster;
  const admin = await cluster.connect({ database });
  const as = (user: string, password = 'password') => ({ host, port, database, user, password });
  const provisionerLogin = provisionedBy === 'owner' ? as(keeper) : as('postgres', superuserPassword);
  const provisioner = await cluster.connect(provisionerLogin);
  await provisioner.query('CREATE EXTENSION rolecall');
  await admin.query(`GRANT CREATE ON DATABASE ${database} TO ${user}; GRANT CREATE ON SCHEMA public TO ${user}`);

  const tables = async (): Promise<string[]> => {
    const { rows } = await admin.query<{ name: string }>(
      `SELECT c.relname AS name FROM pg_class AS c
       WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1`,
      [schema],
    );
    return rows.map(({ name }) => name);
  };
  return {
    login: as(user),
    url: `postgresql://${user}:password@${host}:${port}/${database}`,
    admin,
    provisioner,
    provisionerLogin,
    tables,
    async provision(withheld = [], owners = [user]) {
      const { rows } = await provisioner.query<{ operation: string; step: string }>(
        `SELECT operation, concat_ws(' ', operation, target, status) AS step
         FROM rolecall.provision_reporting_role($1, $2, $3, $4)`,
        [reports, [schema], withheld, owners],
      );
      return rows.filter(({ operation }) => operation !== 'set_password').map(({ step }) => step);
    },
    async reads(withheld = []) {
      const names = await tables();
      const password = (
        await provisioner.query<{ password: string }>('SELECT rolecall.reporting_role_password($1) AS password', [
          reports,
        ])
      ).rows[0]?.password;
      const client = await cluster.connect({ database, user: reports, password: password ?? '' });
      for (const name of names) {
        const table = `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`;
        const reading = client.query(`SELECT * FROM ${table}`);
        if (withheld.includes(name)) await assert.rejects(reading, { code: '42501' }, name);
        else await reading;
      }
      await client.query('SET default_transaction_read_only = off');
      for (const name of names) {
        const table = `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`;
        // 55000 is a view that nobody can write to.
        await assert.rejects(
          client.query(`DELETE FROM ${table}`),
          ({ code }) => ['42501', '55000'].includes(code),
          name,
        );
      }
      await client.end();
      return names;
    },
    end: async () => {
      await Promise.all([admin.end(), provisioner.end()]);
    },
  };
}
