/**
 * Checks of the function specs: the documentation of a public function is complete, and describes only what exists.
 */
import type { FunctionSpec } from '../model/inspect.ts';
import { sqlstates } from '../model/sqlstates.ts';
import { parseSql } from './parse.ts';
import type { Problem } from './problem.ts';

const publicFolder = 'generator/functions/';

/** The most lines that a body may have: more do not fit on a screen. */
const bodyLength = 80;

/** `loadModule()` of libpg-query must have been awaited. */
export function specProblems(spec: FunctionSpec): Problem[] {
  const messages = spec.errors
    .filter(({ name }) => !(name in sqlstates))
    .map(({ name }) => `@throws ${name || '(no condition)'} is not in model/sqlstates.ts`);
  if (spec.summary === '') messages.push('no description');
  messages.push(...lengthMessages(spec));
  if (spec.room === null) messages.push(...publicMessages(spec));
  return messages.map((message) => ({ file: spec.file, line: spec.line, message: `${spec.name}: ${message}` }));
}

function lengthMessages({ body, long }: FunctionSpec): string[] {
  const lines = body.split('\n').length;
  if (long === undefined) {
    return lines <= bodyLength
      ? []
      : [`the body has ${lines} lines, more than ${bodyLength}: split it, or say in @long why it is in one piece`];
  }
  if (lines <= bodyLength) return [`the body has ${lines} lines, not more than ${bodyLength}: remove @long`];
  return long === '' ? ['@long without a reason'] : [];
}

function publicMessages(spec: FunctionSpec): string[] {
  const messages = spec.arguments.filter(({ text }) => text === '').map(({ name }) => `no @param text for ${name}`);
  for (const { name, text, nullable } of spec.arguments) {
    if (/\bnull( or |:)/.test(text) !== (nullable ?? false))
      messages.push(`${name}: its type and its @param text disagree on whether it can be null`);
  }
  if (/^(?!SETOF|TABLE)/.test(spec.returns) && /\bnull\b/.test(spec.result) !== (spec.nullable ?? false))
    messages.push('its return type and its @returns text disagree on whether it can be null');
  const file = `${publicFolder}${spec.name}.ts`;
  if (spec.file !== file) messages.push(`a public function belongs in ${file}`);
  if (spec.result === '' && spec.returns !== 'void') messages.push('no @returns text');
  if (spec.group === undefined) messages.push('no @group, which says in which table of README.md it is');
  if (spec.examples.length === 0) messages.push('no @example');
  for (const example of spec.examples) {
    try {
      parseSql(example);
    } catch (error) {
      messages.push(`@example: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return messages;
}
