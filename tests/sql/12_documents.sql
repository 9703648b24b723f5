-- Documents, pages and lists have an end: at each bound, and one past it.
begin;
select plan(72);
\o /dev/null
\ir setup.inc
-- A JSON object that is p_bytes long when it is written out.
create function pg_temp.members(p_bytes int) returns jsonb language sql as $$
	select jsonb_build_object('x', repeat('y', p_bytes - 9)) $$;
-- A number that is short when it is sent: "1e…".
create function pg_temp.number(p_digits int) returns jsonb language sql as $$
	select ('{"x": 1e' || p_digits - 1 || '}')::jsonb $$;
create function pg_temp.somebody(p_name text) returns bigint language plpgsql as $$
begin
	perform api.user_create(p_name || '@example.net', '$y$j9T$ccccccccccccccccccccc.$hash', '{}');
	insert into caller values (p_name, sha256(convert_to(p_name, 'UTF8')));
	perform api.session_create(p_name || '@example.net', '$y$j9T$ccccccccccccccccccccc.$hash', pg_temp.proof(p_name), 600);
	return (select id from app.account where email = p_name || '@example.net');
end $$;
create function pg_temp.make(p_extra jsonb, p_open bool = false, p_who text = 'alice', p_invited jsonb = null) returns bigint
language sql as $$
	select id from api.call_create(null, pg_temp.proof(p_who), null, null, p_open, p_invited, p_extra, null, null) $$;
create function pg_temp.patch(p_call bigint, p_extra jsonb, p_set text[] = '{}', p_open bool = null) returns text
language sql as $$
	select doc from api.call_patch(null, pg_temp.proof('alice'), p_call, p_set, null, null, p_open, null, p_extra, null) $$;
create function pg_temp.join(p_who text, p_call bigint, p_session jsonb = null, p_extra jsonb = '{}')
returns table (n bigint, created bool) language sql as $$
	select n, created from api.call_join(null, pg_temp.proof(p_who), p_call, 'me', p_session, p_extra, null, null) $$;
create function pg_temp.doc(p_who text, p_call bigint) returns text language sql as $$
	select doc from api.call_get(null, pg_temp.proof(p_who), p_call) $$;
-- What refuses, as `status slug pointer`.
create function pg_temp.refusal(p_sql text) returns text language plpgsql as $$
declare
	v_slug text;
	v_pointer text;
begin
	execute p_sql;
	return 'done';
exception when others then
	get stacked diagnostics v_slug = message_text, v_pointer = pg_exception_hint;
	return sqlstate || ' ' || v_slug || ' ' || v_pointer;
end $$;
select pg_temp.make('{}', true) as open \gset
create temp table ids as select :open::bigint as open;
grant select on ids to public;
\o

-- ---- own members ----
select is(app.written('{"a": [1, 2]}'), 13::bigint, 'written out means as an answer has it');
select is(app.written(pg_temp.number(5000)), 5007::bigint, 'numbers too');
select lives_ok('select pg_temp.make(pg_temp.members(16384))', 'a call has 16 KiB of its own');
select is(pg_temp.refusal('select pg_temp.make(pg_temp.members(16385))'), 'RS413 document-too-large /x', 'and no more');
select is(pg_temp.refusal('select pg_temp.make(pg_temp.number(131072))'), 'RS413 document-too-large /x',
	'a number that is short when sent is what it is written out');
select lives_ok('select pg_temp.patch((select open from ids), pg_temp.members(16384 - 16))', 'a patch fills it');
select lives_ok('select pg_temp.patch((select open from ids), ''{"y": "1234567"}'')', 'and fills it up');
select is(pg_temp.refusal('select pg_temp.patch((select open from ids), ''{"y": "12345678"}'')'),
	'RS413 document-too-large /x', 'what counts is the result, and what is largest in it is named');
select lives_ok('select pg_temp.patch((select open from ids), ''{"x": null, "y": null}'')', 'a patch makes room');

select is((select j.created from pg_temp.join('bob', :open, null, pg_temp.members(4096)) j), true, 'a participant has 4 KiB');
select is(pg_temp.refusal('select pg_temp.join(''bob'', (select open from ids), null, pg_temp.members(4097))'),
	'RS413 document-too-large /x', 'and no more');
select lives_ok('select pg_temp.join(''bob'', (select open from ids), to_jsonb(repeat(''x'', 49150)))',
	'a session has 48 KiB');
select is(pg_temp.refusal('select pg_temp.join(''bob'', (select open from ids), to_jsonb(repeat(''x'', 49151)))'),
	'RS413 document-too-large /session', 'and no more');
select is(pg_temp.refusal($$ select api.participant_put(null, pg_temp.proof('bob'), (select open from ids), 1,
	to_jsonb(repeat('x', 49151)), '{}', null) $$), 'RS413 document-too-large /session', 'nor has a new one');
select is(pg_temp.refusal($$ select api.participant_put(null, pg_temp.proof('bob'), (select open from ids), 1,
	'1', pg_temp.members(4097), null) $$), 'RS413 document-too-large /x', 'nor new members');

select lives_ok($$ select api.user_put(null, pg_temp.proof('bob'), 'me', pg_temp.members(65536), false, null, null) $$,
	'a profile has 64 KiB');
select is(pg_temp.refusal($$ select api.user_put(null, pg_temp.proof('bob'), 'me', '{"~/": 1}', true, null, null) $$),
	'RS413 document-too-large /x', 'a patch does not make more of it');
select is(pg_temp.refusal($$ select api.user_create('x@example.net', 'h', '{"~/": "1234567"}' || pg_temp.members(65536)) $$),
	'RS413 document-too-large /x', 'nor a sign-up');

-- ---- contacts, by every door ----
\o /dev/null
select n as credential from api.credential_create('alice@example.net', convert_to('$y$j9T$aaaaaaaaaaaaaaaaaaaaa.$alicehash', 'UTF8'), 'me', 'x', 'MD5', 'p') \gset
create temp table c as select c.id, c.ha1 from app.credential c join app.account a on a.id = c.account_id where a.email = 'alice@example.net';
grant select on c to public;
create function pg_temp.rest(p_i int, p_extra jsonb = '{}') returns bigint language sql as $$
	select n from api.login_register(null, pg_temp.proof('alice'), 'me', 'sip:r' || p_i || '@192.0.2.1',
		'sip:r' || p_i || '@192.0.2.1', null, p_extra, null) $$;
create function pg_temp.sip(p_i int, p_path text = null) returns bigint language sql as $$
	select count(*) from c, api.sip_register(1, c.id, c.ha1, 'alice@example.net', 'c' || p_i, 1, jsonb_build_array(
		jsonb_build_object('contact', 'sip:s' || p_i || '@192.0.2.1', 'key', 'sip:s' || p_i || '@192.0.2.1', 'expires', 600)),
		false, p_path, 'udp:192.0.2.1:5060', 'x') $$;
create function pg_temp.batch(p_i int, p_path text = null) returns bigint language sql as $$
	select count(*) from c, api.sip_register_many(1, jsonb_build_array(jsonb_build_object('i', 0, 'credential', c.id,
		'ha1', c.ha1, 'aor', 'alice@example.net', 'call_id', 'b' || p_i, 'cseq', 1, 'contact', 'sip:b' || p_i || '@192.0.2.1',
		'key', 'sip:b' || p_i || '@192.0.2.1', 'expires', 600, 'path', p_path))) $$;
\o
select lives_ok('select pg_temp.rest(1, pg_temp.members(4096))', 'a login has 4 KiB of its own');
select is(pg_temp.refusal('select pg_temp.rest(1, pg_temp.members(4097))'), 'RS413 document-too-large /x', 'and no more');
select is(pg_temp.refusal($$ select api.login_refresh(null, pg_temp.proof('alice'), 'me', 1, null, null, null, '{"y": 1}',
	null, true) $$), 'RS413 document-too-large /x', 'nor by a merge');
select is(pg_temp.sip(1, '<sip:' || repeat('p', 4096 - 16 - 2 - 6) || '>'), 2::bigint, 'a contact with its Path has 4 KiB');
select is(pg_temp.refusal('select pg_temp.sip(2, ''<sip:'' || repeat(''p'', 4096 - 16 - 2 - 5) || ''>'')'),
	'RS413 document-too-large /contact', 'and no more');
select is(pg_temp.batch(2, '<sip:' || repeat('p', 4096 - 16 - 2 - 5) || '>'), 0::bigint,
	'the batch leaves it to who can say so');
select is((select count(pg_temp.sip(i)) from generate_series(2, 15) i), 14::bigint, 'phones');
select is((select count(pg_temp.batch(i)) from generate_series(16, 30) i), 15::bigint, 'phones in batches');
select is(pg_temp.batch(31), 32::bigint, 'there are 32');
select is(pg_temp.batch(32), 0::bigint, 'one more is not for the batch');
select is(pg_temp.refusal('select pg_temp.sip(32)'), 'RS409 too-many-contacts ', 'nor for a phone');
select is(pg_temp.refusal('select pg_temp.rest(32)'), 'RS409 too-many-contacts ', 'nor for REST');
select lives_ok('select pg_temp.rest(1)', 'a refresh is none more');
select is(pg_temp.sip(3), 32::bigint, 'of a phone neither');
select cmp_ok((select octet_length(doc) from api.login_get_as(null, pg_temp.proof('bob'), 'alice@example.net', 'reginfo')),
	'<', 1048576, 'all of them are a document');
\o /dev/null
update app.login l set extra = jsonb_build_object('presence', jsonb_build_object('note', repeat('&', 4000))),
	contact = 'sip:x@192.0.2.1?' || repeat('&', 4000) from app.account a
where a.id = l.account_id and a.email = 'alice@example.net';
\o
select cmp_ok((select octet_length(doc) from api.login_get_as(null, pg_temp.proof('bob'), 'alice@example.net', 'pidf')),
	'<', 1048576, 'of the worst kind, as presence');
select cmp_ok((select octet_length(doc) from api.login_get_as(null, pg_temp.proof('bob'), 'alice@example.net', 'reginfo')),
	'<', 1048576, 'and as registrations');
\o /dev/null
update app.login l set contact = 'sip:x@192.0.2.1', extra = jsonb_build_object('presence', jsonb_build_object(
	'note', repeat('&', 1000), 'activities', (select jsonb_agg(format('other:%s.%s', l.n, i) || repeat('&', 70)) from generate_series(1, 16) i),
	'xml', jsonb_build_object('person', '<a' || l.n || '>' || repeat('x', 1500) || '</a' || l.n || '>', 'tuple', repeat('<a/>', 50))))
from app.account a where a.id = l.account_id and a.email = 'alice@example.net';
\o
select ok((select octet_length(doc) < 1048576 and doc like '%<a32>x%' and doc like '%<a/><contact>%' and doc like '%>32.16&amp;%'
	from api.login_get_as(null, pg_temp.proof('bob'), 'alice@example.net', 'pidf')), 'all that 32 contacts say has room');
\o /dev/null
update app.login l set extra = jsonb_build_object('presence', case l.n % 8
	when 0 then '"away"' when 1 then '5' when 2 then '["x"]' when 3 then '{"note": 1, "basic": {}, "mood": "sad", "xml": "<a>"}'
	when 4 then '{"activities": [null, {"a": 1}, "<a>", "other:"], "xml": {"tuple": "<a>", "person": ["<a>"], "status": "&b;"}}'
	when 5 then '{"xml": {"presence": "<!DOCTYPE a><a/>", "person": "<?xml version=\"1.0\"?><a/>", "tuple": null}}'
	when 6 then '{"note": {"a": "<"}, "place_type": {}}' else 'null' end::jsonb)
from app.account a where a.id = l.account_id and a.email = 'alice@example.net';
\o
select ok((select xml_is_well_formed_document(doc) and doc !~ '<a|DOCTYPE|&b;'
	from api.login_get_as(null, pg_temp.proof('bob'), 'alice@example.net', 'pidf')),
	'what nobody could set today, but once could, does no harm');

-- ---- who is in a call ----
select results_eq('select * from pg_temp.join(''bob'', (select open from ids), ''"again"'')', $$ values (1::bigint, false) $$,
	'who joins again keeps the number');
select is((select doc::jsonb ->> 'session' from api.participant_get(null, pg_temp.proof('bob'), :open, 1)), 'again',
	'and has a new session');
select is((select count(*) from app.participant p where p.call_id = :open and p.state = 'joined'), 1::bigint, 'once');
\o /dev/null
select pg_temp.somebody('p' || i) from generate_series(1, 200) i;
select pg_temp.join('p' || i, :open, to_jsonb(repeat('x', 9000 + i))) from generate_series(1, 98) i;
\o
select is((select j.created from pg_temp.join('p99', :open, to_jsonb(repeat('x', 49150))) j), true, 'the hundredth comes in');
select is(pg_temp.refusal('select pg_temp.join(''p100'', (select open from ids))'), 'RS409 call-full ', 'the next does not');
select is((select j.created from pg_temp.join('p99', :open, to_jsonb(repeat('x', 49150))) j), false,
	'who is in it already does');
select is((select count(*) from jsonb_array_elements(pg_temp.doc('bob', :open)::jsonb -> 'children') e
	where e ? 'truncated'), 0::bigint, 'a document that fits is whole');
select is(octet_length(pg_temp.doc('bob', :open)) - (select sum(octet_length((e -> 'session')::text) + 11)
	from jsonb_array_elements(pg_temp.doc('bob', :open)::jsonb -> 'children') e)::int,
	octet_length(pg_temp.doc('p100', :open)), 'sessions are all that others do not see');
\o /dev/null
select octet_length(pg_temp.doc('bob', :open)) as whole \gset
select inspect.set_bound('document', :whole);
select octet_length(pg_temp.doc('bob', :open)) as exact \gset
select inspect.set_bound('document', :whole - 1);
select octet_length(pg_temp.doc('bob', :open)) as cut \gset
\o
select is(:exact, :whole, 'at the bound it is whole');
select is(:cut, :whole - 49152 - 11 + 17, 'one byte less: the longest session is left out');
select is((select array_agg(e ->> 'email') from jsonb_array_elements(pg_temp.doc('bob', :open)::jsonb -> 'children') e
	where e ? 'truncated' and not e ? 'session'), array['p99@example.net'], 'and its participant says so');
select is((select doc::jsonb ? 'truncated' from api.participant_get(null, pg_temp.proof('bob'), :open, 100)), false,
	'who is there whole at its own URL');
\o /dev/null
select inspect.set_bound('document');
select pg_temp.join('p' || i, :open, to_jsonb(repeat('x', 49150)), pg_temp.members(4096)) from generate_series(1, 99) i;
\o
select cmp_ok(octet_length(pg_temp.doc('bob', :open)), '<=', 1048576, 'the largest call is a document');
select cmp_ok((select count(*) from jsonb_array_elements(pg_temp.doc('bob', :open)::jsonb -> 'children') e
	where e ? 'session'), '>', 5::bigint, 'with the sessions that fit');
select cmp_ok((select octet_length(doc) from api.call_get_as(null, pg_temp.proof('bob'), :open)), '<=', 1048576,
	'in its other form too');
select lives_ok($$ select pg_temp.make('{}', false, 'alice', (select jsonb_agg('p' || i || '@example.net')
	from generate_series(1, 200) i)) $$, 'two hundred are invited');
select is(pg_temp.refusal($$ select pg_temp.make('{}', false, 'alice', (select jsonb_agg('p' || i % 200 + 1 || '@example.net')
	from generate_series(1, 201) i)) $$), 'RS409 call-full /invited', 'and no more');

-- ---- who left, what ended ----
\o /dev/null
select api.participant_delete(null, pg_temp.proof('p' || i), :open, i + 1, null) from generate_series(1, 99) i;
select pg_temp.join('p' || i, :open, '1', '{"a": 1}') from generate_series(101, 150) i;
select api.participant_delete(null, pg_temp.proof(split_part(a.email, '@', 1)), :open, p.n, null)
from app.participant p join app.account a on a.id = p.account_id
where p.call_id = :open and p.state = 'joined' and a.email like 'p%';
\o
select is((select count(*) from app.participant p where p.call_id = :open and p.state = 'left'), 100::bigint,
	'the last hundred who left are kept');
select is((select count(*) from app.participant p where p.state = 'left' and (p.session is not null or p.extra <> '{}')),
	0::bigint, 'without what was theirs');
\o /dev/null
select inspect.set_bound('calls', 5);
select inspect.set_bound('calls_open', 2);
select pg_temp.somebody('owner') as owner \gset
\o
select is((select count(pg_temp.make('{}', true, 'owner')) from generate_series(1, 2)), 2::bigint, 'open calls of an owner');
select is(pg_temp.refusal('select pg_temp.make(''{}'', true, ''owner'')'), 'RS409 too-many-calls /open', 'and no more');
select is((select count(pg_temp.make('{}', false, 'owner')) from generate_series(1, 3)), 3::bigint, 'others, up to all');
select is(pg_temp.refusal('select pg_temp.make(''{}'', false, ''owner'')'), 'RS409 too-many-calls ', 'and no more');
select is(pg_temp.refusal($$ select api.call_patch(null, pg_temp.proof('owner'), (select max(id) from app.call), '{open}', null,
	null, true, null, '{}', null) $$), 'RS409 too-many-calls /open', 'none is opened that was not');
\o /dev/null
select api.call_delete(null, pg_temp.proof('owner'), c.id, null) from app.call c where c.owner_id = :owner;
select pg_temp.make('{"x": 1}', true, 'owner') from generate_series(1, 2);
select api.call_delete(null, pg_temp.proof('owner'), c.id, null) from app.call c where c.owner_id = :owner and c.state <> 'ended';
\o
select is((select count(*) from app.call c where c.owner_id = :owner), 6::bigint,
	'of what has ended as many are kept as may be live: one ends, then the oldest goes');
select is((select count(*) from app.resource r where r.kind = 'call' and not exists (
	select from app.call c where c.id = r.id)), 0::bigint, 'with their versions');
\o /dev/null
select app.sweep_calls();
select count(*) as before from app.call where owner_id = :owner \gset
select inspect.set_bound('call_kept', 0);
update app.call set ended_at = ended_at - interval '1 s' where state = 'ended';
update app.participant set left_at = left_at - interval '1 s' where state = 'left';
select app.sweep_calls();
\o
select is(:before, 6, 'what ended is kept a day');
select is((select count(*) from app.call where state = 'ended'), 0::bigint, 'and then swept');
select is((select count(*) from app.participant where state = 'left'), 0::bigint, 'as who left');
select is(pg_temp.doc('bob', :open)::jsonb #>> '{children,0,email}', 'bob@example.net', 'not who is there');

-- ---- who sees it: one rule for each way to ask ----
\o /dev/null
select inspect.set_bound('calls');
select pg_temp.make('{}', false, 'owner', '["p1@example.net"]') as closed \gset
select pg_temp.join('p1', :closed);
\o
select is(app.call_seers(:closed), array(select id from app.account where email in ('owner@example.net', 'p1@example.net')
	order by id), 'whom a closed call concerns');
select results_eq($$ select split_part(a.email, '@', 1) from app.account a where exists (
		select from app.call_items(a.id, (select max(id) - 1 from app.call), 10)) order by 1 $$,
	array['owner', 'p1'], 'is who has it in the list');

-- ---- pages ----
\o /dev/null
select pg_temp.make(pg_temp.members(16000), false, 'owner') from generate_series(1, 80);
\o
select is((select array[count(*) filter (where fits) between 60 and 65, bool_or(not fits)]
	from api.call_list(null, pg_temp.proof('owner'), :closed, 1000)), array[true, true], 'a page ends at 1 MiB');
select cmp_ok((select sum(octet_length(doc)) from api.call_list(null, pg_temp.proof('owner'), :closed, 1000) where fits),
	'<=', 1048576::bigint, 'or before');
select is((select count(*) from api.call_list(null, pg_temp.proof('owner'),
	(select max(id) from api.call_list(null, pg_temp.proof('owner'), :closed, 1000) where fits), 1000)),
	80 - (select count(*) from api.call_list(null, pg_temp.proof('owner'), :closed, 1000) where fits),
	'the next one has the rest');

select * from finish();
rollback;
