/**
 * Privileges on objects of the cluster: the policies of several databases can name them.
 */
import { sharedKinds } from '../../model/kinds.ts';
import { raw, type Sql, sql } from '../../sql/template.ts';
import { thisDatabase } from '../catalogs/server.ts';

/** Privileges of a document on such objects. */
export const ofCluster = (document: Sql) => sql`
  jsonb_path_query(
    ${document},
    '$.privileges[*] ? (!exists(@.state) && @.target.kind like_regex "^(${raw(sharedKinds.join('|'))})$")'
  )
`;

const key = (privilege: Sql, kind: Sql, object: Sql) => sql`
  concat_ws(
    ' ', ${privilege}, ${kind},
    ${object}
  )
`;

/** The key of a privilege, p, where it is told which policy says what of it. */
export const sharedKey = (privilege: Sql) =>
  key(
    sql`${privilege} ->> 'privilege'`,
    sql`${privilege} -> 'target' ->> 'kind'`,
    sql`
      CASE ${privilege} -> 'target' ->> 'kind' WHEN 'parameter' THEN lower(${privilege} -> 'target' ->> 'object')
        ELSE ${privilege} -> 'target' ->> 'object' END
    `,
  );

/**
 * Whether a privilege on this database that is to end, d, is one that the policy of another database grants: it is left
 *
 * On other objects of the cluster nothing ends that a policy does not revoke by name.
 */
export const isGrantedElsewhere = (theirs: Sql, groups: Sql) => sql`
  (${groups})[d.number].kind = 'database' AND (${groups})[d.number].special = ${thisDatabase}
  AND ${theirs} -> d.role -> 'privileges' ->> ${key(sql`d.privilege`, sql`'database'`, sql`current_database()`)}
      IN ('grant option', CASE d.action WHEN 'revoke' THEN 'grant' END)
`;
