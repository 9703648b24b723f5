-- Who is in a call is there, or leaves; and calls that nobody is in end.
begin;
select plan(30);
\o /dev/null
\ir setup.inc
select process from api.stream_start('present-test') \gset
select id as call from api.call_create(null, pg_temp.proof('alice'), 'topic', null, null, null, '{}', null, null) \gset
select id as later from api.call_create(null, pg_temp.proof('alice'), 'later', now() + interval '1 hour', null, null, '{}', null, null) \gset
select n as contact from api.login_register(null, pg_temp.proof('alice'), 'me', 'sip:a@192.0.2.1', 'sip:a@192.0.2.1', 600, '{}', null) \gset
create temp table ids as select :process as process, :call::bigint as call, :later::bigint as later;
\o
create function pg_temp.join(p_who text, p_contact bigint default null, p_lifetime text default null) returns bigint language sql as $$
	select n from api.call_join(null, pg_temp.proof(p_who), (select call from ids), 'me', null, '{}', null, null, p_contact, p_lifetime) $$;
create function pg_temp.opens(p_who text) returns bigint language sql as $$
	select participant from api.watch_open((select process from ids), null, pg_temp.proof(p_who), null, 'call',
		(select call::text from ids)) $$;
-- As if all this was so long ago, through all of which the janitor has looked.
create function pg_temp.later(p_for interval) returns void language plpgsql as $$
begin
	update app.participant p set bound_at = p.bound_at - p_for from ids i where p.call_id = i.call;
	update app.watch w set closed_at = w.closed_at - p_for;
	update app.contact_lost c set at = c.at - p_for;
	update app.call c set empty_since = c.empty_since - p_for from ids i where c.id in (i.call, i.later);
	insert into app.looked as l (at, since) values (clock_timestamp(), now() - p_for)
	on conflict (one) do update set at = clock_timestamp(), since = least(l.since, now()) - p_for;
end $$;
create function pg_temp.inside() returns text language plpgsql as $$
begin
	perform pg_temp.do_duties();
	return coalesce((select string_agg(split_part(a.email, '@', 1), ' ' order by a.email)
		from app.participant p join app.account a on a.id = p.account_id join ids i on i.call = p.call_id
		where p.state <> 'left'), 'nobody');
end $$;

\o /dev/null
select pg_temp.join('alice', p_lifetime => 'stream'), pg_temp.join('bob');
select pg_temp.inside();
\o
select is(pg_temp.opens('bob'), null, 'who joined to stay is not in the call by a stream');
select is(pg_temp.opens('alice'), (select p.id from app.participant p join ids i on i.call = p.call_id where p.lifetime = 'stream'),
	'a stream tells as whom one is in its call');
select pg_temp.later('1 hour') \g /dev/null
select is(pg_temp.inside(), 'alice bob', 'for as long as it is open');
select api.watch_close(:process, 'participant', pg_temp.opens('alice'), false) \g /dev/null
select pg_temp.later('29 s') \g /dev/null
select is(pg_temp.inside(), 'alice bob', 'and 30 s longer');
select pg_temp.opens('alice') \g /dev/null
select pg_temp.later('10 s') \g /dev/null
select is(pg_temp.inside(), 'alice bob', 'who comes back stays');

select process from api.stream_start('present-test') \g /dev/null
select pg_temp.later('29 s') \g /dev/null
select is(pg_temp.inside(), 'alice bob', 'a stream process that begins anew ends no call for anybody');
update app.looked set since = now() - interval '29 s';
select pg_temp.later('1 s') \g /dev/null
update app.looked set since = now() - interval '29 s';
select is(pg_temp.inside(), 'alice bob', 'nor does an outage, in which nobody could come back');
delete from app.looked;
select is(pg_temp.inside(), 'alice bob', 'nor the end of all that is unlogged');
update app.watch set closed_at = now() - interval '1 hour' where kind = 'participant';
update app.looked set since = now() - interval '1 day', at = now() - interval '1 hour';
select do_duty from app.do_duty('leave_absent') \g /dev/null
select is(pg_temp.inside(), 'alice bob', 'nor an outage that no other duty has noticed yet');
update app.call set empty_since = now() - interval '2 days' where id = :later;
update app.call set state = 'active' where id = :later;
update app.looked set since = now(), at = now();
select app.do_duty('end_empty_calls') \g /dev/null
select is((select state from app.call where id = :later), 'active', 'and a call that nobody was in outlives a step of the clock');
update app.call set state = 'scheduled' where id = :later;
select pg_temp.later('30 s') \g /dev/null
select is(pg_temp.inside(), 'bob', 'whoever does not come back has gone');
select isnt((select p.left_at from app.participant p join ids i on i.call = p.call_id where p.lifetime = 'stream'), null,
	'as one who has left');

select pg_temp.join('alice', :contact) \g /dev/null
select pg_temp.later('1 day') \g /dev/null
select is(pg_temp.inside(), 'alice bob', 'who names a contact is in the call with it');
select is((select doc::jsonb #>> '{children,1,login}' from api.call_get(null, pg_temp.proof('bob'), :call)),
	'/login/alice@example.net/' || :contact, 'which is shown');
select * from api.login_delete(null, pg_temp.proof('alice'), 'me', :contact, null) \g /dev/null
select is(pg_temp.inside(), 'bob', 'and leaves with it');
select throws_ok(format('select pg_temp.join(''alice'', %s)', :contact), 'RS400', 'invalid-member', 'nobody joins with one that is gone');

-- A contact whose connection is lost, by itself or with its agent, has 30 s to come back, under whatever number.
\o /dev/null
select * from api.agent_start('present-test:1', 'boot1') \gset
create function pg_temp.phone() returns bigint language plpgsql as $$
declare
	v_n bigint;
begin
	select n into v_n from api.login_register(null, pg_temp.proof('alice'), 'me', 'sip:p@192.0.2.1', 'sip:p@192.0.2.1', 600, '{}', null);
	update app.login l set source = 'sip', flow = 'tcp:192.0.2.1:1', agent_id = (select id from app.agent where name = 'present-test:1')
	where l.key = 'sip:p@192.0.2.1';
	return v_n;
end $$;
create function pg_temp.login() returns text language sql as $$
	select split_part(doc::jsonb #>> '{children,1,login}', '/', 4)
	from api.call_get(null, pg_temp.proof('bob'), (select call from ids)) $$;
select pg_temp.phone() as first \gset
select pg_temp.join('alice', :first);
select * from api.flow_lost(:agent, 'tcp:192.0.2.1:1');
\o
select is((select count(*)::int from app.login where key = 'sip:p@192.0.2.1'), 0, 'a connection is lost');
select is(pg_temp.inside(), 'alice bob', 'and nobody leaves for that');
select pg_temp.later('20 s') \g /dev/null
select pg_temp.phone() as second \gset
select ok(:second > :first and pg_temp.inside() = 'alice bob', 'the phone comes back');
select is(pg_temp.login(), :'second', 'and is in it with its new contact');
select app.bury_agent(:agent) \g /dev/null
select pg_temp.later('29 s') \g /dev/null
select is(pg_temp.inside(), 'alice bob', 'what dead agents leave has as long');
select pg_temp.later('1 s') \g /dev/null
select is(pg_temp.inside(), 'bob', 'and no longer');

select is((select empty_since from app.call where id = :call), null, 'somebody is in it');
select pg_temp.later('2 days') \g /dev/null
select is(pg_temp.inside(), 'bob', 'such a call goes on');
select * from api.participant_delete(null, pg_temp.proof('bob'), :call, (select n from app.participant p join app.account a
	on a.id = p.account_id where p.call_id = :call and a.email = 'bob@example.net'), null) \g /dev/null
select pg_temp.later('23 hours') \g /dev/null
select pg_temp.inside() \g /dev/null
select is((select state from app.call where id = :call), 'active', 'one that nobody is in goes on for a day');
select pg_temp.later('1 hour') \g /dev/null
select pg_temp.inside() \g /dev/null
select is((select state from app.call where id = :call), 'ended', 'and no longer');
select is((select state from app.call where id = :later), 'scheduled', 'a scheduled one waits for its time');
update app.call set starts_at = now() - interval '1 day' where id = :later;
select pg_temp.inside(), pg_temp.inside() \g /dev/null
select is((select state from app.call where id = :later), 'ended', 'and ends a day after');

-- More than a turn looks at: the next turn is at once.
\o /dev/null
with made as (
	insert into app.call (owner_id, state, open) select a.id, 'active', false
	from app.account a, generate_series(1, 2001) where a.email = 'bob@example.net' returning id, owner_id)
insert into app.participant (call_id, n, account_id, lifetime) select m.id, 1, m.owner_id, 'stream' from made m;
update app.duty d set place = 0 where d.name = 'leave_absent';
\o
select results_eq('select (app.do_duty(''leave_absent'')).more from generate_series(1, 2)', 'values (true), (false)',
	'participants beyond a turn have theirs at once');
delete from app.call where owner_id = (select id from app.account where email = 'bob@example.net') \g /dev/null

select * from api.user_delete(null, pg_temp.proof('alice'), 'alice@example.net', null) \g /dev/null
select is_empty($$ select from app.participant p where p.lifetime is not null and p.state <> 'left' $$, 'nobody is left behind');
select * from finish();
rollback;
