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

/** A role that is there: made where it is missing. */
interface PresentRole extends Ignored<'reassign_to' | 'drop_owned' | 'terminate_sessions'> {
  readonly name: Value<string>;
  readonly state?: never;
  /** Always as given. */
  readonly attributes?: Attributes;
  /** As given when the role is made; an existing role keeps its own. */
  readonly initial?: Attributes;
  /** When the role is made: plain or a verifier. */
  readonly password?: Value<string>;
  /** The attributes that a policy names: it says of all others too what they are. */
  readonly says?: readonly string[];
  /** What to say where it has to be made. */
  readonly note?: Value<string>;
  /** Refuse a superuser, and the role that makes the call. */
  readonly protected?: true;
}

/** A role that must be there already: 42704 where it is missing. */
interface ExistingRole {
  readonly name: Value<string>;
  readonly state: 'existing';
  readonly attributes?: Attributes;
  /** What it is recorded to have been, where nothing is yet. */
  readonly initial?: Attributes;
  readonly protected?: true;
}

interface AbsentRole {
  readonly name: Value<string>;
  readonly state: 'absent';
  /** Who is to own what the role owns here, if anybody. */
  readonly reassign_to?: Value<string>;
  /** Drop what the role owns here. */
  readonly drop_owned?: Value<boolean>;
  /** End its sessions first. */
  readonly terminate_sessions?: Value<boolean>;
}

export type Role = PresentRole | ExistingRole | AbsentRole;

interface PresentMembership extends Ignored<'every'> {
  readonly role: Value<string>;
  readonly member: Value<string>;
  readonly state?: never;
  /** An option that is left out, or null, is not asked for. */
  readonly admin?: Value<boolean>;
  readonly inherit?: Value<boolean>;
  readonly set?: Value<boolean>;
}

interface AbsentMembership {
  readonly role: Value<string>;
  readonly member: Value<string>;
  readonly state: 'absent';
}

/** The member is in no role. */
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
    /** Whether the object is one, or the schema whose objects are meant: all of them, or those made later. */
    readonly means: 'one' | 'all' | 'future';
    readonly object?: Value<string>;
    readonly column?: Value<string>;
    readonly scope?: { readonly except?: readonly string[]; readonly owners?: readonly string[] };
  };
  readonly grantable?: true;
  /** It is not to be there. */
  readonly revoked?: true;
  /** Of future objects without owners: who asked, and is one of them. */
  readonly caller?: Value<string>;
  readonly state?: 'absent';
}

export interface DesiredState {
  /** Which role is the anonymous, the authenticated, ... one in this database. */
  readonly base_roles?: readonly { readonly key: string; readonly name: Sql }[];
  readonly roles?: readonly Role[];
  readonly passwords?: readonly {
    readonly role: Value<string>;
    readonly password: Value<string>;
    readonly valid_until?: Value<string>;
    /** Where the stored verifier cannot be read: set it (true, also when left out) or trust the record. */
    readonly realign?: Value<boolean>;
    /** It is the first that a provisioning run of this database sets for a role of that name. */
    readonly first?: Value<boolean>;
  }[];
  readonly memberships?: readonly Membership[] | Sql;
  readonly settings?: readonly {
    readonly role: Value<string>;
    readonly name: string;
    readonly value: Value<string>;
    /** In this database alone. */
    readonly here?: true;
    /** What other databases have in its place is left. */
    readonly alone?: true;
    readonly state?: 'absent';
  }[];
  readonly comments?: readonly { readonly role: Value<string>; readonly comment: Value<string> }[];
  /** Roles that a policy describes. */
  readonly declared?: readonly {
    readonly role: Value<string>;
    /** A policy has created it. */
    readonly made?: true;
    /** It has nothing but what the document says. */
    readonly exact?: boolean;
  }[];
  /** Roles whose mark for other databases is to go. */
  readonly marks?: readonly { readonly role: Value<string> }[];
  readonly schemas?: readonly { readonly name: Value<string>; readonly owner?: Value<string> }[];
  readonly privileges?: readonly Privilege[];
  readonly read_access?: readonly {
    readonly role: Value<string>;
    readonly schemas: Value<readonly string[]>;
    readonly withheld: Value<readonly string[]>;
    readonly owners: Value<readonly string[]>;
    /** Where owners is null: who asked, and is one of them. */
    readonly caller: Value<string>;
    /** Null: the schemas, and those of the installed extensions. */
    readonly search_path: Value<readonly string[]>;
    /** True: what owners make that come new is readable without default privileges of theirs. */
    readonly watched?: Sql;
  }[];
  /** Whether reporting roles get their privileges on a table as soon as anyone makes it: at most one resource. */
  readonly watch?: readonly { readonly key: 'new_tables'; readonly state: Sql }[];
  /** Whose sessions are to end, where state is absent. */
  readonly sessions?: readonly { readonly role: Value<string>; readonly state: Sql }[];
  /** Who may call every function of the extension. */
  readonly operators?: readonly { readonly role: Value<string>; readonly state?: 'absent' }[];
}

/** What stands for a password wherever a statement is shown, and in a document. */
export const mask = text('********');

/** SQL text of the document; parts that hold no expression become one jsonb literal. */
export function desired(state: DesiredState): Sql {
  return raw(print(state, ''));
}

/** The attributes of a role, for a document that a function of the engine makes. */
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

/** As JSON.stringify(), with blanks that a line can be broken at. */
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
