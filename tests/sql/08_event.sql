-- Subscriptions and publications: who may, what is due when, and what becomes of it.
begin;
select plan(90);
\o /dev/null
\ir setup.inc
select agent from api.agent_start('event-test', 'b1') \gset
select * from api.credential_create('alice@example.net', '$y$j9T$aaaaaaaaaaaaaaaaaaaaa.$alicehash', 'me', 'desk', null, 'pw');
select * from api.credential_create('bob@example.net', '$y$j9T$bbbbbbbbbbbbbbbbbbbbb.$bobhash', 'me', 'desk', null, 'pw');
create temp table ids as select :agent as agent;
select inspect.set_bound('notify_pause', 0); -- time stands still in a transaction
\o
create function pg_temp.subscribe(p_who text, p_aor text, p_event text, p_call_id text, p_cseq bigint default 1,
	p_expires_s int default 600, p_tag text default null, p_id text default null, p_flow text default 'udp:192.0.2.9:5060')
returns setof record language sql as $$
	select r.local_tag, r.expires from api.digest_credential(p_who, 'example.net') d,
	lateral api.sip_subscribe((select agent from ids), d.credential, d.ha1, p_aor, jsonb_build_object('event', p_event,
		'event_id', p_id, 'call_id', p_call_id, 'remote_tag', 'r', 'local_tag', coalesce(p_tag, 'l' || p_cseq),
		'local_uri', 'sip:' || p_aor, 'remote_uri', 'sip:' || p_who || '@example.net', 'local_target', 'sip:192.0.2.1',
		'remote_target', 'sip:x@192.0.2.9', 'flow', p_flow, 'remote_cseq', p_cseq),
		p_tag is not null, p_expires_s) r $$;
create function pg_temp.claim() returns setof text language sql as $$
	select c.event || ' ' || c.cseq || ' ' || coalesce(c.ended, 'active')
	from api.notify_claim((select agent from ids), 'sip:192.0.2.2', 10, 40) c order by c.subscription $$;
create function pg_temp.settle(p_code int, p_retry_s int default null) returns setof text language sql as $$
	select t.state from app.subscription s, lateral api.notify_settle((select agent from ids), s.id, s.local_cseq, p_code,
		p_retry_s) t where s.until is not null order by s.id $$;
create function pg_temp.contact(p_k int) returns text[] language sql as $$
	select bell from api.login_register(null, pg_temp.proof('alice'), 'me', 'sip:a@192.0.2.' || p_k, 'k' || p_k, null,
		'{}', null) $$;
create function pg_temp.body(p_event text) returns text language sql as $$
	select app.event_doc(p_event, a.id, 0) from app.account a where a.email = 'alice@example.net' $$;

-- Who may
select throws_ok($$ select pg_temp.subscribe('bob', 'alice@example.net', 'message-summary', 'c0') $$, 'RS403',
	'not-owner', 'another''s mailbox');
select throws_ok($$ select pg_temp.subscribe('bob', 'nobody@example.net', 'presence', 'c0') $$, 'RS404',
	'user-not-found', 'an unknown user');
select throws_ok($$ select * from api.sip_subscribe(1, 1, 'ff', 'alice@example.net', '{"event": "presence"}', false, 60) $$,
	'RS401', 'unauthorized', 'a credential that is not valid any more');
select is(pg_temp.contact(1), null, 'nobody subscribes: nothing is rung');

-- A phone that does not answer
\o /dev/null
select inspect.set_bound('notifies_destination', 1);
select * from pg_temp.subscribe('bob', 'alice@example.net', 'presence', 'turn1') as (t text, e int);
select * from pg_temp.subscribe('bob', 'alice@example.net', 'reg', 'turn2') as (t text, e int);
select * from pg_temp.subscribe('alice', 'bob@example.net', 'presence', 'turn3') as (t text, e int);
\o
select results_eq('select pg_temp.claim()', array['presence 1 active', 'presence 1 active'],
	'has no more NOTIFYs under way than it may, and another account''s goes out');
select is_empty('select pg_temp.claim()', 'until one has ended');
\o /dev/null
select pg_temp.settle(200);
\o
select results_eq('select pg_temp.claim()', array['reg 1 active'], 'then comes the next');
\o /dev/null
select pg_temp.settle(200), inspect.set_bound('notifies_destination'), inspect.set_bound('notifies_account', 1);
update app.subscription set due = true, sum = null, due_at = now(), flow = 'udp:192.0.2.' || id || ':5060';
\o
select is((select count(*) from pg_temp.claim()), 2::bigint, 'an account has a bound over all of its phones');

\o /dev/null
select inspect.set_bound('notifies_account');
delete from app.subscription;
\o

-- The first NOTIFY
select results_eq($$ select * from pg_temp.subscribe('bob', 'alice@example.net', 'presence', 'c1') as (t text, e int) $$,
	$$ values ('l1', 600) $$, 'a subscription');
select results_eq($$ select * from pg_temp.subscribe('bob', 'alice@example.net', 'presence', 'c1') as (t text, e int) $$,
	$$ values ('l1', 600) $$, 'the same again');
select is((select count(*) from inspect.subscription where watcher = 'bob@example.net'), 1::bigint, 'is the same one');
select results_eq('select pg_temp.claim()', array['presence 1 active'], 'a NOTIFY is due at once');
select is_empty('select pg_temp.claim()', 'and claimed once');
select is((select documents from inspect.subscription where watcher = 'bob@example.net'), 1, 'people see how many');

-- Changes
select is(pg_temp.contact(2), array['restsip_job_' || :agent || '|notify'], 'a change rings the agent of its subscribers');
select is(pg_temp.contact(3), null, 'once, as long as the NOTIFY is due');
select is_empty('select pg_temp.claim()', 'one is under way at a time');
select results_eq('select pg_temp.settle(200)', array['active'], 'the phone has taken it');
select results_eq('select pg_temp.claim()', array['presence 2 active'], 'then the latest state, in one');
select results_eq('select pg_temp.settle(200)', array['active'], 'which is taken too');
select isnt(pg_temp.contact(3), null, 'a refresh of a login rings');
select is_empty('select pg_temp.claim()', 'but the presence document is as it was: no NOTIFY');
select is((select due from inspect.subscription where watcher = 'bob@example.net'), false, 'and none is due any more');

-- Failures
select isnt(pg_temp.contact(4), null, 'a change');
select isnt(pg_temp.contact(4), null, 'and another: the claim may have come in between, and passed over it');
select pg_temp.claim() \g /dev/null
select results_eq('select pg_temp.settle(503, 7)', array['again'], 'a phone that asks to try again later');
select is_empty('select pg_temp.claim()', 'is not bothered before');
update app.subscription set due_at = now();
select results_eq('select pg_temp.claim()', array['presence 4 active'], 'but then, with another CSeq');
select results_eq($$ select state from app.subscription s, api.notify_settle((select agent from ids), s.id, 3, 200, null) $$,
	array['gone'], 'a late answer to an earlier one counts for nothing');
select results_eq('select pg_temp.settle(430)', array['again'], 'the connection is gone');
select is((select flow from inspect.subscription where watcher = 'bob@example.net'), null, 'so the contact itself is tried');
select results_eq('select pg_temp.claim()', array['presence 5 active'], 'with the next CSeq');
select results_eq('select pg_temp.settle(null)', array['again'], 'what never left is sent later');
update app.subscription set due_at = now();
select pg_temp.claim() \g /dev/null
select results_eq('select pg_temp.settle(481)', array['ended'], 'a phone that knows nothing of it');
select is_empty('select * from inspect.subscription', 'has none');

-- Failures of what was claimed before the phone came again
select pg_temp.subscribe('bob', 'alice@example.net', 'presence', 'c1'), pg_temp.claim() \g /dev/null
select pg_temp.subscribe('bob', 'alice@example.net', 'presence', 'c1', 2, 600, 'l1', null, 'udp:192.0.2.9:5062') \g /dev/null
select is_empty('select pg_temp.claim()', 'one NOTIFY at a time');
select results_eq('select pg_temp.settle(430)', array['again'], 'its connection is gone, but the phone has another');
select is((select flow from inspect.subscription where watcher = 'bob@example.net'), 'udp:192.0.2.9:5062', 'which stays');
select results_eq('select pg_temp.claim()', array['presence 2 active'], 'and is used at once');
select pg_temp.subscribe('bob', 'alice@example.net', 'presence', 'c1', 3, 600, 'l1') \g /dev/null
select results_eq('select pg_temp.settle(481)', array['again'], 'a refusal that a refresh has overtaken ends nothing');
select results_eq('select pg_temp.claim()', array['presence 3 active'], 'the next one asks again');
select pg_temp.subscribe('bob', 'alice@example.net', 'presence', 'c1', 4, 600, 'l1') \g /dev/null
select results_eq('select pg_temp.settle(408)', array['again'], 'nor does silence');
select results_eq('select pg_temp.claim()', array['presence 4 active'], 'the same');
select pg_temp.subscribe('bob', 'alice@example.net', 'presence', 'c1', 5, 600, 'l1') \g /dev/null
select results_eq('select pg_temp.settle(200)', array['active'], 'what has arrived');
select results_eq('select pg_temp.claim()', array['presence 5 active'], 'is followed by one for the refresh');
select pg_temp.subscribe('bob', 'alice@example.net', 'presence', 'c1', 6, 0, 'l1'), pg_temp.settle(408) \g /dev/null
select results_eq('select pg_temp.claim()', array['presence 6 timeout'], 'and who ends it meanwhile gets the last one');
select results_eq('select pg_temp.settle(481)', array['ended'], 'whatever he says to that');

-- Dialogs
select throws_ok($$ select pg_temp.subscribe('bob', 'alice@example.net', 'presence', 'c1', 2, 600, 'l1') $$, 'RS481',
	'subscription-not-found', 'a refresh of what is gone');
select pg_temp.subscribe('bob', 'alice@example.net', 'reg', 'c2', 5) \g /dev/null
select throws_ok($$ select pg_temp.subscribe('alice', 'alice@example.net', 'reg', 'c2', 6, 600, 'l5') $$, 'RS481',
	'subscription-not-found', 'another''s dialog');
select throws_ok($$ select pg_temp.subscribe('bob', 'alice@example.net', 'reg', 'c2', 6, 600, 'l5', 'x') $$, 'RS481',
	'subscription-not-found', 'another id of the event');
select throws_ok($$ select pg_temp.subscribe('bob', 'alice@example.net', 'reg', 'c2', 4, 600, 'l5') $$, 'RS500',
	'cseq-out-of-order', 'an older CSeq');
select pg_temp.claim(), pg_temp.settle(200) \g /dev/null
select pg_temp.subscribe('bob', 'alice@example.net', 'reg', 'c2', 6, 600, 'l5') \g /dev/null
select results_eq('select pg_temp.claim()', array['reg 2 active'], 'a refresh gets a NOTIFY in any case');
select pg_temp.settle(200) \g /dev/null
select pg_temp.subscribe('bob', 'alice@example.net', 'reg', 'c2', 7, 0, 'l5') \g /dev/null
select results_eq('select pg_temp.claim()', array['reg 3 timeout'], 'Expires 0 gets a last one');
select pg_temp.settle(200) \g /dev/null
select is_empty('select * from inspect.subscription', 'and that is all');

-- Time, and deaths
select pg_temp.subscribe('alice', 'alice@example.net', 'message-summary', 'c3') \g /dev/null
select pg_temp.claim(), pg_temp.settle(200) \g /dev/null
select bell is not null as rung from api.mail_post(null, pg_temp.proof('bob'), 'alice@example.net', 'voice', 'http://x/',
	null, null, '{}', null, null) \gset
select is(:'rung'::bool, true, 'a message lights the lamp');
select is(pg_temp.body('message-summary'), E'Messages-Waiting: yes\r\nMessage-Account: sip:alice@example.net\r\n'
	|| E'Voice-Message: 1/0 (0/0)\r\n', 'and says so');
select pg_temp.claim() \g /dev/null
select pg_advisory_unlock_all() \g /dev/null
select bell is not null as rung from api.agent_start('event-test', 'b2') \gset
select results_eq('select pg_temp.claim()', array['message-summary 3 active'],
	'what an agent had under way when it died, its next process sends, with the next CSeq');
select pg_temp.settle(200) \g /dev/null
update app.subscription set expires_at = now() - interval '1 s';
select is((app.expire_subscriptions()).bell, array['restsip_job_' || :agent || '|notify'], 'the janitor ends what has lapsed');
select results_eq('select pg_temp.claim()', array['message-summary 4 timeout'], 'with a last NOTIFY');
select pg_temp.settle(408) \g /dev/null
select pg_temp.subscribe('bob', 'alice@example.net', 'presence', 'c4') \g /dev/null
select pg_temp.claim(), pg_temp.settle(200) \g /dev/null
select is((app.orphan_subscriptions(:agent)).bell, array['restsip_job|notify'], 'a dead agent''s are anybody''s');
select is((select local_target from api.notify_claim(:agent, 'sip:192.0.2.2', 10, 40)), 'sip:192.0.2.2',
	'who takes one tells its own address');

-- Leases
select is((select renewed from api.notify_renew(:agent, array(select id from app.subscription), 30)), 1,
	'who is still at it renews its lease');
select is((select renewed from api.notify_renew(:agent + 1, array(select id from app.subscription), 30)), 0,
	'another agent does not');
update app.subscription set until = now() - interval '1 s' where until is not null;
select is_empty(format('select * from api.notify_claim(%s, %L, 10, 40, false)', :agent, 'sip:192.0.2.2'),
	'what a lease has run out of is not claimed beside new work');
select isnt_empty('select pg_temp.claim()', 'but by who looks for what it does not know of');
select pg_temp.settle(200) \g /dev/null
select is((select renewed from api.notify_renew(:agent, array(select id from app.subscription), 30)), 0,
	'what is settled has no lease');

-- Publications
create function pg_temp.publish(p_cseq bigint, p_etag text, p_presence jsonb, p_key text default null,
	p_expires_s int default 600)
returns text language sql as $$
	select r.etag from api.digest_credential('alice', 'example.net') d, lateral api.sip_publish((select agent from ids),
		d.credential, d.ha1, 'alice@example.net', 'p', p_cseq, p_etag, p_presence, p_key, null, p_expires_s) r $$;
create function pg_temp.shown() returns setof text language sql as $$
	select concat_ws(' ', e ->> 'source', e ->> 'contact', e #>> '{presence,note}')
	from api.login_get(null, pg_temp.proof('bob'), 'alice@example.net'), jsonb_array_elements(doc::jsonb) e
	where e ? 'presence' $$;
select pg_temp.publish(1, null, '{"basic": "open", "note": "in"}', 'k2') as e1 \gset
select results_eq('select pg_temp.shown()', array['rest sip:a@192.0.2.2 in'], 'presence of the contact that it names');
select is(pg_temp.publish(1, null, '{"basic": "open", "note": "in"}', 'k2'), :'e1', 'the same again');
select throws_ok($$ select pg_temp.publish(2, 'none', '{"note": "x"}') $$, 'RS412', 'publication-not-found',
	'an unknown tag');
select pg_temp.publish(3, :'e1', '{"basic": "closed", "note": "out"}') as e3 \gset
select results_eq('select pg_temp.shown()', array['publish out'], 'of no contact: of its own');
select results_eq('select pg_temp.claim()', array['presence 4 active'], 'subscribers hear of it');
select pg_temp.publish(4, :'e3', null) as e4 \gset
select pg_temp.publish(5, :'e4', '{"note": "back"}', 'k3') as e5 \gset
select results_eq('select pg_temp.shown()', array['rest sip:a@192.0.2.3 back'], 'it moves to where it belongs');
select pg_temp.publish(6, :'e5', null, null, 0) as e6 \gset
select is_empty('select pg_temp.shown()', 'and is removed');
select pg_temp.publish(7, null, '{"note": "soon gone"}', 'k3') as e7 \gset
update app.publication set expires_at = now() - interval '1 s';
select app.expire_publications() \g /dev/null
select is_empty('select pg_temp.shown()', 'or lapses');

-- Bounds
select pg_temp.settle(200) \g /dev/null
select * from pg_temp.subscribe('bob', 'alice@example.net', 'presence', 'c20') as (t text, e int) \g /dev/null
select is((select array_agg(call_id) from inspect.subscription where watcher = 'bob@example.net'), array['c20'],
	'a phone that subscribes again has forgotten its earlier subscription');
select inspect.set_bound('subscriptions', 2) \g /dev/null
select lives_ok($$ select pg_temp.subscribe('bob', 'alice@example.net', 'reg', 'c21') $$, 'as many as one may have');
select throws_ok($$ select pg_temp.subscribe('bob', 'bob@example.net', 'reg', 'c22') $$, 'RS403', 'too-many-subscriptions',
	'and no more');
select lives_ok($$ select pg_temp.subscribe('bob', 'alice@example.net', 'reg', 'c23') $$,
	'but one again in the place of its earlier one');
select lives_ok($$ select pg_temp.subscribe('alice', 'alice@example.net', 'reg', 'c24') $$, 'and others theirs');
select inspect.set_bound('subscriptions') \g /dev/null
select pg_temp.subscribe('bob', 'alice@example.net', 'reg', 'c25', 1, 0),
	pg_temp.subscribe('bob', 'alice@example.net', 'reg', 'c26', 1, 0) \g /dev/null
select is((select array_agg(call_id order by call_id) from inspect.subscription
	where watcher = 'bob@example.net' and event = 'reg'), array['c23', 'c26'], 'one that fetches ends none that lives');

select inspect.set_bound('notify_pause', 1000) \g /dev/null
delete from app.subscription where call_id <> 'c20';
select pg_temp.claim(), pg_temp.settle(200) \g /dev/null
select pg_temp.contact(5) \g /dev/null
select is_empty('select pg_temp.claim()', 'a change at once after a NOTIFY waits');
select is((select array[due_at, now() + interval '1 s'] from app.subscription where call_id = 'c20' and due), (select
	array[now() + interval '1 s', due_at] from app.subscription where call_id = 'c20'), 'for a second');
select * from pg_temp.subscribe('bob', 'alice@example.net', 'presence', 'c20') as (t text, e int) \g /dev/null
select pg_temp.subscribe('bob', 'alice@example.net', 'presence', 'c27') \g /dev/null
select is_empty('select pg_temp.claim()', 'and subscribing again is no way around it');
select inspect.set_bound('notify_pause', 0) \g /dev/null

select inspect.set_bound('publications', 2) \g /dev/null
select pg_temp.publish(20, null, '{"note": "one"}', 'k3'), pg_temp.publish(21, null, '{"note": "two"}', 'k3') \g /dev/null
select throws_ok($$ select pg_temp.publish(22, null, '{"note": "three"}', 'k3') $$, 'RS403', 'too-many-publications',
	'publications too have a bound');
select is((select count(*) from app.publication), 2::bigint, 'of what is there');
select inspect.set_bound('publications') \g /dev/null
delete from app.publication;
select pg_temp.publish(30, null, jsonb_build_object('note', repeat('x', 3000)), 'k3'),
	pg_temp.publish(31, null, '{"note": "short"}', 'k3'),
	(select r.n from app.login l, api.login_refresh(null, pg_temp.proof('alice'), 'me', l.n, null, null, null,
		jsonb_build_object('mine', repeat('y', 3000)), null, true) r where l.key = 'k3') \g /dev/null
update app.publication set expires_at = now() - interval '1 s' where cseq = 31;
select app.expire_publications() \g /dev/null
select is_empty('select pg_temp.shown()', 'one that lapses, and whose successor has no room, stops nobody''s');
select is_empty('select from app.publication where cseq = 31', 'it is gone');
delete from app.publication;
update app.subscription set due_at = now();
select pg_temp.claim(), pg_temp.settle(200) \g /dev/null

-- A document that cannot be written
savepoint unwritable;
create or replace function app.login_pidf(p_account bigint) returns text language sql
	as $$ select convert_from('\xef', 'UTF8') $$;
select pg_temp.settle(200) \g /dev/null
select pg_temp.contact(4) \g /dev/null
select * from pg_temp.subscribe('bob', 'bob@example.net', 'message-summary', 'c9') as (t text, e int) \g /dev/null
set client_min_messages = error;
select results_eq('select pg_temp.claim()', array['message-summary 1 active'], 'holds up no others');
reset client_min_messages;
select ok((select bool_and(due and due_at > now()) from app.subscription where event = 'presence'), 'and is tried again later');
rollback to unwritable;

-- The account goes
select pg_temp.settle(200) \g /dev/null
select * from api.user_delete(null, pg_temp.proof('alice'), 'me', null) \g /dev/null
select results_eq('select pg_temp.claim()', array['presence 2 noresource'], 'its subscribers are told');

select * from finish();
rollback;
