/**
 * A policy: the whole access control of a database as one document. This type is the one source of its format: the
 * checks in SQL, the JSON Schema and the reference page are made of it (generator/model/policy-shape.ts).
 */

/**
 * The access control of a database, as rolecall.apply() takes it and rolecall.policy() and rolecall.inspect() give it
 */
export interface Policy {
  /** roles, by name */
  readonly roles?: Readonly<Record<string, Role>>;
  /** schemas, by name: created where they are missing */
  readonly schemas?: Readonly<Record<string, Schema>>;
  /** privileges that several schemas grant alike, by a name to call them by */
  readonly profiles?: Readonly<Record<string, Profile>>;
  /** privileges, one entry for each group of roles and objects */
  readonly privileges?: readonly Entry[];
  /** the roles that create_base_roles() creates, by what they are for */
  readonly base_roles?: BaseRoles;
  /** reporting roles, by name, as provision_reporting_role() creates them */
  readonly reporting?: Readonly<Record<string, Reporting>>;
}

/** One role. What is left out has its default: it cannot log in, and has no power */
export interface Role {
  /** absent: the role is removed; no other key but those of a removal can be beside it */
  readonly state?: 'absent';
  /** false: it keeps what it has beyond the policy, in every mode; left out: as the mode says */
  readonly exact?: false;
  /** for a role that is removed: the new owner of what it owns in this database */
  readonly reassign_to?: string;
  /** for a role that is removed: whether to drop what it owns in this database */
  readonly drop_owned?: boolean;
  /** for a role that is removed: whether to end its sessions */
  readonly terminate_sessions?: boolean;
  /** whether it can log in; default: false */
  readonly login?: boolean;
  /** whether it has the privileges of the roles that it is a member of; default: true */
  readonly inherit?: boolean;
  /** default: false */
  readonly createdb?: boolean;
  /** default: false */
  readonly createrole?: boolean;
  /** default: false */
  readonly replication?: boolean;
  /** whether row-level security does not apply to it; default: false */
  readonly bypassrls?: boolean;
  /** how many connections it can have; -1, the default: any number */
  readonly connection_limit?: integer;
  /** end of the validity of its password, as ISO 8601 has it, or infinity; default: none */
  readonly valid_until?: string;
  /** comment on the role; left out: as it is */
  readonly comment?: string;
  /** a SCRAM-SHA-256 verifier, for a role that is created; it is not remembered */
  readonly password?: string;
  /** the roles that it is a member of */
  readonly member_of?: readonly Membership[];
  /** settings of its sessions, in all databases */
  readonly settings?: Readonly<Record<string, Setting>>;
  /** settings of its sessions in this database alone */
  readonly database_settings?: Readonly<Record<string, Setting>>;
}

/** A role to be a member of: its name, or the name with options */
export type Membership =
  | string
  | {
      /** name of the role */
      readonly role: string;
      /** whether the member can grant it on; default: false */
      readonly admin?: boolean;
      /** whether its privileges are inherited: PostgreSQL 16 and newer; default: as the server has it */
      readonly inherit?: boolean;
      /** whether SET ROLE to it is allowed: PostgreSQL 16 and newer; default: as the server has it */
      readonly set?: boolean;
    };

/**
 * A value of a setting; a list is one of names, such as search_path has. A number, in quotes too, has the unit that
 * the server gives it: for statement_timeout milliseconds
 */
export type Setting = string | number | boolean | readonly string[];

/** One schema */
export interface Schema {
  /** who owns it; left out: as it is */
  readonly owner?: string;
  /**
   * the role, or roles, that have the privileges of a profile here, by the name of the profile; a role that is
   * missing is created
   */
  readonly profiles?: Readonly<Record<string, Names>>;
}

/** Privileges in one schema: on it, and on what is in it now and later */
export interface Profile {
  /** on the schema itself */
  readonly schema?: readonly Privilege[];
  /** on tables, views, materialized views and foreign tables */
  readonly tables?: readonly Privilege[];
  /** on sequences */
  readonly sequences?: readonly Privilege[];
  /** on functions and procedures */
  readonly functions?: readonly Privilege[];
  /** on types and domains */
  readonly types?: readonly Privilege[];
  /** owners of the later objects that are meant; left out: as in an entry of `privileges` */
  readonly owners?: Names;
}

/** Privileges of one or several roles on one or several objects */
export interface Entry {
  /** role, or roles; PUBLIC: everybody */
  readonly to: Names;
  /** what it is about */
  readonly on: On;
  /** what is granted */
  readonly grant?: readonly Privilege[];
  /** what is revoked, and kept so */
  readonly revoke?: readonly Privilege[];
  /** whether the roles can grant on what is granted; default: false */
  readonly with_grant_option?: boolean;
}

/**
 * Objects: one key, but for those that belong to another one. Names of tables, sequences, functions and types are
 * written as in SQL, with their schema; all others are plain names
 */
export interface On {
  /** databases */
  readonly database?: Names;
  /** schemas */
  readonly schema?: Names;
  /** tables, views, materialized views and foreign tables */
  readonly table?: Names;
  /** columns of the table, or tables, in `of` */
  readonly columns?: Names;
  /** the table, or tables, of the columns */
  readonly of?: Names;
  /** sequences */
  readonly sequence?: Names;
  /** functions, with the types of their arguments: inventory.total(integer) */
  readonly function?: Names;
  /** procedures, written as functions */
  readonly procedure?: Names;
  /** types */
  readonly type?: Names;
  /** domains */
  readonly domain?: Names;
  /** languages */
  readonly language?: Names;
  /** foreign-data wrappers */
  readonly foreign_data_wrapper?: Names;
  /** foreign servers */
  readonly foreign_server?: Names;
  /** tablespaces */
  readonly tablespace?: Names;
  /** large objects, by their oids */
  readonly large_object?: Numbers;
  /** configuration parameters: PostgreSQL 15 and newer */
  readonly parameter?: Names;
  /** all tables in these schemas, now and later */
  readonly tables_in?: Names;
  /** all sequences in these schemas, now and later */
  readonly sequences_in?: Names;
  /** all functions and procedures in these schemas, now and later */
  readonly functions_in?: Names;
  /** all types and domains in these schemas, now and later */
  readonly types_in?: Names;
  /** tables made later in these schemas; an empty list: in any */
  readonly future_tables?: Names;
  /** sequences made later in these schemas; an empty list: in any */
  readonly future_sequences?: Names;
  /** functions made later in these schemas; an empty list: in any */
  readonly future_functions?: Names;
  /** types made later in these schemas; an empty list: in any */
  readonly future_types?: Names;
  /** schemas made later: an empty list */
  readonly future_schemas?: Names;
  /** large objects made later: an empty list; PostgreSQL 18 and newer */
  readonly future_large_objects?: Names;
  /** what is left out: tables, columns, sequences, functions or types, written as in SQL with their schema */
  readonly except?: Names;
  /** owners of the later objects that are meant; left out: every role that owns one there now, and the caller */
  readonly owners?: Names;
}

/** One name, or several */
export type Names = string | readonly string[];

/** One oid, or several */
export type Numbers = integer | readonly integer[];

/** A whole number */
export type integer = number;

/** A privilege; ALL: every one that the kind of object has */
export type Privilege =
  | 'ALL'
  | 'SELECT'
  | 'INSERT'
  | 'UPDATE'
  | 'DELETE'
  | 'TRUNCATE'
  | 'REFERENCES'
  | 'TRIGGER'
  | 'MAINTAIN'
  | 'USAGE'
  | 'CREATE'
  | 'CONNECT'
  | 'TEMPORARY'
  | 'EXECUTE'
  | 'SET'
  | 'ALTER SYSTEM';

/** The base roles; one that is left out has the name that is remembered, else its usual one */
export interface BaseRoles {
  /** for unauthenticated access */
  readonly anonymous?: string;
  /** for authenticated access */
  readonly authenticated?: string;
  /** bypasses row-level security */
  readonly administrator?: string;
  /** what applications use by default */
  readonly default?: string;
}

/** One reporting role */
export interface Reporting {
  /** schemas that it reads */
  readonly schemas: readonly string[];
  /** tables withheld from it, written as in SQL, with or without the schema */
  readonly withheld?: readonly string[];
  /** roles whose future tables it reads; left out: every owner of tables there, and the role that asks */
  readonly owners?: readonly string[];
  /** schemas that its sessions look in; left out: its own, and those of the installed extensions */
  readonly search_path?: readonly string[];
  /** age at which the secret of this database is replaced, as an interval; left out: never by this document */
  readonly rotate_after?: string;
}
