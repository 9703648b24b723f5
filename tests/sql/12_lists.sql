-- A page of a list costs its page, whatever else there is: counted in blocks that are looked at, not in time.
begin;
select plan(10);
\o /dev/null
\ir setup.inc
create function pg_temp.people(p_name text, p_from int, p_to int) returns void language sql as $$
	with made as (
		insert into app.account (email, password_hash, profile)
		select p_name || lpad(i::text, 6, '0') || '@example.net', 'h', '{}' from generate_series(p_from, p_to) i returning id)
	insert into app.resource (kind, id)
	select k, m.id from made m cross join unnest(array['login', 'mailbox', 'profile']::app.resource_kind[]) k $$;
create function pg_temp.log_in(p_name text, p_every int) returns void language sql as $$
	insert into app.login (account_id, email, n, key, contact, source, expires_s, expires_at, sweep_at, doc)
	select a.id, a.email, 1, 'k', 'sip:u@192.0.2.1', 'rest', 600, now() + interval '10 min', now() + interval '10 min', '{}'
	from app.account a where a.email like p_name || '%' and substr(a.email, length(p_name) + 1, 6)::int % p_every = 0 $$;
create function pg_temp.private_calls(p_owner text, p_n int) returns void language sql as $$
	with made as (
		insert into app.call (owner_id, open) select a.id, false from app.account a, generate_series(1, p_n)
		where a.email = p_owner returning id, owner_id)
	insert into app.call_seer (call_id, account_id, inside) select m.id, m.owner_id, false from made m $$;
-- Blocks that a statement looks at, once its plan is there.
create function pg_temp.blocks(p_sql text) returns bigint language plpgsql as $$
declare
	v_plan json;
begin
	for i in 1 .. 7 loop
		execute 'explain (analyze, buffers, timing off, format json) ' || p_sql into v_plan;
	end loop;
	return (v_plan #>> '{0,Plan,Shared Hit Blocks}')::bigint + (v_plan #>> '{0,Plan,Shared Read Blocks}')::bigint;
end $$;
create temp table list (name text, sql text);
insert into list values
	('/login, first page', $$ select * from api.login_list(null, pg_temp.proof('alice'), null, 20) $$),
	('/login, last page', $$ select * from api.login_list(null, pg_temp.proof('alice'), 'm000180', 20) $$),
	('/call, first page', $$ select * from api.call_list(null, pg_temp.proof('alice'), null, 20) $$),
	('/call, last page', $$ select * from api.call_list(null, pg_temp.proof('alice'), (select id - 10 from pg_temp.mine), 20) $$),
	('/user, first page', $$ select * from api.user_list(null, pg_temp.proof('alice'), null, 20) $$),
	('/user, last page', $$ select * from api.user_list(null, pg_temp.proof('alice'), 'y', 20) $$),
	('/login/{email}', $$ select * from api.login_get(null, pg_temp.proof('alice'), 'm000100@example.net') $$);
select pg_temp.people('m', 1, 200);
select pg_temp.people('y', 1, 20);
select pg_temp.log_in('m', 10);
select pg_temp.private_calls('alice@example.net', 30);
create temp table mine as select max(id) as id from app.call;
analyze app.account, app.login, app.resource, app.call, app.call_seer;
create temp table before as select name, pg_temp.blocks(sql) as blocks from list;
-- Everybody else: before, between and behind; publications that are no login; private calls of others.
select pg_temp.people('a', 1, 5000);
select pg_temp.people('p', 1, 5000);
select pg_temp.private_calls('a000001@example.net', 5000);
insert into app.login (account_id, email, n, source, expires_s, expires_at, sweep_at, doc)
select a.id, a.email, 1, 'publish', 600, now() + interval '10 min', now() + interval '10 min', '{}'
from app.account a where a.email like 'a%';
select pg_temp.private_calls('alice@example.net', 1);
analyze app.account, app.login, app.resource, app.call, app.call_seer;
\o
select is(max(b.blocks) < 400, true, 'a page looks at few blocks') from before b;
-- One level more of five indexes for each item, at most; what grew with the others would be thousands.
select cmp_ok(pg_temp.blocks(l.sql), '<=', b.blocks + 100, l.name || ': not more for all the others')
from list l join before b using (name) order by l.name;
select is((select count(*) from api.login_list(null, pg_temp.proof('alice'), null, 1000)), 20::bigint,
	'who is logged in, and nobody who only publishes');
-- What changes is looked for in the log.
\o /dev/null
insert into app.watch (kind, id, process_id, since) values ('list', app.list_id('login'), 0, 0);
insert into app.list_change (xid, list, key) select 1, 'login', 'a' from generate_series(1, 20000);
analyze app.list_change;
create temp sequence person;
create temp table first as select min(id) as id from app.account where email like 'm%';
\o
set local plan_cache_mode = force_generic_plan; -- as it comes to be in time
select cmp_ok(pg_temp.blocks($$ select app.list_publish('login', (select id from pg_temp.first) + nextval('pg_temp.person'),
	false, null) $$), '<', 100::bigint, 'one that is not there costs no walk through all of it');
select * from finish();
rollback;
