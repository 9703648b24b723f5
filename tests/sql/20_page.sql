-- Pages in calls with phones: who wins, how a ring ends, what is told of it, and that nothing rings for ever.
begin;
select plan(55);
\o /dev/null
\ir setup.inc
select * from api.agent_start('test:1', 'boot1') \gset
select * from api.stream_start('stream:1') \gset
create temp table ids as select :agent as agent, :process as process;
grant select on ids to public;
select inspect.set_bound('invites', 1000);
\o
create function pg_temp.bind(p_uri text) returns void language sql as $$
	select api.login_register(null, pg_temp.proof('bob'), 'me', p_uri, p_uri, null, '{}', null) $$;
create function pg_temp.page(p_who text) returns void language sql as $$
	select api.watch_open((select process from ids), null, pg_temp.proof(p_who), null, 'login', 'me') $$;
create function pg_temp.call(p_session jsonb) returns bigint language sql as $$
	select id from api.call_create(null, pg_temp.proof('alice'), null, null, null, null, '{}', null, null, p_session,
		'["bob@example.net"]') $$;
create function pg_temp.last() returns bigint language sql as 'select max(id) from app.call';
create function pg_temp.child() returns jsonb language sql as $$
	select c from jsonb_array_elements((select app.call_doc(pg_temp.last(), true)::jsonb -> 'children')) c
	where c ->> 'email' = 'bob@example.net' order by c -> 'id' desc limit 1 $$;
create function pg_temp.orders() returns text language sql as $$
	select string_agg(j.kind || coalesce(' ' || j.cause, ''), ', ' order by j.id)
	from app.leg_job j join app.leg l on l.id = j.leg_id where l.call_id = pg_temp.last() $$;
create function pg_temp.leg(p_n int default 0) returns bigint language sql as $$
	select id from app.leg where call_id = pg_temp.last() order by id offset p_n limit 1 $$;
create function pg_temp.answered(p_n int default 0) returns text language sql as $$
	select string_agg(kind, ' ') from api.leg_answered((select agent from ids), pg_temp.leg(p_n),
		'{"remote_tag": "t", "remote_target": "sip:b@192.0.2.1"}', E'v=0\r\nm=audio 1 RTP/AVP 0\r\n') w where kind is not null $$;
create function pg_temp.ended(p_code int, p_n int default 0) returns void language sql as $$
	select from api.leg_ended((select agent from ids), jsonb_build_array(jsonb_build_object('leg', pg_temp.leg(p_n), 'code', p_code))) $$;
create function pg_temp.tell() returns text language plpgsql as $$
begin
	perform app.rings_tell();
	return (select string_agg(convert_from(s.body, 'UTF8')::jsonb ->> 'command', ' ' order by s.id)
		from app.send s where s.call_id = pg_temp.last());
end $$;
create function pg_temp.join(p_session jsonb) returns bigint language sql as $$
	select n from api.call_join(null, pg_temp.proof('bob'), pg_temp.last(), 'me', p_session, '{}', null, null) $$;
create function pg_temp.offer() returns jsonb language sql as $$ select '{"type": "offer", "sdp": "v=0\nm=audio 1 RTP/AVP 0\n"}'::jsonb $$;

-- Of a phone and a page of one account one answers.
select pg_temp.bind('sip:b@192.0.2.1'), pg_temp.page('bob') \g /dev/null
select lives_ok('select pg_temp.call(pg_temp.offer())', 'a page calls');
select is(pg_temp.orders(), 'invite', 'the phone rings');
select is((select sdp from app.leg_job where leg_id = pg_temp.leg()), E'v=0\r\nm=audio 1 RTP/AVP 0\r\n', 'with the page''s session, in lines');
select is(pg_temp.child() ->> 'state', 'calling', 'the call says so');
select is(pg_temp.join(pg_temp.offer()), 2::bigint, 'a page joins');
select is(pg_temp.orders(), 'cancel SIP;cause=200;text="Call completed elsewhere"', 'the phone stops');
select is(pg_temp.answered(), 'lost', 'and has lost, had it answered');
select is(pg_temp.child() - '{id,url,email,login,session,joined_at}'::text[], '{"state": "joined"}', 'the page is in it');
select is(pg_temp.tell(), 'invite', 'what no page has read is not cancelled');
select is_empty($$ select i.body from api.inbox_read((select id from app.account where email = 'bob@example.net'), null, 10) i
	where convert_from(i.body, 'UTF8')::jsonb ->> 'command' = 'invite' $$, 'but not shown');
select is((select string_agg(d.kind || ' ' || d.state, ', ' order by d.id) from app.delivery d join app.send s on s.id = d.send_id
	where s.call_id = pg_temp.last()), 'contact sending, stream cancelled', 'its sender sees that');
select pg_temp.ended(487), pg_temp.tell() \g /dev/null
select is((select d.state from app.delivery d join app.send s on s.id = d.send_id where s.call_id = pg_temp.last() and d.kind = 'contact'),
	'cancelled', 'and what became of the phone');

select pg_temp.call(pg_temp.offer()) \g /dev/null
select api.inbox_read((select id from app.account where email = 'bob@example.net'), null, 10) \g /dev/null
select is(pg_temp.answered(), 'won', 'a phone is quicker');
select throws_ok('select pg_temp.join(pg_temp.offer())', 'RS409', 'answered-elsewhere', 'the page is not');
select is(pg_temp.tell(), 'invite cancel', 'it is told, for it has rung');
select is((select convert_from(s.body, 'UTF8')::jsonb ->> 'reason' from app.send s where s.call_id = pg_temp.last() order by s.id desc limit 1),
	'answered-elsewhere', 'and why');
select lives_ok($$ select api.participant_put(null, pg_temp.proof('alice'), pg_temp.last(), 1,
	'{"type": "offer", "sdp": "v=0\no=- 4 4 IN IP4 192.0.2.1\nm=audio 2 RTP/AVP 0\n"}', '{}', null) $$, 'a new session');
select is((select p.session = pg_temp.offer() and p.pending is not null from app.participant p where p.call_id = pg_temp.last() and p.n = 1), true,
	'is not there before the phone has taken it');
select api.leg_offered((select agent from ids), pg_temp.leg(), 488, 'No', null) \g /dev/null
select is((select p.session = pg_temp.offer() and p.pending is null and p.code = 488 from app.participant p where p.call_id = pg_temp.last() and p.n = 1),
	true, 'and never, if it does not');
select is((select l.local_sdp ~ 'm=audio 1 ' from app.leg l where l.id = pg_temp.leg()), true, 'and a refresh says what it had');
select api.participant_delete(null, pg_temp.proof('alice'), pg_temp.last(), 1, null) \g /dev/null
select is((select kind from app.leg_job where leg_id = pg_temp.leg() order by id desc limit 1), 'bye', 'who leaves hangs up');

-- Nothing rings for ever.
select pg_temp.call(pg_temp.offer()) \g /dev/null
update app.participant set ring_until = now() - interval '1 s' where ring_until is not null;
select app.expire_rings() \g /dev/null
select is(pg_temp.child() #>> '{ended,cause}', 'no-answer', 'a ring has an end');
select is(pg_temp.orders(), 'cancel', 'at the phone too');
select is((app.expire_rings()).more, false, 'once');

-- Who has pages alone is called like anybody.
select * from api.login_delete(null, pg_temp.proof('bob'), 'me', null, null) \g /dev/null
select api.watch_open((select process from ids), null, pg_temp.proof('bob'), null, 'login', 'me') \g /dev/null
select id as closed from api.call_create(null, pg_temp.proof('alice'), null, null, false, null, '{}', null, null, pg_temp.offer(),
	'["bob@example.net"]') \gset
select is(pg_temp.child() ->> 'state', 'calling', 'the call says that a page rings');
select is(pg_temp.join(pg_temp.offer()), 2::bigint, 'which may join, though the call is not open');
select is(pg_temp.child() ->> 'state', 'joined', 'and is in it');
select pg_temp.call(pg_temp.offer()) \g /dev/null
select api.inbox_read((select id from app.account where email = 'bob@example.net'), null, 10) \g /dev/null
select api.participant_delete(null, pg_temp.proof('alice'), pg_temp.last(), 1, null) \g /dev/null
select is(pg_temp.tell(), 'invite cancel', 'who called leaves: the page hears it');
select is(pg_temp.child() #>> '{ended,cause}', 'cancelled', 'and the call says so');
select pg_temp.bind('sip:b@192.0.2.1') \g /dev/null

-- Bounds, as at the other door.
select inspect.set_bound('calls_sip', 0) \g /dev/null
select throws_ok('select pg_temp.call(null)', 'RS409', 'too-many-calls', 'so many calls');
select inspect.set_bound('calls_sip', 50), inspect.set_bound('invites', 0) \g /dev/null
select throws_ok('select pg_temp.call(null)', 'RS429', 'too-many-calls', 'so many a second');
select inspect.set_bound('invites', 1000) \g /dev/null

select inspect.set_bound('calls_sip', 1 + (select count(*)::int from app.participant p
	where p.by_id = (select id from app.account where email = 'alice@example.net') and p.state <> 'left')) \g /dev/null
insert into caller values ('carol', sha256('c'));
select email from api.user_create('carol@example.net', '$y$j9T$ccccccccccccccccccccc.$carolhash', '{}') \g /dev/null
select email from api.session_create('carol@example.net', '$y$j9T$ccccccccccccccccccccc.$carolhash', pg_temp.proof('carol'), 600)
\g /dev/null
select api.login_register(null, pg_temp.proof('carol'), 'me', 'sip:c@192.0.2.3', 'sip:c@192.0.2.3', null, '{}', null) \g /dev/null
select throws_ok($$ select api.call_create(null, pg_temp.proof('alice'), null, null, null, null, '{}', null, null, null,
	'["bob@example.net", "carol@example.net"]') $$, 'RS409', 'too-many-calls', 'each of those that are called is asked for');
select inspect.set_bound('calls_sip', 50) \g /dev/null

-- A call is ended also where messages have no place.
create function pg_temp.say(p_who text, p_to text, p_command text) returns void language sql as $$
	select from api.send_post(null, pg_temp.proof(p_who), p_to || '@example.net', null, 'application/json', convert_to(
		'{"command":"' || p_command || '","url":"/call/' || pg_temp.last() || '"}', 'UTF8'), true, null, null) $$;
select pg_temp.call(pg_temp.offer()) \g /dev/null
select api.send_post(null, pg_temp.proof('bob'), 'alice@example.net', null, 'text/plain', 'x', true, null, null),
	inspect.set_bound('sender_stored', 1) \g /dev/null
select lives_ok($$ select pg_temp.say('alice', 'bob', 'cancel') $$, 'it is cancelled');
select is(pg_temp.child() #>> '{ended,cause}', 'cancelled', 'and that is so');
select throws_ok($$ select pg_temp.say('alice', 'bob', 'cancel') $$, 'RS507', 'too-much-waiting', 'what ends nothing has no place either');
select inspect.set_bound('sender_stored', 100), pg_temp.call(pg_temp.offer()), inspect.set_bound('sender_stored', 1) \g /dev/null
select lives_ok($$ select pg_temp.say('bob', 'alice', 'reject') $$, 'it is rejected');
select is(pg_temp.child() #>> '{ended,cause}', 'declined', 'and that is so');
select inspect.set_bound('sender_stored', 100) \g /dev/null

-- Whoever joins without a session may say so again.
select pg_temp.call(pg_temp.offer()) \g /dev/null
select is(pg_temp.join(null), 2::bigint, 'a page joins');
select is(pg_temp.join(null), 2::bigint, 'and once more');

-- Session descriptions.
select is(app.sdp_inactive(E'v=0\r\no=a 1 1 IN IP4 x\r\nm=audio 4000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\nm=video 0 RTP/AVP 99\r\nm=text 5 RTP/SAVP 98\r\n'),
	E'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 9 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=inactive\r\n'
	'm=video 0 RTP/AVP 99\r\na=inactive\r\nm=text 0 RTP/SAVP 98\r\na=inactive\r\n', 'each medium is answered');
select is(app.sdp_next(E'v=0\r\no=- 7 9 IN IP4 192.0.2.1\r\ns=-\r\nm=audio 1 RTP/AVP 0\r\nm=video 2 RTP/AVP 99\r\n',
	E'v=0\r\no=x 1 1 IN IP4 192.0.2.2\r\ns=-\r\nm=audio 3 RTP/AVP 8\r\n'),
	E'v=0\r\no=- 7 10 IN IP4 192.0.2.1\r\ns=-\r\nm=audio 3 RTP/AVP 8\r\nm=video 0 RTP/AVP 0\r\n', 'the dialog''s origin goes on, and its media');
select is(app.session_sdp('"rtsp://x"'), null, 'another kind of session');
select is(app.session_sdp('{"sdp": "v=0\nm=audio 1 RTP/AVP 0\n\n"}'), E'v=0\r\nm=audio 1 RTP/AVP 0\r\n', 'lines end as SIP wants it');
select throws_ok($$ select app.session_sdp('{"sdp": 1}') $$, 'RS400', 'invalid-member', 'what is no description');
select is(app.sdp_kind(E'v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n') || ' ' || app.sdp_kind(E'v=0\r\nm=audio 9 RTP/AVP 0\r\n'), 'webrtc rtp', 'kinds');

-- What rings has its outcome, though the leg could not be ended as legs are.
create function pg_temp.rung() returns text language sql as $$
	select string_agg(d.kind || ' ' || d.state, ', ' order by d.id) from app.delivery d join app.send s on s.id = d.send_id
	where s.call_id = pg_temp.last() $$;
select pg_temp.call(pg_temp.offer()) \g /dev/null
update app.leg set state = 'ending' where id = pg_temp.leg();
select given_up from app.leg_failed(pg_temp.leg(), 'test', 'XX000', 'why') \g /dev/null
select pg_temp.tell() \g /dev/null
select is(pg_temp.rung(), 'contact cancelled, stream queued', 'a leg that is given up rings no more');

-- Who is called ends while a page has read of it, and a phone rings.
select pg_temp.page('carol') \g /dev/null
select id from api.call_create(null, pg_temp.proof('alice'), null, null, null, null, '{}', null, null, pg_temp.offer(),
	'["carol@example.net"]') \g /dev/null
select api.inbox_written((select process from ids), a.id, array(select i.inbox from api.inbox_read(a.id, null, 10) i))
from app.account a where a.email = 'carol@example.net' \g /dev/null
select is(pg_temp.rung(), 'contact sending, stream delivered', 'a page has read of it, and a phone rings');
select * from api.user_delete(null, pg_temp.proof('carol'), 'carol@example.net', null) \g /dev/null
select is(pg_temp.rung(), null, 'nothing rings at who is gone');

-- Who calls ends while it rings: pages are told, and so is everybody else.
select throws_ok($$ select app.reject_code('486.5') $$, 'RS400', 'invalid-member', 'a reason that is none');
select is(app.reject_code('486.0'), 486, 'one that is written otherwise');
select pg_temp.call(pg_temp.offer()) \g /dev/null
select api.inbox_read((select id from app.account where email = 'bob@example.net'), null, 10) \g /dev/null
select pg_temp.leg() as leg \gset
select * from api.user_delete(null, pg_temp.proof('alice'), 'alice@example.net', null) \g /dev/null
select lives_ok('select app.rings_tell()', 'the account of who called is gone');
select is_empty('select from app.ring_news', 'and nothing is left to be told');
select lives_ok(format('select api.leg_ended(%s, ''[{"leg": %s, "code": 487}]'')', :agent, :leg), 'its phone stops');
select app.rings_tell() \g /dev/null
select is((select l.state || ', ' || d.state from app.leg l join app.delivery d on d.id = l.delivery_id where l.id = :leg), 'ended, cancelled',
	'that is the end of it');
select is((select string_agg(substring(app.answer_session(s.said, app.sdp_session('offer', s.had), app.sdp_session('answer', s.page)) ->> 'sdp',
		'setup:(\w+)\r\nb=1'), ' ') from (values
		(E'v=0\r\na=setup:actpass\r\nb=1', 'v=0', E'v=0\r\na=setup:active\r\n'),
		(E'v=0\r\na=setup:actpass\r\nb=1', 'v=0', E'v=0\r\na=setup:passive\r\n'),
		(E'v=0\r\na=setup:actpass\r\nb=1', E'v=0\r\na=setup:active\r\n', E'v=0\r\na=setup:actpass\r\n'),
		(E'v=0\r\na=setup:actpass\r\nb=1', null, null),
		(E'v=0\r\na=setup:active\r\nb=1', 'v=0', E'v=0\r\na=setup:active\r\n')) s (said, had, page)),
	'passive active active passive active', 'an answer that leaves open who begins DTLS has the role that the phone has');
select * from finish();
rollback;
