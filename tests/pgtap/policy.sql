-- policy: see inspect.sql, which compares the two. Here is what it says of nothing.
BEGIN;
SELECT plan(2);

SELECT is(rolecall.policy(), '{}'::jsonb, 'where nothing was established the policy is empty');
CREATE ROLE t_nobody;
SET LOCAL ROLE t_nobody;
SELECT throws_ok('SELECT rolecall.policy()', '42501', NULL, 'who may not read what is recorded does not see it');

SELECT * FROM finish();
ROLLBACK;
