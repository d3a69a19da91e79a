/** The examples of the public functions, which are those of docs/reference.md, and what they take for granted. */
import type { Client } from 'pg';
import { allSpecs } from '../support/once.ts';

export const all = await allSpecs();
/** The public functions. */
export const specs = all.filter(({ room }) => room === null);
const examplesOf = (name: string) => specs.find((spec) => spec.name === name)?.examples ?? [];

/** What most examples take for granted: what the examples of other functions have done, or statements. */
const usual = ['create_base_roles', 'create_user'];

/** What others do. */
const before: Readonly<Record<string, readonly string[]>> = {
  audit: ['provision_reporting_role'],
  audit_role: ['provision_reporting_role'],
  converge: ['create_base_roles', 'create_user', 'DROP ROLE alice'],
  create_base_roles: [],
  create_client_role: ['create_base_roles'],
  create_test_users: ['create_base_roles'],
  create_user: ['create_base_roles'],
  create_user_with_grants: ['create_base_roles'],
  drift: ['create_base_roles', 'create_user', 'DROP ROLE alice'],
  get_secret: ['set_secret'],
  grant_role: ['create_base_roles', 'CREATE ROLE alice'],
  orphans: [
    "CREATE ROLE gone_raw LOGIN; ALTER ROLE gone_raw SET default_transaction_read_only = 'on'",
    'ALTER ROLE gone_raw SET search_path = public',
  ],
  remove_operator: ['CREATE ROLE alice', "SELECT FROM rolecall.add_operator('alice')"],
  reporting_role_password: ['provision_reporting_role'],
  rotate_reporting_secret: ['provision_reporting_role'],
  unlock_user: [...usual, 'lock_user'],
  user_dependencies: ['CREATE ROLE alice', 'CREATE SCHEMA alice AUTHORIZATION alice'],
};

/** Does what the example of a function takes for granted. */
export async function prepareFor(client: Client, name: string): Promise<void> {
  for (const step of before[name] ?? usual) {
    for (const statement of /^\w+$/.test(step) ? examplesOf(step) : [step]) await client.query(statement);
  }
}
