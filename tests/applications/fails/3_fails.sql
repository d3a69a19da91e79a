-- Up Migration
SELECT * FROM rolecall.create_user_with_grants('m_bob', 'bob', ARRAY['m_staff']);
SELECT 1 / 0;
