/**
 * What most tests begin with: a server, a database with rolecall, and a superuser's session in it.
 */
import { after } from 'node:test';
import type { Client } from 'pg';
import { type Cluster, type ClusterOptions, startCluster } from './cluster.ts';

export interface Place {
  readonly cluster: Cluster;
  readonly database: string;
  /** A superuser. */
  readonly admin: Client;
  /** A session of a role whose password is its name. */
  login(role: string): Promise<Client>;
  /** Ends the sessions, and the server. */
  close(): Promise<void>;
}

export interface PlaceOptions extends ClusterOptions {
  /** The name of the database. */
  readonly name?: string;
  readonly template?: 'rolecall' | 'template1';
}

export async function openPlace({ name, template, ...options }: PlaceOptions = {}): Promise<Place> {
  const cluster = await startCluster(options);
  const database = await cluster.createDatabase(name, template);
  const admin = await cluster.connect({ database });
  const clients = [admin];
  return {
    cluster,
    database,
    admin,
    async login(role) {
      const client = await cluster.connect({ database, user: role, password: role });
      clients.push(client);
      return client;
    },
    async close() {
      for (const client of clients) await client.end().catch(() => undefined);
      await cluster.stop();
    },
  };
}

/** The place of a whole file: it is closed after the last test. To be awaited before the first. */
export async function placeOfFile(options?: PlaceOptions): Promise<Place> {
  const place = await openPlace(options);
  after(place.close);
  return place;
}
