/**
 * The conditions that the engine names, by PostgreSQL's own names. A name that is not in this table is a type
 * error, and an emitter turns the table into constants for the typed client.
 */
export const sqlstates = {
  feature_not_supported: '0A000',
  invalid_grant_operation: '0LP01',
  privilege_not_revoked: '01006',
  null_value_not_allowed: '22004',
  invalid_parameter_value: '22023',
  unique_violation: '23505',
  read_only_sql_transaction: '25006',
  dependent_objects_still_exist: '2BP01',
  undefined_database: '3D000',
  external_routine_invocation_exception: '38000',
  invalid_schema_name: '3F000',
  serialization_failure: '40001',
  deadlock_detected: '40P01',
  insufficient_privilege: '42501',
  invalid_name: '42602',
  undefined_column: '42703',
  undefined_function: '42883',
  undefined_object: '42704',
  duplicate_object: '42710',
  reserved_name: '42939',
  undefined_table: '42P01',
  duplicate_schema: '42P06',
  object_not_in_prerequisite_state: '55000',
  object_in_use: '55006',
  lock_not_available: '55P03',
  internal_error: 'XX000',
} as const;

export type Condition = keyof typeof sqlstates;

/**
 * The classes by which an executor catches the remaining errors of an operation. plpgsql matches a whole class by its
 * name, so no handler requires OTHERS. Cancellation (57) and rollback (40) are not caught: the caller has to deal
 * with them.
 */
export const errorClasses = {
  connection_exception: '08000',
  feature_not_supported: '0A000',
  invalid_grantor: '0L000',
  cardinality_violation: '21000',
  data_exception: '22000',
  integrity_constraint_violation: '23000',
  invalid_transaction_state: '25000',
  dependent_privilege_descriptors_still_exist: '2B000',
  invalid_catalog_name: '3D000',
  invalid_schema_name: '3F000',
  syntax_error_or_access_rule_violation: '42000',
  insufficient_resources: '53000',
  program_limit_exceeded: '54000',
  object_not_in_prerequisite_state: '55000',
  system_error: '58000',
  plpgsql_error: 'P0000',
  internal_error: 'XX000',
} as const;

/**
 * The classes that a public function catches and raises again: those above, and those that the caller has to deal with.
 */
export const surfacedClasses = [...Object.values(errorClasses), '40000', '57014'] as const;

/**
 * The classes that the event trigger turns into a WARNING: all classes of errors except operator_intervention (57).
 * Deadlocks and serialization failures (40) are included, so that the command goes on where the server allows it.
 */
export const watchedClasses = [
  ...Object.values(errorClasses),
  ...['03000', '09000', '0F000', '0P000', '20000', '24000', '26000', '27000', '28000', '2D000', '2F000'],
  ...['34000', '38000', '39000', '3B000', '40000', '44000', '72000', 'F0000', 'HV000'],
] as const;
