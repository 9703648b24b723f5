-- A phone sends its call on (3xx): whose phones ring then, how many, and that it ends.
begin;
select plan(12);
\o /dev/null
\ir setup.inc
select * from api.agent_start('test:1', 'boot1') \gset
create temp table ids as select :agent as agent;
select app.credential_put('alice@example.net', 'alice', 'example.net', 'MD5', md5('alice:example.net:pw'), '');
select inspect.set_bound('invites', 1000);
insert into caller values ('carol', sha256('c'));
select email from api.user_create('carol@example.net', '$y$j9T$ccccccccccccccccccccc.$carolhash', '{}');
select email from api.session_create('carol@example.net', '$y$j9T$ccccccccccccccccccccc.$carolhash', pg_temp.proof('carol'), 600);
\o
create function pg_temp.bind(p_who text, p_uri text) returns void language sql as $$
	select api.login_register(null, pg_temp.proof(p_who), 'me', p_uri, p_uri, null, '{}', null) $$;
create function pg_temp.call(p_id text, p_hops int default 69) returns text language sql as $$
	select string_agg(kind, ' ' order by leg) from api.sip_invite((select agent from ids),
		(select id from app.credential where username = 'alice' order by id desc limit 1), md5('alice:example.net:pw'),
		'bob@example.net', jsonb_build_object('call_id', p_id, 'local_tag', 'l', 'remote_tag', 'r', 'local_uri', 'sip:bob@example.net',
			'remote_uri', 'sip:alice@example.net', 'local_target', 'sip:127.0.0.1', 'remote_target', 'sip:a@192.0.2.9',
			'remote_cseq', 1, 'hops', p_hops), 'offer', null, 60, false) $$;
create function pg_temp.leg(p_n int) returns bigint language sql as $$
	select id from app.leg where call_id = (select max(call_id) from app.leg) order by id offset p_n limit 1 $$;
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
select pg_temp.call('c3', 0) \g /dev/null
select is(pg_temp.moved(1, 'carol@example.net'), 'fail 480 SIP;cause=302', 'not further than the request may go');
select pg_temp.call('c4') \g /dev/null
select inspect.set_bound('legs', (select count(*) from app.leg where state <> 'ended')) \g /dev/null
select is(pg_temp.moved(1, 'carol@example.net'), 'invite', 'as far as the caller''s phones are not too many');
select is(pg_temp.rung(), 1::bigint, 'the one that has made way');
select is((select count(*) from app.leg l where l.state <> 'ended') <= (select amount from app.setting where name = 'legs'), true, 'and no more');
select * from finish();
rollback;
