-- The mailbox, and Idempotency-Key.
begin;
select plan(52);
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
select results_eq($$ select n, fits from api.mail_list(null, pg_temp.proof('alice'), 'me', null, 2) $$,
	$$ values (3::bigint, true), (2, true), (1, false) $$, 'newest first, and whether there is more');
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


-- What a mailbox holds: contents, URLs and members. Counted, not summed up at each message.
create function pg_temp.box() returns app.mailbox language sql as $$
	select b from app.mailbox b join app.account a on a.id = b.account_id where a.email = 'alice@example.net' $$;
create function pg_temp.is_true_count() returns bool language sql as $$
	select (pg_temp.box()) = (
		select row(m.account_id, count(*)::int, sum(m.size + octet_length(app.message_doc(a.email, m.*::app.message))
				+ m.seen::int)::bigint, count(*) filter (where m.sender is null)::int,
			coalesce(sum(m.size + octet_length(app.message_doc(a.email, m.*::app.message)) + m.seen::int)
				filter (where m.sender is null), 0)::bigint)::app.mailbox
		from app.message m join app.account a on a.id = m.account_id where a.email = 'alice@example.net'
		group by m.account_id) $$;
select ok(pg_temp.is_true_count(), 'a mailbox is counted as it is filled and emptied');
\o /dev/null
select * from api.mail_patch(null, pg_temp.proof('alice'), 'me', 2, true, '{"note": "xyz", "n": 1e100}', null);
\o
select ok(pg_temp.is_true_count(), 'and patched');
select throws_ok($$ select * from api.mail_patch(null, pg_temp.proof('alice'), 'me', 2, null, '{"n": 1e70000}', null) $$,
	'RS413', 'document-too-large', 'members are measured as they are written out');
select inspect.set_bound('mailbox', (pg_temp.box()).bytes + 300) \g /dev/null
select throws_ok($$ select pg_temp.leave('bob', null, repeat('x', 300)) $$, 'RS507', 'mailbox-full', 'bytes have a bound');
select lives_ok($$ select pg_temp.leave('bob', null, 'x') $$, 'below it there is room');
select inspect.set_bound('mailbox', (pg_temp.box()).bytes) \g /dev/null
select throws_ok($$ select * from api.mail_patch(null, pg_temp.proof('alice'), 'me', 2, null, '{"note": "longer"}', null) $$,
	'RS507', 'mailbox-full', 'a patch does not go past it');
select lives_ok($$ select * from api.mail_patch(null, pg_temp.proof('alice'), 'me', 2, false, '{}', null) $$,
	'nor does seen or not matter');
select inspect.set_bound('mailbox'), inspect.set_bound('mailbox_messages', (pg_temp.box()).messages + 1) \g /dev/null
select lives_ok($$ select pg_temp.leave('bob', 'rtsp://x') $$, 'the last message that it holds');
select throws_ok($$ select pg_temp.leave('bob', 'rtsp://x') $$, 'RS507', 'mailbox-full', 'messages have a bound');
select * from api.mail_delete(null, pg_temp.proof('alice'), 'me', (select max(n) from app.message), null) \g /dev/null
select lives_ok($$ select pg_temp.leave('bob', 'rtsp://x') $$, 'until one is deleted');

-- Who has not signed in
create function pg_temp.anonymous(p_source text, p_to text default 'alice@example.net') returns bigint language sql as $$
	select n from api.mail_post(null, null, p_to, 'voice', 'rtsp://x', null, null, '{}', null, null, p_source) $$;
select inspect.set_bound('mailbox_messages', 4 * (1 + (pg_temp.box()).messages)),
	inspect.set_bound('anonymous_mail_percent', 25) \g /dev/null
select pg_temp.anonymous('192.0.2.' || k) from generate_series(1, (pg_temp.box()).messages + 1
	- (pg_temp.box()).anonymous_messages) k \g /dev/null
select throws_ok($$ select pg_temp.anonymous('192.0.2.99') $$, 'RS507', 'mailbox-full',
	'a quarter of a mailbox is for those who have not signed in');
select lives_ok($$ select pg_temp.leave('bob', 'rtsp://x') $$, 'the rest for those who have');
select inspect.set_bound('mailbox_messages'), inspect.set_bound('anonymous_mail_source', 3) \g /dev/null
select pg_temp.anonymous('198.51.100.1') from generate_series(1, 3) \g /dev/null
select throws_ok($$ select pg_temp.anonymous('198.51.100.1', 'bob@example.net') $$, 'RS429', 'too-much-mail',
	'so many an hour from one source');
select lives_ok($$ select pg_temp.anonymous('::ffff:198.51.100.2') $$, 'others are let in');
select pg_temp.anonymous('2001:db8:1:2:' || k || '::1') from generate_series(1, 3) k \g /dev/null
select throws_ok($$ select pg_temp.anonymous('2001:db8:1:2:ffff::1') $$, 'RS429', 'too-much-mail', 'a /64 is one source');
select lives_ok($$ select pg_temp.anonymous('2001:db8:1:3::1') $$, 'the next /64 is another');
select lives_ok($$ select pg_temp.leave('bob', 'rtsp://x') $$, 'who is signed in is not counted');
update app.mail_turn set until = now() where key = 's:198.51.100.1';
select lives_ok($$ select pg_temp.anonymous('198.51.100.1') $$, 'nor is who has waited');
select is((select used from app.mail_turn where key = 's:198.51.100.1'), 1, 'the hour begins anew');
select inspect.set_bound('anonymous_mail_mailbox', (select used from app.mail_turn t join app.account a
	on t.key = 'm:' || a.id where a.email = 'alice@example.net')) \g /dev/null
select throws_ok($$ select pg_temp.anonymous('203.0.113.1') $$, 'RS429', 'too-much-mail', 'so many a day for one mailbox');
select lives_ok($$ select pg_temp.anonymous('203.0.113.1', 'bob@example.net') $$, 'another mailbox takes more');
update app.mail_turn set until = now() - interval '1 s';
select app.sweep_sources() \g /dev/null
select is_empty('select from app.mail_turn', 'what is over is swept');

-- As a stream shows it
select inspect.set_bound('anonymous_mail_mailbox'), inspect.set_bound('anonymous_mail_source', 1000) \g /dev/null
create function pg_temp.shown() returns text language sql as $$
	select app.mailbox_doc(a.id) from app.account a where a.email = 'alice@example.net' $$;
select inspect.set_bound('document', octet_length(pg_temp.shown())) \g /dev/null
select is(json_array_length(pg_temp.shown()::json), (pg_temp.box()).messages, 'a document that is just as large as it may be');
select inspect.set_bound('document', octet_length(pg_temp.shown()) - 1) \g /dev/null
select is(json_array_length(pg_temp.shown()::json), (pg_temp.box()).messages - 1, 'the oldest message is left out where it is more');
select inspect.set_bound('document') \g /dev/null
select throws_ok($$ insert into app.message (account_id, n, type, url, content_type, content, size)
	select id, 101, 'voice', 'x', 'audio/wav', 'x', 1 from app.account limit 1 $$, '23514', null,
	'a message is by URL or has content');


-- Results under keys have a bound; the oldest are forgotten.
\o /dev/null
select inspect.set_bound('idempotency', 4000);
select pg_temp.leave('bob', 'http://example.net/k', null, 'many-' || i) from generate_series(1, 20) i;
select n as last_n from pg_temp.leave('bob', 'http://example.net/k', null, 'last') \gset
\o
select ok((select sum(256 + octet_length(i.key) + octet_length(i.result::text)) <= 4000 and count(*) between 2 and 10
	from app.idempotency i where i.account_id = (select id from app.account where email = 'bob@example.net')),
	'no more of an account''s results are kept than fit');
select is((select n from pg_temp.leave('bob', 'http://example.net/k', null, 'last')), :last_n::bigint, 'the latest among them');
select isnt((select n from pg_temp.leave('bob', 'http://example.net/k', null, 'many-1')), null, 'the first is forgotten');
select is((select count(*) from app.idempotency where key = 'many-2'), 0::bigint, 'as those after it');

select * from finish();
rollback;
