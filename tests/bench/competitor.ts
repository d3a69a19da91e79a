/** The statements that `@pgpmjs/core` generates for the same things. */
import { createRequire } from 'node:module';

interface Generators {
  generateCreateBaseRolesSQL(roles: Record<string, string>): string;
  generateCreateUserSQL(username: string, password: string, roles: Record<string, string>): string;
}

export interface Competitor {
  name: string;
  createBaseRoles(prefix?: string): string;
  createUser(username: string, password: string, prefix?: string): string;
}

const require = createRequire(import.meta.url);
const core = require('@pgpmjs/core') as Generators;
const { version } = require('@pgpmjs/core/package.json') as { version: string };

const names = (prefix: string) =>
  Object.fromEntries(['anonymous', 'authenticated', 'administrator'].map((name) => [name, prefix + name]));

export const competitor: Competitor = {
  name: `@pgpmjs/core ${version}`,
  createBaseRoles: (prefix = '') => core.generateCreateBaseRolesSQL(names(prefix)),
  createUser: (username, password, prefix = '') => core.generateCreateUserSQL(username, password, names(prefix)),
};
