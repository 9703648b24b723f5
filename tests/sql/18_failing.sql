-- One call, leg or account that always fails stops nothing of the others, whichever duty it is.
begin;
select plan(27);
\o /dev/null
\ir setup.inc
select agent from api.agent_start('failing-1', 'b') \gset
insert into app.agent (name, boot, dead_at) values ('failing-2', 'b', now()) returning id as dead \gset
insert into app.agent (name, boot) values ('failing-3', 'old') returning id as old \gset
select inspect.set_bound('invites', 1000);
select id as alice from app.account where email = 'alice@example.net' \gset
select id as bob from app.account where email = 'bob@example.net' \gset
\o
create function app.planted() returns trigger language plpgsql as $$ begin raise exception 'planted'; end $$;
create temp table failing (leg bigint);
grant select on failing to public;
create function pg_temp.bind(p_agent int) returns void language plpgsql as $$
begin
	perform api.login_register(null, c.proof, 'me', 'sip:x@192.0.2.1', 'sip:x@192.0.2.1', 600, '{}', null) from caller c;
	update app.login set agent_id = p_agent, flow = 'tcp:b:1';
end $$;
-- Two calls of alice's to bob, the first of which fails.
create function pg_temp.call(p_agent int, out leg bigint, out other bigint) language plpgsql as $$
begin
	perform api.call_create(null, pg_temp.proof('alice'), 's', null, true, null, '{}', null, null, null, '["bob@example.net"]')
	from generate_series(1, 2);
	select min(l.id), max(l.id) into leg, other
	from (select l.id from app.leg l order by l.id desc limit 2) l;
	update app.leg l set agent_id = p_agent where l.id in (leg, other);
	delete from app.leg_job;
	truncate failing;
	insert into failing values (leg);
end $$;
create function app.plant_leg() returns trigger language plpgsql as $$
begin
	if exists (select from pg_temp.failing f where f.leg = new.leg_id) then
		raise exception 'planted';
	end if;
	return new;
end $$;
create trigger planted before insert on app.leg_job for each row execute function app.plant_leg();
select pg_temp.bind(:agent) \g /dev/null

-- Calls that begin.
\o /dev/null
select api.call_create(null, pg_temp.proof('alice'), 's', now() + interval '1 hour', true, null, '{}', null, null) from generate_series(1, 2);
update app.call set starts_at = now() - interval '1 s';
select min(id) as call from app.call \gset
\o
select format('create trigger planted before update on app.call for each row when (old.id = %s) execute function app.planted()', :call) \gexec
select lives_ok('select app.start_due_calls()', 'a call that cannot begin');
select is((select string_agg(state, ', ' order by id) from app.call), 'scheduled, active', 'does not keep another from it');
drop trigger planted on app.call;

-- Rings of REST.
select * from pg_temp.call(:agent) \gset
update app.participant set ring_until = now() - interval '1 s' where ring_until is not null;
select lives_ok('select app.expire_rings() from generate_series(1, 3)', 'a ring that does not end');
select is((select string_agg(p.state, ', ' order by p.id) from app.participant p where p.side = 'callee'), 'calling, left',
	'does not keep another from it');

-- Legs whose agent has not heard of it.
\o /dev/null
delete from app.call;
delete from app.leg;
select * from pg_temp.call(:agent) \gset
update app.leg set ring_until = now() - interval '2 minutes';
\o
select lives_ok('select app.expire_legs() from generate_series(1, 3)', 'a leg that cannot be ended');
select is((select string_agg(l.state, ', ' order by l.id) from app.leg l), 'ended, ending', 'is given up; the other is');
select ok((select d.failures > 0 and d.failure like 'P0001 planted (leg %' from app.duty d where d.name = 'expire_legs'), 'and it is noted');

-- Legs of a dead agent.
\o /dev/null
delete from app.call;
delete from app.leg;
select * from pg_temp.call(:dead) \gset
\o
select lives_ok('select app.bury_dead_legs() from generate_series(1, 3)', 'a leg that cannot be buried');
select is((select string_agg(l.state || ' ' || (l.agent_id = :agent), ', ' order by l.id) from app.leg l), 'ended false, ending true',
	'is given up; the other is');
select is((select string_agg(coalesce(p.cause, p.state), ', ' order by p.id) from app.participant p where p.side = 'callee'),
	'agent-lost, agent-lost', 'and neither is rung for any more');

-- Phones that talk: whatever fails, neither is left in a call that is over, and the call ends.
\o /dev/null
select app.credential_put('alice@example.net', 'alice', 'example.net', 'MD5', md5('alice:example.net:pw'), '');
create function app.plant_offer() returns trigger language plpgsql as $$
begin
	if old.asking is not null and new.asking is null then
		raise exception 'planted';
	end if;
	return new;
end $$;
create trigger planted_offer before update on app.leg for each row execute function app.plant_offer();
-- What becomes of an offer to the caller's phone fails.
create function pg_temp.talk(p_agent int, out leg bigint, out other bigint) language plpgsql as $$
begin
	delete from app.call;
	delete from app.leg;
	truncate failing;
	perform pg_temp.bind(p_agent);
	perform api.sip_invite(p_agent, (select id from app.credential order by id desc limit 1), md5('alice:example.net:pw'), 'bob@example.net',
		jsonb_build_object('call_id', 'c' || txid_current(), 'local_tag', 'l', 'remote_tag', 'r', 'local_uri', 'sip:bob@example.net',
			'remote_uri', 'sip:alice@example.net', 'local_target', 'sip:127.0.0.1', 'remote_target', 'sip:a@192.0.2.9',
			'remote_cseq', 1, 'hops', 69), 'offer', null, 60, false);
	select min(l.id), max(l.id) into leg, other from app.leg l;
	perform api.leg_answered(p_agent, other, '{"remote_tag": "t", "remote_target": "sip:b@192.0.2.1"}', 'answer');
	update app.leg l set state = 'up', asking = case when l.id = leg then now() - interval '5 minutes' end;
	delete from app.leg_job;
end $$;
create function pg_temp.talked() returns text language sql as $$
	select string_agg(l.state || coalesce(' ' || j.kind, ''), ', ' order by l.id) || ': ' || (select string_agg(c.state, '') from app.call c)
	from app.leg l left join app.leg_job j on j.leg_id = l.id $$;
create function pg_temp.hung_up(p_agent int) returns void language sql as $$
	select from app.leg l, lateral api.leg_ended(p_agent, jsonb_build_array(jsonb_build_object('leg', l.id))) where l.state = 'ending' $$;
select * from pg_temp.talk(:agent) \gset
\o
select lives_ok('select app.expire_legs()', 'a leg that cannot be kept');
select is(pg_temp.talked(), 'ending bye, ending bye: ended', 'is hung up, so is the other, and the call is over');
select is((select string_agg(l.cause, ', ') from app.leg l), 'agent-lost, agent-lost', 'and says why');
select pg_temp.hung_up(:agent) \g /dev/null
select is((select more from app.expire_legs()), false, 'that is the end of it');
select * from pg_temp.talk(:agent) \gset
insert into failing values (:leg);
select app.expire_legs() \g /dev/null
select is(pg_temp.talked(), 'ended, ending bye: ended', 'one that cannot even be hung up keeps no other from it');
select * from pg_temp.talk(:agent) \gset
create trigger planted before update on app.call for each row execute function app.planted();
select app.expire_legs() \g /dev/null
select is(pg_temp.talked(), 'ending bye, ending bye: active', 'nor does a call that cannot end');
select is((select more from app.expire_legs()), false, 'which is not tried without an end');
drop trigger planted on app.call;
select pg_temp.hung_up(:agent) \g /dev/null
select is((select string_agg(c.state, '') from app.call c), 'ended', 'it ends with the last of them');
-- Of an agent that is no more, or begins anew.
select * from pg_temp.talk(:dead) \gset
insert into failing values (:leg);
select lives_ok('select app.bury_dead_legs()', 'a leg of an agent that is dead');
select is(pg_temp.talked(), 'ended, ending bye: ended', 'does not keep the other from it');
select is((select l.agent_id from app.leg l where l.id = :other), :agent, 'by another');
drop trigger planted_offer on app.leg;

-- An agent that begins anew.
\o /dev/null
delete from app.call;
delete from app.leg;
select * from pg_temp.call(:old) \gset
select pg_temp.bind(:old);
select format('create trigger planted before delete on app.login for each row when (old.account_id = %s) execute function app.planted()', :alice) \gexec
\o
select lives_ok(format('select api.agent_start(%L, %L) from generate_series(1, 3)', 'failing-3', 'new'),
	'what cannot be buried of an agent');
select isnt((select channel from api.agent_start('failing-3', 'new')), null, 'does not keep it from its work');
select is((select count(*) || ' ' || min(account_id) from app.login), '1 ' || :alice, 'nor what is not its from being done');
-- A connection that is lost.
select pg_temp.bind(:agent) \g /dev/null
select lives_ok(format('select api.flow_lost(%s, ''tcp:b:1'')', :agent), 'of a connection that is lost');
select is((select count(*) || ' ' || min(account_id) from app.login), '1 ' || :alice, 'likewise');
-- A turn is over after 100 ms.
create or replace function app.turn_end() returns timestamptz language sql as $$ select clock_timestamp() - interval '1 s' $$;
select is((select more from app.bury_agent(:agent)), false, 'nor is anybody buried once a turn is over');
select * from finish();
rollback;
