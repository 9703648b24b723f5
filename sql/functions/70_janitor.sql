-- What time does: contacts lapse, scheduled sends fall due, dead processes leave work behind, history ends.
--
-- A duty is a function without arguments that gives what to ring, and more: it has found something to do, so there may be
-- more of it. It does a few things, for 100 ms from when it has its locks, since each turn is a transaction, and those are
-- waited for.

-- When a turn has to end that has its locks now.
create function app.turn_end() returns timestamptz
language sql volatile as $$ select clock_timestamp() + interval '100 ms' $$;

-- Locks the resources that a turn is about, and what is on its way to those accounts' contacts, before the turn touches
-- anything. p_ids: the longest due first. What somebody holds is left for the next turn; but the first is waited for
-- where it has been due for long (p_since), so that nobody is left out turn after turn.
create function app.turn_lock(p_kind app.resource_kind, p_ids bigint[], p_since timestamptz)
returns table (id bigint, prior bigint)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_ids bigint[];
	v_held bigint[];
begin
	if p_since < now() - interval '2 s' then
		begin
			perform from app.resource r where r.kind = p_kind and r.id = p_ids[1] for update;
			if p_kind = 'login' then
				perform app.login_deliveries_lock(p_ids[1:1]);
			end if;
		exception when lock_not_available then
			null;
		end;
	end if;
	v_ids := array(
		select r.id from app.resource r where r.kind = p_kind and r.id = any (p_ids) order by r.id for update skip locked);
	if p_kind = 'login' then
		with way as materialized (
			select d.id, d.account_id from app.delivery d
			where d.login_id = any (array(select l.id from app.login l where l.account_id = any (v_ids)))
				and d.state in ('queued', 'sending')),
		free as materialized (
			select d.id from app.delivery d where d.id = any (array(select w.id from way w)) for update skip locked)
		select array_agg(w.account_id) into v_held from way w left join free f on f.id = w.id where f.id is null;
	end if;
	if v_ids <> '{}' then
		perform set_config('restsip.turn', 'taken', true); -- this transaction is for one duty from now on
	end if;
	return query
		select r.id, r.version from app.resource r
		where r.kind = p_kind and r.id = any (v_ids) and r.id <> all (coalesce(v_held, '{}'))
		order by array_position(p_ids, r.id);
end $$;

-- A failure of a duty, or of one account in it, is noted: the others go on.
create function app.duty_failed(p_name text, p_state text, p_message text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	update app.duty d set failures = d.failures + 1, failed_at = now(), failure = left(p_state || ' ' || p_message, 500)
	where d.name = p_name;
	raise warning 'janitor: % failed: % %', p_name, p_state, p_message;
end $$;

-- ---- duties ----

-- A page that is still open keeps its login, whose resource may be anybody's: it shows no time.
create function app.keep_logins(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	update app.login l set expires_at = now() + interval '30 s', sweep_at = now() + interval '30 s'
	where l.id = any (array(
		select o.id from app.login o
		where o.source = 'stream' and o.sweep_at < now() + interval '20 s' and app.login_has_stream(o)
		order by o.sweep_at limit 500 for update skip locked));
	more := found;
end $$;

-- Of an account, whose login resource is locked, the bindings that have lapsed; only now does its version change.
create function app.expire_login(p_account bigint, p_prior bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_version bigint;
	v_bell text[];
begin
	update app.login l set expires_at = now() + interval '30 s', sweep_at = now() + interval '30 s'
	where l.account_id = p_account and l.source = 'stream' and l.sweep_at <= now() and app.login_has_stream(l);
	-- Refreshed meanwhile: to be looked at again when that lapses.
	update app.login l set sweep_at = l.expires_at
	where l.account_id = p_account and l.sweep_at <= now() and l.expires_at > now();
	if not exists (select from app.login l where l.account_id = p_account and l.expires_at <= now()) then
		return null;
	end if;
	v_version := app.advance('login', p_account);
	v_bell := app.login_remove_lapsed(p_account);
	return v_bell || app.publish('login', p_account, v_version, p_prior);
end $$;

create function app.expire_logins(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_end timestamptz;
	v_accounts bigint[];
	v_since timestamptz;
	v_turn record;
begin
	more := false;
	select array_agg(a.account_id order by a.since), min(a.since) into v_accounts, v_since
	from (
		select o.account_id, min(o.sweep_at) as since from (
			select l.account_id, l.sweep_at from app.login l where l.sweep_at <= now() order by l.sweep_at limit 100) o
		group by o.account_id) a;
	for v_turn in select * from app.turn_lock('login', v_accounts, v_since) loop
		v_end := coalesce(v_end, app.turn_end());
		exit when clock_timestamp() > v_end;
		begin
			bell := bell || app.expire_login(v_turn.id, v_turn.prior);
			more := true;
		exception when others then
			perform app.duty_failed('expire_logins', sqlstate, sqlerrm);
		end;
	end loop;
end $$;

-- Whether a message that has fallen due may wait, as one that is sent now: else whoever schedules keeps what nobody may.
create function app.send_has_room(p_send app.send) returns bool
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
	perform app.send_may_wait(p_send.account_id, p_send.sender_id, octet_length(p_send.body));
	return true;
exception when sqlstate 'RS507' then
	return false;
end $$;

-- A send that was scheduled and is due now, of an account whose login resource is locked.
create function app.start_send(p_send bigint, p_account bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_send app.send;
	v_waiting int;
begin
	delete from app.delivery d where d.send_id = p_send and d.state = 'queued' and d.kind = 'offline';
	get diagnostics v_waiting = row_count;
	update app.send s set inbox = app.take_inbox(p_account) where s.id = p_send and s.inbox is null returning * into v_send;
	if v_waiting = 0 or v_send.id is null then
		return null; -- cancelled
	elsif not app.send_has_room(v_send) then
		insert into app.delivery (send_id, account_id, kind, state, code, reason, settled_at)
		values (p_send, p_account, 'offline', 'failed', 480, 'Too much waits for it', now());
		return app.touch_sends(array[p_send]);
	end if;
	return app.send_fan_out(v_send, true) || app.touch_sends(array[p_send]);
end $$;

-- Sends that were scheduled and are due now, in the order of their time; of those that are due longest, one of each
-- sender before the second of any.
create function app.start_due_sends(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_end timestamptz;
	v_ids bigint[];
	v_accounts bigint[];
	v_since timestamptz;
	v_locked bigint[];
	v_due record;
begin
	more := false;
	select array_agg(f.id order by f.turn, f.due_at, f.id), array_agg(f.account_id order by f.turn, f.due_at, f.id),
		min(f.due_at) into v_ids, v_accounts, v_since
	from (
		select o.* from (
			select d.*, row_number() over (partition by d.sender_id order by d.due_at, d.id) as turn
			from (
				select s.id, s.account_id, s.sender_id, s.due_at from app.send s
				where s.inbox is null and s.due_at <= now() order by s.due_at, s.id limit 5000) d) o
		order by o.turn, o.due_at, o.id limit 200) f;
	if v_ids is null then
		return;
	end if;
	v_locked := array(select t.id from app.turn_lock('login', v_accounts, v_since) t);
	v_end := app.turn_end();
	for v_due in select * from unnest(v_ids, v_accounts) u (id, account_id) loop
		exit when clock_timestamp() > v_end;
		continue when v_due.account_id <> all (v_locked);
		begin
			bell := bell || app.start_send(v_due.id, v_due.account_id);
			more := true;
		exception when others then
			perform app.duty_failed('start_due_sends', sqlstate, sqlerrm);
		end;
	end loop;
end $$;

-- What was meant for a stream that has not come back within 30 s goes to a contact that has come since it was sent, or
-- is kept for whoever comes next.
create function app.store_unstreamed(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_end timestamptz;
	v_accounts bigint[];
	v_since timestamptz;
	v_turn record;
	v_delivery record;
begin
	more := false;
	select array_agg(a.account_id order by a.since), min(a.since) + interval '30 s' into v_accounts, v_since
	from (
		select o.account_id, min(o.changed_at) as since from (
			select d.account_id, d.changed_at from app.delivery d
			where d.kind = 'stream' and d.state = 'queued' and d.changed_at < now() - interval '30 s'
				and not app.has_stream(d.account_id)
			order by d.changed_at limit 200) o
		group by o.account_id) a;
	for v_turn in select * from app.turn_lock('login', v_accounts, v_since) loop
		v_end := coalesce(v_end, app.turn_end());
		begin
			for v_delivery in
				select d.id, coalesce(s.due_at, s.created_at) as since, s.call_id
				from app.delivery d join app.send s on s.id = d.send_id
				where d.account_id = v_turn.id and d.kind = 'stream' and d.state = 'queued'
					and d.changed_at < now() - interval '30 s' and not app.has_stream(v_turn.id)
				order by d.id
			loop
				exit when clock_timestamp() > v_end;
				bell := bell || case when v_delivery.call_id is null
					then app.delivery_move(v_turn.id, array[v_delivery.id], 480, 'Stream gone', v_delivery.since)
					else app.command_missed(v_delivery.id) end;
				more := true;
			end loop;
		exception when others then
			perform app.duty_failed('store_unstreamed', sqlstate, sqlerrm);
		end;
	end loop;
end $$;

-- A process is dead when nothing was seen of it for 30 s, through all of which somebody looked: an outage of the database
-- must not kill everybody's flows.
create function app.bury_processes(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_long_ago timestamptz := now() - interval '30 s';
	v_agent int;
begin
	more := false;
	if not app.has_just_looked() then
		update app.agent g set free_since = null where g.free_since is not null and g.dead_at is null;
		update app.stream_process p set free_since = null where p.free_since is not null and p.dead_at is null;
	end if;
	update app.agent g set free_since = null, dead_at = null
	where (g.free_since is not null or g.dead_at is not null) and app.is_alive(29285, g.id, g.beat_at);
	update app.agent g set free_since = now()
	where g.free_since is null and not app.is_alive(29285, g.id, g.beat_at);
	for v_agent in
		update app.agent g set dead_at = now()
		where g.dead_at is null and g.free_since < v_long_ago returning g.id
	loop
		perform app.end_holder(29285, v_agent);
		bell := array[app.job_bell(null)]; -- what waits for its flows is anybody's
	end loop;
	update app.stream_process p set free_since = null
	where p.free_since is not null and app.is_alive(29286, p.id, p.beat_at);
	update app.stream_process p set free_since = now()
	where p.free_since is null and not app.is_alive(29286, p.id, p.beat_at);
	update app.stream_process p set dead_at = now() where p.dead_at is null and p.free_since < v_long_ago;
	update app.watch w set closed_at = now(), owner = false where (w.kind, w.id, w.process_id) in (
		select o.kind, o.id, o.process_id from app.watch o join app.stream_process p on p.id = o.process_id
		where o.closed_at is null and p.dead_at is not null limit 1000 for update of o skip locked);
	more := found;
end $$;

-- What dead agents have left behind.
create function app.bury_agents(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_agent int;
	v_stuck bool;
begin
	more := false;
	for v_agent in select g.id from app.agent g where g.dead_at is not null order by g.dead_at loop
		select b.bell, b.more, b.stuck into bell, more, v_stuck from app.bury_agent(v_agent) b;
		-- What somebody holds has to be found again by its agent.
		continue when not more and not v_stuck and app.agent_leaves(v_agent) <> '{}';
		if not more then
			select b.bell, b.more into bell, more from app.orphan_subscriptions(v_agent) b;
		end if;
		if not more then
			update app.login l set agent_id = null where l.id = any (array(
				select o.id from app.login o where o.agent_id = v_agent limit 500 for update skip locked));
			more := found;
		end if;
		exit when more;
	end loop;
end $$;

-- Nobody's session may hold up what others do by a transaction that it leaves open: a list is read below the oldest one
-- that has written. A role can change its own settings, so that those alone would not do.
create function app.end_idle_sessions(p_age interval default '60 s', out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	more := false;
	perform pg_terminate_backend(a.pid)
	from pg_stat_activity a
	where a.datname = current_database() and a.pid <> pg_backend_pid()
		and a.usename in ('restsip_inspect', 'restsip_operator', 'restsip_api', 'restsip_stream', 'restsip_agent')
		and (a.state like 'idle in transaction%' and a.state_change < now() - p_age
			or a.usename <> 'restsip_operator' and a.backend_xid is not null and a.xact_start < now() - p_age);
end $$;

-- ---- the janitor ----

insert into app.duty as d (name, pause) values
	('bury_agents', '500 ms'), ('bury_dead_legs', '500 ms'), ('bury_processes', '500 ms'), ('count_past_calls', '10 s'), ('end_empty_calls', '2 s'),
	('end_idle_sessions', '5 s'),
	('expire_legs', '5 s'), ('expire_logins', '500 ms'),
	('expire_publications', '500 ms'), ('expire_rings', '500 ms'), ('expire_subscriptions', '500 ms'), ('keep_logins', '500 ms'),
	('leave_absent', '500 ms'), ('ring_due_calls', '500 ms'), ('start_due_calls', '500 ms'), ('start_due_sends', '500 ms'), ('store_unstreamed', '500 ms'), ('sweep_accounts', '2 s'),
	('sweep_call_list', '2 s'), ('sweep_calls', '2 s'), ('sweep_changes', '2 s'), ('sweep_legs', '2 s'), ('sweep_login_list', '2 s'),
	('sweep_past_calls', '2 s'),
	('sweep_results', '2 s'), ('sweep_sends', '2 s'), ('sweep_sessions', '2 s'), ('sweep_sources', '2 s'), ('sweep_watches', '2 s')
on conflict (name) do update set pause = excluded.pause;

-- A turn of a duty. Its failure, and that it takes too long, is its own: it is noted, and the others are done.
create function app.do_duty(p_name text, out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	execute format('select d.bell, d.more from app.%I() d', p_name) into bell, more;
exception when query_canceled or others then
	if sqlstate = '57014' then
		perform set_config('restsip.turn', 'taken', true); -- there is no time left in this turn
	end if;
	perform app.duty_failed(p_name, sqlstate, sqlerrm);
	bell := null;
	more := false;
end $$;

-- Every agent calls this once a second, and again at once while there is more. The duty that has been due longest has its
-- turn, and others after it until one finds something to do: each gets its turn, however much there is of another. Two
-- agents at once do different ones.
create function api.janitor(p_agent int) returns table (bell text[], more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set lock_timeout = '500ms' as $$
declare
	v_began timestamptz := clock_timestamp();
	v_tried text[] := '{}';
	v_duty record;
	v_done record;
begin
	loop
		-- What is due long after its pause is due now: the clock was set back.
		select d.name, d.pause into v_duty from app.duty d
		where (d.next_at <= v_began or d.next_at > v_began + d.pause + interval '1 s') and d.name <> all (v_tried)
		order by d.next_at, d.name limit 1 for update skip locked;
		if not found then
			set local synchronous_commit = off; -- there is nothing to be lost
			return query select null::text[], false;
			return;
		end if;
		v_tried := v_tried || v_duty.name;
		v_done := app.do_duty(v_duty.name);
		update app.duty d set next_at = clock_timestamp() + case when v_done.more then interval '0' else v_duty.pause end
		where d.name = v_duty.name;
		exit when v_done.more or v_done.bell is not null or current_setting('restsip.turn', true) = 'taken';
	end loop;
	return query select v_done.bell, exists (select from app.duty d where d.next_at <= clock_timestamp());
end $$;

grant execute on function api.janitor to restsip_agent;
