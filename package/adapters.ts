/**
 * Adapters for libraries other than node-postgres and PGlite. Each adapter requires only the method that it calls, so
 * no library is a dependency.
 *
 * Pass a transaction of the library instead of a connection to make the calls part of it.
 */
import type { Queryable } from '../extension/client/rolecall.ts';

type Rows = readonly unknown[];
/** Some libraries return nothing for a statement without a result. */
const rows = (found: Rows | { readonly rows: Rows } | undefined): { rows: unknown[] } => ({
  rows: [...(found === undefined ? [] : 'rows' in found ? found.rows : found)],
});

/**
 * The text between the parameters. The script of install() has no parameters, but contains $ and ?.
 */
const parts = (text: string, values: readonly unknown[]): string[] => (values.length ? text.split(/\$\d+/) : [text]);

// Parameters have the type never here: each library allows other values, and every one accepts these.

/** postgres.js: `new Rolecall(fromPostgresJs(sql))`. */
export function fromPostgresJs(sql: { unsafe(text: string, values: never[]): PromiseLike<Rows> }): Queryable {
  return { query: async (text, values) => rows(await sql.unsafe(text, values as never[])) };
}

/** Drizzle: `new Rolecall(fromDrizzle(db, sql))` with the `sql` of drizzle-orm. */
export function fromDrizzle<Chunk, Statement>(
  database: { execute(statement: Statement): PromiseLike<Rows | { readonly rows: Rows }> },
  sql: { raw(text: string): Chunk; param(value: unknown): unknown; join(chunks: never[]): Statement },
): Queryable {
  const chunks = (text: string, values: unknown[]): unknown[] =>
    parts(text, values).flatMap((part, index) => [...(index ? [sql.param(values[index - 1])] : []), sql.raw(part)]);
  return { query: async (text, values) => rows(await database.execute(sql.join(chunks(text, values) as never[]))) };
}

/** Kysely: `new Rolecall(fromKysely(db, CompiledQuery))` with the `CompiledQuery` of kysely. */
export function fromKysely<Query>(
  database: { executeQuery(query: Query): PromiseLike<{ readonly rows: Rows }> },
  compiled: { raw(text: string, values: unknown[]): Query },
): Queryable {
  return { query: async (text, values) => rows(await database.executeQuery(compiled.raw(text, values))) };
}

/** Knex: `new Rolecall(fromKnex(knex))`. */
export function fromKnex(knex: {
  raw(text: string, values: never[]): PromiseLike<{ readonly rows: Rows }>;
}): Queryable {
  const raw = (text: string, values: unknown[]): string =>
    parts(text, values)
      .map((part) => part.replaceAll('?', '\\?'))
      .join('?');
  return { query: async (text, values) => rows(await knex.raw(raw(text, values), values as never[])) };
}

/** TypeORM: `new Rolecall(fromTypeOrm(dataSource))`, or an entity manager, or a query runner. */
export function fromTypeOrm(source: { query(text: string, values: never[]): PromiseLike<Rows> }): Queryable {
  return { query: async (text, values) => rows(await source.query(text, values as never[])) };
}

/** Sequelize: `new Rolecall(fromSequelize(sequelize, { transaction }))`. */
export function fromSequelize(
  sequelize: { query(text: string, options: never): PromiseLike<unknown> },
  options: { readonly transaction?: unknown } = {},
): Queryable {
  return {
    query: async (text, bind) =>
      rows(
        (await sequelize.query(text, {
          ...options,
          ...(bind.length ? { bind } : {}),
          type: 'SELECT',
        } as never)) as Rows,
      ),
  };
}

/** Prisma: `new Rolecall(fromPrisma(prisma))`. */
export function fromPrisma(prisma: {
  $queryRawUnsafe(text: string, ...values: never[]): PromiseLike<unknown>;
}): Queryable {
  return { query: async (text, values) => rows((await prisma.$queryRawUnsafe(text, ...(values as never[]))) as Rows) };
}
