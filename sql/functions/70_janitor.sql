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
		where o.source = 'stream' and o.sweep_at < now() + interval '20 s' and app.has_stream(o.account_id)
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
	where l.account_id = p_account and l.source = 'stream' and l.sweep_at <= now() and app.has_stream(p_account);
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

-- Whatever somebody waits for is waited for no longer than before. What has been lies in the past again; what ends after so
-- many seconds ends no later than so many seconds from now on. What ends at a time of day, as it was asked for or said, ends
-- then: contacts, sessions, calls and messages that are to start. tests/sql/15_clock.sql has each column.
create function app.clock_was_set_back(p_by interval) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	raise warning 'the clock was set back by %', p_by;
	-- What is counted for a while. What was counted in this very second is not any more.
	update app.throttle t set since = t.since - p_by where t.since > now() - interval '5 minutes';
	update app.send_rate r set since = r.since - p_by where r.since > now() - interval '1 minute';
	update app.send_rate r set receipts_since = r.receipts_since - p_by where r.receipts_since > now() - interval '1 minute';
	update app.mail_turn t set until = t.until - p_by where t.until > now();
	update app.signup s set at = array(select t - p_by from unnest(s.at) with ordinality u(t, i) order by i)
	where s.at[1] > now() - interval '1 day';
	update app.email_rest r set deleted_at = r.deleted_at - p_by where r.deleted_at > now();
	update app.ticket t set expires_at = t.expires_at - p_by where t.expires_at > now() + interval '60 s';
	-- What agents have in hand, or are to send.
	update app.lease t set until = t.until - p_by where t.until > now() + interval '30 s';
	update app.subscription s set until = s.until - p_by where s.until > now() + interval '30 s';
	update app.subscription s set due_at = s.due_at - p_by where s.due_at > now();
	-- Who is there, and what waits for them.
	update app.login l set expires_at = now() + interval '30 s', sweep_at = now() + interval '30 s'
	where l.source = 'stream' and l.sweep_at > now() + interval '30 s';
	update app.watch w set closed_at = now() where w.closed_at > now();
	update app.contact_lost c set at = now() where c.at > now();
	update app.delivery d set changed_at = d.changed_at - p_by
	where d.kind = 'stream' and d.state = 'queued' and d.changed_at > now();
	-- Calls.
	update app.call c set empty_since = c.empty_since - p_by where c.empty_since > now();
	update app.participant p set bound_at = now()
	where p.bound_at > now() and (p.contact_n is not null or p.lifetime is not null) and p.left_at is null;
	update app.participant p set ring_until = p.ring_until - p_by where p.ring_until > now() + interval '60 s';
	update app.leg l set
		ring_until = l.ring_until - case when l.ring_until > now() + interval '180 s' then p_by else interval '0' end,
		answering = l.answering - case when l.answering > now() + interval '100 s' then p_by else interval '0' end,
		asking = l.asking - case when l.asking > now() then p_by else interval '0' end,
		ending_at = l.ending_at - case when l.ending_at > now() then p_by else interval '0' end,
		lost_at = l.lost_at - case when l.lost_at > now() then p_by else interval '0' end,
		asked_at = l.asked_at - case when l.asked_at > now() then p_by else interval '0' end
	where l.state <> 'ended' and greatest(l.ring_until, l.answering, l.asking, l.ending_at, l.lost_at, l.asked_at) > now();
end $$;

-- How far apart two looks may be: a turn may take 10 s, another process's lock and the pause between come on top.
create function app.look_gap() returns interval language sql immutable as $$ select interval '15 s' $$;

-- Whether the janitor has looked who is there a moment ago. If not, the database was away, or its clock has been set: then
-- nobody can have been seen.
create function app.has_just_looked() returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_now timestamptz := clock_timestamp();
	v_looked timestamptz := (select l.at from app.looked l);
	v_just bool := coalesce(v_looked between v_now - app.look_gap() and v_now, false);
begin
	insert into app.looked as l (at, since) values (v_now, v_now)
	on conflict (one) do update set at = v_now, since = case when v_just then coalesce(l.since, v_now) else v_now end;
	if v_looked > v_now + interval '1 s' then
		perform app.clock_was_set_back(v_looked - v_now);
	end if;
	return v_just;
end $$;

-- Whether it has looked for so long without a gap, and goes on.
create function app.has_looked_for(p_time interval) returns bool
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
	select exists (select from app.looked k where k.since <= now() - p_time
		and k.at between clock_timestamp() - app.look_gap() and clock_timestamp());
$$;

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
	perform from app.list_log l where l.list = p_list for update; -- what is read next is of after whoever had it
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

-- A batch of what became of watched resources longer ago than history is kept.
create function app.sweep_changes(p_before timestamptz default now() - app.history(), out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	delete from app.change c where (c.kind, c.id, c.version) in (
		select o.kind, o.id, o.version from app.change o where o.at < p_before
		order by o.at limit 2000 for update skip locked);
	more := found;
	-- Logs that nothing was added to for so long. Their rows are locked, so that nothing is now.
	with gone as (
		delete from app.change_log l where (l.kind, l.id) in (
			select o.kind, o.id from app.change_log o where o.at < p_before
			order by o.at limit 200 for update skip locked)
		returning l.kind, l.id),
	rows as (
		delete from app.change c using gone where c.kind = gone.kind and c.id = gone.id)
	delete from app.shown s using gone where s.kind = gone.kind and s.id = gone.id;
	more := more or found;
end $$;

-- The same of a list; and the oldest, where its log is full: so many that there is some to spare.
create function app.sweep_list(p_list text, p_before timestamptz, out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_rows bigint[];
	v_bytes bigint;
	v_bound bigint := app.bound('list_log');
begin
	perform app.count_list(p_list);
	v_rows := array(select c.n from app.list_change c where c.list = p_list and c.at < p_before order by c.at limit 2000);
	if v_rows = '{}' then
		select l.bytes into v_bytes from app.list_log l where l.list = p_list and l.bytes > v_bound;
		v_rows := array(
			select o.n from (
				select c.n, sum(c.size) over (order by c.xid, c.n) - c.size as before from app.list_change c
				where c.list = p_list and c.xid < (select l.counted from app.list_log l where l.list = p_list)
				order by c.xid, c.n limit 2000) o
			where o.before < v_bytes - (v_bound - v_bound / 8));
	end if;
	more := v_rows <> '{}';
	if more then
		perform app.cut_list(p_list, v_rows);
	end if;
end $$;

create function app.sweep_login_list(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	more := app.sweep_list('login', now() - app.history());
end $$;

create function app.sweep_call_list(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	more := app.sweep_list('call', now() - app.history());
end $$;

-- A batch of the messages whose time is over.
create function app.sweep_sends(p_before timestamptz default now() - make_interval(days => app.bound('send_kept')::int),
	out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	more := app.send_remove(array(
		select s.id from app.send s where coalesce(s.due_at, s.created_at) < p_before
		order by coalesce(s.due_at, s.created_at) limit 200)) > 0;
end $$;

-- A batch of what was sent to an account that has ended.
create function app.sweep_accounts(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint;
	v_sends bigint[];
begin
	select g.account_id into v_account from app.account_gone g order by g.at limit 1 for update skip locked;
	more := found;
	if not more then
		return;
	end if;
	v_sends := array(select s.id from app.send s where s.account_id = v_account limit 500);
	if v_sends = '{}' then
		delete from app.account_gone g where g.account_id = v_account;
	else
		more := app.send_remove(v_sends) > 0;
	end if;
end $$;

-- What somebody holds is left for the next time, here and below.
create function app.sweep_watches(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	delete from app.watch w where (w.kind, w.id, w.process_id) in (
		select o.kind, o.id, o.process_id from app.watch o
		where o.closed_at < now() - make_interval(secs => greatest(app.bound('call_stream'), 60))
		limit 1000 for update skip locked);
	more := found;
	delete from app.contact_lost c where (c.account_id, c.n) in (
		select o.account_id, o.n from app.contact_lost o
		where o.at < now() - make_interval(secs => greatest(app.bound('call_stream'), 60))
		order by o.at limit 1000 for update skip locked);
	more := more or found;
	delete from app.contact_gone g where (g.account_id, g.id) in (
		select o.account_id, o.id from app.contact_gone o where o.at < now() - interval '1 hour'
		order by o.at limit 1000 for update skip locked);
	more := more or found;
end $$;

create function app.sweep_sessions(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	delete from app.ticket t where t.ticket in (
		select o.ticket from app.ticket o where o.expires_at < now() order by o.expires_at limit 500 for update skip locked);
	more := found;
	delete from app.session s where s.token in (
		select o.token from app.session o where o.expires_at < now() order by o.expires_at limit 500 for update skip locked);
	more := more or found;
end $$;

-- Results under Idempotency-Keys.
create function app.sweep_results(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	delete from app.idempotency i where (i.account_id, i.key) in (
		select o.account_id, o.key from app.idempotency o where o.at < now() - interval '1 day'
		order by o.at limit 1000 for update skip locked);
	more := found;
end $$;

-- What was counted of sources, and where who is known.
create function app.sweep_sources(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	delete from app.throttle t where t.key in (
		select o.key from app.throttle o where o.since < now() - interval '5 minutes'
		order by o.since limit 1000 for update skip locked);
	more := found;
	delete from app.known_source k where (k.account_id, k.source) in (
		select o.account_id, o.source from app.known_source o where o.at < now() - interval '1 day'
		order by o.at limit 1000 for update skip locked);
	more := more or found;
	delete from app.mail_turn t where t.key in (
		select o.key from app.mail_turn o where o.until < now() order by o.until limit 1000 for update skip locked);
	more := more or found;
	delete from app.signup s where s.source in (
		select o.source from app.signup o where o.at[1] < now() - interval '1 day' limit 1000 for update skip locked);
	more := more or found;
	delete from app.email_rest r where r.email in (
		select o.email from app.email_rest o where o.deleted_at < now() - make_interval(days => app.bound('email_rest')::int)
		limit 1000 for update skip locked);
	more := more or found;
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
	('bury_agents', '500 ms'), ('bury_dead_legs', '500 ms'), ('bury_processes', '500 ms'), ('end_empty_calls', '2 s'),
	('end_idle_sessions', '5 s'),
	('expire_legs', '5 s'), ('expire_logins', '500 ms'),
	('expire_publications', '500 ms'), ('expire_rings', '500 ms'), ('expire_subscriptions', '500 ms'), ('keep_logins', '500 ms'),
	('leave_absent', '500 ms'), ('start_due_calls', '500 ms'), ('start_due_sends', '500 ms'), ('store_unstreamed', '500 ms'), ('sweep_accounts', '2 s'),
	('sweep_call_list', '2 s'), ('sweep_calls', '2 s'), ('sweep_changes', '2 s'), ('sweep_legs', '2 s'), ('sweep_login_list', '2 s'),
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
