-- The mailbox, and Idempotency-Key.
begin;
select plan(25);
\o /dev/null
\ir setup.inc
\o
create function pg_temp.leave(p_who text, p_url text, p_text text default null, p_key text default null,
	p_print text default 'p')
returns table (n bigint, version bigint, doc text) language sql as $$
	select n, version, doc from api.mail_post(null, (select proof from caller where name = p_who),
		'alice@example.net', 'voice', p_url, 'audio/wav', p_text::bytea, '{"duration": 3, "seen": true}', p_key,
		p_print::bytea) $$;

select is((select doc::jsonb - 'created_at' from pg_temp.leave(null, 'rtsp://media.example.net/1')),
	'{"id": 1, "url": "rtsp://media.example.net/1", "self": "/user/alice@example.net/messages/1", "type": "voice",
	"seen": false, "duration": 3}'::jsonb, 'anyone leaves a message; only the server says what it says');
select is((select doc::jsonb ->> 'from' from pg_temp.leave('bob', null, 'RIFF')), 'bob@example.net',
	'who is signed in is known as the sender');
select throws_ok($$ select pg_temp.leave(null, null, repeat('x', 65537)) $$, 'RS413', 'content-too-large',
	'more than 64 KiB only from who is signed in');
select lives_ok($$ select pg_temp.leave('bob', null, repeat('x', 65537)) $$, 'who may leave more');
select throws_ok($$ select * from api.mail_post(null, null, 'nobody@example.net', 'voice', 'x', null, null, '{}', null,
	null) $$, 'RS404', 'user-not-found', 'an unknown user');

select throws_ok($$ select * from api.mail_list(null, pg_temp.proof('bob'), 'alice@example.net', null, 10) $$, 'RS403',
	'not-owner', 'only the owner reads');
select throws_ok($$ select * from api.mail_list(null, null, 'alice@example.net', null, 10) $$, 'RS401', 'unauthorized',
	'and only with credentials');
select results_eq($$ select n from api.mail_list(null, pg_temp.proof('alice'), 'me', null, 2) $$,
	array[3, 2]::bigint[], 'newest first');
select results_eq($$ select n from api.mail_list(null, pg_temp.proof('alice'), 'me', 2, 2) $$,
	array[1]::bigint[], 'the next page');
select results_eq($$ select n from api.mail_list(null, pg_temp.proof('bob'), 'me', null, 2) $$,
	array[null]::bigint[], 'an empty mailbox has a version too');
select is((select convert_from(content, 'UTF8') from api.mail_get(null, pg_temp.proof('alice'), 'me', 2, null, null)),
	'RIFF', 'the content');
select is((select convert_from(content, 'UTF8') from api.mail_get(null, pg_temp.proof('alice'), 'me', 2, 1, 2)),
	'IF', 'a part of it');
select is((select convert_from(content, 'UTF8') from api.mail_get(null, pg_temp.proof('alice'), 'me', 2, 2, null)),
	'FF', 'the rest of it');
select is((select content from api.mail_get(null, pg_temp.proof('alice'), 'me', 2, null, 0)), null, 'or none');
select throws_ok($$ select * from api.mail_get(null, pg_temp.proof('alice'), 'me', 9, null, null) $$, 'RS404',
	'message-not-found', 'an unknown message');
select is((select doc::jsonb -> 'seen' from api.mail_patch(null, pg_temp.proof('alice'), 'me', 1, true, '{"seen": true}',
	null)), 'true'::jsonb, 'seen');
select throws_ok($$ select * from api.mail_patch(null, pg_temp.proof('alice'), 'me', 1, false, '{}', 1) $$, 'RS412',
	'precondition-failed', 'not over an old version');
select lives_ok($$ select * from api.mail_delete(null, pg_temp.proof('alice'), 'me', 1, null) $$, 'deleted');
select throws_ok($$ select * from api.mail_delete(null, pg_temp.proof('alice'), 'me', 1, null) $$, 'RS404',
	'message-not-found', 'once');

create temp table first as select * from pg_temp.leave('bob', 'rtsp://x', null, 'key1');
select results_eq('select n, version, doc from pg_temp.leave(''bob'', ''rtsp://x'', null, ''key1'')',
	'select n, version, doc from first', 'the same key gives the same result');
select is((select count(*) from app.message where url = 'rtsp://x'), 1::bigint, 'and leaves one message');
select throws_ok($$ select pg_temp.leave('bob', 'rtsp://y', null, 'key1', 'q') $$, 'RS422', 'idempotency-key-reused',
	'another request under the key is refused');
select lives_ok($$ select pg_temp.leave('alice', 'rtsp://y', null, 'key1', 'q') $$, 'keys are each account''s own');

insert into app.message (account_id, n, type, content_type, content, size)
select id, 100, 'voice', 'audio/wav', 'x', 67108860 from app.account where email = 'alice@example.net';
select throws_ok($$ select pg_temp.leave('bob', null, 'RIFF..') $$, 'RS507', 'mailbox-full', 'a mailbox has 64 MiB');
select throws_ok($$ insert into app.message (account_id, n, type, url, content_type, content, size)
	select id, 101, 'voice', 'x', 'audio/wav', 'x', 1 from app.account limit 1 $$, '23514', null,
	'a message is by URL or has content');

select * from finish();
rollback;
