-- Lamps: phones subscribe to the calls of an account (dialog), and to who is in a call (conference): who sees what, what is told
-- when, and that nothing is written where nobody watches.
begin;
select plan(61);
\o /dev/null
\ir setup.inc
\ir legs.inc
select email from api.user_create('carol@example.net', '$y$j9T$ccccccccccccccccccccc.$carolhash', '{}');
insert into caller values ('carol', sha256('c'));
select email from api.session_create('carol@example.net', '$y$j9T$ccccccccccccccccccccc.$carolhash', pg_temp.proof('carol'), 600);
select app.credential_put('bob@example.net', 'bob', 'example.net', 'MD5', md5('bob:example.net:pw'), '');
select app.credential_put('carol@example.net', 'carol', 'example.net', 'MD5', md5('carol:example.net:pw'), '');
select inspect.set_bound('notify_pause', 0); -- time stands still in a transaction
select pg_temp.bind('bob', 'sip:b1@192.0.2.1');
update app.account set profile = '{"name": "<b>\"A&lice\"</b>\u0007"}' where email = 'alice@example.net';
\o
create function pg_temp.subscribe(p_who text, p_aor text, p_event text, p_call_id text, p_cseq bigint default 1,
	p_expires_s int default 600, p_tag text default null) returns text language sql as $$
	select r.local_tag from api.digest_credential(p_who, 'example.net') d,
	lateral api.sip_subscribe((select agent from ids), d.credential, d.ha1, p_aor, jsonb_build_object('event', p_event,
		'call_id', p_call_id, 'remote_tag', 'r', 'local_tag', 'l', 'local_uri', 'sip:' || p_aor,
		'remote_uri', 'sip:' || p_who || '@example.net', 'local_target', 'sip:192.0.2.1', 'remote_target', 'sip:x@192.0.2.9',
		'flow', 'udp:192.0.2.9:5060', 'remote_cseq', p_cseq), p_tag is not null, p_expires_s) r $$;
-- What is due goes out, and is answered: Call-ID and document of each.
create table pg_temp.told (call_id text, cseq bigint, ended text, body text);
create function pg_temp.tell(p_code int default 200, p_retry_s int default null) returns bigint language plpgsql as $$
begin
	delete from pg_temp.told;
	insert into pg_temp.told select c.call_id, c.cseq, c.ended, c.body
	from api.notify_claim((select agent from ids), 'sip:192.0.2.2', 100, 40) c;
	perform api.notify_settle((select agent from ids), s.id, s.local_cseq, p_code, p_retry_s)
	from app.subscription s where s.until is not null;
	return (select count(*) from pg_temp.told);
end $$;
-- The dialogs of such a document, in words.
create function pg_temp.dialogs(p_call_id text) returns text language sql as $$
	select coalesce(string_agg(concat_ws(' ', d.direction, d.state, d.remote, d.display, case when d.call_id is not null then 'named' end),
		', ' order by d.n), '')
	from pg_temp.told t,
	xmltable(xmlnamespaces('urn:ietf:params:xml:ns:dialog-info' as d), '/d:dialog-info[@state="full"]/d:dialog' passing (t.body::xml)
		columns n for ordinality, direction text path '@direction', state text path 'd:state', remote text path 'd:remote/d:identity',
			display text path 'd:remote/d:identity/@display', call_id text path '@call-id') d
	where t.call_id = p_call_id $$;
create function pg_temp.version(p_call_id text) returns text language sql as $$
	select (xpath('/*/@version', t.body::xml))[1]::text from pg_temp.told t where t.call_id = p_call_id $$;
create function pg_temp.roster(p_call_id text) returns text language sql as $$
	select coalesce(string_agg(u.entity, ', ' order by u.entity), '')
	from pg_temp.told t,
	xmltable(xmlnamespaces('urn:ietf:params:xml:ns:conference-info' as c), '//c:user' passing (t.body::xml)
		columns entity text path '@entity') u where t.call_id = p_call_id $$;
create function pg_temp.news(p_leg bigint, p_code int default 180) returns text[] language sql as $$
	select max(w.bell) from api.leg_news((select agent from ids), jsonb_build_array(jsonb_build_object('leg', p_leg, 'state', 'ringing',
		'code', p_code, 'reason', 'Ringing'))) w $$;
create function pg_temp.answered(p_leg bigint) returns text[] language sql as $$
	select max(w.bell) from api.leg_answered((select agent from ids), p_leg,
		'{"remote_tag": "t", "remote_target": "sip:b@192.0.2.1", "local_target": "sip:127.0.0.1", "peer": "192.0.2.1"}', 'answer') w $$;
create function pg_temp.ended(p_leg bigint, p_more jsonb default '{}') returns text[] language sql as $$
	select max(w.bell) from api.leg_ended((select agent from ids), jsonb_build_array(jsonb_build_object('leg', p_leg) || p_more)) w $$;
create function pg_temp.id(p_who text) returns bigint language sql as $$
	select id from app.account where email = p_who || '@example.net' $$;

-- Nobody watches
select is(pg_temp.call('c1'), 'made invite', 'a call');
select is(pg_temp.news(pg_temp.leg(1)), null, 'rings');
select is(pg_temp.answered(pg_temp.leg(1)), null, 'is answered');
select is(pg_temp.ended(pg_temp.leg(0), jsonb_build_object('peer', pg_temp.leg(1))), null, 'and ends');
select is((select count(*) from app.lamp_news), 0::bigint, 'of which nothing is written where nobody watches');
select pg_temp.ended(pg_temp.leg(1)) \g /dev/null

-- Who sees what
select is(pg_temp.subscribe('carol', 'bob@example.net', 'dialog', 'carols'), 'l', 'anybody may watch an account''s calls');
select throws_ok($$ select pg_temp.subscribe('carol', 'nobody@example.net', 'dialog', 'x') $$, 'RS404', 'user-not-found',
	'of one that there is');
select pg_temp.subscribe('bob', 'bob@example.net', 'dialog', 'bobs'), pg_temp.subscribe('alice', 'bob@example.net', 'dialog', 'alices'),
	pg_temp.subscribe('carol', 'alice@example.net', 'dialog', 'carols-alice') \g /dev/null
select is(pg_temp.tell(), 4::bigint, 'each is told at once');
select is(pg_temp.dialogs('carols'), '', 'that there is nothing');
select is(pg_temp.version('carols'), '0', 'in document 0');
select is((select count(*) from inspect.subscription where event = 'dialog' and resource = 'bob@example.net'), 3::bigint,
	'people see the subscriptions');
select pg_temp.call('c2') \g /dev/null
select is((select array_agg(distinct n.about order by n.about) from app.lamp_news n),
	(select array_agg(i order by i) from unnest(array[pg_temp.id('alice'), pg_temp.id('bob')]) i), 'a call is news of both sides');
select is(pg_temp.tell(), 4::bigint, 'who watches one of them is told');
select is_empty('select from app.lamp_news', 'and the news are taken');
select is(pg_temp.dialogs('carols'), 'recipient trying', 'who does not see the call: that a phone is called');
select is(pg_temp.dialogs('carols-alice'), 'initiator trying', 'and that one calls');
select is(pg_temp.dialogs('alices'), 'recipient trying sip:alice@example.net <b>"A&lice"</b>',
	'who is in it: with whom, whatever they call themselves');
select is(pg_temp.dialogs('bobs'), 'recipient trying sip:alice@example.net <b>"A&lice"</b> named', 'the account itself: which dialog');
select is((select (xpath('/*/*/@call-id', t.body::xml))[1]::text from pg_temp.told t where t.call_id = 'bobs'),
	(select l.sip_call_id::text from app.leg l where l.id = pg_temp.leg(1)), 'by its Call-ID');
select unalike((select t.body from pg_temp.told t where t.call_id = 'carols'), '%alice%', 'nothing of her is in a stranger''s');

-- States
select is(pg_temp.news(pg_temp.leg(1)), array['restsip_job|notify'], 'that it rings is rung for');
select is(pg_temp.tell(), 4::bigint, 'and told');
select is(pg_temp.dialogs('carols') || '; ' || pg_temp.dialogs('carols-alice'), 'recipient early; initiator early', 'on both sides');
select is(pg_temp.version('carols'), '2', 'versions count');
select isnt(pg_temp.news(pg_temp.leg(1), 183), null, 'another 1xx is news');
select is(pg_temp.tell(), 0::bigint, 'but says nothing new');
select is(pg_temp.answered(pg_temp.leg(1)), array['restsip_job|notify'], 'an answer');
select pg_temp.tell() \g /dev/null
select is(pg_temp.dialogs('carols') || '; ' || pg_temp.dialogs('carols-alice'), 'recipient confirmed; initiator confirmed', 'is told');
select is((select (xpath('/*/*/@local-tag', t.body::xml))[1]::text from pg_temp.told t where t.call_id = 'bobs'), 't',
	'the account''s own with both tags');
select isnt(pg_temp.ended(pg_temp.leg(0), jsonb_build_object('peer', pg_temp.leg(1))), null, 'its end');
select pg_temp.tell(503, 1) \g /dev/null
select is(pg_temp.dialogs('carols'), 'recipient terminated', 'too');
update app.subscription set due_at = now();
select pg_temp.tell() \g /dev/null
select is(pg_temp.dialogs('carols'), 'recipient terminated', 'until it has been taken');
select is((select array_agg(distinct cardinality(dialogs_told)) from app.subscription), array[0], 'then it is forgotten');
select pg_temp.ended(pg_temp.leg(1)) \g /dev/null
select is(pg_temp.tell(), 0::bigint, 'what follows is none of their business');

-- Forks
select pg_temp.bind('bob', 'sip:b2@192.0.2.2'), pg_temp.call('c3') \g /dev/null
select pg_temp.news(pg_temp.leg(1)), pg_temp.news(pg_temp.leg(2)) \g /dev/null
select pg_temp.tell() \g /dev/null
select is(pg_temp.dialogs('carols'), 'recipient early, recipient early', 'each phone that rings is shown');
select isnt(pg_temp.ended(pg_temp.leg(1), '{"code": 486}'), null, 'one refuses');
select pg_temp.tell() \g /dev/null
select is(pg_temp.dialogs('carols'), 'recipient terminated, recipient early', 'and the other rings on');
select inspect.set_bound('dialogs', 1), pg_temp.call('c4'), pg_temp.answered(pg_temp.leg(2)) \g /dev/null
select pg_temp.tell() \g /dev/null
select is(pg_temp.dialogs('carols'), 'recipient confirmed', 'of more than are shown, those that talk come first');
select inspect.set_bound('dialogs'), pg_temp.ended(id) from app.leg where ended_at is null and direction = 'in' \g /dev/null
select pg_temp.ended(id) from app.leg where ended_at is null order by id \g /dev/null
select pg_temp.tell(), pg_temp.tell() \g /dev/null

-- A phone sends the call on
select pg_temp.bind('carol', 'sip:c1@192.0.2.3') \g /dev/null
select pg_temp.subscribe('bob', 'carol@example.net', 'dialog', 'bobs-carol') \g /dev/null
select pg_temp.tell(), pg_temp.call('c5') \g /dev/null
select pg_temp.ended(pg_temp.leg(1), '{"code": 302, "to": "carol@example.net"}') \g /dev/null
select pg_temp.tell() \g /dev/null
select is(pg_temp.dialogs('bobs-carol'), 'recipient trying sip:alice@example.net <b>"A&lice"</b>', 'it is shown where it rings');
select pg_temp.answered(pg_temp.leg(3)), pg_temp.tell() \g /dev/null
select is(pg_temp.dialogs('bobs-carol'), 'recipient confirmed', 'and who was called is not in it any more');
select pg_temp.ended(id) from app.leg where ended_at is null order by id \g /dev/null
select pg_temp.tell(), pg_temp.tell() \g /dev/null

-- Plain calls, many at a time
delete from app.login where account_id = pg_temp.id('bob');
select pg_temp.bind('bob', 'sip:b3@192.0.2.3') \g /dev/null
create temp table many as
select * from api.sip_invite_many((select agent from ids), jsonb_build_array(jsonb_build_object('i', 0,
	'credential', (select id from app.credential where username = 'alice'), 'ha1', md5('alice:example.net:pw'), 'aor', 'bob@example.net',
	'ring_s', 60, 'sdp', 'offer', 'leg', '{"call_id": "p1", "local_tag": "l", "remote_tag": "r", "local_uri": "sip:bob@example.net",
		"remote_uri": "sip:alice@example.net", "local_target": "sip:127.0.0.1", "remote_target": "sip:a@192.0.2.9", "remote_cseq": 1,
		"hops": 69, "flow": "udp:192.0.2.9:5060", "peer": "192.0.2.9"}'::jsonb)));
select is((select string_agg(i || coalesce(' ' || kind, '') || coalesce(' ' || bell[1], ''), ', ' order by i < 0, leg) from many),
	'0 made, 0 invite, -1 restsip_job|notify', 'are rung for in their last row');
select pg_temp.tell() \g /dev/null
select is(pg_temp.dialogs('carols'), 'recipient trying', 'and told');
select pg_temp.news(pg_temp.leg(1)), pg_temp.tell() \g /dev/null
select is(pg_temp.dialogs('carols'), 'recipient early', 'in each state');
select is((select string_agg(i || coalesce(' ' || kind, '') || coalesce(' ' || bell[1], ''), ', ' order by i < 0, leg)
	from api.leg_answered_many((select agent from ids), jsonb_build_array(jsonb_build_object('i', 0, 'leg', pg_temp.leg(1), 'sdp', 'answer',
		'dialog', '{"remote_tag": "t", "remote_target": "sip:b@192.0.2.1", "local_target": "sip:127.0.0.1", "peer": "192.0.2.1"}'::jsonb)))),
	'0 answer, 0 won, -1 restsip_job|notify', 'an answer too');
select pg_temp.tell() \g /dev/null
select is(pg_temp.dialogs('carols'), 'recipient confirmed', 'which is told');
select pg_temp.ended(pg_temp.leg(0), jsonb_build_object('peer', pg_temp.leg(1))), pg_temp.tell() \g /dev/null
select is(pg_temp.dialogs('carols'), 'recipient terminated', 'as is its end');
select pg_temp.ended(pg_temp.leg(1)), pg_temp.tell() \g /dev/null

-- Its end
select pg_temp.subscribe('carol', 'bob@example.net', 'dialog', 'carols', 2, 0, 'l') \g /dev/null
select pg_temp.tell() \g /dev/null
select is((select ended || ' ' || pg_temp.dialogs('carols') from pg_temp.told where call_id = 'carols'), 'timeout ',
	'who unsubscribes gets a last document');
select pg_temp.subscribe('carol', 'bob@example.net', 'dialog', 'carols'), pg_temp.tell() \g /dev/null
select isnt((select fence from app.subscription where call_id = 'carols'), null, 'of one that is new is known who may not know of it');
select is((select due from app.subscription where call_id = 'carols'), true, 'and it is looked at again as long as one of those runs');
update app.subscription set fence = 0;
select is(pg_temp.tell(), 0::bigint, 'that alone is no document');
select is((select bool_or(due) from app.subscription), false, 'and it ends');
select pg_temp.bind('bob', 'sip:b9@192.0.2.9') \g /dev/null
select is((select bool_or(due) from app.subscription), false, 'contacts are no calls');

select inspect.set_bound('subscriptions', 2) \g /dev/null
select throws_ok($$ select pg_temp.subscribe('carol', 'carol@example.net', 'dialog', 'carols-own') $$, 'RS403', 'too-many-subscriptions',
	'lamps count as any subscription');
select inspect.set_bound('subscriptions') \g /dev/null

-- Conferences
select id as call from api.call_create(null, pg_temp.proof('alice'), 'tea & <b>', null, false, '["carol@example.net"]', '{}', null, null) \gset
select throws_ok(format($$ select pg_temp.subscribe('bob', '%s@example.net', 'conference', 'conf-b') $$, :call), 'RS404', 'call-not-found',
	'a call that one does not see');
select pg_temp.subscribe('alice', :'call' || '@example.net', 'conference', 'conf-a'),
	pg_temp.subscribe('carol', :'call' || '@example.net', 'conference', 'conf-c') \g /dev/null
select is(pg_temp.tell(), 2::bigint, 'one that one does');
select is(pg_temp.roster('conf-a') || pg_temp.version('conf-a'), '0', 'is empty, in document 0');
select isnt((select bell from api.call_join(null, pg_temp.proof('alice'), :call, 'me', null, '{}', null, null)), null, 'who joins');
select pg_temp.tell() \g /dev/null
select is(pg_temp.roster('conf-c') || ' ' || pg_temp.version('conf-c'), 'sip:alice@example.net 1', 'is in the next');
select api.call_patch(null, pg_temp.proof('alice'), :call, array['invited'], null, null, null, '[]', null, null) \g /dev/null
select pg_temp.tell() \g /dev/null
select results_eq('select call_id || coalesce('' '' || ended, '''') || coalesce(body, '''') from pg_temp.told', array['conf-c noresource'],
	'who does not see it any more is told just that');
select is((select resource from inspect.subscription where event = 'conference'), '/call/' || :'call', 'people see which call');
select api.call_delete(null, pg_temp.proof('alice'), :call, null) \g /dev/null
select pg_temp.tell() \g /dev/null
select results_eq('select call_id || '' '' || ended from pg_temp.told', array['conf-a noresource'], 'when it ends, that is the end of it');

select * from finish();
rollback;
