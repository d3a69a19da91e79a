/**
 * All commands, under the headings of the help.
 */
import type { Command } from '../command.ts';
import { generate } from './generate.ts';
import { installation } from './installation.ts';
import { keeping } from './keeping.ts';
import { policies } from './policies.ts';
import { reporting } from './reporting.ts';
import { users } from './users.ts';

export const commands: Readonly<Record<string, readonly Command[]>> = {
  'Roles and users': users,
  'Reporting roles': reporting,
  'State and access': keeping,
  Policies: policies,
  'Plain SQL': generate,
  Installation: installation,
};

/** The description of the first word of commands with two words. */
export const groups: Readonly<Record<string, string>> = {
  user: 'Add, remove, rename, lock and unlock users, and set their passwords',
  generate: 'Print plain SQL for a repository: base-roles, user, reporting, policy',
  reporting: 'Create and maintain roles that can only read',
};
