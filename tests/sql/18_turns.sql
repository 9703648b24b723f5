-- The janitor's turns: short ones, a few accounts each; every duty has its turn; a failure is its own.
begin;
select plan(12);
\o /dev/null
\ir setup.inc
select agent from api.agent_start('turns-test', 'b1') \gset
select api.user_create('u' || i || '@example.net', 'x', '{}') from generate_series(1, 150) i;
insert into app.login (account_id, email, n, key, contact, source, expires_s, expires_at, sweep_at, doc, flow, agent_id)
select a.id, a.email, 1, 'sip:u@192.0.2.1', 'sip:u@192.0.2.1', 'sip', 60, now() - interval '1 s', now() - interval '1 s', '{}',
	'tcp:192.0.2.1:' || a.id % 2, :agent
from app.account a where a.email like 'u%';
\o
create function pg_temp.lapsed() returns int language sql as $$ select count(*)::int from app.login l where l.expires_at <= now() $$;

select is((app.expire_logins()).more, true, 'a turn that finds something says that there may be more');
select cmp_ok(pg_temp.lapsed(), '>=', 50, 'of 150 accounts a turn does a hundred at most');
-- 100 ms are over before it begins
create or replace function app.turn_end() returns timestamptz language sql as $$ select clock_timestamp() - interval '1 s' $$;
select is((app.expire_logins()).more, false, 'nor anything once its time is over');
create or replace function app.turn_end() returns timestamptz language sql as $$ select clock_timestamp() + interval '100 ms' $$;

-- One account that fails
create or replace function app.login_remove_lapsed(p_account bigint) returns text[] language plpgsql as $$
begin
	if p_account = (select max(l.account_id) from app.login l where l.expires_at <= now()) then
		raise exception 'planted';
	end if;
	return app.login_remove(p_account, array(select l.id from app.login l where l.account_id = p_account and l.expires_at <= now()), 'expired');
end $$;
select cmp_ok(pg_temp.do_duties(), '<', 1000::bigint, 'one account that fails does not keep the janitor busy');
select is(pg_temp.lapsed(), 1, 'nor does it hold up the others');
select ok((select d.failures > 0 and d.failure = 'P0001 planted' from app.duty d where d.name = 'expire_logins'), 'and it is noted');
delete from app.login;

-- A duty that is never done
create or replace function app.sweep_sends(p_before timestamptz default now(), out bell text[], out more bool) language plpgsql as
	'begin more := true; end';
update app.duty set next_at = clock_timestamp() - interval '1 minute' - random() * interval '1 minute';
select is((select count(*)::int from (select (api.janitor(0)).more from generate_series(1, 60)) m where m.more), 60,
	'a duty that always finds more is asked again');
select is((select count(*)::int from app.duty d where d.next_at < now()), 0, 'and every other one has had its turn');

-- A flow that many accounts have
\o /dev/null
insert into app.login (account_id, email, n, key, contact, source, expires_s, expires_at, sweep_at, doc, flow, agent_id)
select a.id, a.email, 2, 'sip:u@192.0.2.1', 'sip:u@192.0.2.1', 'sip', 60, now() + interval '1 h', now() + interval '1 h', '{}',
	'tcp:192.0.2.1:1', :agent
from app.account a where a.email like 'u%';
\o
select results_eq(format('select removed <= 100, more from api.flow_lost(%s, ''tcp:192.0.2.1:1'')', :agent), 'values (true, true)',
	'a lost flow of many accounts: a hundred at most, and there is more');
-- which it is asked for in each row anew, since it depends on that
select ok((select bool_or(not f.more) from generate_series(1, 100) i, lateral api.flow_lost(:agent, left('tcp:192.0.2.1:1', 99 + i)) f),
	'and it comes to an end');
select is((select count(*)::int from app.login), 0, 'with all of them');
\o /dev/null
insert into app.login (account_id, email, n, key, contact, source, expires_s, expires_at, sweep_at, doc, flow, agent_id, dials)
select a.id, a.email, 3, 'sip:u@192.0.2.1', 'sip:u@192.0.2.1', 'sip', 60, now() + interval '1 h', now() + interval '1 h', '{}',
	'tcp:192.0.2.1:1', :agent, 'tcp'
from app.account a where a.email like 'u%';
\o
select ok((select removed > 0 and more from api.flow_lost(:agent, 'tcp:192.0.2.1:1')),
	'those that are reached without it count as done too, so that the rest follows at once');

select * from finish();
rollback;
