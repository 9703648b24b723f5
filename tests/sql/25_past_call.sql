-- Past calls: written where a call ends, whoever ends it, and kept for so long.
begin;
select plan(24);
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
select is(pg_temp.past('bob'), 'missed alice busy bob', 'one that is busy was not answered');
select pg_temp.forget(), pg_temp.call('c5'), pg_temp.ended(1, 503), pg_temp.ended(2, 503) \g /dev/null
select is(pg_temp.past('bob'), 'missed alice unreachable', 'nobody has ended what nobody answered');
select pg_temp.forget(), pg_temp.call('c6'), app.bury_legs((select agent from ids)) \g /dev/null
select is(pg_temp.past('bob'), 'missed alice agent-lost', 'nor where its agent was lost');
select pg_temp.forget(), pg_temp.call('c7'), pg_temp.answered(1) \g /dev/null
select api.call_delete(null, pg_temp.proof('alice'), (select max(call_id) from app.leg), null) \g /dev/null
select is(pg_temp.past('bob'), 'received alice hangup alice talked', 'its owner ends it by REST');

-- What is written in another order than it was numbered is another version each time.
select pg_temp.forget() \g /dev/null
update seen set version = pg_temp.version('bob');
insert into app.past_call (n, account_id, call_id, type, started_at, cause) overriding system value
select 2000000000 - i, a.id, 1, 'missed', now(), 'cancelled'
from app.account a, generate_series(1, 5) i where a.email = 'bob@example.net';
select is(pg_temp.version('bob'), version + 5, 'each counts') from seen;

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
