-- generate_password: random, and safe to write anywhere.
BEGIN;
SELECT plan(4);

CREATE TEMPORARY TABLE made AS SELECT rolecall.generate_password() AS password FROM generate_series(1, 2000);
SELECT is((SELECT count(*) FROM made WHERE password COLLATE "C" ~ '^[A-Za-z0-9]{24}$'), 2000::bigint, '24 letters and digits');
SELECT is((SELECT count(DISTINCT password) FROM made), 2000::bigint, 'no two alike');
-- 48,000 symbols, 774 of each of 62 on average. The standard deviation is 27.6, and ten times that is not an accident.
CREATE TEMPORARY TABLE used AS
SELECT symbol, count(*) AS times FROM made, regexp_split_to_table(password, '') AS symbol GROUP BY symbol;
SELECT is((SELECT count(*) FROM used), 62::bigint, 'every symbol is used');
SELECT is_empty('SELECT * FROM used WHERE times NOT BETWEEN 498 AND 1050', 'about equally often');

SELECT * FROM finish();
ROLLBACK;
