-- Sign-up, profiles, sessions, credentials.
begin;
select plan(59);
\o /dev/null
\ir setup.inc
\o

select throws_ok($$ select * from api.user_create('alice@example.net', 'x', '{}') $$, 'RS409', 'account-exists',
	'an email is taken once');
select throws_ok($$ select * from api.user_create('ali ce@example.net', 'x', '{}') $$, '23514', null,
	'the table refuses an email with a space');
select throws_ok($$ select * from api.user_create('carol@Example.net', 'x', '{}') $$, '23514', null,
	'the table refuses a domain in capitals');

select is((select doc::jsonb ->> 'name' from api.user_get(null, null, 'alice@example.net')), 'Alice',
	'anyone sees the name');
select ok((select not doc::jsonb ? 'x' from api.user_get(null, null, 'alice@example.net')),
	'nobody sees the rest of a profile');
select ok((select not doc::jsonb ? 'x' from api.user_get(null, pg_temp.proof('bob'), 'alice@example.net')),
	'nor does another user');
select is((select doc::jsonb ->> 'x' from api.user_get(null, pg_temp.proof('alice'), 'me')), '1.50',
	'the owner does, with the number as it was written');
select throws_ok($$ select * from api.user_get(null, null, 'nobody@example.net') $$, 'RS404', 'user-not-found',
	'an unknown user');
select throws_ok($$ select * from api.user_get(null, null, 'me') $$, 'RS401', 'unauthorized', 'me without credentials');

select is(api.password_setting('alice@example.net'), '$y$j9T$aaaaaaaaaaaaaaaaaaaaa.',
	'the setting does not have the hash in it');
select matches(api.password_setting('nobody@example.net'), '^\$y\$j9T\$[./0-9A-Za-z]{22}$', 'a made-up setting looks real');
select is(api.password_setting('nobody@example.net'), api.password_setting('nobody@example.net'), 'and is stable');
select isnt(api.password_setting('nobody@example.net'), api.password_setting('noone@example.net'),
	'and differs from user to user');

select throws_ok($$ select * from api.session_create('alice@example.net', '$y$j9T$aaaaaaaaaaaaaaaaaaaaa.$bobhash',
	sha256('x'), 60) $$, 'RS401', 'unauthorized', 'a wrong hash is no password');
select throws_ok($$ select * from api.session_create('nobody@example.net', 'x', sha256('x'), 60) $$, 'RS401',
	'unauthorized', 'an unknown user is told the same');
select throws_ok($$ select * from api.session_create(null, pg_temp.proof('alice'), sha256('x'), 60) $$, 'RS403',
	'password-needed', 'a token does not make tokens');
select throws_ok($$ select * from api.login_get(null, sha256('nonsense'), 'me') $$, 'RS401', 'unauthorized',
	'an unknown token');
select is((select ended from api.session_delete(null, pg_temp.proof('bob'))), 1, 'a session ends');
select throws_ok($$ select * from api.login_get(null, pg_temp.proof('bob'), 'me') $$, 'RS401', 'unauthorized',
	'and its token with it');

select is((select username from api.credential_create('alice@example.net', '$y$j9T$aaaaaaaaaaaaaaaaaaaaa.$alicehash', 'me', 'desk', null, 'pw')), 'alice',
	'the first device is named as the user');
select is((select username from api.credential_create('alice@example.net', '$y$j9T$aaaaaaaaaaaaaaaaaaaaa.$alicehash', 'me', 'cell', 'SHA-256', 'pw')),
	'alice-2', 'the second by number');
select is((select ha1 from api.digest_credential('alice', 'example.net')), md5('alice:example.net:pw'),
	'HA1 of RFC 7616, section 3.4.2');
select is((select ha1 from api.digest_credential('alice-2', 'example.net')),
	encode(sha256('alice-2:example.net:pw'), 'hex'), 'HA1 with SHA-256');
select is(api.digest_algorithm('alice@example.net'), 'MD5', 'one MD5 device: MD5 is offered');
select ok((select gone from api.credential_delete(null, pg_temp.proof('alice'), 'me', 1)), 'a credential is deleted');
select is(api.digest_algorithm('alice@example.net'), 'SHA-256', 'all devices have SHA-256: it is offered');
select is(api.digest_algorithm('nobody@example.net'), 'MD5', 'unknown users get MD5');

-- Guessing over HTTP: a try counts as wrong until it is settled
create function pg_temp.guess(p_email text, p_source text, p_tries int) returns void language plpgsql as $$
begin
	for i in 1 .. p_tries loop
		perform api.password_try(p_email, p_source);
	end loop;
end $$;
select is((select (setting, known, remember, wait_s)::text from api.password_look('alice@example.net', '192.0.2.1')),
	'($y$j9T$aaaaaaaaaaaaaaaaaaaaa.,f,t,0)', 'a first look');
select lives_ok($$ select pg_temp.guess('alice@example.net', '192.0.2.1', 50) $$, 'fifty tries from one source');
select throws_ok($$ select api.password_try('alice@example.net', '192.0.2.1') $$, 'RS429', 'too-many-guesses', 'and no more');
select ok((select wait_s between 299 and 300 from api.password_look('alice@example.net', '192.0.2.1')),
	'the look says how long to wait');
select lives_ok($$ select pg_temp.guess('alice@example.net', '192.0.2.2', 1) $$, 'another source is not held up');
select lives_ok($$ select pg_temp.guess('bob@example.net', '192.0.2.1', 1) $$, 'nor another account');
select throws_ok($$ select pg_temp.guess('alice@example.net', '192.0.2.1', 1) $$, 'RS429', 'too-many-guesses',
	'a refusal is not counted, nor forgotten');
\o /dev/null
select api.password_settled('alice@example.net', '192.0.2.2', true, true);
\o
select is((select failures from app.throttle where key = 'hp:192.0.2.2:alice@example.net'), 0, 'who was right is not counted');
select is((select (known, remember, wait_s)::text from api.password_look('alice@example.net', '192.0.2.2')), '(t,f,0)',
	'and known there');
\o /dev/null
select api.password_settled('alice@example.net', '2001:db8::1', false, true);
\o
select ok((select known from api.password_look('alice@example.net', '2001:db8::ffff:2')), 'a /64 is one source');
select ok((select not known from api.password_look('alice@example.net', '2001:db8:0:1::1')), 'the next one is another');
update app.known_source set at = now() - interval '61 minutes' where source = '192.0.2.2';
select is((select (known, remember)::text from api.password_look('alice@example.net', '192.0.2.2')), '(t,t)',
	'an hour later it is to be told again');
update app.known_source set at = now() - interval '25 hours' where source = '192.0.2.2';
select ok((select not known from api.password_look('alice@example.net', '192.0.2.2')), 'a day later it is forgotten');
select lives_ok($$ select app.know_sources(array_agg((select id from app.account where email = 'alice@example.net')),
	array_agg('198.51.100.' || n)) from generate_series(1, 100) n $$, 'an account may come from many');
select lives_ok($$ select app.know_sources(array_agg((select id from app.account where email = 'alice@example.net')),
	array_agg('198.51.100.' || n)) from generate_series(101, 101) n $$, 'and one more');
select is((select count(*) from app.known_source), 64::bigint, 'but the last 64 are kept');
update app.throttle set since = now() - interval '301 s';
select lives_ok($$ select api.password_try('alice@example.net', '192.0.2.1') $$, 'five minutes later all is forgiven');

-- Of one account from everywhere: then each new source has one try a minute
truncate app.throttle, app.known_source;
\o /dev/null
select pg_temp.guess('alice@example.net', '203.0.113.' || n, 50) from generate_series(1, 6) n;
\o
select lives_ok($$ select api.password_try('alice@example.net', '192.0.2.1') $$, 'after 300 a new source has a try');
select throws_ok($$ select api.password_try('alice@example.net', '192.0.2.1') $$, 'RS429', 'too-many-guesses', 'one');
select ok((select wait_s between 59 and 60 from api.password_look('alice@example.net', '192.0.2.1')), 'a minute');
select lives_ok($$ select api.password_try('alice@example.net', '192.0.2.3') $$, 'of its own');
\o /dev/null
select api.password_settled('alice@example.net', '192.0.2.3', true, true);
\o
select is((select (known, wait_s)::text from api.password_look('alice@example.net', '192.0.2.3')), '(t,0)',
	'who was right is let in from then on');
select lives_ok($$ select api.password_try('bob@example.net', '192.0.2.1') $$, 'other accounts are not held up');

-- Of one source, all accounts
truncate app.throttle, app.known_source;
\o /dev/null
select pg_temp.guess('nobody' || n || '@example.net', '192.0.2.1', 50) from generate_series(1, 6) n;
\o
select throws_ok($$ select api.password_try('alice@example.net', '192.0.2.1') $$, 'RS429', 'too-many-guesses',
	'300 of one source, of whatever accounts');
select lives_ok($$ select * from api.digest_credential('alice-2', 'example.net', '192.0.2.1') $$, 'SIP counts apart');

-- Digests
truncate app.throttle, app.known_source;
\o /dev/null
select api.digest_failed('alice-2', 'example.net', '192.0.2.1') from generate_series(1, 49);
\o
select ok((select remember from api.digest_credential('alice-2', 'example.net', '192.0.2.1')), 'up to fifty wrong ones');
\o /dev/null
select api.digest_failed('alice-2', 'example.net', '192.0.2.1');
\o
select throws_ok($$ select * from api.digest_credential('alice-2', 'example.net', '192.0.2.1') $$, 'RS429',
	'too-many-guesses', 'the same for digests');
select is((select (known, wait_s)::text from api.password_look('alice@example.net', '192.0.2.1')), '(f,0)', 'HTTP counts apart');
\o /dev/null
select * from api.digest_known(1, jsonb_build_array(jsonb_build_object('i', 0,
	'account', (select id from app.account where email = 'alice@example.net'), 'source', '192.0.2.1')));
\o
select ok((select not remember from api.digest_credential('alice-2', 'example.net', '192.0.2.1')),
	'who has been right from there is let in, whatever was counted');


-- Merge patches (RFC 7396, appendix A), also those that are all that a body holds.
select is((select string_agg(app.merge_patch(t::jsonb, p::jsonb)::text, ' ' order by n) from (values
	(1, '{"a":"b"}', '{"a":"c"}'), (2, '{"a":"b"}', '{"b":"c"}'), (3, '{"a":"b","b":"c"}', '{"a":null}'),
	(4, '{"a":["b"]}', '{"a":"c"}'), (5, '{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}'), (6, '["a","b"]', '["c"]'),
	(7, '{"e":null}', '{"a":1}'), (8, '[1,2]', '{"a":"b","c":null}'), (9, '{}', '{"a":{"bb":{"ccc":null}}}'),
	(10, null, '{"a":null}')) v (n, t, p)),
	'{"a": "c"} {"a": "b", "b": "c"} {"b": "c"} {"a": "c"} {"a": {"b": "d"}} ["c"] {"a": 1, "e": null} {"a": "b"} '
	|| '{"a": {"bb": {}}} {}', 'as RFC 7396 has it');
set local statement_timeout = '2s'; -- it took 36
select is((select octet_length(app.merge_patch(m, m)::text) - octet_length(m::text) from (
	select jsonb_object_agg(i::text, 1) as m from generate_series(1, 7000) i) o), 0, '7000 members are merged at once');
select is((select app.merge_patch(m, n)::text from (
	select jsonb_object_agg(i::text, 1) as m, jsonb_object_agg(i::text, null) as n from generate_series(1, 7000) i) o), '{}',
	'or taken away');
set local statement_timeout = 0;

select * from finish();
rollback;
