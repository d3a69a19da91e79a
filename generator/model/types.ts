/**
 * The SQL types that a function spec may name, and what a spec's body is.
 *
 * A spec is a TypeScript function: its parameters are the SQL arguments, their initialisers the SQL defaults, its
 * JSDoc the documentation, its return type the SQL return type, and what it returns is the body. The generator
 * reads the signature with ts-morph and calls the function with references to the arguments to get the body.
 */
import type { Sql } from '../sql/template.ts';

export type Text = Sql | string;
export type Texts = Sql | readonly string[];
export type Bool = Sql | boolean;
export type Integer = Sql | number;
export type Oid = Sql;
export type Oids = Sql;
export type Bytea = Sql;
export type VarBit = Sql;
export type Integers = Sql;
export type Jsonb = Sql;
export type Interval = Sql | string;
export type TimestampTz = Sql | string;
export type Change = Sql;
export type Changes = Sql;
export type Principals = Sql;
export type Places = Sql;
export type TableGroups = Sql;
export type WantedPrivileges = Sql;
export type AclGroups = Sql;
export type Differences = Sql;
export type BigInteger = Sql;
export type Char = Sql;
export type AclItems = Sql;
export type Step = Sql;
export type Steps = Sql;
export type Withheld = Sql;
export type Records = Sql;
export type Recorded = Sql;

/** Row types of the extension. */
export interface StepRow {
  readonly row: 'rolecall.step';
}
export interface ChangeRow {
  readonly row: 'rolecall_internal.change';
}

export interface PrincipalRow {
  readonly row: 'rolecall_internal.principal';
}
export interface FindingRow {
  readonly row: 'rolecall_internal.finding';
}

/** What a spec returns: its body, with the SQL return type carried by the annotation alone. */
export type Body = Sql;
export type Returns<T> = Body & { readonly returns?: T };
export type SetOf<T> = Body & { readonly setOf?: T };
export type Table<Columns extends object> = Body & { readonly table?: Columns };
export type Nothing = Body & { readonly nothing?: true };
export type Trigger = Body & { readonly trigger?: true };
export type EventTrigger = Body & { readonly eventTrigger?: true };

/** SQL spelling of each type name above; the inspector refuses a spec that uses another one. */
export const sqlTypes: Readonly<Record<string, string>> = {
  Text: 'text',
  Texts: 'text[]',
  Bool: 'boolean',
  Integer: 'integer',
  Oid: 'oid',
  Oids: 'oid[]',
  Bytea: 'bytea',
  VarBit: 'bit varying',
  Integers: 'integer[]',
  Jsonb: 'jsonb',
  Interval: 'interval',
  TimestampTz: 'timestamptz',
  Change: 'rolecall_internal.change',
  Changes: 'rolecall_internal.change[]',
  Step: 'rolecall.step',
  Steps: 'rolecall.step[]',
  Withheld: 'rolecall_internal.withheld[]',
  Records: 'rolecall_internal.resource[]',
  Recorded: 'rolecall_internal.resource',
  StepRow: 'rolecall.step',
  ChangeRow: 'rolecall_internal.change',
  Principals: 'rolecall_internal.principal[]',
  Places: 'rolecall_internal.place[]',
  TableGroups: 'rolecall_internal.table_group[]',
  BigInteger: 'bigint',
  Char: '"char"',
  AclItems: 'aclitem[]',
  WantedPrivileges: 'rolecall_internal.wanted_privilege[]',
  AclGroups: 'rolecall_internal.acl_group[]',
  Differences: 'rolecall_internal.difference[]',
  PrincipalRow: 'rolecall_internal.principal',
  FindingRow: 'rolecall_internal.finding',
};
