-- /metrics: of all processes, whichever worker is asked. Each worker leaves its figures here every three seconds.

-- Those of workers that are no more go a minute later.
create function api.metrics_put(p_host text, p_pid int, p_figures text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	if current_setting('transaction_read_only')::bool then
		return; -- a standby: there is nothing to be lost
	end if;
	set local synchronous_commit = off;
	insert into app.metric as m (host, pid, figures) values (p_host, p_pid, p_figures)
	on conflict (host, pid) do update set figures = excluded.figures, at = excluded.at;
	delete from app.metric m where (m.host, m.pid) in (
		select o.host, o.pid from app.metric o
		where o.at not between clock_timestamp() - interval '1 minute' and clock_timestamp() + interval '1 minute'
		for update skip locked);
end $$;

-- A value between the quotes of a label.
create function app.metric_label(p_value text) returns text
language sql immutable as $$
	select replace(replace(replace(p_value, '\', '\\'), '"', '\"'), e'\n', '\n')
$$;

-- Whose transactions run in this database, the oldest first. Streams of the lists, and busy lamps, wait for those that write
-- (app.xmin); what is deleted, for all.
create function app.transactions()
returns table (pid int, role text, program text, state text, writes bool, began_at timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return query
		select a.pid, a.usename::text, a.application_name, a.state, a.backend_xid is not null, a.xact_start
		from pg_stat_activity a
		where a.datname = current_database() and a.backend_type = 'client backend' and a.xact_start is not null
			and a.pid <> pg_backend_pid()
		union all
		select null, p.owner::text, p.gid, 'prepared', true, p.prepared
		from pg_prepared_xacts p where p.database = current_database()
		order by 6;
end $$;

-- Leaves the figures of who is asked, so that no counter goes back when another is asked next. Those of all others that are
-- there: lines of samples.
create function api.metrics(p_host text, p_pid int, p_figures text) returns table (figures text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform api.metrics_put(p_host, p_pid, p_figures);
	return query
		(select m.figures from app.metric m
		where (m.host, m.pid) <> (p_host, p_pid) and app.is_fresh(m.at) order by m.host, m.pid limit 1000)
		union all
		(select 'restsip_process_up{program="' || c.program || '",name="' || app.metric_label(p.name) || '"} '
			|| case when app.is_alive(c.class, p.id, p.beat_at) then 1 else 0 end
		from (values (29285, 'restsip-agent'), (29286, 'restsip-stream')) c (class, program)
		cross join lateral app.processes(c.class) p
		order by c.class, p.name limit 1000)
		union all
		(select 'restsip_certificate_seconds{name="' || app.metric_label(g.name) || '"} '
			|| floor(extract(epoch from g.certificate_ends - now()))::bigint
		from app.agent g where app.is_fresh(g.beat_at) and g.certificate_ends is not null order by g.name limit 1000)
		union all
		(select 'restsip_transaction_seconds '
			|| greatest(floor(extract(epoch from clock_timestamp() - min(t.began_at))), 0)::bigint
		from app.transactions() t where t.writes)
		union all
		(select 'restsip_relay_legs{relay="' || app.metric_label(l.relay) || '"} ' || count(*)
		from app.leg l where l.relay is not null and l.ended_at is null group by l.relay order by l.relay limit 100);
end $$;

grant execute on function api.metrics_put, api.metrics to restsip_api;
