-- Who is in a call hands the other side on: by a phone's REFER, and what follows at each step, also where agents die.
begin;
select plan(60);
\o /dev/null
\ir setup.inc
\ir legs.inc
insert into caller values ('carol', sha256('c'));
select email from api.user_create('carol@example.net', '$y$j9T$ccccccccccccccccccccc.$carolhash', '{}');
select email from api.session_create('carol@example.net', '$y$j9T$ccccccccccccccccccccc.$carolhash', pg_temp.proof('carol'), 600);
select pg_temp.bind('bob', 'sip:b@192.0.2.1'), pg_temp.bind('carol', 'sip:c@192.0.2.3');
\o
-- What its agent is ordered, "kind reason-or-sdp" of each, the first row too.
create function pg_temp.said(p_kind text, p_code int, p_reason text, p_sdp text) returns text language sql as $$
	select concat_ws(' ', p_kind, p_code, p_reason, nullif(p_sdp, '')) $$;
create function pg_temp.answered(p_leg bigint, p_sdp text) returns text language sql as $$
	select string_agg(pg_temp.said(kind, code, reason, sdp), ', ') from api.leg_answered((select agent from ids), p_leg,
		'{"remote_tag": "t", "remote_target": "sip:x@192.0.2.1"}', p_sdp) where kind is not null $$;
create function pg_temp.refer(p_leg bigint, p_cseq bigint default 7) returns text language sql as $$
	select string_agg(pg_temp.said(kind, code, reason, sdp), ', ') from api.leg_refer((select agent from ids), p_leg, p_cseq,
		'carol@example.net', true) where kind is not null $$;
create function pg_temp.ended(p_leg bigint, p_item jsonb default '{}') returns text language sql as $$
	select string_agg(pg_temp.said(kind, code, reason, sdp), ', ') from api.leg_ended((select agent from ids),
		jsonb_build_array(jsonb_build_object('leg', p_leg) || p_item)) where kind is not null $$;
create function pg_temp.offered(p_leg bigint, p_code int, p_sdp text) returns text language sql as $$
	select string_agg(pg_temp.said(kind, code, reason, sdp), ', ') from api.leg_offered((select agent from ids), p_leg, p_code, '', p_sdp)
	where kind is not null $$;
-- Of the last call.
create function pg_temp.claim() returns text language sql as $$
	select string_agg(pg_temp.said(kind, code, reason, sdp), ', ') from api.leg_claim((select agent from ids)) w
	where kind <> 'ask' and exists (select from app.leg l where l.id = w.leg and l.call_id = (select max(call_id) from app.leg)) $$;

-- Alice and bob, who talk; the legs are 0, 1, and carol's 2.
create function pg_temp.up(p_id text) returns void language sql as $$
	select pg_temp.call(p_id);
	select pg_temp.answered(pg_temp.leg(1), 'answer');
	select api.leg_news((select agent from ids), jsonb_build_array(jsonb_build_object('leg', pg_temp.leg(0), 'state', 'up'))) $$;
-- Who is in the call, and how those ended who were.
create function pg_temp.who() returns text language sql as $$
	select string_agg(concat_ws(' ', left(a.email, 1), p.state, p.cause), ', ' order by p.n)
	from app.participant p join app.account a on a.id = p.account_id where p.call_id = (select max(call_id) from app.leg) $$;
create function pg_temp.moves() returns bigint language sql as $$ select count(*) from app.transfer $$;

select pg_temp.up('c1') \g /dev/null
select is(pg_temp.refer(pg_temp.leg(0)), 'refer 202, pair, pair, notify 100 Trying, invite', 'who is to come is rung, without an offer');
select is((select coalesce(w.sdp, 'none') || ' ' || w.remote_uri || ' ' || w.local_uri
	from app.leg l, app.leg_take((select agent from ids), null, app.leg_order(l, (select agent from ids), 'invite', p_sdp => l.local_sdp)) w
	where l.id = pg_temp.leg(2) and w.kind is not null), ' sip:carol@example.net sip:bob@example.net', 'in the name of who is kept');
select is(pg_temp.refer(pg_temp.leg(0)), 'refer 202', 'the same REFER, which another process has answered');
select is(pg_temp.refer(pg_temp.leg(0), 8), 'refer 491', 'another is one too many');
select is(pg_temp.refer(pg_temp.leg(1)), 'refer 491', 'also of the other side');
select is(pg_temp.who(), 'a joined, b joined, c calling', 'nothing has changed for the two');
select is(pg_temp.answered(pg_temp.leg(2), 'offer2'), 'won, offer offer2', 'who is kept is asked to change over');
select is(pg_temp.offered(pg_temp.leg(1), 200, 'answer2'),
	'accept answer2, notify 200 OK, bye, pair, pair', 'its answer is that of who comes; who has asked is told, and hung up');
select is(pg_temp.who(), 'a left transferred, b joined, c joined', 'and has left');
select is((select string_agg(left(a.email, 1), '' order by a.id) from app.account a
	where app.command_holds(a.id, 'transfer', (select max(call_id) from app.leg))), 'bc', 'and commands it no more, though it is theirs');
select throws_ok('select app.transfer_by_rest((select max(call_id) from app.leg), a.id, b.id, a.id) from app.account a, app.account b
	where a.email = ''alice@example.net'' and b.email = ''bob@example.net''', 'RS404', null, 'nor by having come to look at it');
update app.participant set left_at = now() - interval '1 year' where cause = 'transferred';
select app.sweep_calls() \g /dev/null
select is(app.command_holds((select id from app.account where email = 'alice@example.net'), 'transfer', (select max(call_id) from app.leg)), false,
	'nor by having waited');
select is(pg_temp.moves(), 0::bigint, 'it is over');
select is((select w.sdp from api.leg_load((select agent from ids), pg_temp.leg(2), null, null, null, null) w), 'answer2',
	'an ACK that has not come is sent with that by another process');
select is((select w.peer from api.leg_load((select agent from ids), pg_temp.leg(2), null, null, null, null) w), pg_temp.leg(1),
	'they speak to each other');
select is(pg_temp.ended(pg_temp.leg(0)), null, 'the BYE of who has gone ends nothing');
select is(pg_temp.ended(pg_temp.leg(2)), 'bye', 'either of the two ends it');
select is(pg_temp.who(), 'a left transferred, b left hangup, c left hangup', 'for both');

-- A failure leaves what there was.
select pg_temp.up('c2'), pg_temp.refer(pg_temp.leg(0)) \g /dev/null
select is(pg_temp.ended(pg_temp.leg(2), '{"code": 486, "reason": "Busy Here"}'), 'notify 486 Busy Here, pair, pair', 'busy');
select is(pg_temp.who(), 'a joined, b joined, c left busy', 'who has asked hears it, and nobody else');
select pg_temp.refer(pg_temp.leg(1), 3) \g /dev/null
select is((select l.call_id is not null from app.leg l where l.id = pg_temp.leg(3)), true, 'the other side asks for it');
select is(pg_temp.answered(pg_temp.leg(3), 'offer3'), 'won, offer offer3', 'and who calls is kept');
select is(pg_temp.offered(pg_temp.leg(0), 488, null), 'bye, notify 488 Not Acceptable Here, pair, pair', 'it does not take the offer');
select is(pg_temp.ended(pg_temp.leg(0)), 'bye', 'the old pair is one: who hangs up ends it');

-- Who has asked hangs up first.
select pg_temp.up('c3'), pg_temp.refer(pg_temp.leg(0)) \g /dev/null
select is(pg_temp.ended(pg_temp.leg(0)), null, 'that ends its own leg only');
select is(pg_temp.who(), 'a left transferred, b joined, c calling', 'the others wait');
select is(pg_temp.ended(pg_temp.leg(2), '{"code": 603}'), 'bye', 'and nobody stays with nobody');
select is(pg_temp.who(), 'a left transferred, b left unreachable, c left declined', 'each knows why');

-- An agent that hung up on the other side by itself, before it knew.
select pg_temp.up('c4'), pg_temp.refer(pg_temp.leg(0)) \g /dev/null
select is(pg_temp.ended(pg_temp.leg(0), jsonb_build_object('peer', pg_temp.leg(1))), 'cancel', 'there is nobody to be kept');
select is(pg_temp.who(), 'a left transferred, b left unreachable, c left unreachable', 'it is over for all');

-- The agent is killed: while who comes is rung, while who is kept changes over, and after that.
select pg_temp.up('c5'), pg_temp.refer(pg_temp.leg(0)) \g /dev/null
select api.agent_start('test:1', 'boot2') \g /dev/null
select is(pg_temp.claim(), 'cancel, notify 480 Temporarily Unavailable, pair, pair', 'rung: who has asked hears that it has failed');
select is(pg_temp.who(), 'a joined, b joined, c left agent-lost', 'the two talk on');
select pg_temp.ended(pg_temp.leg(2)), pg_temp.refer(pg_temp.leg(0), 9), pg_temp.answered(pg_temp.leg(3), 'offer5') \g /dev/null
select is((select w.sdp from api.leg_load((select agent from ids), pg_temp.leg(3), null, null, null, null) w), '',
	'an ACK waits for what it is to say');
select api.agent_start('test:1', 'boot3') \g /dev/null
select is(pg_temp.claim(), 'bye, notify 480 Temporarily Unavailable, pair, pair, offer offer', 'changing over: who is kept has the old session again');
select is(pg_temp.who(), 'a joined, b joined, c left agent-lost, c left media', 'the two talk on');
select pg_temp.ended(pg_temp.leg(3)), pg_temp.offered(pg_temp.leg(1), 200, 'answer5') \g /dev/null
select pg_temp.refer(pg_temp.leg(0), 11) \g /dev/null
select is(pg_temp.ended(pg_temp.leg(0)), null, 'who has asked is gone already');
select api.agent_start('test:1', 'boot4') \g /dev/null
select is(pg_temp.claim(), 'cancel, bye', 'then all are told');
select is(pg_temp.who() like 'a left transferred, b left agent-lost, %c left agent-lost', true, 'and all have an end');
select is(pg_temp.moves(), 0::bigint, 'nothing is left of it');

-- What became of an offer comes too late.
select pg_temp.up('c6'), pg_temp.refer(pg_temp.leg(0)), pg_temp.answered(pg_temp.leg(2), 'offer6') \g /dev/null
select is(pg_temp.ended(pg_temp.leg(2)), 'notify 480 Temporarily Unavailable, pair, pair', 'who comes has gone while who is kept changes over');
select is(pg_temp.refer(pg_temp.leg(0), 12), 'refer 491', 'which is waited for');
select is(pg_temp.offered(pg_temp.leg(1), 200, 'answer6'), 'offer offer', 'it is offered what it had');
select is((select g.w from (select string_agg(kind, ' ') as w from api.leg_ended((select agent from ids),
	jsonb_build_array(jsonb_build_object('leg', pg_temp.leg(0)))) where kind is not null) g), 'bye', 'the two are a pair');
-- Who asks pays for whom that rings, also where it is a page that is kept, which has called the phone.
select id from api.call_create(null, pg_temp.proof('alice'), null, null, null, null, '{}', null, null,
	jsonb_build_object('type', 'offer', 'sdp', E'v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nm=audio 1 RTP/AVP 0\r\n'), '["bob@example.net"]') \g /dev/null
select pg_temp.answered(pg_temp.leg(0), E'v=0\r\no=- 2 1 IN IP4 192.0.2.1\r\ns=-\r\nm=audio 2 RTP/AVP 0\r\n') \g /dev/null
create function pg_temp.payers() returns text language sql as $$
	select string_agg(left(a.email, 1) || ' ' || coalesce(left(o.email, 1), '-'), ', ' order by p.n) from app.participant p
	join app.account a on a.id = p.account_id left join app.account o on o.id = p.by_id
	where p.call_id = (select max(call_id) from app.leg) and p.left_at is null $$;
select is(pg_temp.refer(pg_temp.leg(0)), 'refer 202, pair, notify 100 Trying, invite', 'a page is handed on');
select is(pg_temp.payers(), 'a -, b a, c b', 'by the phone, which has that ring');
select is(pg_temp.ended(pg_temp.leg(1), '{"code": 486}'), 'notify 486 Busy Here, pair', 'once');
select inspect.set_bound('invites', 1) \g /dev/null
update app.participant p set rung_at = clock_timestamp() from app.account a where a.id = p.by_id and a.email = 'bob@example.net';
select throws_ok($$ select pg_temp.refer(pg_temp.leg(0), 8) $$, 'RS403', null, 'but not without end');
select inspect.set_bound('invites', 1000), pg_temp.refer(pg_temp.leg(0), 9),
	pg_temp.answered(pg_temp.leg(2), E'v=0\r\no=- 3 1 IN IP4 192.0.2.1\r\ns=-\r\nm=audio 3 RTP/AVP 0\r\n') \g /dev/null
select is(pg_temp.payers(), 'a -, c a', 'of the two who talk the page has called the other');
-- The page that is kept leaves while who comes is rung.
select id from api.call_create(null, pg_temp.proof('alice'), null, null, null, null, '{}', null, null,
	jsonb_build_object('type', 'offer', 'sdp', E'v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nm=audio 1 RTP/AVP 0\r\n'), '["bob@example.net"]') \g /dev/null
select pg_temp.answered(pg_temp.leg(0), E'v=0\r\no=- 2 1 IN IP4 192.0.2.1\r\ns=-\r\nm=audio 2 RTP/AVP 0\r\n'), pg_temp.refer(pg_temp.leg(0)) \g /dev/null
select app.call_leave((select max(call_id) from app.leg), (select id from app.account where email = 'alice@example.net')) \g /dev/null
select is(pg_temp.claim(), 'notify 487 Request Terminated, cancel, bye', 'nobody is rung any more, the phone that has asked hears of it');
select is(pg_temp.who() || ' ' || pg_temp.moves(), 'a left, b left hangup, c left cancelled 0', 'and all are out of it');

-- The second call of an attended transfer is no more: the first is not kept from going on.
select pg_temp.up('d2'), pg_temp.up('d1') \g /dev/null
select is((select string_agg(pg_temp.said(kind, code, reason, sdp), ', ') from api.leg_refer_join((select agent from ids), pg_temp.leg(0), 7, true,
	'd2', 'l', 'r') where kind is not null), 'refer 202, notify 100 Trying, notify 488 Not Acceptable Here', 'nobody is joined with themselves');
update app.participant p set account_id = (select id from app.account where email = 'carol@example.net')
where p.side = 'callee' and p.call_id = (select call_id from app.leg where sip_call_id = 'd2');
create function pg_temp.joined(p_cseq int) returns text language sql as $$
	select string_agg(pg_temp.said(kind, code, reason, sdp), ', ') from api.leg_refer_join((select agent from ids), pg_temp.leg(0), p_cseq, true,
		'd2', 'l', 'r') where kind is not null $$;
update app.leg l set secure = true where l.sip_call_id = 'd2';
select is(pg_temp.joined(8), 'refer 202, notify 100 Trying, notify 488 Not Acceptable Here', 'who called by sips: is not joined with one in clear');
update app.leg l set secure = false where l.sip_call_id = 'd2';
insert into app.participant (call_id, n, account_id)
select l.call_id, 99, a.id from app.leg l, app.account a where l.sip_call_id = 'd2' and a.email = 'bob@example.net';
select is(pg_temp.joined(9), 'refer 202, notify 100 Trying, notify 403 Others Are In That Call', 'a call of more than two does not end for that');
delete from app.participant p where p.n = 99;
select is((select string_agg(kind, ', ') from api.leg_refer_join((select agent from ids), pg_temp.leg(0), 10, true, 'd2', 'l', 'r')
	where kind is not null), 'refer, pair, pair, pair, pair, notify, offer', 'two calls are to be one');
delete from app.resource r using app.transfer t where r.kind = 'call' and r.id = t.from_call_id;
update app.transfer t set made_at = now() - interval '5 min';
select app.expire_legs(), app.expire_legs() \g /dev/null
select is(pg_temp.moves(), 0::bigint, 'what nobody answers is over, though one of the calls has gone');
select is(pg_temp.who(), 'a joined, b joined', 'and the other goes on');

-- The same while who is kept changes over.
select pg_temp.up('d4'), pg_temp.up('d3') \g /dev/null
update app.participant p set account_id = (select id from app.account where email = 'carol@example.net')
where p.side = 'callee' and p.call_id = (select call_id from app.leg where sip_call_id = 'd4');
select count(*) from api.leg_refer_join((select agent from ids), pg_temp.leg(0), 8, true, 'd4', 'l', 'r') \g /dev/null
select pg_temp.offered((select l.id from app.leg l join app.transfer t on l.participant_id = t.to_id), 200, 'offer8') \g /dev/null
update app.participant p set state = 'left', left_at = now(), session = null from app.transfer t where p.id = t.to_id;
select is(pg_temp.offered(pg_temp.leg(1), 200, 'answer8'), 'accept offer, pair, pair, notify 480 Temporarily Unavailable, pair, pair, offer offer',
	'it has what it had again');
select is(pg_temp.who() || ' ' || pg_temp.moves(), 'a joined, b joined 0', 'and the two talk on');

select throws_ok($$select app.transfer_lock((select id from app.account where email = 'bob@example.net'), -1)$$, 'RS400', null,
	'who is to come has just gone');
select is((select count(distinct app.transfer_target(to_jsonb(t))) from unnest(array['/login/carol@example.net', 'carol@Example.NET.',
	'/login/carol@example.net.']) t), 1::bigint, 'to is an email however its domain is written');
select * from finish();
rollback;
