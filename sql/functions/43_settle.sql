-- How several things ended: what an agent settles together, in one commit. Items are JSON, i numbers them. A row for each
-- that is dealt with; one without a row was left out, for somebody else holds what it needs. One that comes alone and says
-- "waits" waits for that, and always has a row.

-- Deliveries, as of api.delivery_settle: {"i", "delivery", "attempt", "code"?, "reason"}; state null: it is gone. All that
-- may be written is locked first, in the order of sql/README.md; accounts and messages that somebody else has now are left
-- out, for several that are held together wait for nobody.
create function api.delivery_settle_many(p_agent int, p_items jsonb)
returns table (i int, state text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
	set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
	v_waits bool := coalesce((p_items -> 0 ->> 'waits')::bool, false);
	v_wanted bigint[];
	v_locked bigint[];
	v_deliveries bigint[];
	v_free bigint[];
	v_held bigint[] := '{}';
	v_item record;
begin
	with item as materialized (
		select t.code, d.account_id
		from jsonb_to_recordset(p_items) as t(delivery bigint, code int)
		cross join lateral (select d.account_id from app.delivery d where d.id = t.delivery limit 1) d)
	select coalesce(array_agg(distinct m.account_id), '{}') into v_wanted
	from item m where app.is_settled_with_login(m.code, m.account_id);
	if v_waits then
		v_locked := v_wanted;
		perform from app.resource r where r.kind = 'login' and r.id = any (v_wanted) order by r.id for update;
	else
		v_locked := array(
			select r.id from app.resource r
			where r.kind = 'login' and r.id = any (v_wanted) order by r.id for update skip locked);
	end if;
	v_deliveries := array(
		select d.id
		from jsonb_to_recordset(p_items) as t(delivery bigint, code int)
		cross join lateral (select d.send_id, d.account_id from app.delivery d where d.id = t.delivery limit 1) m
		cross join lateral (
			select d.id from app.delivery d where d.id = t.delivery
			union select d.id from app.delivery d where d.send_id = m.send_id and t.code not between 200 and 299) d
		where m.account_id = any (v_locked) or m.account_id <> all (v_wanted)
		order by 1);
	if v_waits then
		perform from app.delivery d where d.id = any (v_deliveries) order by d.id for update;
	else
		v_free := array(
			select d.id from app.delivery d
			cross join lateral (select from app.send s where s.id = d.send_id limit 1 for no key update skip locked) s
			where d.id = any (v_deliveries) order by d.id for update of d skip locked);
		v_held := array(
			select d.send_id from app.delivery d where d.id = any (v_deliveries) and d.id <> all (v_free));
	end if;

	for v_item in
		select t.*, d.account_id, d.send_id
		from jsonb_to_recordset(p_items) as t(i int, delivery bigint, attempt int, code int, reason text)
		left join lateral (select d.account_id, d.send_id from app.delivery d where d.id = t.delivery limit 1) d on true
		order by t.i
	loop
		continue when v_item.send_id = any (v_held);
		continue when not v_waits and v_item.account_id <> all (v_locked)
			and (v_item.account_id = any (v_wanted) or app.is_settled_with_login(v_item.code, v_item.account_id));
		i := v_item.i;
		state := null;
		bell := null;
		select s.state, s.bell into state, bell
		from api.delivery_settle(p_agent, v_item.delivery, v_item.attempt, v_item.code, v_item.reason) s;
		return next;
	end loop;
end $$;

-- Whether such a settlement locks the account's login resource: what is not delivered may be stored, and what is stored
-- may follow what is delivered.
create function app.is_settled_with_login(p_code int, p_account bigint) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return p_code is null or p_code not between 200 and 299 or app.has_stored(p_account);
end $$;

-- NOTIFYs, as of api.notify_settle: {"i", "subscription", "cseq", "code"?, "retry"?}
create function api.notify_settle_many(p_agent int, p_items jsonb) returns table (i int, state text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_waits bool := coalesce((p_items -> 0 ->> 'waits')::bool, false);
	v_locked bigint[];
	v_item record;
begin
	-- What is lost of this in a crash is a NOTIFY once more.
	set local synchronous_commit = off;
	v_locked := array(
		select s.id from app.subscription s
		where s.id = any (array(select t.subscription from jsonb_to_recordset(p_items) as t(subscription bigint)))
		order by s.id for update skip locked);
	for v_item in
		select t.* from jsonb_to_recordset(p_items) as t(i int, subscription bigint, cseq bigint, code int, retry int)
		order by t.i
	loop
		continue when not v_waits and v_item.subscription <> all (v_locked)
			and exists (select from app.subscription s where s.id = v_item.subscription);
		i := v_item.i;
		select s.state into state
		from api.notify_settle(p_agent, v_item.subscription, v_item.cseq, v_item.code, v_item.retry) s;
		return next;
	end loop;
end $$;

grant execute on function api.delivery_settle_many, api.notify_settle_many to restsip_agent;
