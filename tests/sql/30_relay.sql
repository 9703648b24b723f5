-- Media relays: which leg needs one, and that a leg which has one is to its call what the other side is.
begin;
select plan(40);
\o /dev/null
\ir setup.inc
\ir legs.inc
select * from api.stream_start('stream:1') \gset
create temp table streams as select :process as process;
grant select on streams to public;
select app.credential_put('bob@example.net', 'bob', 'example.net', 'MD5', md5('bob:example.net:pw'), '');
\o
create function pg_temp.relays(p_has bool) returns void language sql as $$
	select from api.agent_start('test:1', 'boot1', '', false, p_has) $$;
create function pg_temp.sdp(p_kind text) returns text language sql as $$
	select E'v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio 4000 ' || case p_kind when 'webrtc' then 'UDP/TLS/RTP/SAVPF' else 'RTP/AVP' end || E' 0\r\n' $$;
create function pg_temp.page(p_who text) returns void language sql as $$
	select api.watch_open((select process from streams), null, pg_temp.proof(p_who), null, 'login', 'me') $$;
create function pg_temp.dialog(p_id text, p_leg jsonb) returns jsonb language sql as $$
	select jsonb_build_object('call_id', p_id, 'local_tag', 'l', 'remote_tag', 'r', 'local_uri', 'sip:bob@example.net',
		'remote_uri', 'sip:alice@example.net', 'local_target', 'sip:127.0.0.1', 'remote_target', 'sip:a@192.0.2.9',
		'remote_cseq', 1, 'hops', 69) || p_leg $$;
create function pg_temp.invite(p_id text, p_kind text, p_leg jsonb default '{}') returns text language sql as $$
	select string_agg(kind || coalesce(' ' || number, ''), ', ' order by leg) from api.sip_invite((select agent from ids),
		(select id from app.credential where username = 'alice' order by id desc limit 1), md5('alice:example.net:pw'),
		'bob@example.net', pg_temp.dialog(p_id, p_leg), pg_temp.sdp(p_kind), null, 60, false) $$;
create function pg_temp.many(p_id text, p_kind text) returns bigint language sql as $$
	select count(*) from api.sip_invite_many((select agent from ids), jsonb_build_array(jsonb_build_object('i', 0,
		'credential', (select id from app.credential where username = 'alice' order by id desc limit 1),
		'ha1', md5('alice:example.net:pw'), 'aor', 'bob@example.net', 'ring_s', 60, 'sdp', pg_temp.sdp(p_kind),
		'leg', pg_temp.dialog(p_id, '{}')))) where i = 0 $$;
create function pg_temp.answered(p_n int, p_kind text, p_dialog jsonb default '{}') returns text language sql as $$
	select string_agg(kind || coalesce(' ' || app.sdp_kind(sdp), ''), ', ') from api.leg_answered((select agent from ids), pg_temp.leg(p_n),
		'{"remote_tag": "t", "remote_target": "sip:b@192.0.2.1"}' || p_dialog, pg_temp.sdp(p_kind)) w where kind is not null $$;
create function pg_temp.join(p_session jsonb) returns bigint language sql as $$
	select n from api.call_join(null, pg_temp.proof('bob'), (select max(id) from app.call), 'me', p_session, '{}', null, null) $$;
create function pg_temp.session(p_kind text) returns jsonb language sql as $$ select app.sdp_session('answer', pg_temp.sdp(p_kind)) $$;
create function pg_temp.row(p_n int) returns app.leg language sql as $$ select l.* from app.leg l where l.id = pg_temp.leg(p_n) $$;
create function pg_temp.spoke(p_who text) returns text language sql as $$
	select max(l.spoke) from app.login l join app.account a on a.id = l.account_id where a.email = p_who || '@example.net' $$;
create function pg_temp.over() returns void language sql as $$
	select from api.leg_ended((select agent from ids), (
		select jsonb_agg(jsonb_build_object('leg', l.id)) from app.leg l where l.ended_at is null)) $$;

-- A phone is called.
select pg_temp.bind('bob', 'sip:b@192.0.2.1') \g /dev/null
select is(pg_temp.invite('c1', 'webrtc'), 'made, invite', 'without a relay in the settings nobody asks one');
select pg_temp.over(), pg_temp.over(), pg_temp.relays(true) \g /dev/null
select is(pg_temp.invite('c2', 'webrtc'), 'made, invite 1', 'of a contact nobody has heard: it is a plain phone');
select pg_temp.over(), pg_temp.over() \g /dev/null
select is(pg_temp.invite('c3', 'rtp'), 'made, invite', 'who speaks what it does needs none');
select is(pg_temp.answered(1, 'rtp', '{"spoke": "webrtc", "relay": "127.0.0.1:22222", "own_said": "w", "own_heard": "w2"}'),
	'won, answer rtp', 'it speaks WebRTC after all');
select is((l.relay, l.own_said, l.own_heard, app.sdp_kind(l.remote_sdp))::text, '(127.0.0.1:22222,w,w2,rtp)', 'its row has both sides')
from pg_temp.row(1) l;
select is((select relay from inspect.leg where id = pg_temp.leg(1)), '127.0.0.1:22222', 'and shows the relay');
select is((select figures from api.metrics('test', 1, '') where figures like 'restsip_relay%'),
	'restsip_relay_legs{relay="127.0.0.1:22222"} 1', 'and so does /metrics');
select ok(app.leg_is_apart(pg_temp.row(0)) and app.leg_is_apart(pg_temp.row(1)), 'what either offers goes by the database');
select is((s.said, s.heard)::text, '(w,w2)', 'it is refreshed with what it had') from api.leg_sdps(:agent, pg_temp.leg(1)) s;
select is((r.state, r.relay, r.web, r.said, r.apart)::text, '(up,127.0.0.1:22222,t,w,t)', 'another process goes on so')
from api.leg_load(:agent, pg_temp.leg(1), null, null, null, null) r;
select is(pg_temp.spoke('bob'), 'webrtc', 'the contact''s kind is kept');
select api.leg_news(:agent, jsonb_build_array(jsonb_build_object('leg', pg_temp.leg(1), 'state', 'moved', 'relay', '127.0.0.1:22222',
	'own_said', 'x', 'own_heard', 'y'))) \g /dev/null
select is((l.own_said, l.own_heard)::text, '(x,y)', 'news of it') from pg_temp.row(1) l;
select api.leg_news((select agent from ids), jsonb_build_array(jsonb_build_object('leg', pg_temp.leg(1), 'state', 'ringing', 'code', 180,
	'relay', '127.0.0.1:22222'))) \g /dev/null
select is((l.state, l.own_said, l.own_heard)::text, '(up,x,y)', 'that it rang is heard after what it has answered') from pg_temp.row(1) l;
select pg_temp.over(), pg_temp.over() \g /dev/null
select is((l.state, l.relay, l.own_said, l.own_heard)::text, '(ended,127.0.0.1:22222,,)', 'its sessions go when it ends') from pg_temp.row(1) l;
select is(pg_temp.invite('c4', 'rtp'), 'made, invite 1', 'the next call knows');
select pg_temp.over(), pg_temp.over() \g /dev/null
select is(pg_temp.many('c5', 'rtp'), 0::bigint, 'that is no plain call');
select is(pg_temp.many('c6', 'webrtc'), 2::bigint, 'this is one');
select pg_temp.over(), pg_temp.over() \g /dev/null
select is(pg_temp.invite('c7', 'rtp'), 'made, invite 1', 'its phone speaks plain RTP now');
select pg_temp.answered(1, 'rtp', '{"spoke": "rtp"}') \g /dev/null
select is(pg_temp.spoke('bob') || coalesce((pg_temp.row(1)).relay, ''), 'rtp', 'without a relay');
select pg_temp.over(), pg_temp.over() \g /dev/null

-- Whom a call is handed on to offers by itself, in the words of who is kept.
select pg_temp.invite('c8', 'rtp'), pg_temp.answered(1, 'rtp') \g /dev/null
select is(app.leg_relay_number(pg_temp.row(1), ''), null, 'who is not handed on says what it says');
insert into app.transfer (call_id, by_id, kept_id, to_id, tells)
select l.call_id, l.participant_id, l.participant_id, (pg_temp.row(1)).participant_id, false from pg_temp.row(0) l;
select is(app.leg_relay_number(pg_temp.row(1), ''), 3, 'plain RTP to a plain phone');
update app.participant p set session = pg_temp.session('webrtc') where p.id = (pg_temp.row(0)).participant_id;
select is(app.leg_relay_number(pg_temp.row(1), null), 2, 'WebRTC to a page');
select is(app.leg_relay_number(pg_temp.row(1), pg_temp.sdp('webrtc')), 1, 'with an offer it is that which counts');
delete from app.transfer;
select pg_temp.over(), pg_temp.over() \g /dev/null

-- A page is called.
select pg_temp.page('bob') \g /dev/null
select is(pg_temp.invite('d1', 'rtp'), 'show', 'what its page is to be offered is asked first');
select is((select count(*) from app.leg where sip_call_id = 'd1'), 0::bigint, 'nothing is done');
select is(pg_temp.invite('d2', 'webrtc'), 'made, progress, invite 1', 'a page hears WebRTC as it is');
select pg_temp.over(), pg_temp.over() \g /dev/null
select is(string_agg(o, ', ' order by o), 'invite, made, progress', 'both ring')
from unnest(string_to_array(pg_temp.invite('d3', 'rtp', jsonb_build_object('shown', pg_temp.sdp('webrtc'), 'relay', '127.0.0.1:22222')), ', ')) o;
select is(app.sdp_kind((app.leg_participant(pg_temp.row(0))).session ->> 'sdp') || ' ' || app.sdp_kind((pg_temp.row(0)).remote_sdp),
	'webrtc rtp', 'the page is shown what the relay has made of it');
select throws_ok($$ select pg_temp.join(pg_temp.session('rtp')) $$, 'RS409', 'media-incompatible', 'which its answer is to go with');
select is(pg_temp.join(pg_temp.session('webrtc')), 2::bigint, 'it answers');
select is(app.sdp_kind((pg_temp.row(0)).remote_sdp) || (pg_temp.row(0)).relay, 'webrtc127.0.0.1:22222', 'to its call the phone speaks WebRTC');
select is((r.state, r.relay, r.web)::text, '(up,127.0.0.1:22222,f)', 'its 200 is not said again by who does not know what it said')
from api.leg_load(:agent, pg_temp.leg(0), null, null, null, null) r;
select pg_temp.over(), pg_temp.over() \g /dev/null
select pg_temp.invite('d4', 'rtp', jsonb_build_object('shown', pg_temp.sdp('webrtc'), 'relay', '127.0.0.1:22222')) \g /dev/null
select is(split_part(pg_temp.answered(1, 'rtp'), ', ', 1), 'won', 'the phone answers');
select is(coalesce((pg_temp.row(0)).relay, 'none') || ' ' || app.sdp_kind((app.leg_participant(pg_temp.row(0))).session ->> 'sdp'), 'none rtp',
	'no relay is needed any more');
select pg_temp.over(), pg_temp.over() \g /dev/null
select pg_temp.invite('d5', 'rtp', jsonb_build_object('shown', pg_temp.sdp('webrtc'), 'relay', '127.0.0.1:22222')), pg_temp.join(null) \g /dev/null
select is(coalesce((pg_temp.row(0)).relay, 'none'), 'none', 'nor by a page without media');
select pg_temp.over(), pg_temp.over() \g /dev/null

-- No relay answers.
select is(pg_temp.invite('e1', 'rtp', '{"shown": ""}'), 'made, invite', 'the phone rings alone');
select pg_temp.over(), pg_temp.over() \g /dev/null
delete from app.login where source <> 'stream';
select throws_ok($$ select pg_temp.invite('e2', 'rtp', '{"shown": ""}') $$, 'RS488', 'no-relay', 'where there is none the call ends');
select is((select count(*) from app.leg where sip_call_id = 'e2'), 0::bigint, 'and nothing is left of it');
select is(pg_temp.invite('e3', 'webrtc') like 'made%', true, 'others do not notice');

-- Which kind a description is of, as tests/unit/test_agent_bridge.c has it of C.
create temp table line (kind text, sdp text);
\copy line from tests/data/sdp-kinds
select is((select array_agg(format('%s is %s', l.sdp, app.sdp_kind(l.sdp)))
	from line l where coalesce(app.sdp_kind(l.sdp), 'none') <> l.kind), null, 'the kinds of tests/data/sdp-kinds');

select * from finish();
rollback;
