-- What time does: contacts lapse, scheduled sends fall due, dead processes leave work behind, history ends.

-- Bindings that have lapsed; only now does the version of their resource change.
create function app.expire_logins() returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint;
	v_prior bigint;
	v_version bigint;
	v_bell text[];
begin
	-- A page that is still open keeps its login.
	update app.login l set expires_at = now() + interval '30 s', sweep_at = now() + interval '30 s'
	where l.source = 'stream' and l.sweep_at < now() + interval '20 s' and app.has_stream(l.account_id);
	for v_account, v_prior in
		select r.id, r.version from app.resource r
		where r.kind = 'login' and r.id in (
			select l.account_id from app.login l where l.sweep_at <= now() order by l.sweep_at limit 1000)
		order by r.id for update skip locked
	loop
		-- Refreshed meanwhile: to be looked at again when that lapses.
		update app.login l set sweep_at = l.expires_at
		where l.account_id = v_account and l.sweep_at <= now() and l.expires_at > now();
		continue when not exists (
			select from app.login l where l.account_id = v_account and l.expires_at <= now());
		v_version := app.advance('login', v_account);
		v_bell := v_bell || app.login_remove_lapsed(v_account);
		v_bell := v_bell || app.publish('login', v_account, v_version, v_prior);
	end loop;
	return v_bell;
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

-- Sends that were scheduled and are due now, in the order of their time; of those that are due longest, one of each
-- sender before the second of any.
create function app.start_due_sends() returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_id bigint;
	v_account bigint;
	v_send app.send;
	v_bell text[];
	v_waiting int;
begin
	for v_id, v_account in
		select o.id, o.account_id from (
			select d.*, row_number() over (partition by d.sender_id order by d.due_at, d.id) as turn
			from (
				select s.id, s.account_id, s.sender_id, s.due_at from app.send s
				where s.inbox is null and s.due_at <= now() order by s.due_at, s.id limit 5000) d) o
		order by o.turn, o.due_at, o.id limit 200
	loop
		-- The janitor has other accounts locked: it waits for none.
		perform from app.resource r where r.kind = 'login' and r.id = v_account for update skip locked;
		continue when not found;
		-- Whoever cancels holds this row; after that it is there to be started, or not.
		delete from app.delivery d where d.send_id = v_id and d.state = 'queued' and d.kind = 'offline';
		get diagnostics v_waiting = row_count;
		update app.send s set inbox = app.take_inbox(v_account) where s.id = v_id returning * into v_send;
		if v_waiting > 0 and not app.send_has_room(v_send) then
			insert into app.delivery (send_id, account_id, kind, state, code, reason, settled_at)
			values (v_id, v_account, 'offline', 'failed', 480, 'Too much waits for it', now());
			v_bell := v_bell || app.touch_sends(array[v_id]);
		elsif v_waiting > 0 then
			v_bell := v_bell || app.send_fan_out(v_send, true) || app.touch_sends(array[v_id]);
		end if;
	end loop;
	return v_bell;
end $$;

-- What was meant for a stream that has not come back within 30 s goes to a contact that has come since it was sent, or
-- is kept for whoever comes next.
create function app.store_unstreamed() returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint;
	v_delivery bigint;
	v_since timestamptz;
	v_bell text[];
begin
	for v_account in
		select r.id from app.resource r
		where r.kind = 'login' and r.id in (
			select d.account_id from app.delivery d
			where d.kind = 'stream' and d.state = 'queued' and d.changed_at < now() - interval '30 s'
			order by d.changed_at limit 1000)
		order by r.id for update skip locked
	loop
		continue when app.has_stream(v_account);
		for v_delivery, v_since in
			select d.id, coalesce(s.due_at, s.created_at)
			from app.delivery d join app.send s on s.id = d.send_id
			where d.account_id = v_account and d.kind = 'stream' and d.state = 'queued'
				and d.changed_at < now() - interval '30 s'
			order by d.id for update of d
		loop
			v_bell := v_bell || app.delivery_move(v_account, array[v_delivery], 480, 'Stream gone', v_since);
		end loop;
	end loop;
	return v_bell;
end $$;

-- What is counted for a minute, an hour or a day is counted from now on no longer than that; what an agent has in hand is
-- its for no longer than it has said.
create function app.clock_was_set_back(p_by interval) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	raise warning 'the clock was set back by %', p_by;
	update app.throttle t set since = t.since - p_by where t.since > now();
	update app.send_rate r set since = r.since - p_by where r.since > now();
	update app.mail_turn t set until = t.until - p_by where t.until > now() + p_by;
	update app.lease t set until = t.until - p_by where t.until > now() + p_by;
	update app.subscription s set until = s.until - p_by where s.until > now() + p_by;
end $$;

-- Whether the janitor has looked who is there a moment ago. If not, the database was away, or its clock has been set: then
-- nobody can have been seen.
create function app.has_just_looked() returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_now timestamptz := clock_timestamp();
	v_looked timestamptz := (select l.at from app.looked l);
begin
	insert into app.looked (at) values (v_now) on conflict (one) do update set at = v_now;
	if v_looked > v_now + interval '1 s' then
		perform app.clock_was_set_back(v_looked - v_now);
	end if;
	return coalesce(v_looked between v_now - interval '5 s' and v_now, false);
end $$;

-- A process is dead when nothing was seen of it for 30 s, through all of which somebody looked: an outage of the database
-- must not kill everybody's flows.
create function app.bury_processes() returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_long_ago timestamptz := now() - interval '30 s';
	v_agent int;
	v_bell text[];
begin
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
		v_bell := v_bell || app.bury_agent(v_agent) || app.orphan_subscriptions(v_agent);
		update app.login l set agent_id = null where l.agent_id = v_agent;
	end loop;
	update app.stream_process p set free_since = null
	where p.free_since is not null and app.is_alive(29286, p.id, p.beat_at);
	update app.stream_process p set free_since = now()
	where p.free_since is null and not app.is_alive(29286, p.id, p.beat_at);
	with dead as (
		update app.stream_process p set dead_at = now()
		where p.dead_at is null and p.free_since < v_long_ago returning p.id)
	update app.watch w set closed_at = now(), owner = false
	from dead where w.process_id = dead.id and w.closed_at is null;
	return v_bell;
end $$;

-- How long what happened is kept for those who come back.
create function app.history() returns interval
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return (select convert_from(s.value, 'UTF8') from app.setting s where s.name = 'history')::interval;
end $$;

-- Adds up what has been logged of a list since it was done last: what is below the oldest transaction is all there.
create function app.count_list(p_list text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_xmin bigint := app.xmin();
begin
	insert into app.list_log (list, counted, bytes) values (p_list, 0, 0) on conflict (list) do nothing;
	update app.list_log l set counted = v_xmin, bytes = l.bytes + coalesce((
		select sum(c.size) from app.list_change c where c.list = p_list and c.xid >= l.counted and c.xid < v_xmin), 0)
	where l.list = p_list and l.counted < v_xmin;
end $$;

-- Removes rows of a list's log. It is complete from behind them on, and whoever comes from before gets the state.
create function app.cut_list(p_list text, p_rows bigint[]) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_last bigint;
	v_bytes bigint;
begin
	with gone as (
		delete from app.list_change c where c.n = any (p_rows) returning c.xid, c.size)
	select max(gone.xid), sum(gone.size) filter (where gone.xid < l.counted) into v_last, v_bytes
	from app.list_log l left join gone on true where l.list = p_list;
	update app.list_log l set bytes = l.bytes - coalesce(v_bytes, 0) where l.list = p_list and v_bytes > 0;
	if v_last is null then
		return;
	end if;
	-- Who is about to inherit from one of these rows is waited for: his own is there, and found, in the next statement.
	perform from app.watch w
	where w.kind = 'list' and w.id = app.list_id(p_list) order by w.process_id for update;
	update app.watch w set since = case when w.since is not null then greatest(w.since, v_last + 1) end,
		fence = case when w.fence is not null then greatest(w.fence, v_last + 1) end
	where w.kind = 'list' and w.id = app.list_id(p_list) and (w.since <= v_last or w.fence <= v_last);
end $$;

create function app.sweep_history(p_before timestamptz) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_list text;
	v_bytes bigint;
	v_bound bigint := app.bound('list_log');
begin
	delete from app.change c where (c.kind, c.id, c.version) in (
		select o.kind, o.id, o.version from app.change o where o.at < p_before
		order by o.at limit 5000 for update skip locked);
	-- Logs that nothing was added to for so long. Their rows are locked, so that nothing is now.
	with gone as (
		delete from app.change_log l where (l.kind, l.id) in (
			select o.kind, o.id from app.change_log o where o.at < p_before
			order by o.at limit 500 for update skip locked)
		returning l.kind, l.id),
	rows as (
		delete from app.change c using gone where c.kind = gone.kind and c.id = gone.id)
	delete from app.shown s using gone where s.kind = gone.kind and s.id = gone.id;
	foreach v_list in array array['call', 'login'] loop
		perform app.count_list(v_list);
		perform app.cut_list(v_list, array(
			select o.n from (select c.n, c.list from app.list_change c where c.at < p_before order by c.at limit 5000) o
			where o.list = v_list));
		-- The oldest, where there are more than there is room for: so many that there is some to spare.
		for i in 1..10 loop
			select l.bytes into v_bytes from app.list_log l where l.list = v_list;
			exit when v_bytes <= v_bound;
			perform app.cut_list(v_list, array(
				select o.n from (
					select c.n, sum(c.size) over (order by c.xid, c.n) - c.size as before from app.list_change c
					where c.list = v_list and c.xid < (select l.counted from app.list_log l where l.list = v_list)
					order by c.xid, c.n limit 5000) o
				where o.before < v_bytes - (v_bound - v_bound / 8)));
		end loop;
	end loop;
end $$;

-- A batch of the messages whose time is over.
create function app.sweep_sends(p_before timestamptz) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform app.send_remove(array(
		select s.id from app.send s where coalesce(s.due_at, s.created_at) < p_before
		order by coalesce(s.due_at, s.created_at) limit 500));
end $$;

-- History and secrets whose time is over, a batch at a time.
create function app.sweep() returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	delete from app.watch w where w.closed_at < now() - interval '1 minute';
	-- One that is just being used for a stream is left for the next time.
	delete from app.session s where s.token in (
		select o.token from app.session o where o.expires_at < now()
		order by o.expires_at limit 1000 for update skip locked);
	delete from app.idempotency i where (i.account_id, i.key) in (
		select o.account_id, o.key from app.idempotency o where o.at < now() - interval '1 day'
		order by o.at limit 1000 for update skip locked);
	perform app.sweep_calls();
	delete from app.throttle t where t.since < now() - interval '5 minutes';
	delete from app.known_source k where (k.account_id, k.source) in (
		select o.account_id, o.source from app.known_source o where o.at < now() - interval '1 day' order by o.at limit 1000);
	delete from app.ticket t where t.expires_at < now();
	delete from app.mail_turn t where t.key in (
		select o.key from app.mail_turn o where o.until < now() order by o.until limit 1000 for update skip locked);
	delete from app.signup s where s.source in (
		select o.source from app.signup o where o.at[1] < now() - interval '1 day' limit 1000 for update skip locked);
	delete from app.email_rest r where r.email in (
		select o.email from app.email_rest o where o.deleted_at < now() - make_interval(days => app.bound('email_rest')::int)
		limit 1000 for update skip locked);
	perform app.sweep_sends(now() - make_interval(days => app.bound('send_kept')::int));
	perform app.sweep_history(now() - app.history()); -- last, for writers wait for it
end $$;

-- Nobody's session may hold up what others do by a transaction that it leaves open: a list is read below the oldest one
-- that has written. A role can change its own settings, so that those alone would not do.
create function app.end_idle_sessions(p_age interval default '60 s') returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform pg_terminate_backend(a.pid)
	from pg_stat_activity a
	where a.datname = current_database() and a.pid <> pg_backend_pid()
		and a.usename in ('restsip_inspect', 'restsip_operator', 'restsip_api', 'restsip_stream', 'restsip_agent')
		and (a.state like 'idle in transaction%' and a.state_change < now() - p_age
			or a.usename <> 'restsip_operator' and a.backend_xid is not null and a.xact_start < now() - p_age);
end $$;

-- One duty. Its failure is its own: it is noted, and the others are done.
create function app.do_duty(p_name text) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_bell text[];
	v_state text;
	v_message text;
begin
	if p_name in ('sweep', 'end_idle_sessions') then
		execute format('select app.%I()', p_name);
	else
		execute format('select app.%I()', p_name) into v_bell;
	end if;
	return v_bell;
exception when others then
	get stacked diagnostics v_state = returned_sqlstate, v_message = message_text;
	insert into app.duty as d (name, failures, failed_at, failure)
	values (p_name, 1, now(), left(v_state || ' ' || v_message, 500))
	on conflict (name) do update set failures = d.failures + 1, failed_at = excluded.failed_at, failure = excluded.failure;
	raise warning 'janitor: % failed: % %', p_name, v_state, v_message;
	return null;
end $$;

-- Every agent calls this once a second; one at a time does the work. A turn is short: no duty waits long for a lock, and
-- after a second the rest is for the next turn, whose order is another.
create function api.janitor(p_agent int) returns table (bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set lock_timeout = '500ms' as $$
declare
	v_began timestamptz := clock_timestamp();
	v_duty text;
	v_bell text[];
begin
	perform from app.duty d where d.name = 'turn' for update skip locked;
	if not found then
		return query select v_bell;
		return;
	end if;
	foreach v_duty in array (
		select array_agg(d.name order by random()) from unnest(array['expire_logins', 'expire_publications', 'start_due_sends',
			'start_due_calls', 'store_unstreamed', 'bury_processes', 'expire_subscriptions', 'sweep',
			'end_idle_sessions']) d (name))
	loop
		exit when clock_timestamp() > v_began + interval '1 s';
		v_bell := v_bell || app.do_duty(v_duty);
	end loop;
	return query select v_bell;
end $$;

grant execute on function api.janitor to restsip_agent;
