-- Plain calls are taken many at a time: what is written and said is what the functions for any call write and say; and what is not
-- plain is left to those.
begin;
select plan(39);
\o /dev/null
\ir setup.inc
\ir legs.inc
select * from api.agent_start('test:2', 'boot2') \gset b_
create temp table other as select :b_agent as agent;
select app.credential_put('bob@example.net', 'bob', 'example.net', 'MD5', md5('bob:example.net:pw'), '');
select email from api.user_create('carol@example.net', '$y$j9T$ccccccccccccccccccccc.$carolhash', '{}');
insert into caller values ('carol', sha256('c'));
select email from api.session_create('carol@example.net', '$y$j9T$ccccccccccccccccccccc.$carolhash', pg_temp.proof('carol'), 600);
select pg_temp.bind('bob', 'sip:b1@192.0.2.1');
\o
create temp table calls (name text primary key, call bigint);
create function pg_temp.item(p_i int, p_id text, p_from text default 'alice', p_to text default 'bob', p_leg jsonb default '{}')
returns jsonb language sql as $$
	select jsonb_build_object('i', p_i, 'credential', (select id from app.credential where username = p_from order by id desc limit 1),
		'ha1', md5(p_from || ':example.net:pw'), 'aor', p_to || '@example.net', 'ring_s', 60, 'sdp', 'offer',
		'leg', jsonb_build_object('call_id', p_id, 'local_tag', 'l', 'remote_tag', 'r', 'local_uri', 'sip:bob@example.net',
			'remote_uri', 'sip:alice@example.net', 'local_target', 'sip:127.0.0.1', 'remote_target', 'sip:a@192.0.2.9',
			'remote_cseq', 1, 'hops', 69, 'flow', 'udp:192.0.2.9:5060', 'peer', '192.0.2.9', 'takes_info', 'true',
			'last_word', 'SIP/2.0 503', 'last_word_to', '192.0.2.9:5060') || p_leg) $$;
create function pg_temp.many(variadic p_items jsonb[]) returns text language sql as $$
	select string_agg(i || ' ' || kind, ', ') from api.sip_invite_many((select agent from ids), to_jsonb(p_items)) $$;
-- The same by the function for any call, and by that for many; the orders that come back.
create function pg_temp.said(p_row jsonb) returns jsonb language sql as $$
	select jsonb_strip_nulls(p_row - array['i', 'leg', 'call', 'peer', 'sip_call_id', 'local_tag', 'bell'])
		|| case when p_row ? 'peer' then jsonb_build_object('peer', p_row -> 'peer' <> 'null') else '{}' end $$;
create function pg_temp.call_any(p_name text, p_agent int) returns jsonb language sql as $$
	with said as materialized (
		select w.*::app.leg_work as w from jsonb_to_record(pg_temp.item(0, p_name)) as t(credential bigint, ha1 text, aor text, leg jsonb, sdp text)
		cross join lateral api.sip_invite(p_agent, t.credential, t.ha1, t.aor, t.leg, t.sdp, null, 60, false) w),
	noted as (insert into calls select p_name, (w).call from said where (w).kind = 'made')
	select jsonb_agg(pg_temp.said(to_jsonb(w)) - 'peer' order by (w).leg) from said $$;
create function pg_temp.call_many(p_name text, p_agent int) returns jsonb language sql as $$
	with said as materialized (
		select w.* from api.sip_invite_many(p_agent, jsonb_build_array(pg_temp.item(0, p_name))) w where i = 0),
	noted as (insert into calls select p_name, call from said where kind = 'made')
	select jsonb_agg(pg_temp.said(to_jsonb(said)) order by leg) from said $$;
-- All that is written of a call but for its numbers and names: times are those of this transaction.
create function pg_temp.rows(p_name text) returns jsonb language sql as $$
	select jsonb_build_object(
		'call', (select to_jsonb(c) - 'id' from app.call c where c.id = k.call),
		'next_n', (select r.next_n from app.resource r where r.kind = 'call' and r.id = k.call),
		'participants', (select jsonb_agg(to_jsonb(p) - array['id', 'call_id', 'rung_at']
				|| jsonb_build_object('rung', p.rung_at is not null) order by p.id) from app.participant p where p.call_id = k.call),
		'legs', (select jsonb_agg(to_jsonb(l) - array['id', 'call_id', 'participant_id', 'sip_call_id', 'local_tag'] || jsonb_build_object(
				'tags', length(l.local_tag), 'side', (select p.side from app.participant p where p.id = l.participant_id)) order by l.id)
			from app.leg l where l.call_id = k.call),
		'jobs', (select jsonb_agg(to_jsonb(j) - array['id', 'leg_id'] || jsonb_build_object('direction', l.direction) order by j.id)
			from app.leg_job j join app.leg l on l.id = j.leg_id where l.call_id = k.call),
		'past', (select jsonb_agg(to_jsonb(h) - array['n', 'call_id', 'started_at'] order by h.n) from app.past_call h where h.call_id = k.call),
		'seers', (select jsonb_agg(to_jsonb(s) - 'call_id' order by s.account_id) from app.call_seer s where s.call_id = k.call))
	from calls k where k.name = p_name $$;
create function pg_temp.leg(p_name text, p_direction text) returns bigint language sql as $$
	select l.id from app.leg l join calls k on k.call = l.call_id where k.name = p_name and l.direction = p_direction $$;
create function pg_temp.version(p_name text) returns bigint language sql as $$
	select r.version from app.resource r join calls k on k.call = r.id where k.name = p_name and r.kind = 'call' $$;
-- p_any: it has a member that is not known, and so is for the function for any call.
create function pg_temp.news(p_agent int, p_name text, p_any bool, p_code int) returns jsonb language sql as $$
	select jsonb_agg(pg_temp.said(jsonb_build_object('kind', w.kind, 'code', w.code, 'reason', w.reason)))
	from api.leg_news(p_agent, jsonb_build_array(jsonb_build_object('leg', pg_temp.leg(p_name, 'out'), 'state', 'ringing', 'code', p_code,
		'reason', 'Ringing', 'last_word', 'CANCEL', 'last_word_to', '192.0.2.1:5060')
		|| case when p_any then '{"x": 1}'::jsonb else '{}' end)) w where w.kind is not null $$;
create function pg_temp.dialog() returns jsonb language sql as $$
	select '{"remote_tag": "t", "remote_target": "sip:b@192.0.2.1", "local_target": "sip:127.0.0.1", "peer": "192.0.2.1", "route": "<sip:p>",
		"takes_info": "true", "remote_cseq": 7}'::jsonb $$;
create function pg_temp.answered(p_agent int, p_name text, p_any bool) returns jsonb language plpgsql as $$
begin
	if p_any then
		return (select jsonb_agg(pg_temp.said(jsonb_build_object('kind', w.kind, 'peer', w.peer, 'sdp', w.sdp)))
			from api.leg_answered(p_agent, pg_temp.leg(p_name, 'out'), pg_temp.dialog(), 'answer') w where w.kind is not null);
	end if;
	return (select jsonb_agg(pg_temp.said(jsonb_build_object('kind', w.kind, 'peer', w.peer, 'sdp', w.sdp)))
		from api.leg_answered_many(p_agent, jsonb_build_array(jsonb_build_object('i', 0, 'leg', pg_temp.leg(p_name, 'out'), 'dialog',
			pg_temp.dialog(), 'sdp', 'answer'))) w where w.kind is not null);
end $$;
create function pg_temp.ended(p_agent int, p_name text, p_any bool, p_direction text, p_more jsonb default '{}') returns jsonb language sql as $$
	select jsonb_agg(w.kind) from api.leg_ended(p_agent, jsonb_build_array(jsonb_build_object('leg', pg_temp.leg(p_name, p_direction))
		|| p_more || case when p_any then '{"x": 1}'::jsonb else '{}' end)) w where w.kind is not null $$;
create function pg_temp.peer(p_name text, p_direction text) returns jsonb language sql as $$
	select jsonb_build_object('peer', pg_temp.leg(p_name, p_direction)) $$;
create function pg_temp.same() returns setof text language sql as $$
	select is(pg_temp.rows('many'), pg_temp.rows('any'), 'and the rows are the same') $$;

-- ---- both phones at one agent ----
select agent from ids \gset
select is(pg_temp.call_many('many', :agent), pg_temp.call_any('any', :agent), 'a phone calls');
select pg_temp.same();
create temp table before as select pg_temp.version('many') as v;
select is(pg_temp.news(:agent, 'many', false, 180), pg_temp.news(:agent, 'any', true, 180), 'another rings');
select pg_temp.same();
select cmp_ok(pg_temp.version('many'), '>', (select v from before), 'the call has another version');
select is(pg_temp.news(:agent, 'many', false, 180), null, 'the same once more is no news');
select is(pg_temp.answered(:agent, 'many', false), pg_temp.answered(:agent, 'any', true), 'it answers');
select pg_temp.same();
select api.leg_news(:agent, jsonb_build_array(jsonb_build_object('leg', pg_temp.leg('many', 'in'), 'state', 'up'),
	jsonb_build_object('leg', pg_temp.leg('any', 'in'), 'state', 'up'))) \g /dev/null
select is((select string_agg(l.state, ' ') from app.leg l), 'up up up up', 'both callers have ACKed');
update app.call set invite = '["carol@example.net"]', ring_at = now() + interval '1 hour'; -- whom else the owner has it ring then
select is(pg_temp.ended(:agent, 'many', false, 'in', pg_temp.peer('many', 'out')), pg_temp.ended(:agent, 'any', true, 'in', pg_temp.peer('any', 'out')),
	'who has called hangs up');
select pg_temp.same();
select is((select string_agg(c.state || ' ' || c.cause, ', ') from app.call c), 'ended hangup, ended hangup', 'both are over');
select is(pg_temp.ended(:agent, 'many', false, 'out'), pg_temp.ended(:agent, 'any', true, 'out'), 'the other has heard it');
select pg_temp.same();
select is((select count(*) from app.leg l where l.ended_at is null), 0::bigint, 'nothing is left');

-- Both hang up, and say so at once.
delete from calls;
select pg_temp.call_many('many', :agent), pg_temp.answered(:agent, 'many', false) \g /dev/null
select api.leg_ended(:agent, jsonb_build_array(jsonb_build_object('leg', pg_temp.leg('many', 'out'), 'cause', 'no-ack') || pg_temp.peer('many', 'in'),
	jsonb_build_object('leg', pg_temp.leg('many', 'in')) || pg_temp.peer('many', 'out'))) \g /dev/null
select is((select string_agg(l.state || ' ' || l.cause, ', ' order by l.id) from app.leg l join calls k on k.call = l.call_id),
	'ended no-ack, ended no-ack', 'the first says why');

-- ---- the phones are at two agents ----
update app.login l set agent_id = (select agent from other);
delete from calls;
select agent as other from other \gset
select is(pg_temp.call_many('many', :agent), pg_temp.call_any('any', :agent), 'a phone calls one of another agent');
select pg_temp.same();
select is((select bell from api.sip_invite_many(:agent, jsonb_build_array(pg_temp.item(0, 'bell'))) where i = -1),
	array['restsip_job_' || :other || '|call'], 'which is rung');
select api.leg_claim(:other) \g /dev/null
select is(pg_temp.news(:other, 'many', false, 180), pg_temp.news(:other, 'any', true, 180), 'it rings');
select pg_temp.same();
select is(pg_temp.answered(:other, 'many', false), pg_temp.answered(:other, 'any', true), 'it answers');
select pg_temp.same();
select is(pg_temp.ended(:other, 'many', false, 'out', '{"header": "SIP;cause=200"}'),
	pg_temp.ended(:other, 'any', true, 'out', '{"header": "SIP;cause=200"}'), 'it hangs up');
delete from app.leg_job where kind in ('invite', 'progress', 'answer');
select pg_temp.same();
update app.login l set agent_id = null;

-- ---- what is left for the functions for any call ----
select is(pg_temp.many(pg_temp.item(0, 'n1'), pg_temp.item(1, 'n2')), '0 made, 0 invite', 'of two of one caller the first is taken');
select is(pg_temp.many(pg_temp.item(0, 'n1'), pg_temp.item(1, 'n3', 'bob', 'alice'), pg_temp.item(2, 'n4', 'carol')), null,
	'not what comes twice, nor for who is not there, nor of who is nobody');
select is(pg_temp.many(pg_temp.item(0, 'n5', 'alice', 'alice')), null, 'nor for oneself');
select is(pg_temp.many(pg_temp.item(0, E'n\t6')), null, 'nor what cannot be kept');
select is(pg_temp.many(pg_temp.item(0, 'n7', 'alice', 'bob', '{"new": 1}')), null, 'nor what is not known here');
select is(pg_temp.many(pg_temp.item(0, 'n8') || '{"ha1": "ff"}'), null, 'nor of who has another password');
select pg_temp.bind('alice', 'sip:a1@192.0.2.9') \g /dev/null
select is(pg_temp.many(pg_temp.item(0, 'n9', 'alice', 'nobody'), pg_temp.item(1, 'n10', 'bob', 'alice')), '1 made, 1 invite',
	'what is left out keeps nobody else from it');
select inspect.set_bound('calls_sip', 1) \g /dev/null
select is(pg_temp.many(pg_temp.item(0, 'n11')), null, 'nor of who has too many calls');
select inspect.set_bound('calls_sip', 50) \g /dev/null
insert into app.watch (kind, id, process_id, owner) select 'login', a.id, 1, true from app.account a where a.email = 'bob@example.net';
select is(pg_temp.many(pg_temp.item(0, 'n12')), null, 'nor where pages ring');
delete from app.watch;
select pg_temp.call_many('watched', :agent) \g /dev/null
insert into app.watch (kind, id, process_id) select 'call', call, 1 from calls where name = 'watched';
select is(pg_temp.answered(:agent, 'watched', false), null, 'nor what somebody looks at');
delete from app.watch;
insert into app.watch (kind, id, process_id) values ('list', app.list_id('call'), 1);
select is(pg_temp.answered(:agent, 'watched', false), null, 'nor while somebody looks at all calls');
select is(pg_temp.many(pg_temp.item(0, 'n13')), null, 'so it is with new ones');
delete from app.watch;
select pg_temp.bind('bob', 'sip:b2@192.0.2.2') \g /dev/null
select is(pg_temp.many(pg_temp.item(0, 'n14')), '0 made, 0 invite, 0 invite', 'all phones of an account are called');
select is((select i from api.leg_answered_many(:agent, (select jsonb_build_array(jsonb_build_object('i', 0, 'leg', max(l.id), 'dialog',
	pg_temp.dialog(), 'sdp', 'answer')) from app.leg l))), null, 'where several ring, the winner is found alone');

select * from finish();
rollback;
