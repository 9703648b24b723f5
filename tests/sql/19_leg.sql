-- Calls of phones: who wins, what is ordered, and that nothing is left behind.
begin;
select plan(69);
\o /dev/null
\ir setup.inc
\ir legs.inc
\o
create function pg_temp.legs() returns text language sql as $$
	select string_agg(l.state || coalesce(':' || l.cause, ''), ' ' order by l.id) from app.leg l
	where l.call_id = (select max(call_id) from app.leg) $$;
create function pg_temp.answered(p_n int) returns text language sql as $$
	select string_agg(kind || ':' || (select count(*) from app.leg o where o.id < w.leg and o.call_id = w.call)
		|| coalesce(' ' || sdp, ''), ', ') from api.leg_answered((select agent from ids), pg_temp.leg(p_n),
		'{"remote_tag": "t", "remote_target": "sip:b@192.0.2.1"}', 'answer') w where kind is not null $$;
create function pg_temp.ended(p_n int, p_code int, p_cause text default null) returns text language sql as $$
	select string_agg(kind || ':' || (select count(*) from app.leg o where o.id < w.leg and o.call_id = w.call)
		|| coalesce(' ' || code, '') || coalesce(' ' || cause, ''), ', ') from api.leg_ended((select agent from ids),
		jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('leg', pg_temp.leg(p_n), 'code', p_code, 'cause', p_cause)))) w
	where kind is not null $$;

select throws_ok($$select pg_temp.call('c0')$$, 'RS409', null, 'nobody is there');
select is((select count(*) from app.call), 0::bigint, 'and nothing is left of it');
select pg_temp.bind('bob', 'sip:b1@192.0.2.1'), pg_temp.bind('bob', 'sip:b2@192.0.2.2') \g /dev/null
select throws_ok($$select pg_temp.call(E'c\t0')$$, 'RS400', null, 'a Call-ID that cannot be kept');

select is(pg_temp.call('c1'), 'made invite invite', 'each contact is called');
select throws_ok($$select pg_temp.call('c1')$$, 'RS500', null, 'an INVITE that comes again is not another call');
select is(pg_temp.answered(1), 'won:1, answer:0 answer, cancel:2', 'the first wins');
select is(pg_temp.answered(2), 'lost:2', 'the second loses');
select is(pg_temp.legs(), 'answered up ending:cancelled', 'and the rows say so');
select is((select count(*) from app.participant p where p.state = 'joined'), 2::bigint, 'both sides are in it');
select is(pg_temp.ended(0, null, 'hangup'), 'bye:1', 'who hangs up is hung up on');
select is(pg_temp.ended(1, null), null, 'the BYE has been answered');
select is(pg_temp.ended(2, null), null, 'so has the other');
select is(pg_temp.legs(), 'ended:hangup ended:hangup ended:cancelled', 'all is over');
select is((select string_agg(c.state, ' ') from app.call c), 'ended', 'the call too');

select pg_temp.call('c2') \g /dev/null
select is(pg_temp.ended(1, 503), null, 'one is not there');
select is(pg_temp.ended(2, 486), 'fail:0 486', 'of two codes the caller hears the one that tells him more');
select pg_temp.call('c3') \g /dev/null
select is(pg_temp.ended(1, 503), null, 'one is not there');
select is(pg_temp.ended(2, 500), 'fail:0 480 SIP;cause=500', 'never that we were down');
select pg_temp.call('c4') \g /dev/null
select is(pg_temp.ended(1, 603), 'cancel:2, fail:0 603', 'a 6xx is said for all');

-- What an agent says of another leg holds for the two that are up with each other.
select pg_temp.call('c4b'), pg_temp.answered(1) \g /dev/null
select api.leg_ended((select agent from ids), jsonb_build_array(jsonb_build_object('leg', pg_temp.leg(2), 'peer', pg_temp.leg(1))))
\g /dev/null
select is(pg_temp.legs(), 'answered up ended:cancelled', 'one that was cancelled takes nobody with it');
select pg_temp.ended(0, null), pg_temp.ended(1, null) \g /dev/null
select pg_temp.call('c4c'), pg_temp.answered(1) \g /dev/null
update app.leg set state = 'ending' where call_id = (select max(call_id) from app.leg);
select pg_temp.ended(0, null), pg_temp.ended(1, null) \g /dev/null
select is((select state from app.call order by id desc limit 1), 'active', 'a call goes on while a leg is left');
select pg_temp.ended(2, 487) \g /dev/null
select is((select state from app.call order by id desc limit 1), 'ended', 'and no longer, whichever is the last');

-- What has not begun is not hung up: legs and participants say the same, and so does the call.
create function pg_temp.said() returns text language sql as $$
	select string_agg(p.cause, ' ' order by p.n) || ', ' || (select string_agg(c #>> '{ended,cause}', ' ')
		from jsonb_array_elements(app.call_doc((select max(call_id) from app.leg), true)::jsonb -> 'children') c)
	from app.participant p where p.call_id = (select max(call_id) from app.leg) $$;
select pg_temp.call('c4d') \g /dev/null
select api.call_delete(null, pg_temp.proof('alice'), (select max(call_id) from app.leg), null) \g /dev/null
select pg_temp.ended(1, 487), pg_temp.ended(2, 487) \g /dev/null
select is(pg_temp.legs(), 'ended:cancelled ended:cancelled ended:cancelled', 'a call that rings is deleted');
select is(pg_temp.said(), 'cancelled cancelled, cancelled cancelled', 'so they say');
select pg_temp.call('c4e') \g /dev/null
select is(pg_temp.ended(0, null, 'hangup'), 'cancel:1, cancel:2', 'a BYE of who calls');
select pg_temp.ended(1, 487), pg_temp.ended(2, 487) \g /dev/null
select is(pg_temp.legs(), 'ended:cancelled ended:cancelled ended:cancelled', 'is no other');
select is(pg_temp.said(), 'cancelled cancelled, cancelled cancelled', 'for all');

-- An answer that was lost with its connection: what waits for it is ordered again, or over.
select pg_temp.call('c5') \g /dev/null
update app.leg set ring_until = now() - interval '2 min', made_at = now() - interval '4 min' where state = 'calling';
update app.leg set ending_at = now() - interval '2 min', asked_at = now() - interval '2 min' where state = 'ending';
select app.expire_legs() \g /dev/null
select is((select count(*) from app.leg l where l.state in ('calling', 'ringing')), 0::bigint, 'nothing rings for ever');
select ok((select bool_and(exists (select from app.leg_job j where j.leg_id = l.id)) from app.leg l where l.state = 'ending'),
	'what is to end is ordered to');
delete from app.leg_job;
select app.expire_legs() \g /dev/null
select is((select count(*) from app.leg_job), 0::bigint, 'and not each second');
update app.leg set ending_at = ending_at - interval '5 min', asked_at = now() - interval '2 min' where state = 'ending';
select app.expire_legs() \g /dev/null
select is((select count(*) from app.leg l where l.state = 'ending'), 0::bigint, 'nothing ends for ever');

-- Another process after this one.
create function pg_temp.jobs() returns text language sql as $$
	select string_agg(j.kind || coalesce(' ' || j.code, ''), ', ' order by j.leg_id) from app.leg_job j join app.leg l on l.id = j.leg_id
	where l.call_id = (select max(call_id) from app.leg) $$;
create function pg_temp.load(p_n int, p_from text default null) returns text language sql as $$
	select concat_ws(' ', l.state, l.flow, l.cseq, l.last_word) from app.leg o, lateral api.leg_load((select agent from ids),
		case when p_from is null then o.id end, o.sip_call_id, o.local_tag, o.remote_tag, p_from) l where o.id = pg_temp.leg(p_n) $$;
delete from app.leg_job;
select pg_temp.call('c6', '{"last_word": "503", "last_word_to": "192.0.2.9:5060"}') \g /dev/null
select app.bury_legs((select agent from ids)), app.legs_left((select agent from ids)) \g /dev/null
select is(pg_temp.legs(), 'ended:agent-lost ending:agent-lost ending:agent-lost', 'what rings ends with its process');
select is(pg_temp.jobs(), 'fail 503, cancel, cancel', 'and all are told');
select is(pg_temp.load(0), 'ended 1 503', 'with what was kept for that');
select pg_temp.ended(1, null), pg_temp.ended(2, null) \g /dev/null
select is(pg_temp.legs(), 'ended:agent-lost ended:agent-lost ended:agent-lost', 'then it is over');
update app.leg set state = 'ended', ended_at = now() where state = 'ending';
select pg_temp.call('c7', '{"flow": "udp:192.0.2.9:5060", "peer": "192.0.2.9"}'), pg_temp.answered(1) \g /dev/null
delete from app.leg_job;
select app.bury_legs((select agent from ids)), app.legs_left((select agent from ids)) \g /dev/null
select is(pg_temp.legs(), 'up up ending:cancelled', 'what is up stays');
select is(pg_temp.jobs(), 'cancel', 'what was to end is ordered to once more');
select is(pg_temp.load(0, '192.0.2.9'), 'up udp:192.0.2.9:5060 1001', 'a dialog is read from its row');
select is(pg_temp.load(0, '192.0.2.9'), 'up udp:192.0.2.9:5060 2001', 'and its numbers never go back');
select is_empty($$select * from api.leg_load((select agent from ids), null, 'c7', 'l', 'made up', '192.0.2.9')$$, 'tags that are made up');
update app.leg l set session_s = 90 where l.id = pg_temp.leg(1);
select is((select string_agg(kind || ' ' || (leg = pg_temp.leg(1)), ', ' order by leg) from api.leg_claim((select agent from ids), 1)),
	'ask true, cancel false', 'whether they are there is asked, first where the session is short');
select is((select string_agg(kind || ' ' || (leg = pg_temp.leg(0)), ', ') from api.leg_claim((select agent from ids), 1) where kind is not null),
	'ask true', 'so many at once as the agent can read');
update app.leg l set session_s = null where l.id = pg_temp.leg(1);
-- Its 200 may not have gone out.
select pg_temp.call('c8', '{"last_word": "503", "last_word_to": "192.0.2.9:5060", "flow": "udp:192.0.2.9:5060"}'), pg_temp.answered(1)
\g /dev/null
delete from app.leg_job;
select app.bury_legs((select agent from ids)), app.legs_left((select agent from ids)), app.bury_legs((select agent from ids)), app.legs_left((select agent from ids)) \g /dev/null
select is(pg_temp.jobs(), 'answer, cancel', 'what nobody has ACKed is answered again');
select is(pg_temp.load(0), 'answered udp:192.0.2.9:5060 1001 503', 'with the head that was kept, until the ACK');
select api.leg_news((select agent from ids), jsonb_build_array(jsonb_build_object('leg', pg_temp.leg(0), 'state', 'up'))) \g /dev/null
select is(pg_temp.load(0), 'up udp:192.0.2.9:5060 2001', 'and then no more');
update app.leg set state = 'answered', last_word = '503', answered_at = now() - interval '2 min' where id = pg_temp.leg(0);
select app.expire_legs() \g /dev/null
select is((select state from app.leg where id = pg_temp.leg(0)), 'up', 'its ACK came long ago');
update app.leg set state = 'ended', ended_at = now() where call_id = (select max(call_id) from app.leg);
delete from app.leg_job;
delete from app.leg where call_id = (select max(call_id) from app.leg);
-- Its connection has gone.
update app.leg set flow = 'tcp:beef:1' where id = pg_temp.leg(0);
select is(pg_temp.load(0), null, 'a phone that is not reached may come back');
update app.login set contact = 'sip:a@192.0.2.9', flow = 'tcp:boot1:7', agent_id = (select agent from ids),
	account_id = (select id from app.account where email = 'alice@example.net'), email = 'alice@example.net'
where contact = 'sip:b2@192.0.2.2';
select is(pg_temp.load(0), 'up tcp:boot1:7 3001', 'over another connection');
update app.leg set flow = 'tls:boot1:9', lost_at = now(), remote_target = 'sip:a@192.0.2.9;transport=tls' where id = pg_temp.leg(0);
update app.login set contact = 'sip:a@192.0.2.9;transport=tls', dials = 'tcp' where flow = 'tcp:boot1:7';
select is(pg_temp.load(0), null, 'what was encrypted is not asked for in clear, whatever its contact says');
update app.login set dials = 'tls' where flow = 'tcp:boot1:7';
select is(pg_temp.load(0), 'up tls:boot1:9 4001', 'what was encrypted stays so where it is reached at its contact');
update app.leg set flow = 'tcp:boot1:7', remote_target = 'sip:a@192.0.2.9' where id = pg_temp.leg(0);
update app.login set expires_at = now(), sweep_at = now() where flow = 'tcp:boot1:7';
update app.leg set lost_at = now() - interval '3 min' where id = pg_temp.leg(0);
select is(pg_temp.load(0), 'gone tcp:boot1:7 5001', 'but not for ever');
-- Not for longer than its session is good, of which its agent has told how long that was when it forgot the leg.
update app.leg set lost_at = null where id = pg_temp.leg(0);
select api.leg_news((select agent from ids), jsonb_build_array(jsonb_build_object('leg', pg_temp.leg(0), 'state', 'moved', 'flow',
	'tcp:boot1:7', 'peer', '192.0.2.9', 'lost', 1, 'left_s', 30, 'session_s', 90, 'session_ours', 0, 'takes_update', 1))) \g /dev/null
select is((select row(now() - asked_at, session_s, takes_update) from app.leg where id = pg_temp.leg(0)),
	row(interval '9 min 29 s', 90, true), 'it is asked for when that is over');
select is(pg_temp.load(0), null, 'before it may come back');
select is((select now() - asked_at from app.leg where id = pg_temp.leg(0)), interval '9 min 29 s', 'and is not asked for twice');
update app.leg set lost_at = now() - interval '30 s' where id = pg_temp.leg(0);
select is(pg_temp.load(0), 'expired tcp:boot1:7 6001', 'then it is over');
update app.leg set session_s = null where id = pg_temp.leg(0);
-- Two phones behind two NATs have one private URI: each is reached behind its own, on whichever port it is by now.
update app.leg set state = 'up', flow = 'udp:192.0.2.7:5060', peer = '192.0.2.7', lost_at = null, remote_target = 'sip:a@10.0.0.1'
where id = pg_temp.leg(0);
insert into app.login (account_id, email, n, key, contact, source, expires_s, expires_at, sweep_at, flow, agent_id, doc)
select l.account_id, l.email, 100 + g, 'sip:a@10.0.0.1  192.0.2.' || 6 + g, 'sip:a@10.0.0.1', 'sip', 600, now() + interval '600 s' * g,
	now(), 'udp:192.0.2.' || 6 + g || ':' || 7000 + g, l.agent_id, '{}'
from app.login l, generate_series(1, 2) g where l.flow = 'tcp:boot1:7';
select is((select w.flow from app.leg l, app.leg_way(l, (select agent from ids)) w where l.id = pg_temp.leg(0)), 'udp:192.0.2.7:7001',
	'though the other has registered later');
select is((select f.flow from app.leg l join app.login o on o.n = 101 and o.contact = 'sip:a@10.0.0.1', app.contact_flow(o.account_id,
	null, o.contact, 'tcp:boot1:9', '192.0.2.7') f where l.id = pg_temp.leg(0)), 'udp:192.0.2.7:7001', 'so is who has subscribed');
select is((select o.n from app.login l join app.login o on o.id = app.published_contact(l.account_id, 'sip:a@10.0.0.1', l.agent_id,
	'udp:192.0.2.8:7002') where l.n = 101 and l.contact = 'sip:a@10.0.0.1'), 102::bigint, 'what one publishes is not of the other');
select is((select app.login_key(l.account_id, l.key, 'another') = l.key and app.login_key(l.account_id, 'sip:a@10.0.0.1  192.0.2.9', 'new')
	= 'sip:a@10.0.0.1  192.0.2.9' from app.login l where l.n = 101 and l.contact = 'sip:a@10.0.0.1'), true, 'a third is another one');
delete from app.login where contact = 'sip:a@10.0.0.1' and n = 101;
select is((select w.flow from app.leg l, app.leg_way(l, (select agent from ids)) w where l.id = pg_temp.leg(0)), 'udp:192.0.2.8:7002',
	'where there is one alone, it has moved');
delete from app.login where contact = 'sip:a@10.0.0.1';
-- Another agent, after one that is given up.
select agent as other from api.agent_start('test:2', 'boot2') \gset
update app.agent set dead_at = now() where id = (select agent from ids);
select app.bury_dead_legs() \g /dev/null
select is(pg_temp.legs(), 'ending:agent-lost ending:agent-lost ending:cancelled', 'nobody answers where they send to');
select is((select string_agg(j.kind || ' ' || (j.agent_id = :other), ', ' order by j.leg_id) from app.leg_job j),
	'bye true, bye true, cancel true', 'so that another hangs up');
update app.agent set dead_at = null;
update app.leg set state = 'ended', ended_at = now() where state <> 'ended';
delete from app.leg_job;
update app.leg set ended_at = now() - interval '3 days';
select app.sweep_legs() \g /dev/null
select is((select count(*) from app.leg), 0::bigint, 'what is old is swept');

-- Hold (RFC 3264, section 8.4).
select is(app.sdp_holds(s.sdp), s.holds, s.what) from (values
	(E'v=0\r\nm=audio 4000 RTP/AVP 0\r\na=sendrecv\r\n', false, 'both ways'),
	(E'v=0\r\nm=audio 4000 RTP/AVP 0\r\na=sendonly\r\n', true, 'one way'),
	(E'v=0\r\na=inactive\r\nm=audio 4000 RTP/AVP 0\r\n', true, 'none, by the session'),
	(E'v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 4000 RTP/AVP 0\r\n', true, 'as of old'),
	(E'v=0\r\nm=audio 4000 RTP/AVP 0\r\na=sendonly\r\nm=video 5000 RTP/AVP 99\r\n', false, 'one of two'),
	(E'v=0\r\nm=audio 4000 RTP/AVP 0\r\na=inactive\r\nm=video 0 RTP/AVP 99\r\n', true, 'what is off does not count'))
	s (sdp, holds, what);
select * from finish();
rollback;
