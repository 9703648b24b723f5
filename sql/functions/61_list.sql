-- The lists /login and /call as streams: a first page, then what becomes of single items.
--
-- A list has no row to lock, for that would serialise every registration. Its log is read below the oldest transaction
-- that still runs, so that nothing comes in behind a reader, in windows of transactions [from, upto), each in the order
-- of n. A place in it is `upto`, or within a window `from`, `upto` and `n`. One item's rows have rising n in the order
-- of their commits, but may fall into windows in another order; so a row that a later one of an earlier window has
-- overtaken is only read for whom the item has left. So is one that is overtaken by what is there, but not yet to be
-- read: a first page may show that already.

create function app.xid() returns bigint
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
	return app.epoch_xid(pg_current_xact_id());
end $$;

-- The oldest transaction that runs here: whatever is below it can be seen, or was rolled back. What runs in other databases of
-- the cluster, such as somebody's import of an hour, has its numbers among ours and is nothing to us. Who that is is asked
-- before the snapshot is taken: whom one reader has left out, the next one, later, leaves out too, so this never goes back.
create function app.xmin() returns bigint
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
	v_snapshot pg_snapshot := pg_current_snapshot();
	v_elsewhere text[];
begin
	if pg_snapshot_xmin(v_snapshot) < pg_snapshot_xmax(v_snapshot) then
		v_elsewhere := array(
			select a.backend_xid::text from pg_stat_get_activity(null) a
			where a.backend_xid is not null
				and a.datid <> (select d.oid from pg_database d where d.datname = current_database()))
			|| array(select p.transaction::text from pg_prepared_xacts p where p.database <> current_database());
		v_snapshot := pg_current_snapshot();
	end if;
	return app.epoch_xid(coalesce(
		(select min(x.xid) from pg_snapshot_xip(v_snapshot) x (xid) where x.xid::xid::text <> all (v_elsewhere)),
		pg_snapshot_xmax(v_snapshot)));
end $$;

-- Makes last what xmin() says, before anybody is told: after a crash the numbers of transactions whose commits were in
-- no file yet are given out once more, and what they did then would be behind a reader's place.
create function app.xmin_settle() returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
	if pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn() then
		perform pg_logical_emit_message(true, 'restsip', ''); -- so that our commit waits for the file
	end if;
end $$;

-- From which transaction on the log is complete, for a process that watches the list; null: not yet. Those that were
-- running when its row was committed may have looked before and logged nothing: they have to end first.
create function app.list_since(p_process int, p_list text) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_id bigint := app.list_id(p_list);
	v_watch app.watch;
begin
	select w.* into v_watch from app.watch w
	where w.kind = 'list' and w.id = v_id and w.process_id = p_process and w.closed_at is null;
	if v_watch.since is not null or v_watch.id is null then
		return v_watch.since;
	end if;
	if v_watch.fence is null then
		update app.watch w set fence = app.xid()
		where w.kind = 'list' and w.id = v_id and w.process_id = p_process and w.fence is null;
		return null;
	end if;
	if app.xmin() < v_watch.fence then
		return null;
	end if;
	update app.watch w set since = w.fence
	where w.kind = 'list' and w.id = v_id and w.process_id = p_process and w.since is null
	returning w.since into v_watch.since; -- the janitor may have moved it
	return v_watch.since;
end $$;

-- Where another process watches the list already, the log is complete since then: its row must not go before ours is
-- there. Null: nobody does, or ours has its own: two that have would each wait for the row of the other.
-- All of the list's rows are locked in order, ours too, which is written next.
create function app.list_inherit(p_process int, p_id bigint) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	if exists (select from app.watch w
		where w.kind = 'list' and w.id = p_id and w.process_id = p_process and w.since is not null)
	then
		return null;
	end if;
	return (select o.since from (
		select w.since, w.process_id from app.watch w
		where w.kind = 'list' and w.id = p_id
		order by w.process_id for no key update) o
		where o.process_id <> p_process and o.since is not null order by o.since limit 1);
end $$;

-- Who may see a call besides everybody; null: everybody.
create function app.call_seers(p_call bigint) returns bigint[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	if (select c.open from app.call c where c.id = p_call) then
		return null;
	end if;
	return array(select s.account_id from app.call_seer s where s.call_id = p_call order by 1);
end $$;

-- The same where anybody asks: who saw it, before it changes.
create function app.call_seers_before(p_call bigint) returns bigint[]
language plpgsql volatile as $$
begin
	if exists (select from app.watch w where w.kind = 'list' and w.id = 2) then
		return app.call_seers(p_call);
	end if;
	return '{}';
end $$;

-- Logs what the list shows of a resource, which is locked and has been written. p_before: who saw it until now.
create function app.list_publish(p_list text, p_id bigint, p_gone bool, p_before bigint[]) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_key text := case p_list when 'login' then app.email(p_id) else p_id::text end;
	v_doc text;
	v_seen_by bigint[];
	v_last app.list_change;
begin
	if p_list = 'login' and not p_gone then
		v_doc := (select app.login_item_doc(v_key, count(*)) from app.login l
			where l.account_id = p_id and l.expires_at > now() and l.source <> 'publish' having count(*) > 0);
	elsif p_list = 'call' then
		v_doc := (select app.call_item_doc(c.*::app.call) from app.call c
			where c.id = p_id and c.state <> 'ended' and not p_gone);
		v_seen_by := case when v_doc is null then '{}' else app.call_seers(p_id) end;
	end if;
	-- A refresh changes nothing that the list shows. What the log says is what was, since it is complete.
	-- By the index of keys alone: by that of n, whoever is not in the log would be looked for in all of it.
	select c.* into v_last from app.list_change c
	where (c.list, c.key, c.n) <= (p_list, v_key, 9223372036854775807)
	order by c.list desc, c.key desc, c.n desc limit 1;
	if v_last.list = p_list and v_last.key = v_key
		and v_last.doc is not distinct from v_doc and v_last.seen_by is not distinct from v_seen_by
		and v_last.xid >= (select max(w.since) from app.watch w where w.kind = 'list' and w.id = app.list_id(p_list))
	then
		return null;
	end if;
	insert into app.list_change (xid, list, key, doc, seen_by, was_seen_by)
	values (app.xid(), p_list, v_key, v_doc, v_seen_by, case p_list when 'call' then p_before end);
	return array['restsip_change|list/' || p_list];
end $$;

-- What is left to be said of an item that has gone.
create function app.list_gone_doc(p_list text, p_key text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return '{"id":' || to_json(p_key) || ',"url":' || to_json('/' || p_list || '/' || app.url_segment(p_key)) || '}';
end $$;

-- A page of a list as p_caller may see it: see app.login_items.
create function app.list_items(p_list text, p_caller bigint, p_after text, p_limit int)
returns table (key text, doc text, fits bool)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	if p_list = 'login' then
		return query select l.email, l.doc, l.fits from app.login_items(p_after, p_limit) l;
	else
		return query select c.id::text, c.doc, c.fits from app.call_items(p_caller,
			case when p_after ~ '^[0-9]{1,18}$' then p_after::bigint end, p_limit) c;
	end if;
end $$;

-- The first page, or one after p_after, as p_caller may see it, as a JSON array; and up to where the log is in it.
-- upto null: not yet, ask again. Where it holds less than p_limit items since more do not fit, `last` is the last one's
-- key, and `missing` how many api.list_rest is to give.
create function api.list_page(p_process int, p_list text, p_caller bigint, p_after text, p_limit int)
returns table (upto bigint, doc text, last text, missing int)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_upto bigint := app.xmin();
	v_limit int := least(greatest(coalesce(p_limit, 100), 1), 1000);
begin
	if app.list_since(p_process, p_list) is null then
		v_upto := null;
	end if;
	perform app.xmin_settle();
	if v_upto is null then
		return query select null::bigint, null::text, null::text, null::int;
		return;
	end if;
	return query
		with item as materialized (
			select i.*, row_number() over () as place from app.list_items(p_list, p_caller, p_after, v_limit) i)
		select v_upto, '[' || coalesce(string_agg(i.doc, ',' order by i.place) filter (where i.fits), '') || ']',
			case when bool_and(i.fits) or count(*) filter (where i.fits) = v_limit then null
				else (array_agg(i.key order by i.place desc) filter (where i.fits))[1] end,
			v_limit - (count(*) filter (where i.fits))::int
		from item i;
end $$;

-- What did not fit into the first page: the items after p_after, p_limit at most, as many as fit. The place in the log is
-- that of the page: what has become of them since then is said once more.
create function api.list_rest(p_process int, p_list text, p_caller bigint, p_after text, p_limit int)
returns table (key text, doc text, fits bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return query select i.key, i.doc, i.fits from app.list_items(p_list, p_caller, p_after, p_limit) i;
end $$;

-- What happened from a place on: (p_from) or, within a window, (p_from, p_upto, p_n). One row an item, in order; at
-- least one row, with n null where there is nothing. reaches false: the log does not, take the page; null: not yet.
-- more: something is there that cannot be shown yet, ask again soon. xid: an item's last in this window. stale: the
-- item was, or is about to be, shown in a later state. For whom it is not seen_by but was_seen_by (null: all) it has
-- left: gone.
create function api.list_read(p_process int, p_list text, p_from bigint, p_upto bigint, p_n bigint, p_limit int)
returns table (upto bigint, reaches bool, more bool, n bigint, xid bigint, key text, doc text, gone text, stale bool,
	seen_by bigint[], was_seen_by bigint[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_xmin bigint := app.xmin();
	v_upto bigint := coalesce(p_upto, v_xmin);
	v_id bigint := app.list_id(p_list);
begin
	perform app.list_since(p_process, p_list);
	perform app.xmin_settle();
	return query
		with one as (
			-- In the statement that reads the log: the janitor may be cutting it.
			select (select o.since from app.watch o
				where o.kind = 'list' and o.id = v_id and o.process_id = p_process and o.closed_at is null) as since),
		w as (
			select c.key, max(c.n) as n, max(c.xid) as xid, bool_or(c.was_seen_by is null) as by_all
			from app.list_change c
			where c.list = p_list and c.xid >= p_from and c.xid < v_upto
			group by c.key having max(c.n) > coalesce(p_n, 0) order by max(c.n) limit p_limit)
		select v_upto, one.since <= p_from and p_from <= v_upto and v_upto <= v_xmin,
			exists (select from app.list_change c where c.list = p_list and c.xid >= v_upto),
			w.n, w.xid, w.key, l.doc, case when w.key is not null then app.list_gone_doc(p_list, w.key) end,
			o.stale, l.seen_by,
			case when o.stale and p_list = 'login' then '{}' when not w.by_all then array(
				select distinct s from app.list_change c cross join unnest(c.was_seen_by) s
				where c.list = p_list and c.key = w.key and c.xid >= p_from and c.xid < v_upto order by s) end
		from one
		left join w on true
		left join lateral (
			select c.* from app.list_change c
			where c.list = p_list and c.key = w.key and c.xid < v_upto order by c.n desc limit 1) l on true
		left join lateral (
			select l.xid < p_from or exists (
				select from app.list_change c
				where c.list = p_list and c.key = w.key and c.n > l.n) as stale) o on true
		order by w.n;
end $$;

grant execute on function api.list_page, api.list_rest, api.list_read to restsip_stream;

-- ---- a page of any list ----

-- A page of what an open cursor gives, key and document of each item, in order: p_limit rows (of app.page_limit), or what fits into
-- the bound `page`, and one more that does not, where there is more. So the cursor is to give one more than p_limit; no document
-- is made that is not read.
create function app.page_items(p_items refcursor, p_limit int) returns table (key text, doc text, fits bool)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_most bigint := app.bound('page');
	v_bytes bigint := 0;
	v_rows int := 0;
begin
	loop
		fetch p_items into key, doc;
		exit when not found;
		v_bytes := v_bytes + octet_length(doc) + 1;
		v_rows := v_rows + 1;
		fits := v_rows <= p_limit and (v_rows = 1 or v_bytes < v_most);
		return next;
		exit when not fits;
	end loop;
	close p_items;
end $$;

create function app.page_limit(p_limit int) returns int
language sql immutable as $$ select least(greatest(coalesce(p_limit, 100), 1), 1000) $$;
