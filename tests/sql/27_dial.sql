-- REST has two phones talk: what is rung and ordered at each step, what is kept of it, also where agents die and locks are held.
begin;
select plan(46);
\o /dev/null
\ir setup.inc
\ir legs.inc
select pg_temp.bind('alice', 'sip:a@192.0.2.9'), pg_temp.bind('bob', 'sip:b@192.0.2.1');
\o
create function pg_temp.said(p_kind text, p_code int, p_cause text, p_sdp text) returns text language sql as $$
	select concat_ws(' ', p_kind, p_code, p_cause, substring(nullif(p_sdp, '') from '^offer\d*|^answer\d*|inactive')) $$;
create function pg_temp.claim() returns text language sql as $$
	select string_agg(pg_temp.said(kind, code, cause, sdp), ', ') from api.leg_claim((select agent from ids)) w
	where kind <> 'ask' and exists (select from app.leg l where l.id = w.leg and l.call_id = (select max(call_id) from app.leg)) $$;
create function pg_temp.answered(p_n int, p_sdp text) returns text language sql as $$
	select string_agg(pg_temp.said(kind, code, cause, sdp), ', ') from api.leg_answered((select agent from ids), pg_temp.leg(p_n),
		'{"remote_tag": "t", "remote_target": "sip:x@192.0.2.1"}', p_sdp) where kind is not null $$;
create function pg_temp.offered(p_n int, p_code int, p_sdp text) returns text language sql as $$
	select string_agg(pg_temp.said(kind, code, cause, sdp), ', ') from api.leg_offered((select agent from ids), pg_temp.leg(p_n), p_code, '', p_sdp)
	where kind is not null $$;
create function pg_temp.ended(p_n int, p_item jsonb default '{}') returns text language sql as $$
	select string_agg(pg_temp.said(kind, code, cause, sdp), ', ') from api.leg_ended((select agent from ids),
		jsonb_build_array(jsonb_build_object('leg', pg_temp.leg(p_n)) || p_item)) where kind is not null $$;
create function pg_temp.who() returns text language sql as $$
	select string_agg(concat_ws(' ', left(a.email, 1), p.state, p.cause), ', ' order by p.n)
	from app.participant p join app.account a on a.id = p.account_id where p.call_id = (select max(call_id) from app.leg) $$;
create function pg_temp.past() returns text language sql as $$
	select string_agg(concat_ws(' ', left(a.email, 1), c.type, left(c.other, 1), c.cause, left(c.ended_by, 1)), ', ' order by c.n)
	from app.past_call c join app.account a on a.id = c.account_id where c.call_id = (select max(call_id) from app.leg) $$;
create function pg_temp.call_row() returns text language sql as $$
	select concat_ws(' ', c.state, c.dials, c.invite, case when c.ring_at = 'infinity' then 'waits' when c.ring_at <= now() then 'due' end)
	from app.call c where c.id = (select max(call_id) from app.leg) $$;
-- The call, of which alice's phone is leg 0 and bob's leg 1.
create function pg_temp.dial(p_emails jsonb default '["me", "bob@example.net"]', p_starts_at timestamptz default null,
	p_session jsonb default null) returns bigint language sql as $$
	select id from api.call_create(null, pg_temp.proof('alice'), null, p_starts_at, false, null, '{}', null, null, p_session, p_emails) $$;
create function pg_temp.sides(p_call bigint) returns text language sql as $$
	select string_agg(p.side, ' ' order by p.n) from app.participant p where p.call_id = p_call $$;

select pg_temp.dial() as dialled \gset
select is(pg_temp.who(), 'a calling', 'one''s own phone is rung');
select is(pg_temp.call_row(), 'active t ["bob@example.net"] waits', 'and the other waits for that');
select is((select l.local_uri || ' ' || l.remote_uri from app.leg l where l.id = pg_temp.leg(0)),
	'sip:bob@example.net sip:alice@example.net', 'in the name of who is dialled');
select is(pg_temp.claim(), 'invite inactive', 'without media');
select is((select count(*) from app.call_seer s where s.call_id = :dialled), 1::bigint, 'who is dialled sees nothing of it yet');
select is(pg_temp.answered(0, 'answer0'), 'won, pair, invite', 'when it has answered the other is rung at once, without an offer');
select is(pg_temp.who() || '; ' || pg_temp.call_row(), 'a joined, b calling; active f', 'and sees the call');
select is((select t.by_id is null and t.state = 'ringing' from app.transfer t where t.call_id = :dialled), true, 'as by a transfer that nobody has asked for');
select is(pg_temp.answered(1, 'offer1'), 'won, offer offer1', 'whose offer goes to the first');
select is(pg_temp.offered(0, 200, 'answer1'), 'accept answer1, pair, pair', 'and the answer back');
select is(pg_temp.who(), 'a joined, b joined', 'they talk');
select is((select w.peer from api.leg_load((select agent from ids), pg_temp.leg(1), null, null, null, null) w), pg_temp.leg(0), 'to each other');
\o /dev/null
insert into caller values ('carol', sha256('c'));
select email from api.user_create('carol@example.net', '$y$j9T$ccccccccccccccccccccc.$carolhash', '{}');
select email from api.session_create('carol@example.net', '$y$j9T$ccccccccccccccccccccc.$carolhash', pg_temp.proof('carol'), 600);
select pg_temp.bind('carol', 'sip:c@192.0.2.3');
\o
update app.call set open = true where id = :dialled;
select n from api.call_join(null, pg_temp.proof('carol'), :dialled, 'carol@example.net', null, '{}', null, null) \g /dev/null
select is((select string_agg(c || ' ' || left(a.email, 1), ', ' order by c, a.id)
	from app.account a, unnest(array['invite', 'cancel']) c where app.command_holds(a.id, c, :dialled)),
	'cancel a, cancel b, invite a, invite b', 'who has come to look at it commands nothing');
select api.participant_delete(null, pg_temp.proof('carol'), :dialled, 3, null) \g /dev/null
select is(pg_temp.who(), 'a joined, b joined, c left', 'and goes without them');
select throws_ok(format('select app.call_ring(%s, a.id, c.id, null, 1) from app.account a, app.account c
	where a.email = %L and c.email = %L', :dialled, 'alice@example.net', 'carol@example.net'), 'RS409', null,
	'nobody is rung into it');
select is(pg_temp.ended(1), 'bye', 'either ends it');
select is(pg_temp.past(), 'b received a hangup b, a made b hangup b', 'and both have had a call');

-- Each of the two does not.
select pg_temp.dial(), pg_temp.claim() \g /dev/null
select is(pg_temp.ended(0, '{"code": 486}'), null, 'one''s own is busy');
select is(pg_temp.who() || '; ' || pg_temp.call_row(), 'a left busy; ended f', 'nobody else was rung');
select is(pg_temp.past(), 'a made b busy a', 'and knows nothing of it');
select pg_temp.dial(), pg_temp.answered(0, 'answer0') \g /dev/null
select is(pg_temp.ended(1, '{"code": 603}'), 'bye SIP;cause=603', 'the other declines: who has dialled is told so');
select is(pg_temp.past(), 'b received a declined b, a made b declined b', 'both know');
select pg_temp.dial(), pg_temp.answered(0, 'answer0'), pg_temp.answered(1, 'offer1') \g /dev/null
select is(pg_temp.offered(0, 488, null), 'bye, bye SIP;cause=488', 'one''s own does not take what the other offers');
select is(pg_temp.who(), 'a left media, b left media', 'nobody stays');

-- Taken back.
select pg_temp.dial() as dialled \gset
select api.call_delete(null, pg_temp.proof('alice'), :dialled, null) \g /dev/null
select is(pg_temp.claim() || '; ' || pg_temp.past(), 'cancel; a made b cancelled a', 'while one''s own rings');
select pg_temp.dial() as dialled \gset
select pg_temp.claim(), pg_temp.answered(0, 'answer0') \g /dev/null
select api.call_delete(null, pg_temp.proof('alice'), :dialled, null) \g /dev/null
select is(pg_temp.claim() || '; ' || pg_temp.past(), 'bye, cancel; b missed a cancelled a, a made b cancelled a', 'while the other rings');

-- The agent is killed.
select pg_temp.dial(), pg_temp.claim() \g /dev/null
select api.agent_start('test:1', 'boot2') \g /dev/null
select is(pg_temp.claim() || '; ' || pg_temp.who(), 'cancel; a left agent-lost', 'while one''s own rings');
select pg_temp.dial(), pg_temp.claim(), pg_temp.answered(0, 'answer0') \g /dev/null
select api.agent_start('test:1', 'boot3') \g /dev/null
select is(pg_temp.claim() || '; ' || pg_temp.who(), 'cancel, bye SIP;cause=480; a left agent-lost, b left agent-lost', 'while the other rings');
select pg_temp.dial(), pg_temp.claim(), pg_temp.answered(0, 'answer0'), pg_temp.answered(1, 'offer1') \g /dev/null
select api.agent_start('test:1', 'boot4') \g /dev/null
select is(pg_temp.claim() || '; ' || pg_temp.who(), 'bye, bye SIP;cause=480; a left media, b left media', 'while the first changes over');

-- Whose turn it is, is found out by the janitor too.
select pg_temp.dial() as dialled \gset
update app.call set ring_at = now() where id = :dialled;
select is((app.ring_due_calls()).more, true, 'its time was changed');
select is(pg_temp.call_row(), 'active t ["bob@example.net"] waits', 'which is nothing to it before one''s own has answered');
select pg_temp.claim() \g /dev/null
select inspect.set_bound('invites', 1) \g /dev/null
select is(pg_temp.answered(0, 'answer0'), 'won', 'one that may not call for a moment');
select is((select ring_at > now() and dials from app.call where id = :dialled), true, 'is come back to');
select inspect.set_bound('invites', 1000) \g /dev/null
update app.call set ring_at = now() where id = :dialled;
select (app.ring_due_calls()).more \g /dev/null
select is(pg_temp.claim() || '; ' || pg_temp.who(), 'invite, pair; a joined, b calling', 'then the other is rung');

-- Who is not there any more.
select pg_temp.dial() as dialled \gset
update app.call set invite = '["gone@example.net"]' where id = :dialled;
select is(pg_temp.answered(0, 'answer0'), 'won, bye SIP;cause=404', 'an account that has gone meanwhile');
select is(pg_temp.past(), 'a made g not-found', 'is told as such');

-- Which invitations are none.
select throws_ok($$select pg_temp.dial('["me", "nobody@example.net"]')$$, 'RS400', null, 'of nobody');
select pg_temp.dial('["bob@example.net"]') as one, pg_temp.dial('["me", "alice@example.net"]') as oneself,
	pg_temp.dial('["me", "bob@example.net"]', p_session => '"rtsp://..."') as joined \gset
select is(pg_temp.sides(:one), 'in callee', 'of one: they are called');
select is(pg_temp.sides(:oneself), 'in', 'of oneself');
select is(pg_temp.sides(:joined), 'in callee', 'with a session: who calls has joined');

-- Later.
select pg_temp.dial(p_starts_at => now() + interval '1 hour') as dialled \gset
select is((select concat_ws(' ', state, dials, invite) from app.call where id = :dialled), 'scheduled f ["alice@example.net", "bob@example.net"]',
	'of a call that is to start yet: then');
update app.call set ring_at = now() where id = :dialled;
select (app.ring_due_calls()).more \g /dev/null
select is(pg_temp.who() || '; ' || pg_temp.call_row(), 'a calling; active t ["bob@example.net"] waits', 'it is as at once');
select pg_temp.dial(p_starts_at => now() + interval '1 hour') as dialled \gset
update app.call set ring_at = now(), invite = '["alice@example.net", "gone@example.net"]' where id = :dialled;
select (app.ring_due_calls()).more \g /dev/null
select is((select state || ' ' || cause from app.call where id = :dialled), 'ended not-found', 'where it cannot be any more it is over');
select is((select string_agg(concat_ws(' ', c.type, c.other, c.cause), ', ') from app.past_call c where c.call_id = :dialled),
	'made gone@example.net not-found', 'and its owner reads why');
-- Who has too many at once holds up nobody else's.
select inspect.set_bound('invites', 0), pg_temp.dial(p_starts_at => now() + interval '1 hour'), pg_temp.dial(p_starts_at => now() + interval '1 hour') \g /dev/null
update app.call set ring_at = now() where invite is not null and state = 'scheduled';
select is((app.ring_due_calls()).more, true, 'one of two is one too many');
select is((app.ring_due_calls()).more, false, 'and the other is not tried before a second has passed');
select * from finish();
rollback;
