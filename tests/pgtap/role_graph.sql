-- role_graph: roles, memberships and what each reads and writes, in three notations.
BEGIN;
SELECT plan(8);

REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM PUBLIC;
CREATE SCHEMA "t ""shop";
CREATE TABLE "t ""shop".item (id integer);
CREATE ROLE t_group NOINHERIT;
CREATE ROLE "t#<b>" LOGIN;
CREATE ROLE t_alone;
GRANT t_group TO "t#<b>";
GRANT pg_read_all_settings TO t_group WITH ADMIN OPTION;
GRANT SELECT ON "t ""shop".item TO t_group, PUBLIC;
GRANT INSERT ON "t ""shop".item TO "t#<b>";

SELECT is(rolecall.role_graph('mermaid', '{t#<b>}'), $$flowchart LR
  s1[("t #34;shop")]
  r1["pg_read_all_settings"]
  r2(["t#35;#60;b#62;"])
  r3["t_group"]
  p1["PUBLIC"]
  r2 --> r3
  r3 -->|"no inherit, admin"| r1
  r2 -. "writes" .-> s1
  r3 -. "reads" .-> s1
  p1 -. "reads" .-> s1$$, 'as Mermaid draws it');
SELECT is(rolecall.role_graph('dot', '{t_group}'), $$digraph roles {
  rankdir=LR;
  s1 [label="t \"shop", shape=cylinder];
  r1 [label="pg_read_all_settings", shape=box];
  r2 [label="t_group", shape=box];
  p1 [label="PUBLIC", shape=box];
  r2 -> r1 [label="no inherit, admin"];
  r2 -> s1 [label="reads", style=dotted];
  p1 -> s1 [label="reads", style=dotted];
}$$, 'as Graphviz does');
SELECT is(
  rolecall.role_graph('json', '{t_group}')::jsonb -> 'memberships',
  '[{"member": "t_group", "role": "pg_read_all_settings", "admin": true, "inherit": false, "set": true}]', 'as data'
);
SELECT ok(rolecall.role_graph() ~ 't_alone' AND rolecall.role_graph() !~ 'pg_monitor', 'all roles that are not predefined');
SELECT is(rolecall.role_graph('mermaid', '{t_nobody}') ~ 'r1', false, 'of nobody nothing');
REVOKE ALL ON "t ""shop".item FROM PUBLIC;
SELECT matches(rolecall.role_graph('mermaid', '{}') || rolecall.role_graph('dot', '{t_nobody}'), '^flowchart LR.*digraph roles {.*}$', 'which is a graph, too');
SELECT throws_ok($$SELECT rolecall.role_graph(NULL)$$, '22004', 'format must not be null', 'no format');
SELECT throws_ok($$SELECT rolecall.role_graph('svg')$$, '22023', 'format must be mermaid, dot or json, not ''svg''', 'another format');

SELECT * FROM finish();
ROLLBACK;
