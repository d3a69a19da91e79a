-- version: what is installed, whichever way.
BEGIN;
SELECT plan(6);

SELECT is(pg_get_function_arguments('rolecall.version'::regproc), '', 'it has no arguments');
SELECT is(pg_get_function_result('rolecall.version'::regproc), 'text', 'what it returns');
SELECT matches(obj_description('rolecall.version'::regproc, 'pg_proc'), '^Returns the version of what is installed', 'its comment');
SELECT function_privs_are('rolecall', 'version', ARRAY[]::text[], 'public', ARRAY[]::text[], 'it is not for PUBLIC');
SELECT volatility_is('rolecall', 'version', 'stable', 'it changes with an update alone');
SELECT is(
  rolecall.version(),
  coalesce((SELECT extversion FROM pg_extension WHERE extname = 'rolecall'), rolecall.version()),
  'it is the version of the extension, where it is one'
);

SELECT * FROM finish();
ROLLBACK;
