-- Two phones of a call at two agents: what one asks of the other goes by orders, and comes back by one.
begin;
select plan(44);
\o /dev/null
\ir setup.inc
select * from api.agent_start('test:1', 'boot1') \gset a_
select * from api.agent_start('test:2', 'boot2') \gset b_
create temp table ids as select :a_agent as a, :b_agent as b;
select app.credential_put('alice@example.net', 'alice', 'example.net', 'MD5', md5('alice:example.net:pw'), '');
select inspect.set_bound('invites', 1000);
select api.login_register(null, pg_temp.proof('bob'), 'me', 'sip:b@192.0.2.1', 'sip:b@192.0.2.1', null, '{}', null);
update app.login l set agent_id = (select b from ids);
\o
create function pg_temp.call(p_id text, p_sdp text default 'offer') returns text language sql as $$
	select string_agg(kind, ' ' order by leg) from api.sip_invite((select a from ids),
		(select id from app.credential where username = 'alice' order by id desc limit 1), md5('alice:example.net:pw'),
		'bob@example.net', jsonb_build_object('call_id', p_id, 'local_tag', 'l', 'remote_tag', 'r', 'local_uri', 'sip:bob@example.net',
			'remote_uri', 'sip:alice@example.net', 'local_target', 'sip:127.0.0.1', 'remote_target', 'sip:a@192.0.2.9',
			'remote_cseq', 1, 'hops', 69), p_sdp, null, 60, false) $$;
-- Alice's leg and bob's.
create function pg_temp.leg(p_direction text) returns bigint language sql as $$
	select id from app.leg where direction = p_direction order by id desc limit 1 $$;
-- What an agent is ordered, "kind code number sdp" of each.
create function pg_temp.claim(p_agent int) returns text language sql as $$
	select string_agg(concat_ws(' ', kind, code, number, sdp), ', ') from api.leg_claim(p_agent) w where kind is not null $$;
create function pg_temp.a() returns text language sql as $$ select pg_temp.claim((select a from ids)) $$;
create function pg_temp.b() returns text language sql as $$ select pg_temp.claim((select b from ids)) $$;
create function pg_temp.offer(p_agent int, p_leg bigint, p_sdp text) returns text language sql as $$
	select string_agg(concat_ws(' ', kind, code), ', ') from api.leg_offer(p_agent, p_leg, p_sdp) w where kind is not null $$;
create function pg_temp.offered(p_agent int, p_leg bigint, p_code int, p_sdp text) returns void language sql as $$
	select from api.leg_offered(p_agent, p_leg, p_code, case when p_sdp is null then 'No' end, p_sdp) $$;
-- What each side has, alice's first.
create function pg_temp.sides() returns text language sql as $$
	select string_agg(concat_ws(' ', p.session ->> 'type', p.session ->> 'sdp', p.pending ->> 'sdp'), ', ' order by p.id)
	from app.participant p where p.call_id = (select max(call_id) from app.leg) $$;

select is(pg_temp.call('c1'), 'made', 'the callee''s phone is another agent''s');
select is(pg_temp.b(), 'invite offer', 'which is to call it');
select is((select string_agg(kind, ' ') from api.leg_answered((select b from ids), pg_temp.leg('out'),
	'{"remote_tag": "t", "remote_target": "sip:b@192.0.2.1"}', 'answer') w where kind is not null), 'won', 'it answers');
select is(pg_temp.a(), 'answer answer', 'and so is the caller');

select is(pg_temp.offer((select a from ids), pg_temp.leg('in'), 'o2'), 'wait', 'an offer of the caller');
select is(pg_temp.sides(), 'offer offer o2, answer answer', 'waits beside what there is');
select is(pg_temp.b(), 'offer o2', 'the callee''s phone is offered it');
select is(pg_temp.offer((select b from ids), pg_temp.leg('out'), 'o3'), 'refuse 491', 'one of that phone''s meanwhile is too many');
select pg_temp.offered((select b from ids), pg_temp.leg('out'), 200, 'a2') \g /dev/null
select is(pg_temp.a(), 'accept a2', 'its answer is the caller''s');
select is(pg_temp.sides(), 'offer o2, answer a2', 'both have it');

select pg_temp.offer((select b from ids), pg_temp.leg('out'), E'v=0\r\nm=audio 1 RTP/AVP 0\r\na=sendonly\r\n') \g /dev/null
select pg_temp.a() \g /dev/null
select pg_temp.offered((select a from ids), pg_temp.leg('in'), 503, null) \g /dev/null
select is(pg_temp.b(), 'refuse 488', 'another refusal is 488');
select is(pg_temp.sides(), 'offer o2, answer a2', 'and both keep what they had');
select is((select bool_or(p.hold) from app.participant p), false, 'nobody holds');

select is(pg_temp.offer((select a from ids), pg_temp.leg('in'), 'o4'), 'wait', 'an offer whose order is lost');
select pg_temp.b() \g /dev/null
select pg_temp.offered((select a from ids), pg_temp.leg('in'), 488, null) \g /dev/null
select is(pg_temp.sides(), 'offer o2, answer a2', 'is over when its agent gives up');
select is(pg_temp.b(), 'refuse', 'and not to be taken any more');
select is((select string_agg(concat_ws(' ', kind, sdp), ', ') from api.leg_offered((select b from ids), pg_temp.leg('out'), 200, null, 'a4') w
	where kind is not null), 'offer o2, pair', 'whose phone has taken it all the same is offered what there was');
select is(pg_temp.a(), 'pair 0', 'the caller''s hears nothing of it');
select is(pg_temp.offer((select a from ids), pg_temp.leg('in'), 'o5'), 'refuse 491', 'and waits with the next');
select pg_temp.offered((select b from ids), pg_temp.leg('out'), 200, 'a2') \g /dev/null
select is(pg_temp.sides(), 'offer o2, answer a2', 'so it is as it was');
select is(pg_temp.offer((select a from ids), pg_temp.leg('in'), 'o5'), 'wait', 'there may be another');
select pg_temp.offered((select a from ids), pg_temp.leg('in'), 488, null) \g /dev/null
select is(pg_temp.b(), null, 'one that is over is not even ordered');

select is(pg_temp.offer((select a from ids), pg_temp.leg('in'), null), 'wait', 'the caller asks for an offer');
select is(pg_temp.b(), 'offer', 'the callee''s phone too');
select pg_temp.offered((select b from ids), pg_temp.leg('out'), 200, 'o6') \g /dev/null
select is(pg_temp.a(), 'accept o6', 'which makes one');
select api.leg_acked((select a from ids), pg_temp.leg('in'), 'a6') \g /dev/null
select is(pg_temp.b(), 'accept a6', 'and is answered');
select is(pg_temp.sides(), 'answer a6, offer o6', 'so they say');

create function pg_temp.hears(p_agent int, p_leg bigint, p_code int) returns text language sql as $$
	select string_agg(concat_ws(' ', kind, code, sdp), ', ') from api.leg_offered(p_agent, p_leg, p_code, null, null) w where kind is not null $$;
select pg_temp.offer((select a from ids), pg_temp.leg('in'), 'o8'), pg_temp.b() \g /dev/null
select is(pg_temp.hears((select b from ids), pg_temp.leg('out'), 480), 'offer a6, pair', 'of whose phone nobody knows what it has taken is offered what it had');
select is(pg_temp.a(), 'refuse 488, pair 0', 'and who has offered is refused');
select pg_temp.offered((select b from ids), pg_temp.leg('out'), 200, 'o6') \g /dev/null
select pg_temp.offer((select a from ids), pg_temp.leg('in'), 'o9'), pg_temp.b() \g /dev/null
update app.leg l set asking = now() - interval '92 s' where l.id = pg_temp.leg('out');
select is((select app.leg_is_asked(l) from app.leg l where l.id = pg_temp.leg('out')), true, 'a phone has longer than its agent gives it');
select is(pg_temp.hears((select a from ids), pg_temp.leg('in'), 504), 'refuse 504', 'who waits no more hears that there was no answer');
select pg_temp.offered((select b from ids), pg_temp.leg('out'), 488, null), pg_temp.b() \g /dev/null
select pg_temp.offer((select a from ids), pg_temp.leg('in'), 'o9'), pg_temp.b(), pg_temp.offered((select b from ids), pg_temp.leg('out'), 200, 'a9') \g /dev/null
select pg_temp.hears((select a from ids), pg_temp.leg('in'), 504) \g /dev/null
select is(pg_temp.a(), 'accept a9', 'or that there is one');
select pg_temp.offer((select a from ids), pg_temp.leg('in'), null), pg_temp.b(), pg_temp.offered((select b from ids), pg_temp.leg('out'), 200, 'o6'),
	pg_temp.a() \g /dev/null
select api.leg_acked((select a from ids), pg_temp.leg('in'), 'a6') \g /dev/null
select pg_temp.b() \g /dev/null

select is((select string_agg(kind, ' ') from api.leg_info((select a from ids), pg_temp.leg('in'), 17, 'x/y', null, 'body') w
	where kind is not null), null, 'an INFO waits');
select is(pg_temp.b(), 'info 17 body', 'and goes to the other phone');
select api.leg_informed((select b from ids), pg_temp.leg('out'), 17, 415) \g /dev/null
select is(pg_temp.a(), 'informed 415 17', 'its answer comes back');

select api.leg_ended((select a from ids), jsonb_build_array(jsonb_build_object('leg', pg_temp.leg('in')))) \g /dev/null
select is(pg_temp.b(), 'bye', 'who hangs up is hung up on');
select is((select string_agg(concat_ws(' ', kind, code), ', ') from api.leg_info((select b from ids), pg_temp.leg('out'), 18, null, null, null) w
	where kind is not null), 'informed 480', 'nobody is there any more');
select is(pg_temp.offer((select b from ids), pg_temp.leg('out'), 'o7'), 'refuse 488', 'nor for an offer');

-- A phone that knows nothing of the call any more answers, and ends it: whoever has asked hears both.
create function pg_temp.asks(p_id text, p_number bigint) returns void language sql as $$
	select pg_temp.call(p_id), pg_temp.b();
	select api.leg_answered((select b from ids), pg_temp.leg('out'), '{"remote_tag": "t", "remote_target": "sip:b@192.0.2.1"}', 'answer');
	select pg_temp.a();
	select api.leg_info((select a from ids), pg_temp.leg('in'), p_number, 'x/y', null, 'body');
	select pg_temp.b() $$;
create function pg_temp.informs(p_number bigint) returns void language sql as $$
	select api.leg_informed((select b from ids), pg_temp.leg('out'), p_number, 480) $$;
create function pg_temp.gone() returns void language sql as $$
	select api.leg_ended((select b from ids), jsonb_build_array(jsonb_build_object('leg', pg_temp.leg('out'), 'cause', 'unreachable'))) $$;
select pg_temp.asks('c2', 19), pg_temp.informs(19), pg_temp.gone() \g /dev/null
select is(pg_temp.a(), 'informed 480 19, bye', 'its answer, and the end');
select pg_temp.asks('c3', 20), pg_temp.gone(), pg_temp.informs(20) \g /dev/null
select is(pg_temp.a(), 'bye, informed 480 20', 'or the end, and its answer');

-- Its phone has come to another agent meanwhile: what was ordered goes on to that, and no further once the call is over.
create function pg_temp.hand_on(p_number bigint, p_kind text default 'info') returns text language sql as $$
	select bell::text from api.leg_hand_on((select b from ids), pg_temp.leg('out'),
		jsonb_build_object('kind', p_kind, 'number', p_number, 'reason', 'x/y', 'sdp', 'body')) $$;
select pg_temp.asks('c4', 21) \g /dev/null
update app.leg l set agent_id = (select a from ids) where l.id = pg_temp.leg('out');
select is(pg_temp.hand_on(21), '{restsip_job_' || (select a from ids) || '|call}', 'an INFO that its phone has not heard');
select is(pg_temp.a(), 'info 21 body', 'is the other agent''s');
update app.leg l set state = 'ending' where l.id = pg_temp.leg('out');
select is(pg_temp.hand_on(22), null, 'one of a call that is over is nobody''s');
select is(pg_temp.hand_on(2, 'notify'), '{restsip_job_' || (select a from ids) || '|call}', 'but what became of a transfer is told');
select * from finish();
rollback;
