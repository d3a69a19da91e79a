/**
 * Whose code a function is.
 */
import { sql } from '../../sql/template.ts';

/**
 * Whether a superuser alone can have written a function, p, or can replace it.
 *
 * That its owner is a superuser says too little: REASSIGN OWNED gives a superuser what somebody else wrote. That it is a
 * member of an extension says nothing: whoever installed the extension can add a function.
 */
export const writtenBySuperuser = sql`(
  p.prokind <> 'a'
  AND EXISTS (SELECT FROM pg_language AS l WHERE l.oid = p.prolang AND l.lanname IN ('internal', 'c'))
  AND EXISTS (SELECT FROM pg_roles AS w WHERE w.oid = p.proowner AND w.rolsuper)
)`;
