import type { Returns, Text, Texts } from '../model/types.ts';
import { raiseNull } from '../sql/raise.ts';
import { sql } from '../sql/template.ts';

/**
 * Draws roles as a graph: who is a member of what, and what each reads and writes in which schema
 *
 * A membership is an arrow from the member. It shows the options that differ from those of a plain GRANT. A dotted
 * arrow leads from a role, or PUBLIC, to a schema in which it has privileges of its own to read or write tables. A
 * role that can log in is drawn round, one that cannot is a box, and a schema is a cylinder. The order is fixed, so
 * two graphs can be compared as text.
 *
 * @group keeping
 * @param format `mermaid`, `dot` for Graphviz, or `json`
 * @param roles names of the roles to draw, together with the roles that they are members of; null: all roles that are
 *   not predefined
 * @returns the graph in that notation
 * @throws null_value_not_allowed - the format is null
 * @throws invalid_parameter_value - the format is none of the three
 * @example SELECT rolecall.role_graph('mermaid', '{alice}');
 * @volatility stable
 */
export function role_graph(format: Text = 'mermaid', roles: Texts | null = null): Returns<Text> {
  return sql`
    DECLARE
      v_graph jsonb;
    BEGIN
      IF ${format} IS NULL THEN
        ${raiseNull('format')}
      ELSIF ${format} NOT IN ('mermaid', 'dot', 'json') THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = format('format must be mermaid, dot or json, not %L', ${format});
      END IF;
      v_graph := rolecall_internal.graph(${roles});
      RETURN CASE ${format}
        WHEN 'mermaid' THEN rolecall_internal.graph_mermaid(v_graph)
        WHEN 'dot' THEN rolecall_internal.graph_dot(v_graph)
        ELSE jsonb_pretty(v_graph) END;
    END
  `;
}
