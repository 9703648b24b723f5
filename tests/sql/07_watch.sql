-- What streams read: who may watch what, changes since, items, and what outsiders see.
begin;
select plan(47);
\o /dev/null
\ir setup.inc
select process from api.stream_start('watch-test') \gset
select id as call from api.call_create(null, pg_temp.proof('alice'), 's', null, null, null, '{}', null, null) \gset
create temp table ids as select :call::bigint as call, :process as process;
\o
create function pg_temp.open(p_who text, p_kind text, p_key text) returns bigint language sql as $$
	select id from api.watch_open((select process from ids), null, pg_temp.proof(p_who), null, p_kind, p_key) $$;
create function pg_temp.contact(p_k int) returns bigint language sql as $$
	select version from api.login_register(null, pg_temp.proof('alice'), 'me', 'sip:a@192.0.2.' || p_k, 'k' || p_k, null,
		'{}', null) $$;

select is((select bell from api.login_register(null, pg_temp.proof('alice'), 'me', 'sip:a@192.0.2.9', 'k9', null, '{}',
	null)), null, 'nobody watches: nothing is rung');
select is_empty($$ select c.* from app.change c join app.account a on a.id = c.id where a.email = 'alice@example.net' $$,
	'and nothing is logged');

select pg_temp.open('bob', 'login', 'alice@example.net') as login \gset
select is((select doc from api.watch_read('login', :login, null, true)),
	(select doc from api.login_get(null, pg_temp.proof('bob'), 'alice@example.net')), 'the state is what a GET shows');
select version as v0 from api.watch_read('login', :login, null, true) \gset
select is_empty(format('select * from api.watch_read(''login'', %s, %s, false)', :login, :v0), 'nothing has changed');
select pg_temp.contact(1) as v1 \gset
select pg_temp.contact(2) as v2 \gset
select results_eq(format('select version, prior from api.watch_read(''login'', %s, %s, false)', :login, :v0),
	format('values (%s::bigint, %s::bigint), (%s, %s)', :v1, :v0, :v2, :v1), 'each change, in a chain');
select is((select doc from api.watch_read('login', :login, :v1, false)),
	(select doc from api.login_get(null, pg_temp.proof('bob'), 'alice@example.net')), 'the last is what a GET shows');
select results_eq(format('select version from api.watch_read(''login'', %s, %s, false, p_limit => 1)', :login, :v0),
	format('values (%s::bigint)', :v1), 'the first of them, if no more are wanted');
select results_eq(format('select version from api.watch_read(''login'', %s, %s, false, p_base => true)', :login, :v1),
	format('values (%s::bigint), (%s)', :v1, :v2), 'for differences, what they start from');
select results_eq(format('select version, prior from api.watch_read(''login'', %s, %s, false, p_base => true)', :login, :v2),
	format('values (%s::bigint, %s::bigint)', :v2, :v1), 'that alone, where nothing has changed');
select results_eq(format('select version, prior from api.watch_read(''login'', %s, %s, false, p_base => true)', :login, :v0),
	format('values (%s::bigint, null::bigint)', :v2), 'the state, where that is in no log');
select doc as logged from api.watch_read('login', :login, :v1, false) \gset
update app.login set expires_at = now(), sweep_at = now() where account_id = :login and contact = 'sip:a@192.0.2.1';
select is((select doc from api.watch_read('login', :login, null, false, p_base => true)), :'logged',
	'which is as the log has it, for its version');
select isnt((select doc from api.watch_read('login', :login, null, false)), :'logged',
	'while others are not shown what has lapsed');
delete from app.change where version = :v1;
select results_eq(format('select version, prior from api.watch_read(''login'', %s, %s, false)', :login, :v0),
	format('values (%s::bigint, null::bigint)', :v2), 'where history has a hole, the state');
select is((select doc::jsonb ->> 'contact' from api.watch_read('login', :login, null, true, true, 3)), 'sip:a@192.0.2.2',
	'one contact alone');
select is((select gone from api.watch_read('login', :login, null, true, true, 77)), true, 'or that it is gone');

select is((select mine from api.watch_open(:process, null, pg_temp.proof('bob'), null, 'login', 'alice@example.net')),
	false, 'bob is not the owner');
select is((select mine from api.watch_open(:process, null, pg_temp.proof('alice'), null, 'login', 'me')), true,
	'alice is');
select throws_ok('select pg_temp.open(''bob'', ''mailbox'', ''alice@example.net'')', 'RS403', 'not-owner',
	'mail is its owner''s to watch');
select throws_ok('select pg_temp.open(''bob'', ''call'', ''999999'')', 'RS404', 'call-not-found', 'an unknown call');
select throws_ok('select pg_temp.open(''bob'', ''call'', ''x'')', 'RS404', 'call-not-found', 'no call at all');
select throws_ok('select pg_temp.open(''bob'', ''moon'', ''x'')', 'RS404', 'not-found', 'no kind at all');

-- Sessions are for those inside
select is((select inside from api.watch_open(:process, null, pg_temp.proof('alice'), null, 'call', :'call')), false,
	'an owner who has not joined is outside');
select version as c0 from api.watch_read('call', :call, null, true) \gset
\o /dev/null
select * from api.call_join(null, pg_temp.proof('bob'), :call, 'me', '"secret"', '{}', null, null);
\o
select is((select inside from api.watch_open(:process, null, pg_temp.proof('bob'), null, 'call', :'call')), true,
	'a participant is inside');
select matches((select doc from api.watch_read('call', :call, :c0, false, true)), 'secret', 'who is inside sees sessions');
select doesnt_match((select doc from api.watch_read('call', :call, :c0, false, false)), 'secret',
	'who is outside does not, in a change');
select doesnt_match((select doc from api.watch_read('call', :call, null, false, false)), 'secret', 'nor in the state');
\o /dev/null
select * from api.call_delete(null, pg_temp.proof('alice'), :call, null);
\o
select is((select array_agg(gone order by version) from api.watch_read('call', :call, :c0, false)), '{f,f,t}',
	'an ended call is gone');
select matches((select doc from api.watch_read('call', :call, :c0, false) where not gone order by version desc limit 1),
	'"state":"ended".*"children":\[\{[^}]*"state":"ended"', 'and before that it says how it ended');

-- A sent message
\o /dev/null
select n as sent from api.send_post(null, pg_temp.proof('bob'), 'alice@example.net', null, 'a/b', 'x', true, null, 'r') \gset
\o
select isnt(pg_temp.open('bob', 'send', 'alice@example.net/' || :sent), null, 'its sender watches a message');
select is((select cardinality(bell) > 0 from api.send_cancel(null, pg_temp.proof('bob'), 'alice@example.net', :sent)), true,
	'and is rung when it changes');

-- A login that lives with a stream: alice's is open. Made by a password it is with any of the account.
\o /dev/null
select n as page from api.login_stream('alice@example.net', convert_to((select password_hash from app.account a
	where a.email = 'alice@example.net'), 'UTF8'), 'me', '{}') \gset
\o
create function pg_temp.left_s() returns int language sql as $$
	select extract(epoch from l.expires_at - now())::int from app.login l where l.source = 'stream' $$;
create function pg_temp.wear() returns void language sql as $$
	update app.login l set expires_at = now() + interval '7 s', sweep_at = now() + interval '7 s' where l.source = 'stream' $$;
select pg_temp.wear(), app.keep_logins() \g /dev/null
select is(pg_temp.left_s(), 30, 'the janitor keeps the login of an open stream');
select pg_temp.wear(), api.watch_close(:process, 'login', :login, true) \g /dev/null
select is(pg_temp.left_s(), 30, 'it has 30 s from the end of the stream on, though others watch');
select pg_temp.wear(), app.keep_logins(), app.expire_logins(), api.watch_close(:process, 'login', :login, false) \g /dev/null
select is(pg_temp.left_s(), 7, 'and no more by itself, nor when those others go');
update app.login set expires_at = now(), sweep_at = now() where source = 'stream';
select app.expire_logins() \g /dev/null
select is_empty('select from app.login where source = ''stream''', 'then it is gone');
select is((select gone from api.watch_read('login', :login, null, false, true, :page)), true, 'for whoever asks');

-- Made by a session it is with that session's alone. Those of alice: a, which is her proof, and b, by tickets.
\o /dev/null
insert into caller values ('b', sha256('alice b'));
select * from api.session_create('alice@example.net', '$y$j9T$aaaaaaaaaaaaaaaaaaaaa.$alicehash', pg_temp.proof('b'), 600);
create temp table page as select 'a' as name, n from api.login_stream(null, pg_temp.proof('alice'), 'me', '{}')
	union all select 'b', n from api.login_stream(null, pg_temp.proof('b'), 'me', '{}');
create temp table bearer (name text, id bigint);
create function pg_temp.lasts(p_name text) returns int language sql as $$
	select extract(epoch from l.expires_at - now())::int from app.login l join page p using (n) join app.account a on a.id = l.account_id
	where a.email = 'alice@example.net' and p.name = p_name $$;
create function pg_temp.closes(p_name text) returns void language sql as $$
	select api.watch_close((select w.process_id from app.watch w where w.kind = 'bearer' and w.id = b.id), 'bearer', b.id, false)
	from bearer b where b.name = p_name $$;
select * from api.ticket_create(null, pg_temp.proof('b'), sha256('tb'));
\o
insert into bearer select 'a', bearer from api.watch_open(:process, null, pg_temp.proof('alice'), null, 'login', 'me');
insert into bearer select 'b', bearer from api.watch_open(:process, null, null, sha256('tb'), 'login', 'me');
select results_eq('select b.id from bearer b order by name', $$ select s.id from caller c join app.session s on s.token = c.proof
	where c.name in ('alice', 'b') order by c.name $$, 'a stream says of which session it is, whether by token or by ticket');
select is_empty(format($$ select from (values ('login', 'bob@example.net', false), ('login', 'me', true), ('mailbox', 'me', false)) v(kind, key, quiet),
	api.watch_open(%s, null, pg_temp.proof('alice'), null, v.kind, v.key, v.quiet) o where o.bearer is not null $$, :process),
	'but not on another''s login, nor one that does not stay, nor on anything else');
select is((select bearer from api.watch_open(:process, 'alice@example.net', convert_to((select password_hash from app.account a
	where a.email = 'alice@example.net'), 'UTF8'), null, 'login', 'me')), null, 'nor by a password');
select pg_temp.wear(), app.keep_logins() \g /dev/null
select is(array[pg_temp.lasts('a'), pg_temp.lasts('b')], '{30,30}', 'the janitor keeps both logins');
select pg_temp.wear(), pg_temp.closes('a') \g /dev/null
select is(array[pg_temp.lasts('a'), pg_temp.lasts('b')], '{30,7}', 'one has 30 s from the end of its session''s last stream on');
select pg_temp.wear(), app.keep_logins() \g /dev/null
select is(array[pg_temp.lasts('a'), pg_temp.lasts('b')], '{7,30}', 'and no more for the other''s');
select api.login_refresh(null, pg_temp.proof('alice'), 'me', (select n from page where name = 'b'), null, null, null, '{}', null) \g /dev/null
select is((select session_id from app.login l join page p using (n) where p.name = 'b' and l.account_id = :login),
	(select id from bearer where name = 'b'), 'a refresh by another session takes no login from one that is there');
select api.login_refresh('alice@example.net', convert_to((select password_hash from app.account a where a.email = 'alice@example.net'), 'UTF8'),
	'me', (select n from page where name = 'a'), null, null, null, '{}', null) \g /dev/null
select is((select session_id from app.login l join page p using (n) where p.name = 'a' and l.account_id = :login),
	(select id from bearer where name = 'a'), 'nor one by a password');
select api.login_refresh(null, pg_temp.proof('b'), 'me', (select n from page where name = 'a'), null, null, null, '{}', null) \g /dev/null
select pg_temp.wear(), app.keep_logins() \g /dev/null
select is(array[pg_temp.lasts('a'), pg_temp.lasts('b')], '{30,30}', 'but one that has no stream any more goes on with who refreshes it');
select pg_temp.wear(), api.session_delete(null, pg_temp.proof('b')), pg_temp.closes('b') \g /dev/null
select is(array[pg_temp.lasts('a'), pg_temp.lasts('b')], '{30,30}', 'a session that has ended leaves it as long');
update app.login set expires_at = now(), sweep_at = now() where source = 'stream';
select app.expire_logins() \g /dev/null
select is_empty('select from app.login where source = ''stream''', 'and no longer, though the account has other streams');

-- Tickets
\o /dev/null
select * from api.ticket_create(null, pg_temp.proof('bob'), sha256('t'));
select * from api.watch_open(:process, null, null, sha256('t'), 'login', 'me');
\o
select throws_ok('select * from api.watch_open((select process from ids), null, null, sha256(''t''), ''login'', ''me'')',
	'RS401', 'unauthorized', 'a ticket stands once');

select * from finish();
rollback;
