-- Who is alive: who holds its lock and says that it is there; who is given up, and when.
begin;
select plan(24);
\o /dev/null
\ir setup.inc
select agent from api.agent_start('process-test', 'b1', '192.0.2.88:5060') \gset
select process from api.stream_start('process-test') \gset
select id from api.watch_open(:process, null, pg_temp.proof('alice'), null, 'login', 'me') \gset
create temp table ids as select :agent as agent, :process as process;
\o
-- As the agents' own role has it done.
create function pg_temp.janitor() returns text language plpgsql as $$
begin
	update app.duty set next_at = '-infinity';
	set local role restsip_agent;
	for i in 1..100 loop
		exit when not (select j.more from api.janitor(0) j);
	end loop;
	reset role;
	return (select case when g.dead_at is null then 'alive' else 'dead' end || ', '
			|| case when exists (select from app.watch w where w.process_id = i.process and w.closed_at is null)
				then 'watches' else 'closed' end
		from app.agent g join ids i on i.agent = g.id);
end $$;
create function pg_temp.free_for(p_for interval) returns void language plpgsql as $$
begin
	update app.agent g set free_since = now() - p_for from ids i where i.agent = g.id;
	update app.stream_process p set free_since = now() - p_for from ids i where i.process = p.id;
end $$;
create function pg_temp.beat_at(p_at timestamptz) returns void language plpgsql as $$
begin
	update app.agent g set beat_at = p_at from ids i where i.agent = g.id;
	update app.stream_process p set beat_at = p_at from ids i where i.process = p.id;
end $$;

select is(pg_temp.janitor(), 'alive, watches', 'who holds its lock is alive');
select is(pg_temp.janitor(), 'alive, watches', 'and at the next turn');
select ok(api.agent_beat(:agent, 'b1') and api.stream_beat(:process), 'who is alive is told so');
select is(pg_temp.janitor(), 'alive, watches', 'and says that it is alive');

\o /dev/null
select agents as agents, streams as streams from api.ready() \gset before_
select pg_temp.beat_at(now() - interval '11 s');
\o
select is(pg_temp.janitor(), 'alive, watches', 'whoever is silent is not given up at once');
select isnt((select free_since from app.agent where id = :agent), null, 'but somebody has begun to count');
select results_eq('select agents, streams from api.ready()',
	format('select %s, %s', :before_agents - 1, :before_streams - 1), 'nor does it count as ready');
\o /dev/null
select api.agent_beat(:agent, 'b1'), api.stream_beat(:process);
\o
select is(pg_temp.janitor(), 'alive, watches', 'once it says something it is alive again');
select is((select free_since from app.agent where id = :agent), null, 'and all begins anew');
\o /dev/null
select pg_temp.beat_at(now() + interval '1 hour');
\o
select is(pg_temp.janitor(), 'alive, watches', 'the same for the future');
select isnt((select free_since from app.agent where id = :agent), null, 'what was said before the clock was set back is no sign of life');

\o /dev/null
select pg_temp.free_for('29 s');
\o
select is(pg_temp.janitor(), 'alive, watches', 'nobody is given up after 29 s');
\o /dev/null
select pg_temp.free_for('31 s');
update app.looked set at = now() - interval '16 s';
\o
select is(pg_temp.janitor(), 'alive, watches', 'nor after 31 s through which nobody has looked: the database was away for all');
\o /dev/null
select pg_temp.free_for('31 s');
update app.looked set at = now() + interval '1 hour';
\o
select is(pg_temp.janitor(), 'alive, watches', 'or its clock was set');
\o /dev/null
select pg_temp.free_for('31 s');
update app.looked set at = clock_timestamp() - interval '11 s';
\o
select is(pg_temp.janitor(), 'dead, closed', 'but after 31 s through which somebody did, though a turn took its 10 s');
select ok(not api.agent_beat(:agent, 'b1') and not api.stream_beat(:process), 'who was given up is told so');
select is(split_part(pg_temp.janitor(), ',', 1), 'dead', 'which is no sign of life');
select ok((select dead from api.agent_start('process-test', 'b1')), 'nor does it go on as if nothing had been');
select ok((select dead from api.agent_start('process-test', 'b1')), 'and is told so again: the answer may be lost');
select ok(not (select dead from api.agent_start('process-test', 'b2')), 'but it may begin anew');
select is(split_part(pg_temp.janitor(), ',', 1), 'alive', 'and is alive');
select ok(not api.agent_beat(:agent, 'b1'), 'an earlier process of its name is not');

-- An hour back.
\o /dev/null
insert into app.throttle (key, failures, since) values ('ds:192.0.2.99', 3, now() + interval '59 minutes'),
	('ds:192.0.2.98', 3, now() - interval '1 minute');
insert into app.mail_turn (key, used, until) values ('s:192.0.2.99', 3, now() + interval '90 minutes');
update app.looked set at = clock_timestamp() + interval '1 hour';
select pg_temp.janitor();
\o
select results_eq($$select t.key, date_trunc('minute', now() - t.since + interval '30 s') from app.throttle t
	where t.key in ('ds:192.0.2.98', 'ds:192.0.2.99') order by 1$$,
	$$values ('ds:192.0.2.99', interval '1 minute')$$,
	'what was counted before the clock was set back is counted no longer for it');
select is((select date_trunc('minute', t.until - now() + interval '30 s') from app.mail_turn t where t.key = 's:192.0.2.99'),
	interval '30 minutes', 'nor what is counted by the hour');

select * from finish();
rollback;
