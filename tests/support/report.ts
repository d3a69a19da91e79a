/**
 * What tests/reports/ has in common: a server, a database with rolecall, and a superuser's connection to it.
 */
import { test } from 'node:test';
import type { Client, DatabaseError, QueryResultRow } from 'pg';
import { openPlace, type Place } from './place.ts';

export interface Report extends Place {
  /** The rows of a statement, of the superuser or another client. */
  rows<Row extends QueryResultRow>(statement: string, client?: Client): Promise<Row[]>;
  /** The error of a statement; the test fails where there is none. */
  error(statement: string, client?: Client): Promise<DatabaseError>;
}

/** A report as a test: what was given, and that what comes of it is right. */
export function report(title: string, work: (place: Report) => Promise<void>): void {
  test(title, async () => {
    const place = await openPlace({ name: 'app' });
    try {
      await work({
        ...place,
        async rows<Row extends QueryResultRow>(statement: string, client = place.admin) {
          return (await client.query<Row>(statement)).rows;
        },
        async error(statement, client = place.admin) {
          try {
            await client.query(statement);
          } catch (error) {
            return error as DatabaseError;
          }
          throw new Error(`did not fail: ${statement}`);
        },
      });
    } finally {
      await place.close();
    }
  });
}
