/**
 * What an update in place is made of, by the plain script and by an upgrade script of the extension: what was granted is
 * granted again on what is made anew, and operators get what is new.
 */
import { operatorGrants } from '../engine/plan/operators.ts';
import { schemaNames, schemas } from '../model/objects.ts';
import type { CreateFunction, CreateTable } from '../sql/nodes.ts';
import { objectComments, print, qualified } from '../sql/print.ts';
import { identifier, literal } from '../sql/quote.ts';

/** Our schemas, as SQL takes a list of them. */
export const ours = schemaNames.text;

/** Notes what is granted on functions and views, on those of some names or on all. */
export function grantsOf(names?: readonly string[]): string {
  if (names?.length === 0) return '';
  const some = names === undefined ? '' : `\n    WHERE g.name = ANY (${literal(`{${names.join()}}`)}::text[])`;
  return `  -- What was granted on what is made anew.
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
    -- Not on what this version has no more.
    WHERE to_regproc(g.name) IS NOT NULL OR to_regclass(g.name) IS NOT NULL
  LOOP
    EXECUTE v_statement;
  END LOOP;`;

/** Those who read the secrets already are operators, or the installer. */
export const operatorsAgain = `  -- What is new, for those who could use all that there was.
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

/** Columns that an older version did not have; a constraint of the table, as the last one may carry, is none of them. */
export function addedColumns(node: CreateTable): string {
  const added = node.columns.map(({ name: column, type, constraint = '' }) =>
    `    ADD COLUMN IF NOT EXISTS ${identifier(column)} ${type} ${constraint.replace(/, (PRIMARY|UNIQUE|FOREIGN|CHECK)\b.*$/s, '')}`.trimEnd(),
  );
  return `  ALTER TABLE ${qualified(node)}\n${added.join(',\n')};\n${objectComments(node).join('\n')}`;
}

/** A body has the same text in every kind of installation. */
export const replaced = (node: CreateFunction): string =>
  print(node).replace(/^CREATE FUNCTION /m, 'CREATE OR REPLACE FUNCTION ');
