-- Past calls: what an account has made, received and missed. It outlives the call, and whoever was at its other end.
--
-- Calls end all the time, many in one transaction, and who ends them holds their locks. So what is written here waits for
-- nobody and locks nothing: a row is added, and the version of an account's past is how many rows there have been. They may be
-- committed in another order than they were numbered: each commit is a new version all the same. Who reads sees the
-- rows and their number in one snapshot. (A reader that comes in the instant of a commit may miss its bell: the poll has it.)

-- What one call was to somebody is one row, written when that is over for them, though others go on: who was called has it when
-- they leave, and who has had them called when either of the two does; but who is handed on by whom they have called has it when
-- their own call is over. p_part: as it was before, but for its cause; p_by: who has ended it; null: nobody.

-- Who is in the call that has had somebody called for it, or has left it last.
create function app.past_caller(p_part app.participant) returns app.participant
language plpgsql volatile as $$
declare
	v_caller app.participant;
begin
	select p.* into v_caller from app.participant p
	where p.call_id = p_part.call_id and p.account_id = p_part.by_id and p.id <> p_part.id
	order by p.left_at desc nulls first, p.n desc limit 1;
	return v_caller;
end $$;

-- From when on two were both in it; null: they never were.
create function app.past_joined(p_callee app.participant, p_caller app.participant) returns timestamptz
language plpgsql immutable as $$
begin
	return case when p_caller.left_at is null or p_caller.left_at >= p_callee.joined_at then
		case when p_callee.joined_at is not null and p_caller.joined_at is not null
			then greatest(p_callee.joined_at, p_caller.joined_at) end end;
end $$;

create function app.past_call_bells(p_accounts bigint[]) returns text[]
language plpgsql volatile as $$
begin
	if not exists (select from app.watch w where w.kind = 'calls' and w.id = any (p_accounts)) then
		return null;
	end if;
	return array(
		select 'restsip_change|calls/' || a.email from app.account a
		where a.id = any (p_accounts) and exists (select from app.watch w where w.kind = 'calls' and w.id = a.id));
end $$;

-- Of one who was called: theirs, and, if p_made, that of who has had them called. Who declines, or is busy, has not missed it.
create function app.past_call_add(p_part app.participant, p_cause text, p_by bigint, p_made bool default true) returns text[]
language plpgsql volatile as $$
declare
	v_callee text := app.email(p_part.account_id);
	v_caller text := app.email(p_part.by_id);
	v_made bool := p_made and not p_part.past_made and v_caller is not null;
	v_by text;
begin
	if p_by is not null then
		v_by := case p_by when p_part.account_id then v_callee when p_part.by_id then v_caller else app.email(p_by) end;
	end if;
	insert into app.past_call (account_id, call_id, type, other, started_at, joined_at, cause, ended_by)
	select w.account_id, p_part.call_id, w.type, w.other, coalesce(p_part.rung_at, now()), w.joined_at, coalesce(p_cause, 'cancelled'), v_by
	from (values (v_callee is not null, p_part.account_id, coalesce(p_part.past_with, v_caller), case
			when p_part.joined_at is not null or p_by = p_part.account_id and p_cause <> 'cancelled' then 'received' else 'missed' end,
			p_part.joined_at),
		(v_made, p_part.by_id, v_callee, 'made', case when v_made then app.past_joined(p_part, app.past_caller(p_part)) end))
		w (is_one, account_id, other, type, joined_at)
	where w.is_one;
	return app.past_call_bells(array[p_part.account_id, p_part.by_id]) || case when p_part.joined_at is null
		then app.past_calls_sent_on(p_part, coalesce(p_part.past_with, v_caller), p_cause, v_by) end;
end $$;

-- The same of those to whom who was called has sent it on: nobody has answered.
create function app.past_calls_sent_on(p_part app.participant, p_other text, p_cause text, p_by text) returns text[]
language plpgsql volatile as $$
declare
	v_accounts bigint[];
begin
	with rung as (
		select l.account_id, min(l.cause) filter (where l.cause in ('busy', 'declined')) as said
		from app.leg l
		where l.call_id = p_part.call_id and l.participant_id = p_part.id and l.account_id <> p_part.account_id
		group by l.account_id),
	added as (
		insert into app.past_call (account_id, call_id, type, other, started_at, cause, ended_by)
		select r.account_id, p_part.call_id, case when r.said is null then 'missed' else 'received' end, p_other,
			coalesce(p_part.rung_at, now()), coalesce(r.said, p_cause, 'cancelled'),
			case when r.said is null then p_by else app.email(r.account_id) end
		from rung r returning account_id)
	select array_agg(a.account_id) into v_accounts from added a;
	return app.past_call_bells(v_accounts);
end $$;

-- Of one who has had others called, and leaves them behind. p_call: all such of a call, which ends.
create function app.past_calls_made(p_part app.participant, p_cause text, p_by bigint, p_call bigint default null) returns text[]
language plpgsql volatile as $$
declare
	v_accounts bigint[];
begin
	with made as (
		update app.participant o set past_made = true
		where o.call_id = coalesce(p_call, p_part.call_id) and o.side = 'callee' and not o.past_made and o.id is distinct from p_part.id
			and (o.cause = 'transferred' or p_call is null and o.left_at is null) and (p_call is not null or o.by_id = p_part.account_id)
		returning o.*),
	added as (
		insert into app.past_call (account_id, call_id, type, other, started_at, joined_at, cause, ended_by)
		select m.by_id, m.call_id, 'made', app.email(m.account_id), coalesce(m.rung_at, now()),
			app.past_joined(m.*::app.participant, case when p_call is null then p_part else app.past_caller(m.*::app.participant) end),
			coalesce(p_cause, 'hangup'), app.email(p_by)
		from made m where app.email(m.by_id) is not null
		returning account_id)
	select array_agg(a.account_id) into v_accounts from added a;
	return app.past_call_bells(v_accounts);
end $$;

-- Another has answered in the place of who was called, who has sent the call on.
create function app.past_call_sent_on(p_part app.participant) returns text[]
language plpgsql volatile as $$
begin
	insert into app.past_call (account_id, call_id, type, other, started_at, cause, ended_by)
	values (p_part.account_id, p_part.call_id, 'received', coalesce(p_part.past_with, app.email(p_part.by_id)),
		coalesce(p_part.rung_at, now()), 'transferred', app.email(p_part.account_id));
	return app.past_call_bells(array[p_part.account_id]);
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
		select p.version + e.floor + (select count(*) from app.past_call c where c.account_id = p_account and c.n > p.upto)
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

-- An account's past calls, newest first, those below p_before: a page, see app.page_items.
create function app.past_call_items(p_account bigint, p_before bigint, p_limit int)
returns table (n bigint, doc text, fits bool)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
	set cursor_tuple_fraction = 1 set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
declare
	v_since timestamptz := now() - make_interval(days => app.bound('past_calls_kept')::int);
	v_items refcursor;
begin
	open v_items for
		select c.n, app.past_call_doc(c.*::app.past_call) from app.past_call c
		where c.account_id = p_account and c.n < coalesce(p_before, 9223372036854775807)
			and c.ended_at >= v_since -- the janitor has not been there yet
		order by c.n desc limit app.page_limit(p_limit) + 1;
	return query select i.key::bigint, i.doc, i.fits from app.page_items(v_items, app.page_limit(p_limit)) i;
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

-- Where an account has many new calls that are no more just being written, they are counted for good, which changes no version:
-- its streams look at that every two seconds. It is too late for one whose transaction was open for so long; its version is then the next one's.
create function app.past_calls_count(p_account bigint) returns void
language plpgsql volatile as $$
declare
	c_many constant int := 100;
	v_upto bigint;
	v_new record;
begin
	select p.upto into v_upto from app.past_calls p where p.account_id = p_account for update skip locked;
	select count(*) as calls, max(c.n) as upto into v_new
	from app.past_call c
	where c.account_id = p_account and c.n > v_upto and c.n < coalesce((
		select min(o.n) from app.past_call o
		where o.account_id = p_account and o.n > v_upto and app.past_call_is_new(o.ended_at)), 9223372036854775807);
	if v_new.calls >= c_many then
		update app.past_calls p set version = p.version + v_new.calls, upto = v_new.upto where p.account_id = p_account;
	end if;
end $$;

create function app.past_call_is_new(p_ended_at timestamptz) returns bool
language sql stable as $$ select p_ended_at between now() - interval '30 s' and now() + interval '1 s' $$;

-- Each call is come to once.
create function app.count_past_calls(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	c_batch constant int := 500;
	v_end timestamptz := app.turn_end();
	v_new app.past_call;
	v_seen bigint[] := '{}';
	v_place bigint;
begin
	select d.place into v_place from app.duty d where d.name = 'count_past_calls';
	for v_new in select c.* from app.past_call c where c.n > v_place order by c.n limit c_batch loop
		exit when app.past_call_is_new(v_new.ended_at) or clock_timestamp() > v_end;
		if v_new.account_id <> all (v_seen) then
			v_seen := v_seen || v_new.account_id;
			perform app.past_calls_count(v_new.account_id);
		end if;
		v_place := v_new.n;
	end loop;
	update app.duty d set place = v_place where d.name = 'count_past_calls' and d.place <> v_place;
	more := found;
end $$;

grant execute on function api.past_call_list to restsip_api;
