/**
 * The error policy: for each kind of change, which conditions are ignored, retried or surfaced. The executors with
 * their EXCEPTION blocks, the reference page and the error tests are all rendered from this table.
 */
import { sql, type Sql } from '../sql/template.ts';
import type { Condition } from './sqlstates.ts';

export interface Ignored {
  readonly conditions: readonly Condition[];
  /** `skip` returns a step. `again` returns nothing: the call plans again. */
  readonly then: 'skip' | 'again';
  /** Why the condition is no error; it becomes the note of the skipped step. */
  readonly note: string;
  /** Whether the client gets a NOTICE. */
  readonly notice?: true;
}

export interface Operation {
  readonly summary: string;
  /** SQL to run before each attempt. */
  readonly before?: Sql;
  readonly ignored?: readonly Ignored[];
  /**
   * The conditions that are retried. Every operation also retries XX000 with one of the messages in
   * `retriedMessages`.
   */
  readonly retried?: readonly Condition[];
  /**
   * The conditions that are surfaced with our own hint. Whatever else is neither ignored nor retried is surfaced too.
   * In a hint {role} is the role on which the change requires rights, and {caller} the role that makes the call.
   */
  readonly surfaced?: readonly { readonly condition: Condition; readonly hint: Hint }[];
}

/** One hint for all versions, or one for the versions that require ADMIN OPTION and one for those before 16. */
export type Hint = string | { readonly since16: string; readonly before16: string };

/** The hint where a role would become a member of itself. */
export const circular = 'A role cannot be a member of itself, directly or through others.';

/**
 * How long a change waits for a lock, unless lock_timeout is set, because roles that may not make the change can hold
 * the lock: any login can lock a role or an event trigger by pg_get_object_address(), and a role its own row; a
 * reader or an owner can lock a table, and the owner of a schema its row; whoever may create schemas or roles can
 * lock the name of one; and whoever has ADMIN OPTION on a role can lock the role and its memberships.
 */
export const patience = '30s';
const held = {
  condition: 'lock_not_available',
  hint: 'End the session that holds the lock, by pg_terminate_backend(), or set lock_timeout to more than 30 s.',
} as const;

/** The hint in place of one that would grant a superuser, or the role itself, to the caller. */
export const superuserAlone = 'Have a superuser make the call.';

/**
 * The server's messages for a lost race, as patterns for LIKE. The server does not translate them, and they have no
 * SQLSTATE of their own. From 16 on, DROP ROLE raises the third for a role that another transaction has dropped.
 * GRANT and REVOKE raise the last one for a table that is dropped after they have found it and before they change it.
 */
export const retriedMessages = [
  'tuple concurrently updated',
  'tuple concurrently deleted',
  'could not find tuple for role %',
  'cache lookup failed for relation %',
  'could not open relation with OID %',
] as const;

export const madeByAnother = 'another transaction created it at the same moment';
const lostCreateRace: Ignored = {
  conditions: ['duplicate_object', 'unique_violation'],
  then: 'skip',
  note: madeByAnother,
};
const alreadyGone: Ignored = { conditions: ['undefined_object'], then: 'skip', note: 'it is gone already' };
const objectDropped: Ignored = {
  conditions: ['undefined_table', 'invalid_schema_name', 'undefined_object'],
  then: 'again',
  note: 'an object was dropped meanwhile',
};

const roleDropped: Ignored = {
  conditions: ['undefined_object'],
  then: 'again',
  note: 'a role was dropped meanwhile',
};

const admin = 'have a superuser, or a role that has it, run GRANT {role} TO {caller} WITH ADMIN OPTION.';
const alterHint = {
  since16: `This requires CREATEROLE, and ADMIN OPTION on the role: ${admin} REPLICATION and BYPASSRLS can be changed by a role that has the attribute itself, SUPERUSER only by a superuser.`,
  before16:
    'This requires CREATEROLE. Only a superuser can change SUPERUSER, REPLICATION or BYPASSRLS, or a role that is a superuser.',
};
const grantHint = {
  since16: `This requires ADMIN OPTION on the granted role: ${admin}`,
  before16:
    'This requires CREATEROLE, or ADMIN OPTION on the granted role. Only a superuser can grant a role that is a superuser.',
};
const revokeHint = {
  since16:
    'This requires ADMIN OPTION on the role, as GRANT {role} TO {caller} WITH ADMIN OPTION gives it, and the privileges of the grantor whom the statement names: else have that grantor, or a superuser, run it.',
  before16:
    'This requires CREATEROLE, or ADMIN OPTION on the role. Only a superuser can revoke a role that is a superuser.',
};
const ownedHint = {
  since16:
    'This requires the privileges of the role, and REASSIGN OWNED also those of the new owner: have a superuser, or a role that has ADMIN OPTION, run GRANT {role} TO {caller} WITH INHERIT TRUE.',
  before16:
    'This requires the privileges of the role, and REASSIGN OWNED also those of the new owner: have a superuser, or a role that has CREATEROLE, run GRANT {role} TO {caller}.',
};
const dropHint = {
  since16: `This requires CREATEROLE, and ADMIN OPTION on the role: ${admin}`,
  before16: 'This requires CREATEROLE. Only a superuser can drop a superuser.',
};
const createHint = {
  since16: 'This requires CREATEROLE. BYPASSRLS can be given by a role that has it itself, or by a superuser.',
  before16: 'This requires CREATEROLE. Only a superuser can give BYPASSRLS.',
};
const schemaOwnerHint = {
  since16:
    'This requires CREATE on the database, and the SET option on the role that is to own the schema: grant that role to {caller} WITH SET TRUE, or set createrole_self_grant before the role is created.',
  before16:
    'This requires CREATE on the database, and membership in the role that is to own the schema: grant that role to {caller}.',
};
const ownerHint = 'Ask the owner of the object, or a superuser, to run the statement.';
const superuserHint = 'Only a superuser can create or drop an event trigger.';
export const operations = {
  create_role: {
    summary: 'CREATE ROLE',
    ignored: [lostCreateRace],
    surfaced: [
      held,
      {
        condition: 'insufficient_privilege',
        hint: createHint,
      },
    ],
  },
  rename_role: {
    summary: 'ALTER ROLE ... RENAME TO',
    retried: ['unique_violation'],
    surfaced: [held, { condition: 'insufficient_privilege', hint: alterHint }],
  },
  alter_role: {
    summary: 'ALTER ROLE with the attributes that differ',
    retried: ['unique_violation'],
    surfaced: [held, { condition: 'insufficient_privilege', hint: alterHint }],
  },
  set_password: {
    summary: 'ALTER ROLE ... PASSWORD with a verifier',
    retried: ['unique_violation'],
    surfaced: [held, { condition: 'insufficient_privilege', hint: alterHint }],
  },
  set_comment: {
    summary: 'COMMENT ON ROLE',
    retried: ['unique_violation'],
    surfaced: [held, { condition: 'insufficient_privilege', hint: alterHint }],
  },
  set_config: {
    summary: 'ALTER ROLE ... SET',
    ignored: [
      {
        conditions: ['undefined_database'],
        then: 'skip',
        note: 'the database that the setting was for is gone already',
      },
    ],
    retried: ['unique_violation'],
    surfaced: [held, { condition: 'insufficient_privilege', hint: alterHint }],
  },
  leave_mark: {
    summary:
      'ALTER ROLE ... SET rolecall.policy: what a policy says of a role, for other databases; not returned as a row',
    ignored: [roleDropped],
    retried: ['unique_violation'],
    surfaced: [held],
  },
  grant_role: {
    summary: 'GRANT of a role to a role',
    // GRANT does not lock the member nor, before 16, the granted role. If one of them were dropped meanwhile, a
    // membership row of a role that no longer exists would remain. pg_get_object_address() locks the role until the
    // end of the transaction.
    before: sql`
      PERFORM pg_get_object_address('role', ARRAY[r.name], '{}')
      FROM unnest(change.locks) AS r(name) WHERE to_regrole(quote_ident(r.name)) IS NOT NULL;
    `,
    ignored: [
      { conditions: ['unique_violation'], then: 'skip', note: 'another transaction granted it at the same moment' },
      { conditions: ['undefined_object'], then: 'skip', note: 'one of the two roles does not exist', notice: true },
    ],
    surfaced: [
      held,
      { condition: 'insufficient_privilege', hint: grantHint },
      {
        condition: 'invalid_grant_operation',
        hint: circular,
      },
    ],
  },
  revoke_role: {
    summary: 'REVOKE of a role from a role, one grantor at a time',
    ignored: [alreadyGone],
    surfaced: [
      held,
      { condition: 'insufficient_privilege', hint: revokeHint },
      {
        condition: 'dependent_objects_still_exist',
        hint: 'The member granted the role to others. Revoke the role from those first.',
      },
    ],
  },
  create_schema: {
    summary: 'CREATE SCHEMA',
    ignored: [{ ...lostCreateRace, conditions: ['duplicate_schema', 'unique_violation'] }],
    surfaced: [held, { condition: 'insufficient_privilege', hint: schemaOwnerHint }],
  },
  set_owner: {
    summary: 'ALTER SCHEMA ... OWNER TO',
    ignored: [objectDropped],
    surfaced: [held, { condition: 'insufficient_privilege', hint: schemaOwnerHint }],
  },
  grant_privilege: {
    summary: 'GRANT of privileges on objects',
    ignored: [objectDropped],
    retried: ['unique_violation'],
    surfaced: [held, { condition: 'insufficient_privilege', hint: ownerHint }],
  },
  revoke_privilege: {
    summary: 'REVOKE of privileges on objects',
    ignored: [objectDropped],
    retried: ['unique_violation'],
    surfaced: [held, { condition: 'insufficient_privilege', hint: ownerHint }],
  },
  default_privilege: {
    summary: 'ALTER DEFAULT PRIVILEGES',
    ignored: [objectDropped],
    retried: ['unique_violation'],
    surfaced: [
      held,
      {
        condition: 'insufficient_privilege',
        hint: 'This requires membership in the role that will own the objects; a superuser needs none.',
      },
    ],
  },
  create_event_trigger: {
    summary: 'CREATE EVENT TRIGGER',
    ignored: [lostCreateRace],
    surfaced: [{ condition: 'insufficient_privilege', hint: superuserHint }],
  },
  drop_event_trigger: {
    summary: 'DROP EVENT TRIGGER',
    ignored: [alreadyGone],
    surfaced: [held, { condition: 'insufficient_privilege', hint: superuserHint }],
  },
  terminate_sessions: {
    summary: 'pg_terminate_backend() for each session of a role',
    // Otherwise the statement would see only the sessions that were there when the plan was made.
    before: sql`PERFORM pg_stat_clear_snapshot();`,
    ignored: [roleDropped],
    surfaced: [
      {
        condition: 'insufficient_privilege',
        hint: 'This requires the privileges of the role, as GRANT {role} TO {caller} gives them, or membership in pg_signal_backend.',
      },
    ],
  },
  reassign_owned: {
    summary: 'REASSIGN OWNED: what a role owns in this database, and shared objects',
    ignored: [roleDropped],
    surfaced: [held, { condition: 'insufficient_privilege', hint: ownedHint }],
  },
  drop_owned: {
    summary: 'DROP OWNED: what a role owns in this database, and its privileges',
    ignored: [alreadyGone],
    surfaced: [
      held,
      { condition: 'insufficient_privilege', hint: ownedHint },
      {
        condition: 'dependent_objects_still_exist',
        hint: 'Objects of others depend on what would be dropped; DETAIL names them. Reassign the objects, or drop what depends on them first.',
      },
    ],
  },
  drop_role: {
    summary: 'DROP ROLE',
    // Any login can hold the weakest lock on a role for as long as it likes.
    before: sql`PERFORM rolecall_internal.note_holders(change.target);`,
    ignored: [
      alreadyGone,
      { conditions: ['dependent_objects_still_exist'], then: 'again', note: 'the role was given something meanwhile' },
    ],
    surfaced: [
      held,
      {
        condition: 'insufficient_privilege',
        hint: dropHint,
      },
      {
        condition: 'dependent_objects_still_exist',
        hint: 'rolecall.user_dependencies() lists what depends on the role in each database, with the statement that clears it there. The arguments reassign_to and drop_owned clear what is in this one, as far as the caller may. A statement after SET ROLE must be run by that role, or by a superuser.',
      },
      { condition: 'object_in_use', hint: 'Have another role make the call.' },
    ],
  },
} as const satisfies Readonly<Record<string, Operation>>;

export type OperationName = keyof typeof operations;

/** The operations of a reporting role that can fail for one object and still be made for the others. */
export const privileges = [
  'grant_privilege',
  'revoke_privilege',
  'default_privilege',
] as const satisfies readonly OperationName[];

/** The other operations of steps: changes of the extension's own tables, which no executor makes. */
export const recorded = ['rotate_secret', 'set_secret', 'forget'] as const;

/** The outcomes of a step. */
export const statuses = ['planned', 'applied', 'skipped'] as const;

/** A hint as a template for format() with the two names. */
export function hintFormat(hint: string): string {
  return hint.replaceAll('%', '%%').replaceAll('{role}', '%1$s').replaceAll('{caller}', '%2$s');
}
