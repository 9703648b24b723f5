-- Sign-up, profiles, sessions, credentials.
begin;
select plan(33);
\o /dev/null
\ir setup.inc
\o

select throws_ok($$ select * from api.user_create('alice@example.net', 'x', '{}') $$, 'RS409', 'account-exists',
	'an email is taken once');
select throws_ok($$ select * from api.user_create('ali ce@example.net', 'x', '{}') $$, '23514', null,
	'the table refuses an email with a space');
select throws_ok($$ select * from api.user_create('alice@Example.net', 'x', '{}') $$, '23514', null,
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

select is((select username from api.credential_create(null, pg_temp.proof('alice'), 'me', 'desk', null, 'pw')), 'alice',
	'the first device is named as the user');
select is((select username from api.credential_create(null, pg_temp.proof('alice'), 'me', 'cell', 'SHA-256', 'pw')),
	'alice-2', 'the second by number');
select is((select ha1 from api.digest_credential('alice', 'example.net')), md5('alice:example.net:pw'),
	'HA1 of RFC 7616, section 3.4.2');
select is((select ha1 from api.digest_credential('alice-2', 'example.net')),
	encode(sha256('alice-2:example.net:pw'), 'hex'), 'HA1 with SHA-256');
select is(api.digest_algorithm('alice@example.net'), 'MD5', 'one MD5 device: MD5 is offered');
select ok((select gone from api.credential_delete(null, pg_temp.proof('alice'), 'me', 1)), 'a credential is deleted');
select is(api.digest_algorithm('alice@example.net'), 'SHA-256', 'all devices have SHA-256: it is offered');
select is(api.digest_algorithm('nobody@example.net'), 'MD5', 'unknown users get MD5');

-- Guessing
select is(api.password_setting('alice@example.net', '192.0.2.1'), '$y$j9T$aaaaaaaaaaaaaaaaaaaaa.', 'a first guess');
\o /dev/null
select api.password_failed('alice@example.net', '192.0.2.1') from generate_series(1, 10);
\o
select throws_ok($$ select api.password_setting('alice@example.net', '192.0.2.1') $$, 'RS429', 'too-many-guesses',
	'ten wrong ones are enough');
select lives_ok($$ select api.password_setting('alice@example.net', '192.0.2.2') $$, 'another source is not held up');
select lives_ok($$ select api.password_setting('bob@example.net', '192.0.2.1') $$, 'nor another account');
update app.throttle set since = now() - interval '301 s';
select lives_ok($$ select api.password_setting('alice@example.net', '192.0.2.1') $$, 'five minutes later all is forgiven');
\o /dev/null
select api.digest_failed('alice', 'example.net', '192.0.2.1') from generate_series(1, 10);
\o
select throws_ok($$ select * from api.digest_credential('alice', 'example.net', '192.0.2.1') $$, 'RS429',
	'too-many-guesses', 'the same for digests');

select * from finish();
rollback;
