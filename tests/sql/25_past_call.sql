-- Past calls: written where a call ends, whoever ends it, and kept for so long.
begin;
select plan(45);
\o /dev/null
\ir setup.inc
\ir legs.inc
\o
create function pg_temp.answered(p_n int) returns void language sql as $$
	select api.leg_answered((select agent from ids), pg_temp.leg(p_n), '{"remote_tag": "t", "remote_target": "sip:b@192.0.2.1"}', 'answer') $$;
create function pg_temp.ended(p_n int, p_code int, p_cause text default null) returns void language sql as $$
	select api.leg_ended((select agent from ids),
		jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('leg', pg_temp.leg(p_n), 'code', p_code, 'cause', p_cause)))) $$;
create function pg_temp.past(p_who text) returns text language sql as $$
	select coalesce(string_agg(concat_ws(' ', d ->> 'type', split_part(d ->> 'with', '@', 1), d #>> '{ended,cause}',
		split_part(d #>> '{ended,by}', '@', 1), case when d ? 'duration' then 'talked' end), ', ' order by n desc), '')
	from (select n, doc::jsonb as d from api.past_call_list(null, pg_temp.proof(p_who), 'me', null, 10) where n is not null) o $$;
create function pg_temp.version(p_who text) returns bigint language sql as $$
	select version from api.past_call_list(null, pg_temp.proof(p_who), 'me', null, 1) limit 1 $$;
create function pg_temp.forget() returns void language sql as $$ delete from app.past_call $$;

select is(pg_temp.past('alice'), '', 'nobody has called anybody');
select ok(pg_temp.version('alice') > 0, 'that has a version');
select pg_temp.bind('bob', 'sip:b1@192.0.2.1'), pg_temp.bind('bob', 'sip:b2@192.0.2.2') \g /dev/null
create temp table seen as select pg_temp.version('bob') as version;

select pg_temp.call('c1'), pg_temp.answered(1) \g /dev/null
select is(pg_temp.past('bob'), '', 'a call that goes on is none');
select pg_temp.ended(1, null, 'hangup'), pg_temp.ended(0, null), pg_temp.ended(2, 487) \g /dev/null
select is(pg_temp.past('alice'), 'made bob hangup bob talked', 'who called');
select is(pg_temp.past('bob'), 'received alice hangup bob talked', 'who was called, whichever phone has answered: once');
select ok(pg_temp.version('bob') > version, 'its version has moved') from seen;
select pg_temp.forget(), pg_temp.call('c2'), pg_temp.ended(0, null, 'cancelled') \g /dev/null
select is(pg_temp.past('alice') || '; ' || pg_temp.past('bob'), 'made bob cancelled alice; missed alice cancelled alice', 'the caller gives up');
select pg_temp.forget(), pg_temp.call('c3'), pg_temp.ended(1, 603) \g /dev/null
select is(pg_temp.past('alice') || '; ' || pg_temp.past('bob'), 'made bob declined bob; received alice declined bob', 'a phone declines');
select pg_temp.forget(), pg_temp.call('c4'), pg_temp.ended(1, 486), pg_temp.ended(2, 486) \g /dev/null
select is(pg_temp.past('bob'), 'received alice busy bob', 'one that is busy has not missed it');
select pg_temp.forget(), pg_temp.call('c5'), pg_temp.ended(1, 503), pg_temp.ended(2, 503) \g /dev/null
select is(pg_temp.past('bob'), 'missed alice unreachable', 'nobody has ended what nobody answered');
select pg_temp.forget(), pg_temp.call('c6'), app.bury_legs((select agent from ids)) \g /dev/null
select is(pg_temp.past('bob'), 'missed alice agent-lost', 'nor where its agent was lost');
select pg_temp.forget(), pg_temp.call('c7'), pg_temp.answered(1) \g /dev/null
select api.call_delete(null, pg_temp.proof('alice'), (select max(call_id) from app.leg), null) \g /dev/null
select is(pg_temp.past('bob'), 'received alice hangup alice talked', 'its owner ends it by REST');

-- One call may be over for one, and go on for others: each has it for as long as they were in it.
insert into caller values ('carol', sha256('c')) \g /dev/null
select email from api.user_create('carol@example.net', '$y$j9T$ccccccccccccccccccccc.$carolhash', '{}') \g /dev/null
select email from api.session_create('carol@example.net', '$y$j9T$ccccccccccccccccccccc.$carolhash', pg_temp.proof('carol'), 600) \g /dev/null
delete from app.login where contact like '%b2@%';
select pg_temp.bind('carol', 'sip:c@192.0.2.3') \g /dev/null
create function pg_temp.refer(p_n int) returns void language sql as $$
	select api.leg_refer((select agent from ids), pg_temp.leg(p_n), 7, 'carol@example.net', false) $$;
-- Who comes has answered, and so has who is kept.
create function pg_temp.handed_on(p_to int, p_kept int) returns void language sql as $$
	select pg_temp.answered(p_to);
	select api.leg_offered((select agent from ids), pg_temp.leg(p_kept), 200, '', 'answer') $$;
create function pg_temp.later(p_s int) returns void language sql as $$ -- so much time goes by
	update app.participant set joined_at = joined_at - make_interval(secs => p_s), rung_at = rung_at - make_interval(secs => p_s) where joined_at is not null $$;
create function pg_temp.all_past() returns text language sql as $$
	select string_agg(concat_ws(' ', left(a.email, 1) || ':', c.type, left(c.other, 1), c.cause, left(c.ended_by, 1),
		extract(epoch from c.ended_at - c.joined_at)::int), ', ' order by a.email, c.n)
	from app.past_call c join app.account a on a.id = c.account_id $$;

select pg_temp.forget(), pg_temp.call('t1'), pg_temp.answered(1), pg_temp.later(10), pg_temp.refer(0), pg_temp.handed_on(2, 1) \g /dev/null
select is(pg_temp.all_past(), 'a: made b transferred a 10', 'the caller hands on: it is over for them');
select throws_ok($$ select api.call_delete(null, pg_temp.proof('alice'), (select max(call_id) from app.leg), null) $$, 'RS403', 'not-owner',
	'who has handed it on does not end it');
select throws_ok($$ select api.call_patch(null, pg_temp.proof('alice'), (select max(call_id) from app.leg), '{subject}', 'x', null, null, null, null, null) $$,
	'RS403', 'not-owner', 'nor changes it');
select throws_ok($$ select api.participant_delete(null, pg_temp.proof('alice'), (select max(call_id) from app.leg),
	(select p.n from app.participant p where p.call_id = (select max(call_id) from app.leg) and p.side = 'callee' and p.left_at is null limit 1), null) $$,
	'RS403', 'not-owner', 'nor puts anybody out');
select lives_ok($$ select api.call_get(null, pg_temp.proof('alice'), (select max(call_id) from app.leg)) $$, 'but sees it');
select pg_temp.later(5), pg_temp.ended(2, null, 'hangup') \g /dev/null
select is(pg_temp.all_past(), 'a: made b transferred a 10, b: received a hangup c 15, c: received b hangup c 5', 'the others go on');

select pg_temp.forget(), pg_temp.call('t2'), pg_temp.answered(1), pg_temp.later(10), pg_temp.refer(1), pg_temp.handed_on(2, 0) \g /dev/null
select is(pg_temp.all_past(), 'b: received a transferred b 10', 'who was called hands on');
select pg_temp.later(5), pg_temp.ended(0, null, 'hangup') \g /dev/null
select is(pg_temp.all_past(), 'a: made b hangup a 15, b: received a transferred b 10, c: received a hangup a 5', 'who has called talks on');

select pg_temp.forget(), pg_temp.call('t3'), pg_temp.answered(1), pg_temp.later(10), pg_temp.refer(1), pg_temp.handed_on(2, 0), pg_temp.later(5) \g /dev/null
select app.account_end((select id from app.account where email = 'bob@example.net')) \g /dev/null
select is(pg_temp.all_past(), 'a: made b transferred b 15', 'who has handed on is no more: there is what there was');
delete from app.email_rest;
select email from api.user_create('bob@example.net', '$y$j9T$bbbbbbbbbbbbbbbbbbbbb.$bobhash', '{}') \g /dev/null
select email from api.session_create('bob@example.net', '$y$j9T$bbbbbbbbbbbbbbbbbbbbb.$bobhash', pg_temp.proof('bob'), 600) \g /dev/null
select pg_temp.ended(0, null, 'hangup'), pg_temp.bind('bob', 'sip:b1@192.0.2.1') \g /dev/null
select is(pg_temp.all_past(), 'a: made b transferred b 15, c: received a hangup a 5', 'once');

-- It fails.
select pg_temp.forget(), pg_temp.call('t4'), pg_temp.answered(1), pg_temp.later(10), pg_temp.refer(0), pg_temp.ended(2, 486) \g /dev/null
select is(pg_temp.all_past(), 'c: received b busy c', 'nobody has made a call to who does not come');
select pg_temp.refer(0), pg_temp.ended(1, null, 'hangup') \g /dev/null
select is(pg_temp.all_past(), 'a: made b hangup b 10, b: received a hangup b 10, c: received b busy c, c: missed b cancelled b', 'who is kept hangs up meanwhile');
-- Who asks goes at once, and nobody comes.
select pg_temp.forget(), pg_temp.call('t5'), pg_temp.answered(1), pg_temp.later(10), pg_temp.refer(0), pg_temp.ended(0, null, 'hangup') \g /dev/null
select pg_temp.later(5), pg_temp.ended(2, 480) \g /dev/null
select is(pg_temp.all_past(), 'a: made b transferred a 10, b: received a unreachable 15, c: missed b unreachable', 'each has their own end');

-- A phone sends the call on (3xx).
select pg_temp.forget(), pg_temp.call('d1') \g /dev/null
select api.leg_ended((select agent from ids), jsonb_build_array(jsonb_build_object('leg', pg_temp.leg(1), 'code', 302, 'to', 'carol@example.net'))) \g /dev/null
select pg_temp.answered(2) \g /dev/null
select is(pg_temp.all_past(), 'b: received a transferred b', 'who has sent it on, and another has answered');
select pg_temp.later(5), pg_temp.ended(2, null, 'hangup') \g /dev/null
select is(pg_temp.all_past(), 'a: made c hangup c 5, b: received a transferred b, c: received a hangup c 5', 'the two who have talked');
select pg_temp.forget(), pg_temp.call('d2') \g /dev/null
select api.leg_ended((select agent from ids), jsonb_build_array(jsonb_build_object('leg', pg_temp.leg(1), 'code', 302, 'to', 'carol@example.net'))) \g /dev/null
select pg_temp.ended(0, null, 'cancelled') \g /dev/null
select is(pg_temp.all_past(), 'a: made b cancelled a, b: missed a cancelled a, c: missed a cancelled a', 'nobody has answered: both have missed it');
select pg_temp.forget(), pg_temp.call('d3') \g /dev/null
select api.leg_ended((select agent from ids), jsonb_build_array(jsonb_build_object('leg', pg_temp.leg(1), 'code', 302, 'to', 'carol@example.net'))) \g /dev/null
select pg_temp.ended(2, 603) \g /dev/null
select is(pg_temp.all_past() , 'a: made b declined b, b: received a declined b, c: received a declined c', 'the other has declined');
select pg_temp.forget() \g /dev/null

-- What is written in another order than it was numbered is another version each time.
select pg_temp.forget() \g /dev/null
update seen set version = pg_temp.version('bob');
insert into app.past_call (n, account_id, call_id, type, started_at, cause) overriding system value
select 2000000000 - i, a.id, 1, 'missed', now(), 'cancelled'
from app.account a, generate_series(1, 5) i where a.email = 'bob@example.net';
select is(pg_temp.version('bob'), version + 5, 'each counts') from seen;

-- A long past is not counted each time.
insert into app.past_call (account_id, call_id, type, started_at, cause, ended_at)
select a.id, 1, 'missed', now(), 'cancelled', now() - case when i < 301 then interval '31 s' else interval '0' end
from app.account a, generate_series(1, 302) i where a.email = 'bob@example.net';
update seen set version = pg_temp.version('bob');
select pg_temp.do_duties() \g /dev/null
select is(pg_temp.version('bob'), version, 'to count them for good changes no version') from seen;
select is((select count(*) from app.past_call c join app.past_calls p using (account_id) join app.account a on a.id = p.account_id
	where a.email = 'bob@example.net' and c.n > p.upto), 7::bigint, 'but for those that may be written just now');
select is((app.past_call_remove(array(select c.n from app.past_call c order by c.n limit 50))).gone, 50, 'some go');
select ok(pg_temp.version('bob') > version, 'which is another version') from seen;
delete from app.past_call c where c.n < 1999999000;
select pg_temp.version('bob') \g /dev/null

-- Kept for so long, and so many.
select throws_ok($$ select * from api.past_call_list(null, pg_temp.proof('bob'), 'alice@example.net', null, 10) $$, 'RS403', 'not-owner',
	'only the owner reads');
update seen set version = pg_temp.version('bob');
select pg_temp.do_duties() \g /dev/null
select is(pg_temp.version('bob'), version, 'what is young stays') from seen;
update app.past_call set ended_at = now() - interval '91 days' where n < 2000000000 - 2;
select is((select count(*) from api.past_call_list(null, pg_temp.proof('bob'), 'me', null, 10)), 2::bigint, 'what is over is not shown');
select pg_temp.do_duties() \g /dev/null
select is((select count(*) from app.past_call), 2::bigint, 'and goes');
select ok(pg_temp.version('bob') > version, 'which is another version') from seen;
select inspect.set_bound('past_calls', 1) \g /dev/null
insert into app.past_call (account_id, call_id, type, started_at, cause)
select a.id, 2, 'missed', now(), 'cancelled' from app.account a cross join generate_series(1, 3) i where a.email = 'bob@example.net';
update seen set version = pg_temp.version('bob');
update app.duty set place = 0 where name = 'sweep_past_calls';
select pg_temp.do_duties() \g /dev/null
select results_eq($$ select count(*), max(n) from app.past_call $$, $$ values (1::bigint, 1999999999::bigint) $$, 'the newest of an account stay');
select ok(pg_temp.version('bob') > version, 'which is another version too') from seen;
select inspect.set_bound('past_calls') \g /dev/null

-- An account ends.
select pg_temp.forget(), pg_temp.call('c8') \g /dev/null
select api.user_delete(null, pg_temp.proof('alice'), 'me', null) \g /dev/null
select is(pg_temp.past('bob'), 'missed alice cancelled', 'what rang has ended, and its name stays');
select is((select count(*) from app.past_call c where not exists (select from app.account a where a.id = c.account_id)), 1::bigint,
	'there is something of who has gone');
select pg_temp.do_duties() \g /dev/null
select is((select count(*) from app.past_call c where not exists (select from app.account a where a.id = c.account_id)), 0::bigint,
	'but not for long');
select is(pg_temp.past('bob'), 'missed alice cancelled', 'the other''s stays');
select * from finish();
rollback;
