-- version: what is installed, whichever way.
BEGIN;
SELECT plan(1);

SELECT is(
  rolecall.version(),
  coalesce((SELECT extversion FROM pg_extension WHERE extname = 'rolecall'), rolecall.version()),
  'it is the version of the extension, where it is one'
);

SELECT * FROM finish();
ROLLBACK;
