-- Logins by both doors.
begin;
select plan(46);
\o /dev/null
\ir setup.inc
\o

select is((select doc from api.login_get(null, pg_temp.proof('bob'), 'alice@example.net')), '[]', 'nobody is logged in');
select throws_ok($$ select * from api.login_get(null, null, 'alice@example.net') $$, 'RS401', 'unauthorized',
	'contacts are for the signed in');
select throws_ok($$ select * from api.login_get(null, pg_temp.proof('bob'), 'nobody@example.net') $$, 'RS404',
	'user-not-found', 'an unknown user');

create temp table r1 as select * from api.login_register(null, pg_temp.proof('alice'), 'alice@example.net',
	'sip:a@192.0.2.1', 'sip:a@192.0.2.1', null, '{"device": "tab", "id": 7, "n": 1.50}', null);
select results_eq('select n, created, expires from r1', $$ values (1::bigint, true, 3600) $$, 'a login');
select is((select doc::jsonb - 'expires_at' from r1),
	'{"id": 1, "contact": "sip:a@192.0.2.1", "expires": 3600, "source": "rest", "device": "tab", "n": 1.50,
	"url": "/login/alice@example.net/1"}'::jsonb, 'its representation keeps unknown members, not those of the server');
create temp table r2 as select * from api.login_register(null, pg_temp.proof('alice'), 'me', 'sip:a@192.0.2.1',
	'sip:a@192.0.2.1', 60, '{}', null);
select results_eq('select n, created, expires from r2', $$ values (1::bigint, false, 60) $$,
	'the same contact keeps its number');
select cmp_ok((select version from r2), '>', (select version from r1), 'the version goes up');
select is((select version from api.login_get(null, pg_temp.proof('bob'), 'alice@example.net')),
	(select version from r2), 'and is what a reader sees');
select throws_ok($$ select * from api.login_register(null, pg_temp.proof('bob'), 'alice@example.net', 'sip:b@192.0.2.1',
	'k', null, '{}', null) $$, 'RS403', 'not-owner', 'another user cannot register here');
select throws_ok($$ select * from api.login_register(null, pg_temp.proof('bob'), 'nobody@example.net',
	'sip:b@192.0.2.1', 'k', null, '{}', null) $$, 'RS403', 'not-owner', 'and does not learn who exists');
select throws_ok($$ select * from api.login_register(null, pg_temp.proof('alice'), 'me', 'sip:a@192.0.2.2', 'k2', null,
	'{}', 1) $$, 'RS412', 'precondition-failed', 'an old version is refused');
select throws_ok($$ select * from api.login_register(null, pg_temp.proof('alice'), 'me', 'sip:a@192.0.2.2', 'k2', null,
	'{"q": 2}', null) $$, 'RS400', 'invalid-member', 'q is from 0 to 1');

select throws_ok($$ select * from api.login_register_many(null, pg_temp.proof('alice'), 'me',
	'[{"contact": "sip:a@192.0.2.3", "key": "k3"}, {"contact": "sip:a@192.0.2.4\n", "key": "k4"}]', false, null) $$,
	'23514', null, 'an array is all or none');
select is((select count(*) from app.login l join app.account a on a.id = l.account_id where a.email = 'alice@example.net'), 1::bigint, 'so nothing was written');
select results_eq($$ select n from api.login_register_many(null, pg_temp.proof('alice'), 'me',
	'[{"contact": "sip:a@192.0.2.3", "key": "k3"}, {"contact": "sip:a@192.0.2.4", "key": "k4"}]', true, null) $$,
	array[2, 3]::bigint[], 'an array replaces');
select is((select count(*) from app.login l join app.account a on a.id = l.account_id where a.email = 'alice@example.net'), 2::bigint, 'what was there before');

select is((select expires from api.login_refresh(null, pg_temp.proof('alice'), 'me', 2, null, null, 99, null, null)), 99,
	'a refresh');
select throws_ok($$ select * from api.login_refresh(null, pg_temp.proof('alice'), 'me', 1, null, null, 99, null, null) $$,
	'RS404', 'contact-not-found', 'of what is gone');
select throws_ok($$ select * from api.login_refresh(null, pg_temp.proof('alice'), 'me', 2, 'sip:a@192.0.2.4', 'k4', 99,
	null, null) $$, 'RS409', 'contact-exists', 'to what another number has');

update app.login set expires_at = now() - interval '1 s', sweep_at = now() - interval '1 s' where n = 2;
select is((select jsonb_array_length(doc::jsonb) from api.login_get(null, pg_temp.proof('bob'), 'alice@example.net')), 1,
	'what has lapsed is not shown');
select is((select settled from api.login_get(null, pg_temp.proof('bob'), 'alice@example.net')), false,
	'and there is no 304 until the version has changed');
select is((select n from api.login_register(null, pg_temp.proof('alice'), 'me', 'sip:a@192.0.2.3', 'k3', null, '{}',
	null)), 4::bigint, 'a lapsed contact comes back as a new one');
select is((select settled from api.login_get(null, pg_temp.proof('bob'), 'alice@example.net')), true, 'now it is settled');

select is((select removed from api.login_delete(null, pg_temp.proof('alice'), 'me', 4, null)), 1, 'one is unregistered');
select throws_ok($$ select * from api.login_delete(null, pg_temp.proof('alice'), 'me', 4, null) $$, 'RS404',
	'contact-not-found', 'once');
select is((select removed from api.login_delete(null, pg_temp.proof('alice'), 'me', null, null)), 1, 'or all');
select is((select removed from api.login_delete(null, pg_temp.proof('alice'), 'me', null, null)), 0,
	'all of none is no error');

-- The registrar
\o /dev/null
select * from api.credential_create('alice@example.net', '$y$j9T$aaaaaaaaaaaaaaaaaaaaa.$alicehash', 'me', 'desk', null, 'pw');
\o
create function pg_temp.reg(p_cseq bigint, p_contacts jsonb, p_star bool default false, p_aor text default
	'alice@example.net', p_call_id text default 'c1')
returns setof text language sql as $$
	select r.contact || ' ' || r.expires from api.digest_credential('alice', 'example.net') d,
	lateral api.sip_register(1, d.credential, d.ha1, p_aor, p_call_id, p_cseq, p_contacts, p_star, null,
		'udp:192.0.2.9:5060', 'phone') r $$;
select results_eq($$ select pg_temp.reg(5, '[{"contact": "sip:p@192.0.2.9", "key": "p", "expires": 60},
	{"contact": "sip:q@192.0.2.9", "key": "q", "expires": 70}]') $$,
	array['sip:p@192.0.2.9 60', 'sip:q@192.0.2.9 70'], 'a REGISTER of two contacts');
create temp table v5 as select version from app.resource where kind = 'login';
select results_eq($$ select pg_temp.reg(5, '[{"contact": "sip:p@192.0.2.9", "key": "p", "expires": 60}]') $$,
	array['sip:p@192.0.2.9 60', 'sip:q@192.0.2.9 70'], 'an equal one gets the same answer');
select is((select array_agg(version order by version) from app.resource where kind = 'login'),
	(select array_agg(version order by version) from v5), 'and changes nothing');
select throws_ok($$ select pg_temp.reg(4, '[{"contact": "sip:p@192.0.2.9", "key": "p", "expires": 60}]') $$, 'RS500',
	'cseq-out-of-order', 'an older CSeq of the same Call-ID');
select results_eq($$ select pg_temp.reg(1, '[{"contact": "sip:p@192.0.2.9", "key": "p", "expires": 0}]',
	p_call_id => 'c2') $$, array['sip:q@192.0.2.9 70'], 'expires 0 removes, and another Call-ID counts for itself');
select throws_ok($$ select pg_temp.reg(9, '[]', true, 'bob@example.net') $$, 'RS403', 'not-owner',
	'another''s registrations');
select is((select doc::jsonb #>> '{0,source}' from api.login_get(null, pg_temp.proof('bob'), 'alice@example.net')), 'sip',
	'REST shows it with its source');
select results_eq($$ select pg_temp.reg(7, '[]', true) $$, array[null::text], 'the star removes all');
select throws_ok($$ select * from api.sip_register(1, 1, 'ff', 'alice@example.net', 'c', 1, '[]', false, null, null, null) $$,
	'RS401', 'unauthorized', 'a credential that is not valid any more');
select throws_ok($$ insert into app.login (account_id, email, n, key, contact, source, expires_s, expires_at, sweep_at, doc)
	select id, email, 99, 'x', E'sip:x@192.0.2.1\r\nX: y', 'sip', 1, now(), now(), '' from app.account limit 1 $$, '23514', null,
	'the table refuses a line break in a contact');


-- Where an agent listens, nobody is.
select count(*) from api.agent_start('own:1', 'boot', '192.0.2.77:5060,[2001:db8::77]:5061') \gset started_
create function pg_temp.bind(p_key text) returns text language sql as
	$$ select 'select * from api.login_register(null, pg_temp.proof(''alice''), ''me'', ' || quote_literal(p_key) || ', '
		|| quote_literal(p_key) || ', null, ''{}'', null)' $$;
select throws_ok(pg_temp.bind(k), 'RS403', 'contact-not-allowed', k) from unnest(array['sip:x@192.0.2.77',
	'sip:192.0.2.77:5060;transport=tcp', 'sips:x@[2001:db8:0::77]', 'sip:x@example.org;maddr=192.0.2.77']) k;
select lives_ok(pg_temp.bind('sip:x@192.0.2.77:5062'), 'another port of that host is somebody else');


-- Equal URIs; also those whose parameters are all that fits.
select ok(app.is_same_uri('sip:a@h x=1;y', 'sip:a@h x=1;z=2'), 'parameters that one side alone has do not count');
select ok(not app.is_same_uri('sip:a@h x=1;y', 'sip:a@h x=2;y'), 'those that differ do');
select ok(not app.is_same_uri('sip:a@h', 'sip:b@h') and app.is_same_uri('sip:a@h', 'sip:a@h x=1'), 'nor what comes before them');
set local statement_timeout = '2s';
select is((select count(*) from generate_series(1, 64) i, (select string_agg('p' || n, ';') as params from generate_series(1, 300) n) o
	where app.is_same_uri('sip:a@h ' || o.params || ';i=1', 'sip:a@h ' || o.params || ';i=' || i)), 1::bigint,
	'64 comparisons of 300 parameters each take no second');
set local statement_timeout = 0;

select * from finish();
rollback;
