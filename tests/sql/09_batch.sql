-- What an agent asks for many at once; and what is left to be asked for alone.
begin;
select plan(20);
\o /dev/null
\ir setup.inc
insert into app.agent (name, boot) values ('batch', 'b');
select app.credential_put('alice@example.net', 'alice', 'example.net', 'MD5', md5('alice:example.net:pw'), '');
select app.credential_put('bob@example.net', 'bob', 'example.net', 'MD5', md5('bob:example.net:pw'), '');
\o

create function pg_temp.item(p_i int, p_name text, p_cseq int, p_more jsonb default '{}') returns jsonb
language sql as $$
	select jsonb_build_object('i', p_i, 'credential', c.id, 'ha1', c.ha1, 'aor', p_name || '@example.net', 'call_id',
		'call-' || p_name, 'cseq', p_cseq, 'contact', 'sip:' || p_name || '@192.0.2.1', 'key',
		'sip:' || p_name || '@192.0.2.1', 'expires', 600, 'flow', 'udp:192.0.2.1:5060', 'user_agent', 'batch') || p_more
	from app.credential c where c.username = p_name
$$;
create function pg_temp.many(variadic p_items jsonb[]) returns table (i int, n bigint, contact text, expires int)
language sql as $$
	select r.i, r.n, r.contact, r.expires from api.sip_register_many(
		(select g.id from app.agent g where g.name = 'batch'), to_jsonb(p_items)) r order by 1, 2
$$;
create function pg_temp.version(p_name text) returns bigint language sql as $$
	select r.version from app.resource r join app.account a on a.id = r.id
	where r.kind = 'login' and a.email = p_name || '@example.net'
$$;

select results_eq($$ select * from pg_temp.many(pg_temp.item(0, 'bob', 1), pg_temp.item(1, 'alice', 1)) $$,
	$$ values (0, 1::bigint, 'sip:bob@192.0.2.1', 600), (1, 1::bigint, 'sip:alice@192.0.2.1', 600) $$,
	'new contacts of two accounts');
select results_eq($$ select email, n, source, cseq, flow, user_agent, agent from inspect.login order by email $$,
	$$ values ('alice@example.net', 1::bigint, 'sip', 1::bigint, 'udp:192.0.2.1:5060', 'batch', 'batch'),
		('bob@example.net', 1::bigint, 'sip', 1::bigint, 'udp:192.0.2.1:5060', 'batch', 'batch') $$, 'are bound');
select is((select count(*)::int from app.credential where used_at is not null), 2, 'and their credentials were used');
create temp table before as select pg_temp.version('alice') as v;
select results_eq($$ select * from pg_temp.many(pg_temp.item(0, 'alice', 2, '{"expires": 900, "q": 0.5}')) $$,
	$$ values (0, 1::bigint, 'sip:alice@192.0.2.1', 900) $$, 'a refresh keeps its number');
select cmp_ok(pg_temp.version('alice'), '>', (select v from before), 'and changes the version');
select is((select doc::jsonb -> 'expires' from app.login where call_id = 'call-alice'), '900', 'and the document');
select results_eq($$ select * from pg_temp.many(pg_temp.item(0, 'alice', 3,
		'{"contact": "sip:b@192.0.2.1", "key": "sip:b@192.0.2.1"}')) $$,
	$$ values (0, 1::bigint, 'sip:alice@192.0.2.1', 900), (0, 2, 'sip:b@192.0.2.1', 600) $$, 'all contacts are told');

select is_empty($$ select * from pg_temp.many(pg_temp.item(0, 'alice', 3)) $$, 'an equal CSeq is asked for alone');
select is_empty($$ select * from pg_temp.many(pg_temp.item(0, 'alice', 2)) $$, 'an older one too');
select is_empty($$ select * from pg_temp.many(pg_temp.item(0, 'alice', 9, '{"ha1": "ff"}')) $$,
	'so is who has another password');
select is_empty($$ select * from pg_temp.many(pg_temp.item(0, 'alice', 9, '{"aor": "bob@example.net"}')) $$,
	'and who says to be somebody else');
select results_eq($$ select i, max(n) from pg_temp.many(pg_temp.item(0, 'bob', 2), pg_temp.item(1, 'bob', 3)) group by i $$,
	$$ values (0, 1::bigint) $$, 'of two for one account the first is done');
select results_eq($$ select * from pg_temp.many(pg_temp.item(0, 'bob', 1), pg_temp.item(1, 'alice', 10)) where n = 1 $$,
	$$ values (1, 1::bigint, 'sip:alice@192.0.2.1', 600) $$, 'what is left out keeps nobody else from it');
update app.login set expires_at = now() - interval '1 s', sweep_at = now() - interval '1 s' where call_id = 'call-bob';
select is_empty($$ select * from pg_temp.many(pg_temp.item(0, 'bob', 4)) $$, 'where a contact has lapsed: alone');
select is((select cseq from app.login where call_id = 'call-bob'), 2::bigint, 'and nothing was done');

select results_eq($$ select i, email, algorithm, ha1 = md5('bob:example.net:pw') from api.digest_credential_many(1,
		'[{"i": 0, "username": "nobody", "realm": "example.net", "source": "192.0.2.1"},
		{"i": 1, "username": "bob", "realm": "example.net", "source": "192.0.2.1"}]') $$,
	$$ values (0, null, null, null::bool), (1, 'bob@example.net', 'MD5', true) $$, 'a row for who exists and who does not');
do $$ begin for i in 1 .. 50 loop perform api.digest_failed('bob', 'example.net', '192.0.2.1'); end loop; end $$;
select is_empty($$ select * from api.digest_credential_many(1,
		'[{"i": 0, "username": "bob", "realm": "example.net", "source": "192.0.2.1"}]') $$, 'none for who has guessed too often');
select isnt_empty($$ select * from api.digest_credential_many(1,
		'[{"i": 0, "username": "bob", "realm": "example.net", "source": "192.0.2.2"}]') $$, 'but from elsewhere');
insert into app.known_source (account_id, source) select id, '192.0.2.1' from app.account where email = 'bob@example.net';
select results_eq($$ select i, email, remember from api.digest_credential_many(1,
		'[{"i": 0, "username": "bob", "realm": "example.net", "source": "192.0.2.1"}]') $$,
	$$ values (0, 'bob@example.net', false) $$, 'and there too for who has been right there');
select results_eq($$ select * from api.digest_algorithm_many(1,
		'[{"i": 0, "email": "bob@example.net"}, {"i": 1, "email": "nobody@example.net"}]') $$,
	$$ values (0, 'MD5'), (1, 'MD5') $$, 'unknown users get what most have');

select * from finish();
rollback;
