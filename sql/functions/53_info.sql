-- INFO within a call, where the other end is not in the same agent: a key that was pressed, as a rule.

-- ---- keys that REST presses ----

-- At the phone of who is in the call by one. phones: whether there is one. The call and the login are locked.
create function app.keys_press(p_call bigint, p_account bigint, p_send bigint, p_digits text, out phones int, out bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	c_pressing constant int := 8; -- of a phone at once
	v_leg app.leg;
	v_delivery bigint;
begin
	select l.* into v_leg from app.leg l join app.participant p on p.id = l.participant_id
	where l.call_id = p_call and p.account_id = p_account and p.state = 'joined' and l.state in ('answered', 'up')
	order by l.id limit 1;
	phones := (v_leg.id is not null)::int;
	if phones = 0 then
		return;
	end if;
	if not v_leg.takes_info then
		perform app.refuse(409, 'keys-not-taken', 'The phone does not allow INFO: it hears keys by its media alone.');
	end if;
	if cardinality(v_leg.pressing) >= c_pressing then
		perform app.refuse(409, 'exchange-pending', 'The phone has not heard all keys before these yet.');
	end if;
	insert into app.delivery (send_id, account_id, kind, contact, state)
	values (p_send, p_account, 'contact', coalesce(v_leg.contact, v_leg.remote_target), 'sending') returning id into v_delivery;
	update app.leg l set pressing = l.pressing || v_delivery where l.id = v_leg.id;
	bell := app.leg_order(v_leg, 0, 'dtmf', p_sdp => p_digits, p_number => v_delivery);
end $$;

-- What has become of them; p_delivery null: of all that have no outcome yet.
create function app.keys_settle(p_leg app.leg, p_delivery bigint, p_code int, p_reason text) returns text[]
language plpgsql volatile as $$
begin
	if p_leg.pressing is null or p_leg.pressing = '{}' then
		return null;
	end if;
	insert into app.ring_news (account_id, send_id, call_id, delivery_id, state, code, reason)
	select d.account_id, d.send_id, p_leg.call_id, d.id,
		case when p_code between 200 and 299 then 'delivered' else 'failed' end, p_code, p_reason
	from app.delivery d where d.id = any (p_leg.pressing) and d.id = coalesce(p_delivery, d.id) order by d.id;
	update app.leg l set pressing = case when p_delivery is null then '{}' else array_remove(l.pressing, p_delivery) end
	where l.id = p_leg.id;
	return array['restsip_job|call'];
end $$;

-- Whether an agent has taken the order to press some, of which nothing has been heard since.
create function app.keys_taken(p_leg app.leg) returns bigint[]
language sql stable set search_path = pg_catalog, pg_temp as $$
	select coalesce(array_agg(k order by k), '{}') from unnest(p_leg.pressing) k
	where not exists (select from app.leg_job j where j.leg_id = p_leg.id and j.kind = 'dtmf' and j.number = k)
$$;

-- Of a leg that has come to another process, whose call is locked: nobody says any more what has become of those.
create function app.keys_bury(p_leg app.leg) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_key bigint;
	v_bell text[];
begin
	foreach v_key in array app.keys_taken(p_leg) loop
		v_bell := v_bell || app.keys_settle(p_leg, v_key, 480, null);
	end loop;
	return v_bell;
end $$;

-- An agent has not heard the order, since its connection broke with the answer; or the news was lost. A phone that answers
-- each key has heard eight times 32 of them within 5 minutes.
create function app.keys_expire() returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_leg app.leg;
	v_key bigint;
	v_bell text[];
begin
	for v_leg in
		select l.* from app.leg l
		where l.pressing <> '{}' and l.ended_at is null and exists (
			select from unnest(l.pressing) k
			where not exists (select from app.delivery d where d.id = k and d.changed_at > now() - interval '5 min'))
		order by l.call_id, l.id limit 20
	loop
		perform from app.resource r where r.kind = 'call' and r.id = v_leg.call_id for update skip locked;
		continue when not found and exists (select from app.resource r where r.kind = 'call' and r.id = v_leg.call_id);
		select l.* into v_leg from app.leg l where l.id = v_leg.id; -- some may have been told of before the lock
		for v_key in
			select k from unnest(v_leg.pressing) k
			where not exists (select from app.delivery d where d.id = k and d.changed_at > now() - interval '5 min') order by k
		loop
			delete from app.leg_job j where j.leg_id = v_leg.id and j.kind = 'dtmf' and j.number = v_key;
			v_bell := v_bell || app.keys_settle(v_leg, v_key, 480, 'No answer');
		end loop;
	end loop;
	return v_bell;
end $$;

-- ---- what phones say ----

-- A page in the call reads which key its phone has pressed; the call is locked. The code that the phone hears.
create function app.page_key(p_leg app.leg, p_page app.participant, p_key text, out code int, out bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_sender bigint := (app.leg_participant(p_leg)).account_id;
	v_n bigint;
begin
	code := case when p_key is null then 415 when not app.has_page(p_page.account_id) then 480 else 200 end;
	if code <> 200 then
		return;
	end if;
	perform app.lock('login', p_page.account_id);
	perform app.send_may_wait(p_page.account_id, v_sender, 100);
	v_n := app.take_n('login', p_page.account_id);
	bell := (app.page_send(p_page.account_id, v_n, v_sender, app.email(v_sender), p_leg.call_id,
		'{"command":"dtmf","url":"/call/' || p_leg.call_id || '","id":' || v_n || ',"digits":"' || p_key || '"}')).bell;
	perform app.send_count(v_sender);
end $$;

-- A phone says something, under a number of its agent's. Kind of the first row: informed (code), or nothing: wait for that
-- order. p_package: of Info-Package (RFC 6086); p_key: the one that it says was pressed.
create function api.leg_info(p_agent int, p_leg bigint, p_number bigint, p_type text, p_package text, p_body text,
	p_key text default null)
returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_leg app.leg;
	v_far app.leg;
	v_page app.participant;
	v_told record;
	v_first app.leg_work;
	v_bell text[];
begin
	perform app.leg_lock_calls(array[p_leg]);
	select l.* into v_leg from app.leg l where l.id = p_leg and l.agent_id = p_agent and l.state in ('answered', 'up');
	v_far := app.leg_far(v_leg);
	if v_far.id is not null then
		v_bell := app.leg_order(v_far, p_agent, 'info', null, p_type, p_package, p_body, p_number);
	else
		v_first.kind := 'informed';
		v_first.leg := p_leg;
		v_first.number := p_number;
		v_first.code := 480;
		v_page := app.leg_page(v_leg);
		if v_page.id is not null then
			v_told := app.page_key(v_leg, v_page, p_key);
			v_first.code := v_told.code;
			v_bell := v_told.bell;
		end if;
	end if;
	return query select * from app.leg_take(p_agent, v_first, v_bell);
end $$;

-- What a phone has said to it, or to the last of the keys that REST has pressed.
create function api.leg_informed(p_agent int, p_leg bigint, p_number bigint, p_code int) returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_leg app.leg;
	v_far app.leg;
begin
	perform app.leg_lock_calls(array[p_leg]);
	-- its phone may have come to another agent meanwhile
	select l.* into v_leg from app.leg l where l.id = p_leg;
	if p_number = any (v_leg.pressing) then
		return query select * from app.leg_take(p_agent, null, app.keys_settle(v_leg, p_number, p_code, null));
		return;
	end if;
	-- who has asked waits for it, though the call be over by now
	select l.* into v_far from app.leg l
	where l.call_id = v_leg.call_id and l.answered_at is not null and case
		when v_leg.other_id is null then l.direction <> v_leg.direction else l.participant_id = v_leg.other_id end
	order by l.state not in ('answered', 'up'), l.id limit 1;
	return query select * from app.leg_take(p_agent, null, case when v_far.id is not null then
		app.leg_order(v_far, p_agent, 'informed', p_code, p_number => p_number) end);
end $$;

grant execute on function api.leg_info, api.leg_informed to restsip_agent;
