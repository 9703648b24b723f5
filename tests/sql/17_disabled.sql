-- A disabled account, at both doors; and what operators' functions refuse and write down.
begin;
select plan(38);
\o /dev/null
\ir setup.inc
select agent from api.agent_start('disabled-test', 'b1') \gset
create temp table ids as select :agent as agent;
create function pg_temp.hash(text) returns bytea language sql as $$
	select convert_to(password_hash, 'UTF8') from app.account where email = $1 || '@example.net' $$;
select from api.credential_create('alice@example.net', pg_temp.hash('alice'), 'me', 'desk', null, 'pw');
select from api.credential_create('bob@example.net', pg_temp.hash('bob'), 'me', 'desk', null, 'pw');
\o
create function pg_temp.registered(p_user text, p_batch bool) returns bigint language sql as $$
	select count(*) from app.credential c,
	lateral (
		select from api.sip_register((select agent from ids), c.id, c.ha1, p_user || '@example.net', 'c', 1,
			jsonb_build_array(jsonb_build_object('contact', 'sip:x@192.0.2.9', 'key', 'sip:x@192.0.2.9', 'expires', 600)),
			false, null, 'udp:192.0.2.9:5060', 'phone') where not p_batch
		union all
		select from api.sip_register_many((select agent from ids), jsonb_build_array(jsonb_build_object('i', 0,
			'credential', c.id, 'ha1', c.ha1, 'aor', p_user || '@example.net', 'call_id', 'c', 'cseq', 1,
			'contact', 'sip:x@192.0.2.9', 'key', 'sip:x@192.0.2.9', 'expires', 600, 'flow', 'udp:192.0.2.9:5060'))) m where p_batch and m.i >= 0) r
	where c.username = p_user $$;
create function pg_temp.open(p_email text) returns bigint language sql as $$
	select (select count(*) from app.login l where l.account_id = a.id)
		+ (select count(*) from app.session s where s.account_id = a.id)
		+ (select count(*) from app.ticket t where t.account_id = a.id)
		+ (select count(*) from app.publication p where p.account_id = a.id)
		+ (select count(*) from app.subscription s where s.watcher_id = a.id and s.ended is null)
		+ (select count(*) from app.participant p where p.account_id = a.id and p.state = 'joined')
	from app.account a where a.email = p_email $$;

-- What there is
\o /dev/null
select pg_temp.registered('alice', false);
select from api.login_register(null, pg_temp.proof('alice'), 'me', 'sip:web@192.0.2.1', 'sip:web@192.0.2.1', null, '{}', null);
select from api.ticket_create(null, pg_temp.proof('alice'), sha256('t'));
select r.etag from app.credential c, lateral api.sip_publish(:agent, c.id, c.ha1, 'alice@example.net', 'p', 1, null,
	'{"note": "x"}', null, null, 600) r where c.username = 'alice';
select r.local_tag from app.credential c, lateral api.sip_subscribe(:agent, c.id, c.ha1, 'bob@example.net', jsonb_build_object(
	'event', 'presence', 'call_id', 's', 'remote_tag', 'r', 'local_tag', 'l', 'local_uri', 'sip:bob@example.net',
	'remote_uri', 'sip:alice@example.net', 'local_target', 'sip:192.0.2.1', 'remote_target', 'sip:x@192.0.2.9',
	'remote_cseq', 1), false, 600) r where c.username = 'alice';
select id as call from api.call_create(null, pg_temp.proof('bob'), 'his', null, true, null, '{}', null, null) \gset
select from api.call_join(null, pg_temp.proof('alice'), :call, 'me', '"s"', '{}', null, null);
select from api.send_post(null, pg_temp.proof('bob'), 'alice@example.net', null, 'text/plain', 'before', true, null, null);
\o
select cmp_ok(pg_temp.open('alice@example.net'), '>=', 6::bigint, 'an account has this and that open');

-- Disabled
set local role restsip_operator;
select ok(inspect.user_disable('alice@example.net'), 'is disabled');
select ok(not inspect.user_disable('alice@example.net'), 'once');
select is((select disabled_at is not null from inspect.account where email = 'alice@example.net'), true, 'which people see');
reset role;
select is(pg_temp.open('alice@example.net'), 0::bigint, 'nothing of it is open any more');
select results_eq('select ended from app.subscription', array['rejected'], 'its subscription is told so');
select throws_ok($$ select * from api.session_create('alice@example.net', pg_temp.hash('alice'), sha256('n'), 600) $$, 'RS403',
	'account-disabled', 'its password opens nothing');
select throws_ok($$ select * from api.session_create('alice@example.net', 'wrong', sha256('n'), 600) $$, 'RS401', 'unauthorized',
	'a wrong one is a wrong one');
select throws_ok($$ select * from api.login_get(null, pg_temp.proof('alice'), 'me') $$, 'RS401', 'unauthorized', 'nor its token');
select throws_ok($$ select * from api.login_register('alice@example.net', pg_temp.hash('alice'), 'me', 'sip:w@192.0.2.1', 'k', null,
	'{}', null) $$, 'RS403', 'account-disabled', 'it binds nothing by HTTP');
select throws_ok($$ select pg_temp.registered('alice', false) $$, 'RS403', 'account-disabled', 'nor by SIP');
select is(pg_temp.registered('alice', true), 0::bigint, 'nor among many');
select throws_ok($$ select api.sip_message((select agent from ids), c.id, c.ha1, 'bob@example.net', 'text/plain', 'x', 'o', null)
	from app.credential c where c.username = 'alice' $$, 'RS403', 'account-disabled', 'it sends nothing');
select throws_ok($$ select app.credential_holds(c.id) from app.credential c where c.username = 'alice' $$, 'RS403',
	'account-disabled', 'nor what waited for the lock');
select throws_ok($$ select * from api.watch_open(1, 'alice@example.net', pg_temp.hash('alice'), null, 'login', 'me') $$, 'RS403',
	'account-disabled', 'it watches nothing');
select throws_ok($$ select * from api.send_post(null, pg_temp.proof('bob'), 'alice@example.net', null, 'text/plain', 'x', true, null,
	null) $$, 'RS409', 'account-disabled', 'nothing is sent to it by HTTP');
select throws_ok($$ select api.sip_message((select agent from ids), c.id, c.ha1, 'alice@example.net', 'text/plain', 'x', 'o', null)
	from app.credential c where c.username = 'bob' $$, 'RS409', 'account-disabled', 'nor by SIP');
select throws_ok($$ select inspect.send('alice@example.net', 'x') $$, 'RS409', 'account-disabled', 'nor by an operator');
select throws_ok($$ select * from api.mail_post(null, null, 'alice@example.net', 'text', null, 'text/plain', 'x', '{}', null, null) $$,
	'RS409', 'account-disabled', 'nor is mail left');
select results_eq('select status from inspect.send where recipient = ''alice@example.net''', array['stored'],
	'what came before waits');
select is((select count(*) from app.credential c where c.username = 'alice'), 1::bigint, 'its credential stays');
select is(pg_temp.registered('bob', true), 1::bigint, 'others register as ever');

-- And enabled
set local role restsip_operator;
select ok(inspect.user_enable('alice@example.net'), 'is enabled');
select ok(not inspect.user_enable('alice@example.net'), 'once');
reset role;
select is(pg_temp.registered('alice', false), 1::bigint, 'registers again');
select results_eq('select status from inspect.send where recipient = ''alice@example.net''', array['queued'], 'and gets what waited');

-- Operators
set local role restsip_operator;
select throws_ok($$ select inspect.user_add('alice@example.net', 'x') $$, 'RS409', 'account-exists', 'an account is made once');
select lives_ok($$ select inspect.user_add('carol@example.net', 'x', '{"name": "Carol"}') $$, 'a new one');
select is((select name from inspect.account where email = 'carol@example.net'), 'Carol', 'with its name');
select lives_ok($$ select inspect.user_delete('carol@example.net') $$, 'is deleted');
select lives_ok($$ select inspect.user_add('carol@example.net', 'x') $$, 'and made again, though its email rests');
select throws_ok($$ select inspect.user_disable('nobody@example.net') $$, 'RS404', 'user-not-found', 'who is not there');
select throws_ok($$ select inspect.credential_delete('alice@example.net', null) $$, 'RS404', 'credential-not-found',
	'null is no credential');
select throws_ok($$ select inspect.set_setting('contacts', '-1') $$, 'RS400', 'invalid-parameter', 'a setting is a number');
select throws_ok($$ select inspect.set_setting('fake_salt_key', '1') $$, 'RS404', 'setting-not-found', 'a secret is no setting');
select is_empty($$ select from inspect.setting where name = 'fake_salt_key' $$, 'nor is it shown');
select results_eq($$ select what from inspect.operation where about = 'carol@example.net' order by at, what $$,
	array['user add', 'user add', 'user delete'], 'what was done is written down');
set local role restsip_inspect;
select throws_ok($$ select inspect.user_disable('alice@example.net') $$, '42501', null, 'who only inspects does none of it');
reset role;
select * from finish();
rollback;
