-- Calls: who sees them, who joins, how they end.
begin;
select plan(38);
\o /dev/null
\ir setup.inc
insert into caller values ('carol', sha256('c'));
select email from api.user_create('carol@example.net', '$y$j9T$ccccccccccccccccccccc.$carolhash', '{}');
select email from api.session_create('carol@example.net', '$y$j9T$ccccccccccccccccccccc.$carolhash', pg_temp.proof('carol'), 600);
select id as open from api.call_create(null, pg_temp.proof('alice'), 'topic', null, null, null, '{"x": 1.0, "id": 5}', null, null) \gset
select id as closed from api.call_create(null, pg_temp.proof('alice'), 'closed', null, false, '["bob@example.net"]', '{}', null, null) \gset
select id as later from api.call_create(null, pg_temp.proof('alice'), 'later', now() + interval '1 hour', null, null, '{}', null, null) \gset
create temp table ids as select :open::bigint as open, :closed::bigint as closed, :later::bigint as later;
grant select on ids to public;
\o
create function pg_temp.sees(p_who text, p_call bigint) returns jsonb language sql as $$
	select doc::jsonb from api.call_get(null, pg_temp.proof(p_who), p_call) $$;
create function pg_temp.join(p_who text, p_call bigint) returns bigint language sql as $$
	select n from api.call_join(null, pg_temp.proof(p_who), p_call, 'me', '"rtsp://media"', '{"mic": true}', null, null) $$;

select is(pg_temp.sees('bob', :open) - 'created_at', jsonb_build_object('id', :'open', 'url', '/call/' || :'open',
	'subject', 'topic', 'owner', 'alice@example.net', 'state', 'active', 'open', true, 'children', '[]'::jsonb, 'x', 1.0),
	'an open call, as anyone signed in sees it');
select is(pg_temp.sees('alice', :later) ->> 'state', 'scheduled', 'a scheduled one');
select is(pg_temp.sees('bob', :closed) ->> 'subject', 'closed', 'who is invited sees it');
select throws_ok('select pg_temp.sees(''carol'', (select closed from ids))', 'RS404', 'call-not-found',
	'who is not does not know that it is there');
select throws_ok('select pg_temp.join(''carol'', (select closed from ids))', 'RS404', 'call-not-found', 'nor joins it');
select throws_ok('select * from api.call_delete(null, pg_temp.proof(''carol''), (select closed from ids), null)', 'RS404',
	'call-not-found', 'nor ends it');
select throws_ok('select * from api.call_get(null, null, (select open from ids))', 'RS401', 'unauthorized',
	'nobody sees a call without credentials');
select throws_ok($$ select * from api.call_create(null, pg_temp.proof('alice'), 's', null, false,
	'["bob@example.net", "x@example.net"]', '{}', null, null) $$, 'RS400', 'invalid-member', 'an unknown guest');
select results_eq($$ select count(*) from api.call_list(null, pg_temp.proof('carol'), null, 100) $$, array[2::bigint],
	'lists show what one may see');
select results_eq($$ select count(*) from api.call_list(null, pg_temp.proof('bob'), null, 100) $$, array[3::bigint],
	'no more and no less');
select results_eq($$ select fits from api.call_list(null, pg_temp.proof('bob'), (select open from ids), 1) $$,
	array[true, false], 'a page, and that there is more');

select is(pg_temp.join('bob', :open), 1::bigint, 'join');
select is(pg_temp.sees('bob', :open) #>> '{children,0,session}', 'rtsp://media', 'a participant sees sessions');
select is(pg_temp.sees('bob', :open) #> '{children,0,mic}', 'true', 'and further members');
select ok(not (pg_temp.sees('carol', :open) #> '{children,0}') ? 'session', 'others do not');
select is((select doc::jsonb ? 'session' from api.participant_get(null, pg_temp.proof('carol'), :open, 1)), false,
	'nor in the participant itself');
select throws_ok($$ select * from api.call_join(null, pg_temp.proof('carol'), (select open from ids), 'bob@example.net',
	null, '{}', null, null) $$, 'RS403', 'not-owner', 'nobody joins for another');
select is(pg_temp.join('alice', :later), 1::bigint, 'joining a scheduled call');
select is(pg_temp.sees('alice', :later) ->> 'state', 'active', 'starts it');

select throws_ok($$ select * from api.participant_put(null, pg_temp.proof('alice'), (select open from ids), 1, '1', '{}',
	null) $$, 'RS403', 'not-owner', 'a session is its participant''s');
select is((select doc::jsonb -> 'session' from api.participant_put(null, pg_temp.proof('bob'), :open, 1, '{"sdp": 1.50}',
	'{}', null)), '{"sdp": 1.50}'::jsonb, 'who gives a new one');
select throws_ok($$ select * from api.participant_put(null, pg_temp.proof('bob'), (select open from ids), 1, '1', '{}',
	1) $$, 'RS412', 'precondition-failed', 'not over an old version');
select throws_ok($$ select * from api.participant_delete(null, pg_temp.proof('carol'), (select open from ids), 1, null) $$,
	'RS403', 'not-owner', 'nobody puts out another');
select lives_ok($$ select * from api.participant_delete(null, pg_temp.proof('alice'), (select open from ids), 1, null) $$,
	'but the owner');
select is(pg_temp.sees('bob', :open) -> 'children', '[]', 'gone');
select throws_ok($$ select * from api.participant_get(null, pg_temp.proof('bob'), (select open from ids), 1) $$, 'RS404',
	'participant-not-found', 'gone, and not found');

select throws_ok($$ select * from api.call_patch(null, pg_temp.proof('bob'), (select open from ids), '{}', null, null,
	null, null, '{}', null) $$, 'RS403', 'not-owner', 'only the owner changes a call');
select is((select doc::jsonb - 'created_at' - 'url' - 'id' from api.call_patch(null, pg_temp.proof('alice'), :open, '{subject,open}',
	null, null, false, null, '{"x": null, "y": 2}', null)),
	'{"owner": "alice@example.net", "state": "active", "open": false, "children": [], "y": 2}',
	'by a merge patch');
select throws_ok('select pg_temp.sees(''bob'', (select open from ids))', 'RS404', 'call-not-found',
	'closed: who only watched does not see it any more');

\o /dev/null
select pg_temp.join('bob', :closed);
\o
select throws_ok($$ select * from api.call_delete(null, pg_temp.proof('bob'), (select closed from ids), null) $$, 'RS403',
	'not-owner', 'a participant does not end a call');
select lives_ok($$ select * from api.call_delete(null, pg_temp.proof('alice'), (select closed from ids), null) $$,
	'its owner does');
select throws_ok('select pg_temp.sees(''alice'', (select closed from ids))', 'RS404', 'call-not-found', 'it is over');
select is((select state from inspect.participant where call = :closed), 'left', 'and every leg with it');
select throws_ok($$ update app.call set state = 'active' where state = 'ended' $$, '23514', null,
	'the table refuses an ended call that is not');

\o /dev/null
select pg_temp.join('bob', :later);
select * from api.user_delete(null, pg_temp.proof('bob'), 'me', null);
\o
select is(jsonb_array_length(pg_temp.sees('alice', :later) -> 'children'), 1, 'who deletes the account leaves its calls');

-- How many calls an account may be in.
select id as more from api.call_create(null, pg_temp.proof('alice'), 'more', null, null, null, '{}', null, null) \gset
select id as most from api.call_create(null, pg_temp.proof('alice'), 'most', null, null, null, '{}', null, null) \gset
select id as third from api.call_create(null, pg_temp.proof('carol'), 'third', null, null, null, '{}', null, null) \gset
select pg_temp.join('carol', :more), pg_temp.join('carol', :third) \g /dev/null
select inspect.set_bound('participations', (select count(*) from app.participant p join app.account a on a.id = p.account_id
	where a.email = 'carol@example.net' and p.state = 'joined')) \g /dev/null
select throws_ok(format('select pg_temp.join(''carol'', %s)', :most), 'RS409', 'too-many-calls', 'nobody is in more calls than so many');
select lives_ok(format('select pg_temp.join(''carol'', %s)', :more), 'a new session in one of those is no other call');
select lives_ok(format('select pg_temp.join(''alice'', %s)', :most), 'others have theirs');

select * from finish();
rollback;
