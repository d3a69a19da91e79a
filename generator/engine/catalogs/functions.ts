/**
 * Who wrote a function.
 */
import { sql } from '../../sql/template.ts';

/**
 * Whether only a superuser can have written a function, p, and can replace it.
 *
 * A superuser as the owner is not enough, because REASSIGN OWNED gives a superuser what somebody else wrote.
 * Membership in an extension is no proof either, because whoever installed the extension can add a function to it.
 */
export const writtenBySuperuser = sql`(
  p.prokind <> 'a'
  AND EXISTS (SELECT FROM pg_language AS l WHERE l.oid = p.prolang AND l.lanname IN ('internal', 'c'))
  AND EXISTS (SELECT FROM pg_roles AS w WHERE w.oid = p.proowner AND w.rolsuper)
)`;
