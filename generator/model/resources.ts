/**
 * The desired state: one jsonb document with a list of resources per section. Public functions build it with
 * `desired()`, which checks its shape here and prints it as SQL; `plan` reads it.
 */
import { literal, wrapped } from '../sql/quote.ts';
import { raw, Sql, text } from '../sql/template.ts';

type Value<T> = T | Sql | null;

export interface Attributes {
  readonly superuser?: boolean;
  readonly createdb?: boolean;
  readonly createrole?: boolean;
  readonly inherit?: boolean;
  readonly login?: boolean;
  readonly replication?: boolean;
  readonly bypassrls?: boolean;
  /** -1: none. */
  readonly connection_limit?: number;
  /** In UTC, as to_char() writes it with `validUntil`; or infinity. */
  readonly valid_until?: string;
}

/** What a role is where a policy does not say otherwise. */
export const usualAttributes = {
  createdb: false,
  createrole: false,
  inherit: true,
  login: false,
  replication: false,
  bypassrls: false,
  connection_limit: -1,
  valid_until: 'infinity',
} as const satisfies Attributes;

/** Fields that would be ignored: an object that has one of them does not type-check. */
type Ignored<Fields extends string> = { readonly [Field in Fields]?: never };

/** A role that is to exist: it is created where it is missing. */
interface PresentRole extends Ignored<'reassign_to' | 'drop_owned' | 'terminate_sessions'> {
  readonly name: Value<string>;
  readonly state?: never;
  /** Always as given. */
  readonly attributes?: Attributes;
  /** Set when the role is created; an existing role keeps its own. */
  readonly initial?: Attributes;
  /** Set when the role is created: plain text or a verifier. */
  readonly password?: Value<string>;
  /** The attributes that a policy names. All others have their default. */
  readonly says?: readonly string[];
  /** The note of the step that creates it. */
  readonly note?: Value<string>;
  /** Whether to refuse a superuser and the role that makes the call. */
  readonly protected?: true;
}

/** A role that must exist already; otherwise the error is 42704. */
interface ExistingRole {
  readonly name: Value<string>;
  readonly state: 'existing';
  readonly attributes?: Attributes;
  /** What is recorded about the role as it was first, where nothing is yet. */
  readonly initial?: Attributes;
  readonly protected?: true;
}

interface AbsentRole {
  readonly name: Value<string>;
  readonly state: 'absent';
  /** The new owner of what the role owns in this database. */
  readonly reassign_to?: Value<string>;
  /** Whether to drop what the role owns in this database. */
  readonly drop_owned?: Value<boolean>;
  /** Whether to end its sessions first. */
  readonly terminate_sessions?: Value<boolean>;
}

export type Role = PresentRole | ExistingRole | AbsentRole;

interface PresentMembership extends Ignored<'every'> {
  readonly role: Value<string>;
  readonly member: Value<string>;
  readonly state?: never;
  /** An option that is left out, or null, stays as it is. */
  readonly admin?: Value<boolean>;
  readonly inherit?: Value<boolean>;
  readonly set?: Value<boolean>;
}

interface AbsentMembership {
  readonly role: Value<string>;
  readonly member: Value<string>;
  readonly state: 'absent';
}

/** The member is to be a member of no role. */
interface NoMembership {
  readonly every: true;
  readonly member: Value<string>;
  readonly state: 'absent';
}

export type Membership = PresentMembership | AbsentMembership | NoMembership;

/** One privilege of one role; without a role, of PUBLIC. */
export interface Privilege {
  readonly role?: Value<string>;
  readonly privilege: string;
  readonly target: {
    readonly kind: string;
    /** Whether the target is one object, all objects of a schema, or those created there later. */
    readonly means: 'one' | 'all' | 'future';
    readonly object?: Value<string>;
    readonly column?: Value<string>;
    readonly scope?: { readonly except?: readonly string[]; readonly owners?: readonly string[] };
  };
  readonly grantable?: true;
  /** The privilege is to be revoked. */
  readonly revoked?: true;
  /** For future objects without owners: the role that asked, which counts as one of them. */
  readonly caller?: Value<string>;
  readonly state?: 'absent';
}

export interface DesiredState {
  /** The role that is the anonymous, the authenticated, ... one in this database. */
  readonly base_roles?: readonly { readonly key: string; readonly name: Sql }[];
  readonly roles?: readonly Role[];
  readonly passwords?: readonly {
    readonly role: Value<string>;
    readonly password: Value<string>;
    readonly valid_until?: Value<string>;
    /**
     * Where the caller cannot read the stored verifier: whether to set the password (the default) or to trust the
     * record.
     */
    readonly realign?: Value<boolean>;
    /** Whether it is the first that a provisioning run of this database sets for a role of that name. */
    readonly first?: Value<boolean>;
  }[];
  readonly memberships?: readonly Membership[] | Sql;
  readonly settings?: readonly {
    readonly role: Value<string>;
    readonly name: string;
    readonly value: Value<string>;
    /** In this database alone. */
    readonly here?: true;
    /** Settings for other databases that override it are left. */
    readonly alone?: true;
    readonly state?: 'absent';
  }[];
  readonly comments?: readonly { readonly role: Value<string>; readonly comment: Value<string> }[];
  /** Roles that a policy describes. */
  readonly declared?: readonly {
    readonly role: Value<string>;
    /** Whether a policy has created it. */
    readonly made?: true;
    /** Whether it is to have nothing but what the document says. */
    readonly exact?: boolean;
  }[];
  /** Roles whose mark for other databases is to be removed. */
  readonly marks?: readonly { readonly role: Value<string> }[];
  readonly schemas?: readonly { readonly name: Value<string>; readonly owner?: Value<string> }[];
  readonly privileges?: readonly Privilege[];
  readonly read_access?: readonly {
    readonly role: Value<string>;
    readonly schemas: Value<readonly string[]>;
    readonly withheld: Value<readonly string[]>;
    readonly owners: Value<readonly string[]>;
    /** Where owners is null: the role that asked, which counts as one of them. */
    readonly caller: Value<string>;
    /** Null: the schemas, and those of the installed extensions. */
    readonly search_path: Value<readonly string[]>;
    /**
     * Whether new tables are watched. The tables of an owner who is new are then readable without default privileges.
     */
    readonly watched?: Sql;
  }[];
  /** Whether reporting roles get their privileges on a table as soon as anyone creates it; at most one resource. */
  readonly watch?: readonly { readonly key: 'new_tables'; readonly state: Sql }[];
  /** The roles whose sessions are to end, where state is absent. */
  readonly sessions?: readonly { readonly role: Value<string>; readonly state: Sql }[];
  /** The roles that may call every function of the extension. */
  readonly operators?: readonly { readonly role: Value<string>; readonly state?: 'absent' }[];
}

/** The mask in place of a password in a document, and wherever a statement is shown. */
export const mask = text('********');

/** SQL text of the document; parts that hold no expression become one jsonb literal. */
export function desired(state: DesiredState): Sql {
  return raw(print(state, ''));
}

/** The attributes of a role, for a document that a function of the engine builds. */
export function attributes(value: Attributes): Sql {
  return raw(print(value, ''));
}

function print(value: unknown, margin: string): string {
  if (value instanceof Sql) return value.text;
  if (!holdsSql(value)) return `${wrapped(json(value), 100 - margin.length).replaceAll('\n', `\n${margin}  `)}::jsonb`;
  const inner = `${margin}  `;
  const parts = Array.isArray(value)
    ? value.map((one) => print(one, inner))
    : Object.entries(value as object)
        .filter(([, one]) => one !== undefined)
        .map(([key, one]) => `${literal(key)}, ${scalar(one, inner)}`);
  const build = Array.isArray(value) ? 'jsonb_build_array' : 'jsonb_build_object';
  const flat = `${build}(${parts.join(', ')})`;
  if (!flat.includes('\n') && flat.length + margin.length < 100) return flat;
  return `${build}(\n${parts.map((part) => `${inner}${part}`).join(',\n')}\n${margin})`;
}

/** JSON.stringify() with blanks, so that a line can be broken there. */
function json(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(json).join(', ')}]`;
  return `{${Object.entries(value)
    .map(([key, one]) => `${JSON.stringify(key)}:${json(one)}`)
    .join(', ')}}`;
}

function scalar(value: unknown, margin: string): string {
  return typeof value === 'object' ? print(value, margin) : literal(value as string | boolean | number);
}

function holdsSql(value: unknown): boolean {
  if (value instanceof Sql) return true;
  return typeof value === 'object' && value !== null && Object.values(value).some(holdsSql);
}
