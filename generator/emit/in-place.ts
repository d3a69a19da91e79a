/**
 * The parts of an update in place that the plain script and the upgrade scripts of the extension share: privileges
 * are granted again on objects that are created again, and operators get those on new objects.
 */
import { operatorGrants } from '../engine/plan/operators.ts';
import { schemaNames, schemas } from '../model/objects.ts';
import type { CreateFunction, CreateTable } from '../sql/nodes.ts';
import { objectComments, print, qualified } from '../sql/print.ts';
import { identifier, literal } from '../sql/quote.ts';

/** Our schemas, as SQL takes a list of them. */
export const ours = schemaNames.text;

/** Notes the privileges on functions and views, of some names or of all. */
export function grantsOf(names?: readonly string[]): string {
  if (names?.length === 0) return '';
  const some = names === undefined ? '' : `\n    WHERE g.name = ANY (${literal(`{${names.join()}}`)}::text[])`;
  return `  -- The privileges on objects that are created again.
  SELECT array_agg(g.name), array_agg(g.statement) INTO v_granted, v_grants
  FROM (
    SELECT o.name, format(
      'GRANT %s ON %s %s TO %s', a.privilege_type, o.kind, o.name,
      CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
      || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
    )
    FROM (
      SELECT 'FUNCTION', p.oid::regproc::text, p.pronamespace, p.proacl, p.proowner FROM pg_proc AS p
      UNION ALL
      SELECT 'TABLE', c.oid::regclass::text, c.relnamespace, c.relacl, c.relowner FROM pg_class AS c WHERE c.relkind = 'v'
    ) AS o(kind, name, namespace, acl, owner)
    JOIN pg_namespace AS n ON n.oid = o.namespace
    CROSS JOIN aclexplode(o.acl) AS a
    WHERE n.nspname IN (${ours}) AND a.grantee <> o.owner
  ) AS g(name, statement)${some};`;
}

export const grantsAgain = `  FOR v_statement IN
    SELECT g.statement
    FROM unnest(v_granted, v_grants) AS g(name, statement)
    -- Objects that this version no longer has are left out.
    WHERE to_regproc(g.name) IS NOT NULL OR to_regclass(g.name) IS NOT NULL
  LOOP
    EXECUTE v_statement;
  END LOOP;`;

/** Grants operators, and the installer, the privileges on new objects. Whoever can read the secrets is one of them. */
export const operatorsAgain = `  -- The new objects, for those who could use all objects before.
  FOR v_statement IN
    SELECT format(f.format, pg_get_userbyid(o.grantee)) || CASE WHEN o.grantable THEN ' WITH GRANT OPTION' ELSE '' END
    FROM (
      SELECT a.grantee, bool_or(a.is_grantable)
      FROM pg_class AS c
      CROSS JOIN aclexplode(c.relacl) AS a
      WHERE c.oid = '${schemas.internal}.secret'::regclass AND a.privilege_type = 'SELECT' AND a.grantee NOT IN (0, c.relowner)
      GROUP BY a.grantee
    ) AS o(grantee, grantable)
    CROSS JOIN (
      VALUES
${operatorGrants.map((format, at) => `        (${at + 1}, ${literal(format)})`).join(',\n')}
    ) AS f(position, format)
    ORDER BY o.grantee, f.position
  LOOP
    EXECUTE v_statement;
  END LOOP;`;

/**
 * The columns that an older version did not have. A constraint of the table that follows the last column is not a
 * column.
 */
export function addedColumns(node: CreateTable): string {
  const added = node.columns.map(({ name: column, type, constraint = '' }) =>
    `    ADD COLUMN IF NOT EXISTS ${identifier(column)} ${type} ${constraint.replace(/, (PRIMARY|UNIQUE|FOREIGN|CHECK)\b.*$/s, '')}`.trimEnd(),
  );
  return `  ALTER TABLE ${qualified(node)}\n${added.join(',\n')};\n${objectComments(node).join('\n')}`;
}

/** As in a new installation, except that a function that exists is replaced. */
export const replaced = (node: CreateFunction): string =>
  print(node).replace(/^CREATE FUNCTION /m, 'CREATE OR REPLACE FUNCTION ');
