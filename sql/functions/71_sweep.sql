-- What has been kept for long enough goes: duties of the janitor, a batch at a time.

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

-- A batch of what was sent to an account that has ended, and of its past calls.
create function app.sweep_accounts(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint;
	v_sends bigint[];
	v_calls bigint[];
begin
	select g.account_id into v_account from app.account_gone g order by g.at limit 1 for update skip locked;
	more := found;
	if not more then
		return;
	end if;
	v_sends := array(select s.id from app.send s where s.account_id = v_account limit 500);
	v_calls := array(select c.n from app.past_call c where c.account_id = v_account limit 500);
	if v_calls <> '{}' then
		perform app.past_call_remove(v_calls);
	elsif v_sends = '{}' then
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
