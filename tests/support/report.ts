/**
 * What tests/reports/ has in common: a server, a database with rolecall, and a superuser's connection to it.
 */
import { test } from 'node:test';
import type { Client, DatabaseError, QueryResultRow } from 'pg';
import { type Cluster, startCluster } from './cluster.ts';

export interface Place {
  readonly cluster: Cluster;
  readonly database: string;
  /** A superuser. */
  readonly admin: Client;
  /** The rows of a statement, of the superuser or another client. */
  rows<Row extends QueryResultRow>(statement: string, client?: Client): Promise<Row[]>;
  /** The error of a statement; the test fails where there is none. */
  error(statement: string, client?: Client): Promise<DatabaseError>;
  /** A connection of a role whose password is its name. */
  login(role: string): Promise<Client>;
}

/** A report as a test: what was given, and that what comes of it is right. */
export function report(title: string, work: (place: Place) => Promise<void>): void {
  test(title, async () => {
    const cluster = await startCluster();
    const database = await cluster.createDatabase('app');
    const admin = await cluster.connect({ database });
    const clients = [admin];
    try {
      await work({
        cluster,
        database,
        admin,
        async rows<Row extends QueryResultRow>(statement: string, client = admin) {
          return (await client.query<Row>(statement)).rows;
        },
        async error(statement, client = admin) {
          try {
            await client.query(statement);
          } catch (error) {
            return error as DatabaseError;
          }
          throw new Error(`did not fail: ${statement}`);
        },
        async login(role) {
          const client = await cluster.connect({ database, user: role, password: role });
          clients.push(client);
          return client;
        },
      });
    } finally {
      for (const client of clients) await client.end().catch(() => undefined);
      await cluster.stop();
    }
  });
}
