-- Sends and their deliveries, from both doors to either end.
begin;
select plan(54);
\o /dev/null
\ir setup.inc
select * from api.credential_create('alice@example.net', '$y$j9T$aaaaaaaaaaaaaaaaaaaaa.$alicehash', 'me', 'desk', null, 'pw');
select * from api.agent_start('test:1', 'boot1') \gset
select * from api.stream_start('test') \gset
\o
create function pg_temp.send(p_body text, p_offline bool default true, p_at timestamptz default null,
	p_n bigint default null)
returns table (n bigint, status text, version bigint, bell text[]) language sql as $$
	select n, status, version, bell from api.send_post(null, pg_temp.proof('bob'), 'alice@example.net', p_n,
		'text/plain', p_body::bytea, p_offline, p_at, 'rid') $$;
create function pg_temp.login(p_contact text, p_flow text default null) returns bigint language sql as $$
	select n from api.login_register(null, pg_temp.proof('alice'), 'me', p_contact, p_contact, null, '{}', null) $$;
create function pg_temp.state(p_n bigint) returns text language sql as $$
	select string_agg(d.kind || ':' || d.state || coalesce(':' || d.code, ''), ' ' order by d.id)
	from app.delivery d join app.send s on s.id = d.send_id join app.account a on a.id = s.account_id
	where s.n = p_n and a.email = 'alice@example.net' $$;
create function pg_temp.claim() returns setof bigint language sql as $$
	select delivery from api.delivery_claim((select id from app.agent where name = 'test:1'), 10, 30) $$;
create function pg_temp.settle(p_code int, p_attempt int default 1) returns text language sql as $$
	select state from api.delivery_settle((select id from app.agent where name = 'test:1'),
		(select max(delivery_id) from app.lease), p_attempt, p_code, 'why') $$;

select results_eq($$ select n, status, bell from pg_temp.send('one') $$, $$ values (1::bigint, 'stored', null::text[]) $$,
	'with no contact it is stored, and nobody is rung');
select throws_ok($$ select pg_temp.send('two', false) $$, 'RS409', 'not-reachable', 'unless the sender does not want that');
select throws_ok($$ select pg_temp.send('two', p_n => 77) $$, 'RS404', 'contact-not-found', 'an unknown contact');
select is((select count(*) from app.send), 1::bigint, 'a refusal leaves no trace');
select is(pg_temp.login('sip:a@192.0.2.1'), 2::bigint, 'a login: numbers are shared with messages');
select is(pg_temp.state(1), 'contact:queued', 'what was stored goes to the new contact');
select isnt_empty('select pg_temp.claim()', 'an agent claims it');
select is(pg_temp.state(1), 'contact:sending', 'sending');
select is_empty('select pg_temp.claim()', 'once');
select is(pg_temp.settle(null), 'queued', 'it never left: queued again');
select isnt_empty('select pg_temp.claim()', 'claimed again');
select is(pg_temp.settle(200, 1), 'sending', 'a settlement of the first attempt changes nothing');
select is(pg_temp.settle(482, 2), 'delivered', '482 to a repeat means delivered');
select is(pg_temp.settle(486, 2), 'delivered', 'what is settled stays');

select is((select status from pg_temp.send('three')), 'queued', 'to a contact');
select is((select status from api.send_cancel(null, pg_temp.proof('bob'), 'alice@example.net', 3)), 200, 'taken back');
select is((select status from api.send_cancel(null, pg_temp.proof('bob'), 'alice@example.net', 3)), 200, 'again: the same');
select is_empty('select pg_temp.claim()', 'it is never sent');
select throws_ok($$ select * from api.send_cancel(null, pg_temp.proof('alice'), 'alice@example.net', 3) $$, 'RS404',
	'message-not-found', 'only the sender takes it back');
select throws_ok($$ select * from api.send_cancel(null, pg_temp.proof('bob'), 'alice@example.net', 2) $$, 'RS404',
	'message-not-found', 'a contact is no message');

\o /dev/null
select pg_temp.login('sip:b@192.0.2.2');
select pg_temp.send('five');
update app.delivery set state = 'delivered', settled_at = now()
where id = (select min(d.id) from app.delivery d join app.send s on s.id = d.send_id where s.n = 5);
\o
select is((select status from api.send_cancel(null, pg_temp.proof('bob'), 'alice@example.net', 5)), 409,
	'one recipient has it: 409');
select is((select jsonb_path_query_array(recipients::jsonb, '$[*].status')
	from api.send_cancel(null, pg_temp.proof('bob'), 'alice@example.net', 5)), '["delivered", "cancelled"]'::jsonb,
	'and who has it is said');
select is((select recipients::jsonb = doc::jsonb -> 'recipients'
	from api.send_cancel(null, pg_temp.proof('bob'), 'alice@example.net', 5)), true, 'as the document says it');
select is(pg_temp.state(5), 'contact:delivered contact:cancelled', 'the other is stopped');

\o /dev/null
select api.login_delete(null, pg_temp.proof('alice'), 'me', 4, null);
select pg_temp.send('six');
select pg_temp.claim();
\o
select is(pg_temp.settle(486), 'failed', 'a refusal is final');
select is((select doc::jsonb #> '{recipients,0,sip}' from api.login_item(null, pg_temp.proof('bob'), 'alice@example.net',
	6)), '{"code": 486, "reason": "why"}'::jsonb, 'and the sender sees why');
\o /dev/null
select pg_temp.send('seven');
select pg_temp.claim();
\o
select is(pg_temp.settle(503), 'stored', 'not now: stored again');
\o /dev/null
select pg_temp.send('eight');
\o
select is((select removed from api.login_delete(null, pg_temp.proof('alice'), 'me', null, null)), 1, 'the contact goes away');
select is(pg_temp.state(8), 'offline:stored:480', 'what was queued for it is stored');

\o /dev/null
select pg_temp.login('sip:c@192.0.2.3');
select pg_temp.claim();
\o
select is((select count(*) from app.delivery where state = 'sending'), 2::bigint, 'both go to the next contact');
select is((select agent from api.agent_start('test:1', 'boot1')), :agent, 'a reconnect of the same process');
select is((select count(*) from app.delivery where state = 'sending'), 2::bigint, 'keeps its claims');
\o /dev/null
select * from api.agent_start('test:1', 'boot2');
\o
select is((select count(*) from app.delivery where state = 'queued'), 2::bigint, 'a new one has to claim them again');
select results_eq($$ select attempt from api.delivery_claim((select id from app.agent where name = 'test:1'), 10, 30) $$,
	array[3, 2], 'as a later attempt');
update app.lease set until = now() - interval '1 s' where attempt = 3;
select results_eq($$ select attempt from api.delivery_claim((select id from app.agent where name = 'test:1'), 10, 30) $$,
	array[4], 'a claim that its agent never heard of comes up again when its lease is over');

select is((select jsonb_path_query_array(doc::jsonb, '$.recipients[0].attempts[*].sip.code') from
	api.send_trace(null, pg_temp.proof('bob'), 'alice@example.net', 7)), '[503]', 'a trace has what each attempt came to');
select is((select jsonb_array_length(doc::jsonb #> '{recipients,0,attempts}') from
	api.send_trace(null, pg_temp.proof('bob'), 'alice@example.net', 7)), 4, 'and those that came to nothing');
select throws_ok($$ select * from api.send_trace(null, pg_temp.proof('bob'), 'alice@example.net', 2) $$, 'RS404',
	'message-not-found', 'a contact has none');

-- Scheduled
select is((select status from pg_temp.send('later', p_at => now() + interval '1 hour')), 'queued', 'scheduled');
select is_empty('select pg_temp.claim()', 'is not sent before');
update app.send set due_at = now() where inbox is null;
\o /dev/null
select pg_temp.do_duties();
\o
select isnt_empty('select pg_temp.claim()', 'and is then');

-- Streams
\o /dev/null
select api.login_delete(null, pg_temp.proof('alice'), 'me', null, null);
update app.delivery set state = 'failed', settled_at = now() where state in ('queued', 'sending', 'stored');
select id as account from api.watch_open(:process, null, pg_temp.proof('alice'), null, 'login', 'me') \gset
\o
select is((select bell from pg_temp.send('live')), array['restsip_change|login/alice@example.net'],
	'the owner''s stream is rung');
select is(pg_temp.state((select max(n) from app.send)), 'stream:queued', 'and is the one recipient');
select is((select convert_from(body, 'UTF8') from api.inbox_read(:account, null, 10)), 'live',
	'the stream reads what is not delivered');
\o /dev/null
select api.inbox_written(:process, :account, array(select inbox from api.inbox_read(:account, null, 10)));
\o
select is(pg_temp.state((select max(n) from app.send)), 'stream:delivered', 'delivered when it was written');
select is((select inbox from api.inbox_read(:account, null, 10)), null, 'nothing is left');
\o /dev/null
select api.inbox_written(:process, :account, array(select s.inbox from app.send s where s.account_id = :account and s.n = 6));
\o
select is(pg_temp.state(6), 'contact:failed:486 stream:delivered', 'what a resume replayed has arrived there too');
select cmp_ok((select count(*) from api.inbox_read(:account, 0, 100)), '>', 1::bigint,
	'a resume replays whatever was thought delivered');

\o /dev/null
select api.watch_close(:process, 'login', :account, false);
select pg_temp.login('sip:d@192.0.2.4');
select n as late from pg_temp.send('late') \gset
select pg_temp.claim();
select * from api.watch_open(:process, null, pg_temp.proof('alice'), null, 'login', 'me');
select head from api.inbox_read(:account, null, 1) \gset
\o
select is(pg_temp.settle(408), 'queued', 'a phone that does not answer while a stream is open');
select is(pg_temp.state(:late), 'stream:queued:408', 'leaves it to the stream');
select is((select n from api.inbox_read(:account, :head, 10)), :late::bigint, 'as a new message');
\o /dev/null
select api.login_delete(null, pg_temp.proof('alice'), 'me', null, null);
\o

\o /dev/null
select n as between from pg_temp.send('between') \gset
select api.watch_close(:process, 'login', :account, false);
update app.watch set closed_at = now(), owner = false;
update app.delivery set changed_at = now() - interval '31 s' where kind = 'stream' and state = 'queued';
update app.send set created_at = now() - interval '31 s' where n = :between;
select pg_temp.login('sip:e@192.0.2.5');
\o
select is(pg_temp.state(:between), 'stream:queued', 'a phone comes while a stream is waited for');
\o /dev/null
select pg_temp.do_duties();
\o
select is(pg_temp.state(:between), 'contact:queued', 'and has the message once the stream does not come back');

-- SIP's door
select results_eq($$ select m.n from api.digest_credential('alice', 'example.net') d,
	generate_series(1, 2), lateral api.sip_message(1, d.credential, d.ha1, 'bob@example.net', 'text/plain', 'x', 'o1', 'r') m $$,
	array[1, 1]::bigint[], 'a repeated MESSAGE is one message');

select * from finish();
rollback;
