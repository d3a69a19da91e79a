/**
 * Typed nodes for every kind of statement that the install script holds.
 */
export interface Argument {
  readonly name: string;
  readonly type: string;
  /** SQL text of the default, where there is one. */
  readonly default?: string;
}

export interface CreateFunction {
  readonly kind: 'function';
  readonly schema: string;
  readonly name: string;
  readonly arguments: readonly Argument[];
  readonly returns: string;
  readonly volatility: 'VOLATILE' | 'STABLE' | 'IMMUTABLE';
  readonly strict: boolean;
  readonly parallel: 'UNSAFE' | 'SAFE';
  readonly rows?: number;
  /** The settings of the function, line by line. */
  readonly settings: readonly Readonly<Record<string, string>>[];
  readonly body: string;
  readonly comment: string;
  /** Remarks for a reader of the file beside the comment; may be empty. */
  readonly remarks: string;
}

export interface CreateSchema {
  readonly kind: 'schema';
  readonly name: string;
  readonly comment: string;
}

export interface CreateType {
  readonly kind: 'type';
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly Column[];
  readonly comment: string;
}

export interface CreateTable {
  readonly kind: 'table';
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly Column[];
  readonly indexes: readonly { readonly on: string; readonly where?: string }[];
  /** Whether pg_dump includes the rows: those of the record, but never the secrets. */
  readonly dumped: boolean;
  readonly comment: string;
}

export interface CreateView {
  readonly kind: 'view';
  readonly schema: string;
  readonly name: string;
  readonly query: string;
  readonly columns: readonly Column[];
  readonly comment: string;
}

/**
 * Fires for each row that is inserted or updated, before it is, and in sessions with session_replication_role =
 * replica too.
 */
export interface CreateTrigger {
  readonly kind: 'trigger';
  readonly schema: string;
  /** The table. */
  readonly table: string;
  readonly name: string;
  /** The function, with its schema. */
  readonly calls: string;
  readonly comment: string;
}

export interface Column {
  readonly name: string;
  readonly type: string;
  readonly constraint?: string;
  readonly comment: string;
}

export type Node = CreateFunction | CreateSchema | CreateType | CreateTable | CreateView | CreateTrigger;
