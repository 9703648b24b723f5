-- Who is alive. A process is alive while its session holds its advisory lock and it says every two seconds, on that
-- connection, that it is there. Advisory classes: 29284 migrate, 29285 agents, 29286 stream processes, 29288 subscriptions
-- (by account, or call). Only the owner's functions may take one.

create function app.lock_is_held(p_class int, p_id int) returns bool
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
	return exists (select from pg_locks k
		where k.locktype = 'advisory' and k.classid = p_class::oid and k.objid = p_id::oid and k.objsubid = 2
			and k.granted and k.database = (select d.oid from pg_database d where d.datname = current_database()));
end $$;

-- Whether that was just now. Neither is what comes from before a clock was set back. Null: programs of an earlier version
-- do not say it.
create function app.is_fresh(p_beat timestamptz) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return p_beat is null or p_beat between clock_timestamp() - interval '10 s' and clock_timestamp() + interval '10 s';
end $$;

create function app.is_alive(p_class int, p_id int, p_beat timestamptz) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return app.is_fresh(p_beat) and app.lock_is_held(p_class, p_id);
end $$;

create function app.processes(p_class int) returns table (id int, name text, beat_at timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return query select g.id, g.name, g.beat_at from app.agent g where p_class = 29285
		union all select p.id, p.name, p.beat_at from app.stream_process p where p_class = 29286;
end $$;

-- Ends the session that holds such a lock: its process is not there any more, or hangs. Not that of another role, as when
-- somebody has started a program as a superuser.
create function app.end_holder(p_class int, p_id int) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform pg_terminate_backend(k.pid) from pg_locks k
	where k.locktype = 'advisory' and k.classid = p_class::oid and k.objid = p_id::oid and k.objsubid = 2 and k.granted
		and k.database = (select d.oid from pg_database d where d.datname = current_database())
		and k.pid <> pg_backend_pid();
exception when insufficient_privilege then
	raise warning 'the lock %, % is held by a session that is not ours to end', p_class, p_id;
end $$;

-- Whether who holds that lock, an agent or a stream process, says nothing any more. That its last word is old may be the
-- clock, which was set: another comes within two seconds. This waits for it, so nothing must be locked.
create function app.is_silent(p_class int, p_name text) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_id int;
	v_said timestamptz;
begin
	select p.id, p.beat_at into v_id, v_said from app.processes(p_class) p where p.name = p_name;
	if v_id is null or app.is_fresh(v_said) or not app.lock_is_held(p_class, v_id) then
		return false;
	end if;
	perform pg_sleep(3);
	return coalesce((select p.beat_at = v_said from app.processes(p_class) p where p.name = p_name), false);
end $$;

-- Accounts, a few of them, for which a process that is no more has left something behind: a binding over a connection, or
-- what it was sending.
create function app.agent_leaves(p_agent int) returns bigint[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return array(
		(select l.account_id from app.login l where l.agent_id = p_agent and l.flow ~ '^(tcp|tls):' limit 50)
		union
		(select d.account_id from app.lease t join app.delivery d on d.id = t.delivery_id
		where t.agent_id = p_agent limit 50)
		order by 1 limit 50);
end $$;

-- Removes those bindings, and hands on what was being sent. more: there may be others. stuck: those that there were fail, and
-- always will.
create function app.bury_agent(p_agent int, p_duty text default 'bury_agents', out bell text[], out more bool, out stuck bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_end timestamptz;
	v_priors bigint[];
	v_accounts bigint[];
	v_deliveries bigint[];
	v_account bigint;
	v_prior bigint;
	v_ids bigint[];
	v_version bigint;
begin
	more := false;
	stuck := false;
	select array_agg(t.id), array_agg(t.prior) into v_accounts, v_priors
	from app.turn_lock('login', app.agent_leaves(p_agent), '-infinity') t;
	v_deliveries := array(
		select d.id from app.lease t join app.delivery d on d.id = t.delivery_id
		where t.agent_id = p_agent and d.account_id = any (v_accounts) order by d.id for update of d);
	v_end := app.turn_end();
	for v_account, v_prior in select * from unnest(v_accounts, v_priors) loop
		exit when clock_timestamp() > v_end;
		begin
			v_ids := app.login_unflow(v_account, p_agent, null);
			if v_ids <> '{}' then
				v_version := app.advance('login', v_account);
				bell := bell || app.login_lose(v_account, v_ids);
				bell := bell || app.publish('login', v_account, v_version, v_prior);
			end if;
			bell := bell || app.release_claims(array(
				select d.id from app.delivery d
				where d.id = any (v_deliveries) and d.account_id = v_account order by d.id));
			more := true;
		exception when others then -- the others go on
			perform app.duty_failed(p_duty, sqlstate, sqlerrm);
			stuck := stuck or sqlstate not in ('55P03', '40P01', '40001');
		end;
	end loop;
	stuck := stuck and not more;
end $$;

-- Called on the connection that LISTENs, after every connect. The same p_boot: only the connection is a new one, and
-- who holds the lock is the old one, if anybody. p_addresses: all that it listens on, host:port with commas between.
-- dead: it was given up meanwhile, others do its work, and it must begin anew. So must who was that agent (p_again) and
-- finds that another process has become it. p_relays: it has media relays. channel null: there was much that the earlier process has left, and not all of
-- it is cleared up yet: to be called again at once.
create function api.agent_start(p_name text, p_boot text, p_addresses text default '', p_again bool default false,
	p_relays bool default false)
returns table (agent int, channel text, bell text[], dead bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set lock_timeout = '2s' as $$
declare
	v_agent app.agent;
	v_bell text[];
	v_silent bool := not exists (select from app.agent g where g.name = p_name and g.boot = p_boot)
		and not p_again and app.is_silent(29285, p_name);
	v_more bool;
	v_stuck bool;
begin
	insert into app.agent (name, boot) values (p_name, p_boot) on conflict (name) do nothing;
	select g.* into v_agent from app.agent g where g.name = p_name for update;
	if p_again and v_agent.boot <> p_boot then
		perform app.refuse(409, 'agent-replaced', 'Another process has become that agent.');
	end if;
	if not pg_try_advisory_lock(29285, v_agent.id) then
		perform app.end_holder(29285, v_agent.id) where v_agent.boot = p_boot or v_silent;
		perform app.refuse(409, 'agent-running', 'Another process is that agent.');
	end if;
	if v_agent.boot <> p_boot then
		select b.bell, b.more into v_bell, v_more from app.bury_legs(v_agent.id) b;
		if v_more then
			return query select v_agent.id, null::text, v_bell, false;
			return;
		end if;
		select v_bell || b.bell, b.stuck into v_bell, v_stuck from app.bury_agent(v_agent.id, 'agent_start') b;
		-- What always fails keeps nobody from beginning.
		if not v_stuck and app.agent_leaves(v_agent.id) <> '{}' then
			return query select v_agent.id, null::text, v_bell, false;
			return;
		end if;
		v_bell := v_bell || app.release_notifies(v_agent.id);
		perform app.legs_left(v_agent.id);
	end if;
	-- Until it has begun anew it is told again: the answer may be lost.
	update app.agent g set boot = p_boot, started_at = now(), free_since = null, beat_at = null,
		dead_at = case when v_agent.boot = p_boot then v_agent.dead_at end,
		addresses = string_to_array(p_addresses, ','), relays = p_relays where g.id = v_agent.id;
	return query select v_agent.id, 'restsip_job_' || v_agent.id, v_bell,
		v_agent.boot = p_boot and v_agent.dead_at is not null;
end $$;

-- An agent says that it is there, on the connection that has its lock. False: it was given up.
create function api.agent_beat(p_agent int, p_boot text) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform set_config('synchronous_commit', 'off', true);
	update app.agent g set beat_at = clock_timestamp() where g.id = p_agent and g.boot = p_boot and g.dead_at is null;
	return found;
end $$;

-- An agent says when the certificate ends that it shows: p_ends in seconds of the epoch, null where it has none.
create function api.agent_certificate(p_agent int, p_ends bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	update app.agent g set certificate_ends = to_timestamp(p_ends) where g.id = p_agent;
end $$;

create function api.stream_start(p_name text) returns table (process int)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_process app.stream_process;
	v_silent bool := app.is_silent(29286, p_name);
begin
	insert into app.stream_process (name) values (p_name) on conflict (name) do nothing;
	select p.* into v_process from app.stream_process p where p.name = p_name for update;
	if not pg_try_advisory_lock(29286, v_process.id) then
		perform app.end_holder(29286, v_process.id) where v_silent;
		perform app.refuse(409, 'stream-running', 'Another process is that stream process.');
	end if;
	update app.stream_process p set started_at = now(), free_since = null, dead_at = null, beat_at = null
	where p.id = v_process.id;
	-- They stay for a minute: who comes back finds what happened meanwhile.
	update app.watch w set closed_at = now(), owner = false where w.process_id = v_process.id and w.closed_at is null;
	return query select v_process.id;
end $$;

-- As api.agent_beat. False: what it watched was closed, so that it must begin anew.
create function api.stream_beat(p_process int) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform set_config('synchronous_commit', 'off', true);
	update app.stream_process p set beat_at = clock_timestamp() where p.id = p_process and p.dead_at is null;
	return found;
end $$;

-- Whether something can be written: a file of a megabyte, which is there for no longer than this takes.
create function app.can_write() returns bool
language plpgsql volatile set search_path = pg_catalog, pg_temp set work_mem = '64kB' as $$
begin
	perform count(*) from generate_series(1, 40000);
	return not current_setting('transaction_read_only')::bool;
exception when disk_full or io_error then
	return false;
end $$;

-- For /health/ready: what this database speaks, how many agents and stream processes are there, and whether they can work.
create function api.ready() returns table (schema_version int, agents int, streams int, writable bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return query select app.schema_version(),
		(select count(*)::int from app.agent g where app.is_alive(29285, g.id, g.beat_at)),
		(select count(*)::int from app.stream_process p where app.is_alive(29286, p.id, p.beat_at)),
		app.can_write();
end $$;

grant execute on function api.agent_start, api.agent_beat, api.agent_certificate to restsip_agent;
grant execute on function api.stream_start, api.stream_beat to restsip_stream;
grant execute on function api.ready to restsip_api;
