-- Past calls: what an account has made, received and missed. It outlives the call, and whoever was at its other end.
--
-- Calls end all the time, many in one transaction, and who ends them holds their locks. So what is written here waits for
-- nobody and locks nothing: a row is added, and the version of an account's past is how many rows there are. They may be
-- committed in another order than they were numbered: each commit is a new version all the same. Who reads sees the
-- rows and their number in one snapshot. (A reader that comes in the instant of a commit may miss its bell: the poll has it.)

-- One who was called is in the call no more: a row for them, and one for who called. p_part: as it was before, but for its
-- cause; p_by: who has ended it; null: nobody.
create function app.past_call_add(p_part app.participant, p_cause text, p_by bigint) returns text[]
language plpgsql volatile as $$
declare
	v_callee text := app.email(p_part.account_id);
	v_caller text := app.email(p_part.by_id);
	v_by text;
begin
	if p_by is not null then
		v_by := case p_by when p_part.account_id then v_callee when p_part.by_id then v_caller else app.email(p_by) end;
	end if;
	insert into app.past_call (account_id, call_id, type, other, started_at, joined_at, cause, ended_by)
	select w.account_id, p_part.call_id, w.type, w.other, coalesce(p_part.rung_at, now()), p_part.joined_at, coalesce(p_cause, 'cancelled'), v_by
	from (values (p_part.account_id, v_callee, v_caller, case
			when p_part.joined_at is not null or p_cause = 'declined' then 'received' else 'missed' end),
		(p_part.by_id, v_caller, v_callee, 'made')) w (account_id, email, other, type)
	where w.email is not null;
	if exists (select from app.watch w where w.kind = 'calls' and w.id in (p_part.account_id, p_part.by_id)) then
		return array['restsip_change|calls/' || v_callee, 'restsip_change|calls/' || v_caller];
	end if;
	return null;
end $$;

-- Of a call in which nobody was called yet, a row for who has made it.
create function app.past_call_made(p_call app.call, p_other text, p_cause text, p_by bigint) returns text[]
language plpgsql volatile as $$
begin
	insert into app.past_call (account_id, call_id, type, other, started_at, cause, ended_by)
	values (p_call.owner_id, p_call.id, 'made', p_other, coalesce((
		select min(p.rung_at) from app.participant p where p.call_id = p_call.id), now()), p_cause, app.email(p_by));
	return case when exists (select from app.watch w where w.kind = 'calls' and w.id = p_call.owner_id) then
		array['restsip_change|calls/' || app.email(p_call.owner_id)] end;
end $$;

-- A row for each of the two of plain calls in which they have talked, and which have just ended.
create function app.past_calls_add(p_calls bigint[]) returns text[]
language plpgsql volatile as $$
begin
	insert into app.past_call (account_id, call_id, type, other, started_at, joined_at, cause, ended_by)
	select w.account_id, p.call_id, w.type, w.other, coalesce(p.rung_at, now()), p.joined_at, p.cause,
		case c.ended_by when p.account_id then callee.email when p.by_id then caller.email end
	from unnest(p_calls) u (id)
	cross join lateral (select o.* from app.participant o where o.call_id = u.id and o.side = 'callee' offset 0) p
	cross join lateral (select o.ended_by from app.call o where o.id = u.id offset 0) c
	cross join lateral (select o.email from app.account o where o.id = p.account_id offset 0) callee
	cross join lateral (select o.email from app.account o where o.id = p.by_id offset 0) caller
	cross join lateral (values (p.account_id, caller.email, 'received'), (p.by_id, callee.email, 'made')) w (account_id, other, type);
	if not exists (select from app.watch w where w.kind = 'calls') then
		return null;
	end if;
	return array(
		select 'restsip_change|calls/' || a.email
		from app.participant p join app.account a on a.id in (p.account_id, p.by_id)
		where p.call_id = any (p_calls) and p.side = 'callee' and exists (
			select from app.watch w where w.kind = 'calls' and w.id = a.id));
end $$;

create function app.past_calls_version(p_account bigint) returns bigint
language plpgsql stable as $$
begin
	return (
		select p.version + e.floor + (select count(*) from app.past_call c where c.account_id = p_account)
		from app.past_calls p cross join app.epoch e where p.account_id = p_account);
end $$;

create function app.past_call_doc(p_call app.past_call) returns text
language plpgsql stable as $$
begin
	return '{"id":' || p_call.n || ',"call":"/call/' || p_call.call_id || '","type":"' || p_call.type || '"'
		|| coalesce(',"with":' || to_json(p_call.other), '')
		|| ',"started_at":"' || app.time_text(p_call.started_at) || '"'
		|| coalesce(',"joined_at":"' || app.time_text(p_call.joined_at) || '"', '')
		|| ',"ended_at":"' || app.time_text(p_call.ended_at) || '"'
		|| case when p_call.joined_at is null then ''
			else ',"duration":' || greatest(round(extract(epoch from p_call.ended_at - p_call.joined_at)), 0) end
		|| ',"ended":{' || coalesce('"by":' || to_json(p_call.ended_by) || ',', '') || '"cause":"' || p_call.cause || '"}}';
end $$;

-- An account's past calls, newest first, those below p_before: a page, see app.login_items.
create function app.past_call_items(p_account bigint, p_before bigint, p_limit int)
returns table (n bigint, doc text, fits bool)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
	set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
declare
	v_limit int := least(greatest(coalesce(p_limit, 100), 1), 1000);
	v_most bigint := app.bound('page');
	v_since timestamptz := now() - make_interval(days => app.bound('past_calls_kept')::int);
	v_bytes bigint := 0;
	v_rows int := 0;
	v_call app.past_call;
begin
	for v_call in
		select c.* from app.past_call c
		where c.account_id = p_account and c.n < coalesce(p_before, 9223372036854775807)
		order by c.n desc limit v_limit + 1
	loop
		continue when v_call.ended_at < v_since; -- the janitor has not been there yet
		n := v_call.n;
		doc := app.past_call_doc(v_call);
		v_bytes := v_bytes + octet_length(doc) + 1;
		v_rows := v_rows + 1;
		fits := v_rows <= v_limit and (v_rows = 1 or v_bytes < v_most);
		return next;
		exit when not fits;
	end loop;
end $$;

create function api.past_call_list(p_who text, p_proof bytea, p_email text, p_before bigint, p_limit int)
returns table (version bigint, n bigint, doc text, fits bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_owner record := app.owner(p_who, p_proof, p_email);
begin
	return query
		select v.version, i.n, i.doc, i.fits
		from (select app.past_calls_version(v_owner.id) as version) v
		left join lateral app.past_call_items(v_owner.id, p_before, p_limit) i on true
		order by i.n desc;
end $$;

-- What a stream shows of them.
create function app.past_calls_doc(p_account bigint) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return '[' || coalesce((select string_agg(i.doc, ',' order by i.n desc) from app.past_call_items(p_account, null, 100) i
		where i.fits), '') || ']';
end $$;

-- Removes some, whose accounts have another version with that. How many.
create function app.past_call_remove(p_rows bigint[], out gone int, out bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_of bigint[];
begin
	with removed as (
		delete from app.past_call c where c.n = any (p_rows) returning c.account_id),
	of as (
		select r.account_id, count(*) as calls from removed r group by r.account_id),
	moved as (
		update app.past_calls p set version = p.version + o.calls + 1 from of o where p.account_id = o.account_id)
	select sum(o.calls), array_agg(o.account_id) into gone, v_of from of o;
	bell := array(
		select 'restsip_change|calls/' || a.email from app.account a
		where a.id = any (v_of) and exists (select from app.watch w where w.kind = 'calls' and w.id = a.id));
end $$;

-- A batch of those that ended longer ago than they are kept; else, of accounts that have had one since the last look, what is
-- more than is kept of each, oldest first.
create function app.sweep_past_calls(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	c_batch constant int := 500;
	v_end timestamptz := app.turn_end();
	v_before timestamptz := now() - make_interval(days => app.bound('past_calls_kept')::int);
	v_most bigint := app.bound('past_calls');
	v_new app.past_call;
	v_rows bigint[];
	v_seen bigint[] := '{}';
	v_place bigint;
begin
	-- Numbers rise with time: what is over is among the first.
	v_rows := array(
		select o.n from (select c.n, c.ended_at from app.past_call c order by c.n limit c_batch) o where o.ended_at < v_before);
	if v_rows = '{}' then
		select d.place into v_place from app.duty d where d.name = 'sweep_past_calls';
		for v_new in select c.* from app.past_call c where c.n > v_place order by c.n limit c_batch loop
			if v_new.account_id <> all (v_seen) then
				v_seen := v_seen || v_new.account_id;
				v_rows := v_rows || array(
					select c.n from app.past_call c where c.account_id = v_new.account_id
					order by c.n desc offset v_most limit c_batch);
			end if;
			exit when v_rows <> '{}' or clock_timestamp() > v_end; -- once more from this account on
			v_place := v_new.n;
		end loop;
		update app.duty d set place = v_place where d.name = 'sweep_past_calls' and d.place <> v_place;
		more := found;
	end if;
	if v_rows <> '{}' then
		bell := (app.past_call_remove(v_rows)).bell;
		more := true;
	end if;
end $$;

grant execute on function api.past_call_list to restsip_api;
