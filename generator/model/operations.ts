/**
 * The error policy: for each kind of change, which conditions are ignored, retried or surfaced. The executors with
 * their EXCEPTION blocks, the reference page and the error tests are all rendered from this table.
 */
import { sql, type Sql } from '../sql/template.ts';
import type { Condition } from './sqlstates.ts';

export interface Ignored {
  readonly conditions: readonly Condition[];
  /** `skip` returns a step; `again` says nothing: the difference is looked for afresh. */
  readonly then: 'skip' | 'again';
  /** Why that is no error; also the note of the skipped step. */
  readonly note: string;
  /** Whether the client is told with a NOTICE. */
  readonly notice?: true;
}

export interface Operation {
  readonly summary: string;
  /** SQL to run before each attempt. */
  readonly before?: Sql;
  readonly ignored?: readonly Ignored[];
  /** Retried beside XX000 with one of the messages in `retriedMessages`, which every operation retries. */
  readonly retried?: readonly Condition[];
  /**
   * Surfaced with a hint of ours; everything else that is neither ignored nor retried is surfaced too. In a hint {role}
   * is the role that the change takes rights on, and {caller} who makes the call.
   */
  readonly surfaced?: readonly { readonly condition: Condition; readonly hint: string }[];
}

/**
 * The server's messages for a lost race, as patterns of LIKE; it does not translate them, and has no code for them. The
 * third is what DROP ROLE says from 16 on of a role that another transaction has dropped, the last one what GRANT and
 * REVOKE say of a table that is dropped between their finding it and their changing it.
 */
export const retriedMessages = [
  'tuple concurrently updated',
  'tuple concurrently deleted',
  'could not find tuple for role %',
  'cache lookup failed for relation %',
] as const;

export const madeByAnother = 'another transaction made it at the same moment';
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

const alterHint =
  'On PostgreSQL 16 and newer this takes CREATEROLE and ADMIN OPTION on the role, as GRANT {role} TO {caller} WITH ADMIN OPTION gives it; before, CREATEROLE. SUPERUSER, REPLICATION and BYPASSRLS can be given by a superuser, and from 16 by a role that has the attribute itself.';
const grantHint =
  'On PostgreSQL 16 and newer this takes ADMIN OPTION on the granted role: have a superuser, or a role that has it, run GRANT {role} TO {caller} WITH ADMIN OPTION. Before, CREATEROLE is enough.';
const revokeHint =
  'On PostgreSQL 16 and newer this takes ADMIN OPTION on the role, as GRANT {role} TO {caller} WITH ADMIN OPTION gives it, and the privileges of the grantor whom the statement names: else have that role, or a superuser, run it. Before, CREATEROLE is enough.';
const ownedHint =
  'This takes the privileges of the role, and REASSIGN OWNED those of the new owner too. On PostgreSQL 16 and newer have a superuser, or a role that has ADMIN OPTION, run GRANT {role} TO {caller} WITH INHERIT TRUE; before, GRANT {role} TO {caller} takes CREATEROLE.';
const ownerHint = 'Ask the owner of the object, or a superuser, to run the statement.';
const superuserHint = 'Event triggers are made and dropped by superusers alone.';
export const operations = {
  create_role: {
    summary: 'CREATE ROLE',
    ignored: [lostCreateRace],
    surfaced: [
      {
        condition: 'insufficient_privilege',
        hint: 'This takes CREATEROLE. BYPASSRLS can be given by a superuser, and on PostgreSQL 16 and newer by a role that has BYPASSRLS itself.',
      },
    ],
  },
  alter_role: {
    summary: 'ALTER ROLE with the attributes that differ',
    retried: ['unique_violation'],
    surfaced: [{ condition: 'insufficient_privilege', hint: alterHint }],
  },
  set_password: {
    summary: 'ALTER ROLE ... PASSWORD with a verifier',
    retried: ['unique_violation'],
    surfaced: [{ condition: 'insufficient_privilege', hint: alterHint }],
  },
  set_config: {
    summary: 'ALTER ROLE ... SET',
    retried: ['unique_violation'],
    surfaced: [{ condition: 'insufficient_privilege', hint: alterHint }],
  },
  grant_role: {
    summary: 'GRANT of a role to a role',
    // GRANT does not lock the member, and would leave a membership of nobody behind if it were dropped meanwhile. Its
    // address is given with a lock that lasts, also to who may not comment on it.
    before: sql`
      IF to_regrole(quote_ident(change.target)) IS NOT NULL THEN
        PERFORM pg_get_object_address('role', ARRAY[change.target], '{}');
      END IF;
    `,
    ignored: [
      { conditions: ['unique_violation'], then: 'skip', note: 'another transaction granted it at the same moment' },
      { conditions: ['undefined_object'], then: 'skip', note: 'one of the two roles does not exist', notice: true },
    ],
    surfaced: [
      { condition: 'insufficient_privilege', hint: grantHint },
      {
        condition: 'invalid_grant_operation',
        hint: 'A role cannot be a member of itself, directly or through others.',
      },
    ],
  },
  revoke_role: {
    summary: 'REVOKE of a role from a role, one grantor at a time',
    ignored: [alreadyGone],
    surfaced: [
      { condition: 'insufficient_privilege', hint: revokeHint },
      {
        condition: 'dependent_objects_still_exist',
        hint: 'The member granted the role on. Revoke those memberships first; DETAIL names them.',
      },
    ],
  },
  create_schema: {
    summary: 'CREATE SCHEMA',
    ignored: [{ ...lostCreateRace, conditions: ['duplicate_schema', 'unique_violation'] }],
    surfaced: [{ condition: 'insufficient_privilege', hint: 'This takes CREATE on the database.' }],
  },
  grant_privilege: {
    summary: 'GRANT of privileges on objects',
    ignored: [objectDropped],
    retried: ['unique_violation'],
    surfaced: [{ condition: 'insufficient_privilege', hint: ownerHint }],
  },
  revoke_privilege: {
    summary: 'REVOKE of privileges on objects',
    ignored: [objectDropped],
    retried: ['unique_violation'],
    surfaced: [{ condition: 'insufficient_privilege', hint: ownerHint }],
  },
  default_privilege: {
    summary: 'ALTER DEFAULT PRIVILEGES',
    ignored: [objectDropped],
    retried: ['unique_violation'],
    surfaced: [
      {
        condition: 'insufficient_privilege',
        hint: 'This takes membership in the role that will own the objects; a superuser needs none.',
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
    surfaced: [{ condition: 'insufficient_privilege', hint: superuserHint }],
  },
  terminate_sessions: {
    summary: 'pg_terminate_backend() for each session of a role',
    // Otherwise the sessions would be those that the plan has seen.
    before: sql`PERFORM pg_stat_clear_snapshot();`,
    ignored: [roleDropped],
    surfaced: [
      {
        condition: 'insufficient_privilege',
        hint: 'This takes the privileges of the role, or membership in pg_signal_backend: GRANT {role} TO {caller}, or GRANT pg_signal_backend TO {caller}; the sessions of a superuser take a superuser.',
      },
    ],
  },
  reassign_owned: {
    summary: 'REASSIGN OWNED: what a role owns in this database, and shared objects',
    ignored: [roleDropped],
    surfaced: [{ condition: 'insufficient_privilege', hint: ownedHint }],
  },
  drop_owned: {
    summary: 'DROP OWNED: what a role owns in this database, and its privileges',
    ignored: [alreadyGone],
    surfaced: [
      { condition: 'insufficient_privilege', hint: ownedHint },
      {
        condition: 'dependent_objects_still_exist',
        hint: 'What others made depends on what would be dropped; DETAIL names it. Reassign the objects, or drop what depends on them first.',
      },
    ],
  },
  drop_role: {
    summary: 'DROP ROLE',
    ignored: [alreadyGone],
    surfaced: [
      {
        condition: 'insufficient_privilege',
        hint: 'On PostgreSQL 16 and newer this takes CREATEROLE and ADMIN OPTION on the role, as GRANT {role} TO {caller} WITH ADMIN OPTION gives it; before, CREATEROLE. A superuser is dropped by a superuser.',
      },
      {
        condition: 'dependent_objects_still_exist',
        hint: 'rolecall.user_dependencies() lists what depends on the role in each database, with the statement that clears it there. What is in this one, the arguments reassign_to and drop_owned clear.',
      },
      { condition: 'object_in_use', hint: 'Have another role make the call.' },
    ],
  },
} as const satisfies Readonly<Record<string, Operation>>;

export type OperationName = keyof typeof operations;

/** Changes of which one that fails does not keep a reporting role from the others. */
export const privileges = [
  'grant_privilege',
  'revoke_privilege',
  'default_privilege',
] as const satisfies readonly OperationName[];

/** What else a step can be: a change of the extension's own tables, which no executor makes. */
export const recorded = ['rotate_secret', 'set_secret', 'forget'] as const;

/** What can have become of a step. */
export const statuses = ['planned', 'applied', 'skipped'] as const;

/** A hint as a format of the two names that it can hold. */
export function hintFormat(hint: string): string {
  return hint.replaceAll('%', '%%').replaceAll('{role}', '%1$s').replaceAll('{caller}', '%2$s');
}
