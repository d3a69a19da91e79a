/**
 * Separates the passwords of a desired state from the rest of it.
 *
 * Passwords occur only in simple expressions, because auto_explain would show the parameters of a query.
 */
import { mask } from '../../model/resources.ts';
import type { Jsonb, Returns, Text } from '../../model/types.ts';
import { type Sql, sql } from '../../sql/template.ts';
import { isHash } from '../passwords/verifiers.ts';
import { noPassword, raiseEmpty } from '../../sql/raise.ts';

/** Whether a password cannot be stored, and the statements that refuse it. */
const isRefused = (password: Text) => sql`${password} = '' OR ${isHash(password)}`;
const refused = (isEmpty: Sql) => sql`
  IF ${isEmpty} THEN
    ${raiseEmpty('password', noPassword)}
  END IF;
  PERFORM rolecall_internal.refuse_hash();
`;

/**
 * The plain passwords and verifiers of a document, by the name of the role; of two for one role the first counts
 * @volatility stable
 */
export function passwords_of(document: Jsonb): Returns<Jsonb> {
  return sql`
    DECLARE
      v_names text[] := '{}'::text[];
      v_values text[] := '{}'::text[];
      v_list jsonb;
      v_resource jsonb;
      v_section text;
    BEGIN
      -- Backwards, because of two values of a key an object keeps the last one.
      FOREACH v_section IN ARRAY ARRAY['passwords', 'roles'] LOOP
        v_list := coalesce(${document} -> v_section, '[]');
        FOR v_position IN REVERSE jsonb_array_length(v_list) - 1 .. 0 LOOP
          v_resource := v_list -> v_position;
          CONTINUE WHEN v_resource ->> 'password' IS NULL;
          IF ${isRefused(sql`(v_resource ->> 'password')`)} THEN
            ${refused(sql`v_resource ->> 'password' = ''`)}
          END IF;
          v_names := v_names || coalesce(v_resource ->> 'role', v_resource ->> 'name', '');
          v_values := v_values || (v_resource ->> 'password');
        END LOOP;
      END LOOP;
      RETURN jsonb_object(v_names, v_values);
    END
  `;
}

/**
 * One password in an object by the name of the role, as it stands beside a document; null for null
 * @volatility stable
 */
export function password_of(role_name: Text, password: Text): Returns<Jsonb> {
  return sql`
    BEGIN
      IF ${isRefused(password)} THEN
        PERFORM rolecall_internal.check_role_name(${role_name}); -- An error about the name comes first.
        ${refused(sql`${password} = ''`)}
      END IF;
      RETURN CASE WHEN ${password} IS NULL THEN '{}'
                  ELSE jsonb_build_object(coalesce(${role_name}, ''), ${password}) END;
    END
  `;
}

/**
 * A document with the mask in place of each password
 * @volatility immutable
 */
export function masked(document: Jsonb): Returns<Jsonb> {
  return sql`
    DECLARE
      v_document jsonb := ${document};
      v_list jsonb;
      v_masked jsonb[];
      v_resource jsonb;
      v_section text;
    BEGIN
      FOREACH v_section IN ARRAY ARRAY['passwords', 'roles'] LOOP
        v_list := ${document} -> v_section;
        CONTINUE WHEN (v_list @? '$[*] ? (@.password != null && @.password != "")') IS NOT TRUE;
        -- In an array, because appending to jsonb copies it each time.
        v_masked := '{}'::jsonb[];
        FOR v_position IN 0 .. jsonb_array_length(v_list) - 1 LOOP
          v_resource := v_list -> v_position;
          IF v_resource ->> 'password' <> '' THEN
            v_resource := jsonb_set(v_resource, '{password}', to_jsonb(${mask}::text));
          END IF;
          v_masked := v_masked || v_resource;
        END LOOP;
        v_document := v_document || jsonb_build_object(v_section, v_masked);
      END LOOP;
      RETURN v_document;
    END
  `;
}
