/**
 * extension/rolecall.sql and extension/rolecall-uninstall.sql: the same objects without CREATE EXTENSION. Each is one
 * DO statement, so it is one transaction for psql, for a driver, and within the transaction of a migration tool.
 */
import { createHash } from 'node:crypto';
import { schemas } from '../model/objects.ts';
import { product } from '../model/product.ts';
import type { CreateFunction, CreateType, Node } from '../sql/nodes.ts';
import { print, qualified } from '../sql/print.ts';
import { dollarQuoted, literal } from '../sql/quote.ts';
import type { SqlFile } from './functions.ts';
import { generatedHeader } from './header.ts';
import { addedColumns, grantsAgain, grantsOf, operatorsAgain, ours, replaced } from './in-place.ts';

const indented = (text: string) => text.replaceAll(/^(?=.)/gm, '  ');

export function plainScript(files: readonly SqlFile[]): string {
  const nodes = files.map(({ node }) => node);
  const objects = nodes.map(inPlace).join('\n\n');
  const content = `${before(nodes)}\n\n${objects}\n\n${after}`;
  const count = nodes.filter(({ kind }) => kind !== 'schema' && kind !== 'trigger').length;
  const mark = `${product.version} by the plain script ${createHash('sha256').update(content).digest('hex')}`;
  return script(
    `Installs ${product.name} ${product.version} without CREATE EXTENSION, or updates an older version in place; what is
remembered stays. The role that runs it needs CREATE on the database, and owns the objects. Run again, it does nothing.

pg_dump carries the whole of a plain installation, the secrets included: dump with
--exclude-table-data=${schemas.internal}.secret, or have the secrets encrypted (docs/secrets.md).`,
    `DECLARE
  v_path CONSTANT text := pg_catalog.current_setting('search_path');
  v_messages CONSTANT text := pg_catalog.current_setting('client_min_messages');
  v_types oid[];
  v_granted text[];
  v_grants text[];
  v_statement text;
BEGIN
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
${checks}
  -- The same script ran here before, and all of its objects are still there.
  IF obj_description(to_regnamespace(${literal(schemas.internal)}), 'pg_namespace') = ${literal(mark)}
    AND ${count} <= (
      SELECT count(*)
      FROM (
        SELECT p.pronamespace FROM pg_proc AS p
        UNION ALL
        SELECT c.relnamespace FROM pg_class AS c WHERE c.relkind IN ('c', 'r', 'v')
      ) AS o(namespace)
      JOIN pg_namespace AS n ON n.oid = o.namespace
      WHERE n.nspname IN (${ours})
    )
  THEN
    PERFORM set_config('search_path', v_path, true);
    RETURN;
  END IF;

  -- Suppresses the NOTICEs that an object already exists.
  PERFORM set_config('client_min_messages', 'warning', true);
${content}

  COMMENT ON SCHEMA ${schemas.internal} IS ${literal(mark)};
  PERFORM set_config('client_min_messages', v_messages, true);
  PERFORM set_config('search_path', v_path, true);
END`,
  );
}

export function plainUninstall(): string {
  return script(
    `Removes what ${product.name}.sql has made, with all that is remembered; the roles and their privileges stay. Where something
else depends on it, nothing is removed. Where new tables are watched, call ${schemas.public}.watch_new_tables(false) first.`,
    `DECLARE
  v_path CONSTANT text := pg_catalog.current_setting('search_path');
  v_statement text;
BEGIN
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
${checks}
  FOR v_statement IN
    SELECT format('DROP TRIGGER %I ON %I.%I', t.tgname, n.nspname, c.relname)
    FROM pg_trigger AS t
    JOIN pg_class AS c ON c.oid = t.tgrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname IN (${ours}) AND NOT t.tgisinternal
  LOOP
    EXECUTE v_statement;
  END LOOP;
${dropped(`
    WHERE n.nspname IN (${ours}) AND ${isOurFunction}`)}
  FOR v_statement IN
    SELECT format('DROP %s %I.%I', k.kind, n.nspname, c.relname)
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN (VALUES ('v', 'VIEW', 1), ('r', 'TABLE', 2), ('c', 'TYPE', 3)) AS k(relkind, kind, position) ON k.relkind = c.relkind
    WHERE n.nspname IN (${ours})
    ORDER BY k.position, c.oid
  LOOP
    EXECUTE v_statement;
  END LOOP;
  FOR v_statement IN
    SELECT format('DROP SCHEMA %I', n.nspname) FROM pg_namespace AS n WHERE n.nspname IN (${ours})
  LOOP
    EXECUTE v_statement;
  END LOOP;
  PERFORM set_config('search_path', v_path, true);
END`,
  );
}

function script(comment: string, body: string): string {
  const lines = comment.split('\n').map((line) => `-- ${line}`.trimEnd());
  return `${generatedHeader('--')}\n\n${lines.join('\n')}\n\nDO ${dollarQuoted(`${product.name}_plain`, body)};\n`;
}

/** Ours have their search_path pinned to this; a function that somebody else put into the schema stays. */
const isOurFunction = `'search_path=pg_catalog, pg_temp' = ANY (p.proconfig)`;

/**
 * Checks who runs the script, and where. Nobody takes over objects of another role, because that role could replace
 * them later.
 */
const checks = `
  -- Installations in this database at the same moment wait for each other.
  PERFORM pg_advisory_xact_lock(42, hashtext('${product.name} plain script'));

  IF current_setting('server_version_num')::integer < ${product.servers[0]}0000 THEN
    RAISE EXCEPTION USING
      ERRCODE = 'feature_not_supported',
      MESSAGE = format('${product.name} requires PostgreSQL ${product.servers[0]} or newer, and this is %s', current_setting('server_version'));
  ELSIF EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = '${product.name}') THEN
    RAISE EXCEPTION USING
      ERRCODE = 'object_not_in_prerequisite_state',
      MESSAGE = '${product.name} is installed as an extension in this database',
      HINT = 'Use ALTER EXTENSION ${product.name} UPDATE, or DROP EXTENSION ${product.name}, in place of this script.';
  END IF;
  SELECT format('schema "%s" belongs to role "%s"', n.nspname, n.nspowner::regrole) INTO v_statement
  FROM pg_namespace AS n
  WHERE n.nspname IN (${ours}) AND n.nspowner <> to_regrole(quote_ident(current_user));
  IF v_statement IS NOT NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'insufficient_privilege',
      MESSAGE = v_statement,
      HINT = 'Run the script as that role, by SET ROLE where you are a member; or drop the schema, if it is not of ${product.name}.';
  END IF;
  SELECT format('%s belongs to role "%s"', o.name, o.owner::regrole) INTO v_statement
  FROM (
    SELECT p.oid::regprocedure::text, p.proowner, p.pronamespace FROM pg_proc AS p
    UNION ALL
    SELECT c.oid::regclass::text, c.relowner, c.relnamespace FROM pg_class AS c
  ) AS o(name, owner, namespace)
  JOIN pg_namespace AS n ON n.oid = o.namespace
  WHERE n.nspname IN (${ours}) AND o.owner <> to_regrole(quote_ident(current_user))
  LIMIT 1;
  IF v_statement IS NOT NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'insufficient_privilege',
      MESSAGE = v_statement,
      HINT = 'One role owns all objects of ${product.name}, and only that role runs the script.';
  ELSIF to_regprocedure('${schemas.public}.version()') IS NULL
    AND EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname IN (${ours}))
  THEN
    RAISE EXCEPTION USING
      ERRCODE = 'duplicate_schema',
      MESSAGE = 'a schema with a name of ${product.name} exists, and is not of ${product.name}',
      HINT = 'Rename or drop the schemas ${Object.values(schemas).join(', ')}.';
  ELSIF NOT has_database_privilege(current_database(), 'CREATE') THEN
    RAISE EXCEPTION USING
      ERRCODE = 'insufficient_privilege',
      MESSAGE = format('permission denied for database %I', current_database()),
      HINT = format('This takes CREATE on the database: GRANT CREATE ON DATABASE %I TO %I', current_database(), current_user);
  END IF;
`;

/** Drops the objects of an older version that this version defines differently or no longer has. */
function before(nodes: readonly Node[]): string {
  const functions = nodes.filter((node): node is CreateFunction => node.kind === 'function');
  const types = nodes.filter((node): node is CreateType => node.kind === 'type');
  return `${grantsOf()}

  SELECT array_agg(c.reltype) INTO v_types
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN (VALUES
${types.map(expectedType).join(',\n')}
  ) AS e(schema, name, columns) ON e.schema = n.nspname AND e.name = c.relname
  WHERE n.nspname IN (${ours}) AND c.relkind = 'c' AND e.columns IS DISTINCT FROM (
    SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
    FROM pg_attribute AS a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  );

${dropped(`
    LEFT JOIN (VALUES
${functions.map(expectedFunction).join(',\n')}
    ) AS e(schema, name, columns, returns, defaults) ON e.schema = n.nspname AND e.name = p.proname
    WHERE n.nspname IN (${ours}) AND ${isOurFunction} AND (
      e.columns IS DISTINCT FROM coalesce((
        SELECT string_agg(concat_ws(' ', c.name, format_type(c.type, NULL)), ', ' ORDER BY c.position)
        FROM unnest(p.proargnames, coalesce(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY AS c(name, type, position)
      ), '')
      OR e.returns <> CASE WHEN p.proretset THEN 'SETOF ' ELSE '' END || format_type(p.prorettype, NULL)
      OR e.defaults <> p.pronargdefaults
      OR EXISTS (
        SELECT
        FROM pg_type AS t
        JOIN pg_depend AS d ON d.refclassid = 'pg_type'::regclass AND d.refobjid = t.oid
        WHERE (t.oid = ANY (v_types) OR t.typelem = ANY (v_types))
          AND d.classid = 'pg_proc'::regclass AND d.objid = p.oid
      )
    )`)}
  FOR v_statement IN
    SELECT format('DROP VIEW %I.%I', n.nspname, c.relname)
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname IN (${ours}) AND c.relkind = 'v'
    UNION ALL
    SELECT format('DROP TYPE %s', t.oid::regtype) FROM unnest(v_types) AS t(oid)
  LOOP
    EXECUTE v_statement;
  END LOOP;`;
}

const after = `${grantsAgain}
${operatorsAgain}`;

/** Drops the functions that the rest of a query on pg_proc finds, in one statement, because some of them use others. */
function dropped(rest: string): string {
  return `  SELECT 'DROP FUNCTION ' || string_agg(p.oid::regprocedure::text, ', ') INTO v_statement
    FROM pg_proc AS p
    JOIN pg_namespace AS n ON n.oid = p.pronamespace${rest};
  IF v_statement IS NOT NULL THEN
    EXECUTE v_statement;
  END IF;
`;
}

/** A type as format_type() writes it, with nothing but pg_catalog in the search path. */
function canonical(type: string): string {
  return type.replace(/^timestamptz\b/, 'timestamp with time zone').replace(/^int4\b/, 'integer');
}

const listed = (columns: readonly { name: string; type: string }[]) =>
  literal(columns.map((column) => `${column.name} ${canonical(column.type)}`).join(', '));

function expectedType({ schema, name: type, columns }: CreateType): string {
  return `    (${literal(schema)}, ${literal(type)},\n     ${listed(columns)})`;
}

function expectedFunction(node: CreateFunction): string {
  const columns = node.returns.startsWith('TABLE')
    ? [...node.returns.matchAll(/^ +"?(\w+)"? (.*?),?$/gm)].map(([, column = '', type = '']) => ({
        name: column,
        type,
      }))
    : [];
  const all = [...node.arguments, ...columns];
  // A function that RETURNS TABLE with a single column returns the type of that column.
  const returns =
    columns.length === 0
      ? canonical(node.returns)
      : `SETOF ${columns.length === 1 ? canonical(columns[0]?.type ?? '') : 'record'}`;
  return `      (${[
    literal(node.schema),
    literal(node.name),
    `\n       ${listed(all)}`,
    literal(returns),
    node.arguments.filter((argument) => argument.default !== undefined).length,
  ].join(', ')})`;
}

/** The statements that create an object where it is missing, and update it where it exists. */
function inPlace(node: Node): string {
  switch (node.kind) {
    case 'schema':
      return missing(`to_regnamespace(${literal(node.name)})`, print(node));
    case 'type':
      return missing(`to_regtype(${literal(qualified(node))})`, print(node));
    case 'table':
      return `${missing(`to_regclass(${literal(qualified(node))})`, print({ ...node, dumped: false }))}\n${addedColumns(node)}`;
    case 'view':
      return print(node);
    case 'trigger':
      return missing(
        `(SELECT t.oid FROM pg_trigger AS t
      WHERE t.tgrelid = to_regclass(${literal(qualified({ ...node, name: node.table }))}) AND t.tgname = ${literal(node.name)})`,
        print(node),
      );
    case 'function':
      return replaced(node);
  }
}

function missing(found: string, text: string): string {
  return `  IF ${found} IS NULL THEN\n${indented(indented(text))}\n  END IF;`;
}
