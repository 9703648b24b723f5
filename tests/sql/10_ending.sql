-- What ends with a password or a credential; how many sessions, tickets, credentials and sign-ups there may be.
begin;
select plan(59);
\o /dev/null
\ir setup.inc
select agent from api.agent_start('end-test', 'b1') \gset
create temp table ids as select :agent as agent;
create function pg_temp.hash(text) returns bytea language sql as $$
	select convert_to(password_hash, 'UTF8') from app.account where email = $1 || '@example.net' $$;
select from api.credential_create('alice@example.net', pg_temp.hash('alice'), 'me', 'desk', null, 'pw');
select from api.credential_create('alice@example.net', pg_temp.hash('alice'), 'me', 'cell', null, 'pw');
\o
create function pg_temp.register(p_user text, p_batch bool default false) returns bigint language sql as $$
	select count(*) from app.credential c,
	lateral (
		select from api.sip_register((select agent from ids), c.id, c.ha1, 'alice@example.net', 'c-' || p_user, 1,
			jsonb_build_array(jsonb_build_object('contact', 'sip:' || p_user || '@192.0.2.9', 'key', 'k-' || p_user,
				'expires', 600)), false, null, 'udp:192.0.2.9:5060', 'phone') where not p_batch
		union all
		select from api.sip_register_many((select agent from ids), jsonb_build_array(jsonb_build_object('i', 0,
			'credential', c.id, 'ha1', c.ha1, 'aor', 'alice@example.net', 'call_id', 'c-' || p_user, 'cseq', 1,
			'contact', 'sip:' || p_user || '@192.0.2.9', 'key', 'sip:' || p_user || '@192.0.2.9', 'expires', 600,
			'flow', 'udp:192.0.2.9:5060', 'user_agent', 'phone'))) where p_batch) r
	where c.username = p_user $$;
create function pg_temp.subscribe(p_user text) returns text language sql as $$
	select r.local_tag from app.credential c,
	lateral api.sip_subscribe((select agent from ids), c.id, c.ha1, 'bob@example.net', jsonb_build_object(
		'event', 'presence', 'call_id', 's-' || p_user, 'remote_tag', 'r', 'local_tag', 'l', 'local_uri', 'sip:bob@example.net',
		'remote_uri', 'sip:alice@example.net', 'local_target', 'sip:192.0.2.1', 'remote_target', 'sip:' || p_user || '@192.0.2.9',
		'flow', 'udp:192.0.2.9:' || length(p_user), 'remote_cseq', 1), false, 600) r where c.username = p_user $$;
create function pg_temp.publish(p_user text, p_cseq int, p_key text) returns text language sql as $$
	select r.etag from app.credential c, lateral api.sip_publish((select agent from ids), c.id, c.ha1, 'alice@example.net',
		'p-' || p_user, p_cseq, null, jsonb_build_object('note', p_user), p_key, null, 600) r where c.username = p_user $$;
create function pg_temp.notes() returns setof text language sql as $$
	select l.extra -> 'presence' ->> 'note' from app.login l join app.account a on a.id = l.account_id
	where a.email = 'alice@example.net' and l.extra ? 'presence' order by l.n $$;
create function pg_temp.contacts() returns setof text language sql as $$
	select contact from inspect.login where email = 'alice@example.net' order by n $$;
create function pg_temp.version() returns bigint language sql as $$
	select r.version from app.resource r join app.account a on a.id = r.id
	where r.kind = 'login' and a.email = 'alice@example.net' $$;
create function pg_temp.put(p_who text, p_proof bytea, p_hash text, p_revoke bool default false, p_source text default null)
returns text[] language sql as $$
	select bell from api.user_put(p_who, p_proof, 'me', '{}', true, p_hash, null, p_revoke, p_source) $$;

-- With a token alone
select throws_ok($$ select pg_temp.put(null, pg_temp.proof('alice'), '') $$, 'RS403', 'password-needed',
	'a token sets no new password');
select throws_ok($$ select pg_temp.put(null, sha256('nonsense'), '') $$, 'RS401', 'unauthorized', 'nor does none');
select throws_ok($$ select * from api.credential_create(null, pg_temp.proof('alice'), 'me', 'x', null, 'pw') $$, 'RS403',
	'password-needed', 'nor makes a credential');
select lives_ok($$ select pg_temp.put(null, pg_temp.proof('alice'), null) $$, 'but changes the profile');

-- A credential
\o /dev/null
select pg_temp.register('alice'), pg_temp.register('alice-2', true), pg_temp.subscribe('alice'), pg_temp.subscribe('alice-2');
select from api.login_register(null, pg_temp.proof('alice'), 'me', 'sip:web@192.0.2.1', 'k-web', null, '{}', null);
select pg_temp.publish('alice-2', 1, 'k-web'), pg_temp.publish('alice', 1, 'k-web'), pg_temp.publish('alice', 2, 'k-none');
insert into app.stream_process (name) values ('end-test');
insert into app.watch (kind, id, process_id) select 'login', a.id, p.id from app.account a, app.stream_process p
where a.email = 'alice@example.net' and p.name = 'end-test';
\o
select results_eq('select credential from inspect.login where email = ''alice@example.net'' order by n',
	array[1, 2, null, null]::bigint[], 'bindings know their credential, by either way');
select results_eq('select pg_temp.notes()', array['alice', 'alice'], 'it has published, here and in a place of its own');
create temp table was as select pg_temp.version() as version;
create temp table gone as select * from api.credential_delete(null, pg_temp.proof('alice'), 'me', 1);
select ok((select gone from gone), 'a credential is deleted');
select results_eq('select pg_temp.contacts()', array['sip:alice-2@192.0.2.9', 'sip:web@192.0.2.1'], 'and what it has bound');
select results_eq('select pg_temp.notes()', array['alice-2'], 'and what it has published: what another has is seen again');
select results_eq('select call_id from app.publication', array['p-alice-2'], 'of which nothing is left');
select cmp_ok(pg_temp.version(), '>', (select version from was), 'in a new version');
select ok((select 'restsip_change|login/alice@example.net' = any (bell) from gone), 'who watches is rung');
select ok((select 'restsip_job_' || :agent || '|notify' = any (bell) from gone), 'and the agent');
select results_eq('select call_id, ended from inspect.subscription order by 1', $$ values ('s-alice', 'rejected'),
	('s-alice-2', null) $$, 'its subscription has ended');
select results_eq($$ select ended, body from api.notify_claim((select agent from ids), 'sip:192.0.2.1', 10, 40)
	where call_id = 's-alice' $$, $$ values ('rejected', null::text) $$, 'which is told, and nothing else');
select throws_ok($$ select * from api.sip_register((select agent from ids), 1, 'ff', 'alice@example.net', 'c', 9, '[]', false, null,
	null, null) $$, 'RS401', 'unauthorized', 'it registers no more');
select throws_ok('select app.credential_holds(-1)', 'RS401', 'unauthorized', 'nor where it went while it waited for the lock');
select throws_ok($$ select * from api.credential_delete(null, pg_temp.proof('alice'), 'me', 1) $$, 'RS404',
	'credential-not-found', 'once');

-- A NOTIFY that is under way meanwhile
select is((select count(*) from app.subscription where call_id = 's-alice-2' and until is not null), 1::bigint,
	'one is under way');
\o /dev/null
update app.subscription set ended = 'rejected', due = true, due_at = now() where call_id = 's-alice-2';
\o
select is((select s.state from app.subscription t, lateral api.notify_settle((select agent from ids), t.id, t.local_cseq, 200, null) s
	where t.call_id = 's-alice-2'), 'active', 'the last one still comes');
\o /dev/null
update app.subscription set ended = null, due = false where call_id = 's-alice-2';
\o

-- A new password
\o /dev/null
select from api.ticket_create(null, pg_temp.proof('alice'), sha256('t'));
select * from api.login_stream(null, pg_temp.proof('alice'), 'me', '{}', null);
\o
select app.know_sources(array[a.id, a.id, b.id], array['192.0.2.7', '192.0.2.8', '192.0.2.7']) from app.account a, app.account b
where a.email = 'alice@example.net' and b.email = 'bob@example.net' \g /dev/null
select lives_ok($$ select pg_temp.put('alice@example.net', pg_temp.hash('alice'), null, false, '192.0.2.9') $$, 'no new password');
select is((select count(*) from app.known_source), 3::bigint, 'forgets nothing');
select lives_ok($$ select pg_temp.put('alice@example.net', pg_temp.hash('alice'), '$y$j9T$aaaaaaaaaaaaaaaaaaaaa.$new1', false,
	'192.0.2.8') $$,
	'a new password, with the one before');
select is((select count(*) from app.session s join app.account a on a.id = s.account_id where a.email = 'alice@example.net')
	+ (select count(*) from app.ticket), 0::bigint, 'ends tokens and tickets');
select results_eq('select pg_temp.contacts()', array['sip:alice-2@192.0.2.9'], 'and contacts of REST, not of phones');
select is((select count(*) from app.credential c join app.account a on a.id = c.account_id where a.email = 'alice@example.net'),
	1::bigint, 'nor credentials');
select throws_ok($$ select pg_temp.put('alice@example.net', '$y$j9T$aaaaaaaaaaaaaaaaaaaaa.$alicehash', 'x') $$, 'RS401',
	'unauthorized', 'the one before is none any more');
select results_eq($$ select k.source from app.known_source k join app.account a on a.id = k.account_id
	where a.email = 'alice@example.net' $$, array['192.0.2.8'], 'where it was known it is so no more, but from the caller''s address');
select is((select count(*) from app.known_source k), 2::bigint, 'others are known as before');
create temp table was2 as select pg_temp.version() as version;
select throws_ok($$ select from api.user_put('alice@example.net', pg_temp.hash('alice'), 'me', '{}', true, 'x', 1, true) $$, 'RS412',
	'precondition-failed', 'another version of the profile');
select is(pg_temp.version(), (select version from was2), 'ends nothing');
select ok((select 'restsip_change|login/alice@example.net' = any (bell) and 'restsip_job_' || :agent || '|notify' = any (bell)
	from pg_temp.put('alice@example.net', pg_temp.hash('alice'), '$y$j9T$aaaaaaaaaaaaaaaaaaaaa.$new2', true) as bell),
	'with revoke, watchers and agent are rung');
select is_empty('select pg_temp.contacts()', 'nothing is bound');
select is((select count(*) from app.credential c join app.account a on a.id = c.account_id where a.email = 'alice@example.net'),
	0::bigint, 'there are no credentials');
select is((select count(*) from app.subscription where ended = 'rejected'), 2::bigint, 'and no subscriptions');

-- Sessions
create function pg_temp.sign_in(p_token text) returns text[] language sql as $$
	select bell from api.session_create('bob@example.net', pg_temp.hash('bob'), sha256(p_token::bytea), 600) $$;
\o /dev/null
insert into app.watch (kind, id, process_id) select 'session', a.id, p.id from app.account a, app.stream_process p
where a.email = 'bob@example.net' and p.name = 'end-test';
update app.session s set created_at = now() - interval '1 hour'; -- bob's first
\o
select is((select count(*) from generate_series(1, 99) n where pg_temp.sign_in('n' || n) is not null), 0::bigint,
	'a hundred sessions');
select lives_ok($$ select * from api.login_get(null, pg_temp.proof('bob'), 'me') $$, 'of which the first is there');
select is(pg_temp.sign_in('last'), (select array['restsip_change|session/' || id] from app.account where email = 'bob@example.net'),
	'one more: its streams are looked at');
select is((select count(*) from app.session s join app.account a on a.id = s.account_id where a.email = 'bob@example.net'),
	100::bigint, 'a hundred again');
select throws_ok($$ select * from api.login_get(null, pg_temp.proof('bob'), 'me') $$, 'RS401', 'unauthorized',
	'and the oldest has gone');
select lives_ok($$ select * from api.login_get(null, sha256('last'), 'me') $$, 'not the latest');

-- Tickets
create function pg_temp.ticket(p_n int) returns int language sql as $$
	select expires from api.ticket_create(null, sha256('last'), sha256(convert_to('t' || p_n, 'UTF8'))) $$;
select is((select count(pg_temp.ticket(n)) from generate_series(1, 20) n), 20::bigint, 'twenty tickets');
select throws_ok('select pg_temp.ticket(21)', 'RS409', 'too-many-tickets', 'and no more');
\o /dev/null
update app.ticket set expires_at = now() where ticket = sha256('t1');
\o
select is(pg_temp.ticket(21), 60, 'but for one that has lapsed');

-- Credentials
create function pg_temp.credential() returns bigint language sql as $$
	select n from api.credential_create('bob@example.net', pg_temp.hash('bob'), 'me', '', null, 'pw') $$;
select is((select count(pg_temp.credential()) from generate_series(1, 32)), 32::bigint, 'thirty-two credentials');
select throws_ok('select pg_temp.credential()', 'RS409', 'too-many-credentials', 'and no more');

-- Sign-ups
create function pg_temp.sign_up(p_name text, p_source text) returns text language plpgsql as $$
begin
	perform api.signup_take(p_name || '@example.net', p_source);
	return (select email from api.user_create(p_name || '@example.net', 'x', null));
end $$;
create function pg_temp.retry(p_source text) returns text language plpgsql as $$
declare
	v_column text;
begin
	perform api.signup_take('x@example.net', p_source);
	return null;
exception when sqlstate 'RS429' then
	get stacked diagnostics v_column = column_name;
	return v_column;
end $$;
select is((select count(pg_temp.sign_up('s' || n, '192.0.2.1')) from generate_series(1, 5) n), 5::bigint, 'five accounts a minute');
select throws_ok($$ select api.signup_take('s6@example.net', '192.0.2.1') $$, 'RS429', 'too-many-sign-ups',
	'and no more');
select is(pg_temp.retry('192.0.2.1'), '60', 'it says when');
select lives_ok($$ select pg_temp.sign_up('s6', '192.0.2.2') $$, 'others may');
select throws_ok($$ select pg_temp.sign_up('s1', '192.0.2.2') $$, 'RS409', 'account-exists', 'what is refused');
select is((select cardinality(at) from app.signup where source = '192.0.2.2'), 1, 'does not count');
select is((select count(pg_temp.sign_up('v' || n, '2001:db8:0:1::' || n)) from generate_series(1, 5) n), 5::bigint, 'of a /64');
select throws_ok($$ select api.signup_take('v6@example.net', '2001:db8:0:1:ffff::1') $$, 'RS429', 'too-many-sign-ups',
	'all addresses count together');
\o /dev/null
update app.signup set at = array(select now() - interval '61 s' - n * interval '20 min' from generate_series(0, 49) n)
where source = '192.0.2.1';
\o
select is(pg_temp.retry('192.0.2.1'), (86400 - 61 - 49 * 1200)::text, 'fifty a day, until the first is a day old');
\o /dev/null
update app.signup set at = at[1:49] where source = '192.0.2.1';
\o
select lives_ok($$ select pg_temp.sign_up('d1', '192.0.2.1') $$, 'the fiftieth');

-- The email of a deleted account
\o /dev/null
select from api.user_delete('bob@example.net', pg_temp.hash('bob'), 'me', null);
\o
select throws_ok($$ select api.signup_take('bob@example.net', '192.0.2.9') $$, 'RS409', 'account-exists', 'rests');
select throws_ok($$ select api.user_create('bob@example.net', 'x', null) $$, 'RS409', 'account-exists', 'by any way');
\o /dev/null
update app.email_rest set deleted_at = now() - interval '30 days';
\o
select lives_ok($$ select api.user_create('bob@example.net', 'x', null) $$, 'for thirty days');

select * from finish();
rollback;
