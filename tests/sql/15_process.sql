-- Who is alive: a process whose lock is held, however long the janitor has been connected; who is given up, and when.
begin;
select plan(9);
\o /dev/null
\ir setup.inc
select agent from api.agent_start('process-test', 'b1', '192.0.2.88:5060') \gset
select process from api.stream_start('process-test') \gset
select id from api.watch_open(:process, null, pg_temp.proof('alice'), null, 'login', 'me') \gset
create temp table ids as select :agent as agent, :process as process;
\o
create function pg_temp.bury(p_connected interval) returns text language plpgsql as $$
begin
	perform app.bury_processes(now() - p_connected);
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

select is(pg_temp.bury('1 hour'), 'alive, watches', 'who holds its lock is alive, to a janitor of an hour too');
select is(pg_temp.bury('1 hour'), 'alive, watches', 'and at its next turn');
\o /dev/null
select pg_advisory_unlock(29285, :agent), pg_advisory_unlock(29286, :process);
\o
select is(pg_temp.bury('1 hour'), 'alive, watches', 'whose lock is free is not given up at once');
\o /dev/null
select pg_temp.free_for('29 s');
\o
select is(pg_temp.bury('1 hour'), 'alive, watches', 'nor after 29 s');
\o /dev/null
select pg_temp.free_for('31 s');
\o
select is(pg_temp.bury('10 s'), 'alive, watches', 'nor by a janitor that has just come: the database was away for all');
select is(pg_temp.bury('31 s'), 'dead, closed', 'but after 30 s that the janitor has seen');
\o /dev/null
select pg_advisory_lock(29285, :agent);
\o
select is(split_part(pg_temp.bury('31 s'), ',', 1), 'alive', 'who takes its lock again is alive');

select ok(pg_has_role('restsip_owner', 'restsip_agent', 'usage'), 'the janitor''s functions may see since when it is connected');
select is(app.do_duty('bury_processes'), null, 'a duty without anything to ring');

select * from finish();
rollback;
