/**
 * tests/pgtap/generated/signatures.sql: the list of public functions, and for each that the catalog has the
 * signature, the comment and the properties of its spec, and that only its owner may call it until it is granted.
 */
import type { FunctionSpec } from '../model/inspect.ts';
import { identifier, literal } from '../sql/quote.ts';
import { generatedHeader } from './header.ts';

export function signatureTests(specs: readonly FunctionSpec[]): string {
  const functions = specs.filter(({ room }) => room === null);
  const names = functions.map(({ name }) => literal(name)).join(', ');
  return `${generatedHeader('--')}

BEGIN;
SELECT plan(${1 + 5 * functions.length});

SELECT functions_are('rolecall', ARRAY[${names}]);

${functions.map(testsOf).join('\n\n')}

SELECT * FROM finish();
ROLLBACK;
`;
}

function testsOf(spec: FunctionSpec): string {
  const { name, volatility, summary } = spec;
  const types = spec.arguments.map(({ type }) => type);
  const procedure = `${literal(`rolecall.${identifier(name)}(${types.join(', ')})`)}::regprocedure`;
  const array = `ARRAY[${types.map(literal).join(', ')}]::text[]`;
  return `SELECT is(
  pg_get_function_arguments(${procedure}),
  ${literal(spec.arguments.map(described).join(', '))},
  ${literal(`${name}: its arguments`)}
);
SELECT is(
  -- Which words the server quotes depends on its version.
  replace(pg_get_function_result(${procedure}), '"', ''),
  ${literal(onOneLine(spec.returns).replaceAll('"', ''))}, ${literal(`${name}: what it returns`)}
);
SELECT is(
  (SELECT p.provolatile::text FROM pg_proc AS p WHERE p.oid = ${procedure}),
  ${literal(volatility.charAt(0).toLowerCase())}, ${literal(`${name}: it is ${volatility}`)}
);
SELECT is(obj_description(${procedure}, 'pg_proc'), ${literal(summary)}, ${literal(`${name}: its comment`)});
SELECT function_privs_are('rolecall', ${literal(name)}, ${array}, 'public', ARRAY[]::text[], ${literal(`${name}: it is not for PUBLIC`)});`;
}

/**
 * An argument as the server displays it: the long name of the type, and a cast after a default that is a string or
 * NULL.
 */
function described({ name, type, default: value }: FunctionSpec['arguments'][number]): string {
  const long = type.replace('timestamptz', 'timestamp with time zone');
  if (value === undefined) return `${identifier(name)} ${long}`;
  return `${identifier(name)} ${long} DEFAULT ${value}${/^(NULL|'.*')$/s.test(value) ? `::${long}` : ''}`;
}

const onOneLine = (returns: string): string =>
  returns
    // The server displays this one without quotes.
    .replaceAll('"role"', 'role')
    .replace(/\(\s+/, '(')
    .replace(/\s+\)/, ')')
    .replace(/,\s+/g, ', ')
    .replace(/TABLE /, 'TABLE');
