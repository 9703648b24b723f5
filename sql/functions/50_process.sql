-- Who is alive. A process is alive while its session holds its advisory lock; advisory classes: 29284 migrate,
-- 29285 agents, 29286 stream processes, 29288 subscriptions (by account). Only the owner's functions may take one.

create function app.lock_is_held(p_class int, p_id int) returns bool
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
	return exists (select from pg_locks k
		where k.locktype = 'advisory' and k.classid = p_class::oid and k.objid = p_id::oid and k.objsubid = 2
			and k.granted and k.database = (select d.oid from pg_database d where d.datname = current_database()));
end $$;

-- Bindings of an agent's connections: with the process they are gone. The login resources are locked.
create function app.remove_connections(p_agent int) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint;
	v_ids bigint[];
	v_prior bigint;
	v_version bigint;
	v_bell text[];
begin
	for v_account, v_ids in
		select l.account_id, array_agg(l.id) from app.login l
		where l.agent_id = p_agent and l.flow ~ '^(tcp|tls):' group by 1 order by 1
	loop
		v_prior := app.lock('login', v_account);
		v_version := app.advance('login', v_account);
		v_bell := v_bell || app.login_remove(v_account, v_ids);
		v_bell := v_bell || app.publish('login', v_account, v_version, v_prior);
	end loop;
	return v_bell;
end $$;

-- What a process that is no more leaves behind: its connections' bindings, and what it was sending. All login resources
-- that this touches are locked first, in order.
create function app.bury_agent(p_agent int) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform from app.resource r
	where r.kind = 'login' and r.id in (
		select l.account_id from app.login l where l.agent_id = p_agent and l.flow ~ '^(tcp|tls):'
		union all
		select d.account_id from app.lease t join app.delivery d on d.id = t.delivery_id where t.agent_id = p_agent)
	order by r.id for update;
	return app.remove_connections(p_agent) || app.release_claims(p_agent);
end $$;

-- Called on the connection that LISTENs, after every connect. The same p_boot: only the connection is a new one.
-- p_addresses: all that it listens on, host:port with commas between.
create function api.agent_start(p_name text, p_boot text, p_addresses text default '') returns table (agent int, channel text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_agent int;
	v_boot text;
	v_bell text[];
begin
	insert into app.agent (name, boot) values (p_name, p_boot) on conflict (name) do nothing;
	select g.id, g.boot into v_agent, v_boot from app.agent g where g.name = p_name for update;
	if not pg_try_advisory_lock(29285, v_agent) then
		perform app.refuse(409, 'agent-running', 'Another process is that agent.');
	end if;
	if v_boot <> p_boot then
		v_bell := app.bury_agent(v_agent) || app.release_notifies(v_agent);
	end if;
	update app.agent g set boot = p_boot, started_at = now(), free_since = null, dead_at = null,
		addresses = string_to_array(p_addresses, ',') where g.id = v_agent;
	return query select v_agent, 'restsip_job_' || v_agent, v_bell;
end $$;

create function api.stream_start(p_name text) returns table (process int)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_process int;
begin
	insert into app.stream_process (name) values (p_name)
	on conflict (name) do update set started_at = now(), free_since = null
	returning id into v_process;
	if not pg_try_advisory_lock(29286, v_process) then
		perform app.refuse(409, 'stream-running', 'Another process is that stream process.');
	end if;
	-- They stay for a minute: who comes back finds what happened meanwhile.
	update app.watch w set closed_at = now(), owner = false where w.process_id = v_process and w.closed_at is null;
	return query select v_process;
end $$;

-- For /health/ready: what this database speaks, and how many agents are there.
create function api.ready() returns table (schema_version int, agents int)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
	return query select api.schema_version(), (
		select count(*)::int from app.agent g where app.lock_is_held(29285, g.id));
end $$;

grant execute on function api.agent_start to restsip_agent;
grant execute on function api.stream_start to restsip_stream;
grant execute on function api.ready to restsip_api;
