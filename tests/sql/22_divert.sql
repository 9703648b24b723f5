-- A phone sends its call on (3xx): whose phones ring then, how many, and that it ends.
begin;
select plan(12);
\o /dev/null
\ir setup.inc
\ir legs.inc
insert into caller values ('carol', sha256('c'));
select email from api.user_create('carol@example.net', '$y$j9T$ccccccccccccccccccccc.$carolhash', '{}');
select email from api.session_create('carol@example.net', '$y$j9T$ccccccccccccccccccccc.$carolhash', pg_temp.proof('carol'), 600);
\o
-- A phone answers 302: what is ordered, each kind once.
create function pg_temp.moved(p_n int, p_to text) returns text language sql as $$
	select string_agg(distinct concat_ws(' ', kind, code, cause), ', ') from api.leg_ended((select agent from ids),
		jsonb_build_array(jsonb_build_object('leg', pg_temp.leg(p_n), 'code', 302, 'to', p_to))) where kind is not null $$;
create function pg_temp.rung() returns bigint language sql as $$
	select count(*) from app.leg where call_id = (select max(call_id) from app.leg) and account_id is not null and direction = 'out' $$;

select pg_temp.bind('bob', 'sip:b@192.0.2.1') \g /dev/null
select pg_temp.bind('carol', 'sip:c' || n || '@192.0.2.2') from generate_series(1, 31) n \g /dev/null
select is(pg_temp.call('c1'), 'made invite', 'bob is called');
select is(pg_temp.moved(1, 'carol@example.net'), 'invite', 'who sends the call on is no end of it');
select is((select count(*) from app.leg), 32::bigint, 'a call has 32 legs at most');
select is(pg_temp.moved(2, 'bob@example.net'), null, 'one that was sent on is not sent on again: the others ring');
select is(pg_temp.rung(), 30::bigint, 'and nobody else does');
select is((select string_agg(kind, ' ' order by kind) from api.leg_answered((select agent from ids), pg_temp.leg(3),
	'{"remote_tag": "t", "remote_target": "sip:c@192.0.2.2"}', 'answer') where kind in ('won', 'answer')), 'answer won', 'one answers');
select is((select string_agg(a.email, ' ' order by p.id) from app.participant p join app.account a on a.id = p.account_id
	where p.state = 'joined'), 'alice@example.net carol@example.net', 'and is in the call in the place of who was called');

select pg_temp.call('c2') \g /dev/null
select is(pg_temp.moved(1, 'alice@example.net bob@example.net nobody@example.net'), 'fail 480 SIP;cause=302', 'not to who calls, who is called, or nobody');
select pg_temp.call('c3', '{"hops": 0}') \g /dev/null
select is(pg_temp.moved(1, 'carol@example.net'), 'fail 480 SIP;cause=302', 'not further than the request may go');
select pg_temp.call('c4') \g /dev/null
select inspect.set_bound('legs', (select count(*) from app.leg where state <> 'ended')) \g /dev/null
select is(pg_temp.moved(1, 'carol@example.net'), 'invite', 'as far as the caller''s phones are not too many');
select is(pg_temp.rung(), 1::bigint, 'the one that has made way');
select is((select count(*) from app.leg l where l.state <> 'ended') <= (select amount from app.setting where name = 'legs'), true, 'and no more');
select * from finish();
rollback;
