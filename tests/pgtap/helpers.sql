-- What the pgTAP files have in common. The runner and "make installcheck" load it into the database once, before them.
CREATE SCHEMA test;
GRANT USAGE ON SCHEMA test TO PUBLIC;

-- What calls change: roles, memberships, settings, comments, schemas, tables and privileges, and what is remembered.
CREATE FUNCTION test.state() RETURNS text LANGUAGE sql AS $$
  SELECT md5(string_agg(s.entry, ',' ORDER BY s.entry))
  FROM (
    SELECT a::text FROM pg_authid AS a
    UNION ALL SELECT m::text FROM pg_auth_members AS m
    UNION ALL SELECT r::text FROM pg_db_role_setting AS r
    UNION ALL SELECT d::text FROM pg_shdescription AS d
    UNION ALL SELECT n::text FROM pg_namespace AS n WHERE n.nspname !~ '^pg_'
    UNION ALL SELECT c::text FROM pg_class AS c WHERE c.relpersistence <> 't'
    UNION ALL SELECT d::text FROM pg_default_acl AS d
    UNION ALL SELECT p::text FROM rolecall_internal.resource AS p
    UNION ALL SELECT p::text FROM rolecall_internal.secret AS p
  ) AS s(entry)
$$;

-- The server writes WAL of its own now and then: twenty quiet calls in a row do not all meet it.
CREATE FUNCTION test.least_wal(call text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
  v_before pg_lsn;
  v_least numeric;
BEGIN
  FOR i IN 1 .. 20 LOOP
    v_before := pg_current_wal_insert_lsn();
    EXECUTE call;
    v_least := least(v_least, pg_current_wal_insert_lsn() - v_before);
    EXIT WHEN v_least = 0;
  END LOOP;
  RETURN v_least;
END
$$;

-- How a statement fails; nulls where it does not.
CREATE FUNCTION test.failure(call text, OUT code text, OUT detail text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE call;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
END
$$;

-- The error of a call, with its hint.
CREATE FUNCTION test.error(call text) RETURNS text LANGUAGE sql AS
$$SELECT CASE WHEN f.code IS NULL THEN 'none' ELSE concat_ws(' ', f.code, f.hint) END FROM test.failure(call) AS f$$;

-- The first line of the detail of a call's error.
CREATE FUNCTION test.detail(call text) RETURNS text LANGUAGE sql AS
$$SELECT CASE WHEN f.code IS NULL THEN 'none' ELSE split_part(f.detail, E'\n', 1) END FROM test.failure(call) AS f$$;

-- How many rows a call returns.
CREATE FUNCTION test.rows(call text) RETURNS bigint LANGUAGE plpgsql AS
$$DECLARE v_rows bigint; BEGIN EXECUTE 'SELECT count(*) FROM ' || call INTO v_rows; RETURN v_rows; END$$;

-- The roles that a user is a member of.
CREATE FUNCTION test.groups(username text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(roleid::regrole::text, ' ' ORDER BY roleid::regrole::text) FROM pg_auth_members
  WHERE member = quote_ident(username)::regrole
$$;

-- How often this session holds the advisory lock that use_locks takes.
CREATE FUNCTION test.locks(username text) RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM pg_locks
  WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND objsubid = 2
    AND classid = 42 AND objid = (hashtext(username)::bigint & 4294967295)::oid
$$;

CREATE FUNCTION test.is_16() RETURNS boolean LANGUAGE sql AS $$SELECT current_setting('server_version_num')::integer >= 160000$$;

CREATE FUNCTION test.superuser() RETURNS text LANGUAGE sql AS $$SELECT quote_ident(pg_get_userbyid(10))$$;
