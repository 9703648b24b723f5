-- Whom a call's owner has rung: at once, or when the call starts.

create function app.call_invite_check(p_emails jsonb) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_unknown record;
begin
	select '/invite/' || e.n - 1 as pointer, left(e.value, 254) as email into v_unknown
	from jsonb_array_elements_text(p_emails) with ordinality e (value, n)
	where not exists (select from app.account a where a.email_key = app.email_key(e.value)) order by e.n limit 1;
	if found then
		perform app.refuse(400, 'invalid-member', format('There is no user %s.', v_unknown.email), v_unknown.pointer);
	end if;
end $$;

create function app.call_invite_one(p_call bigint, p_by bigint, p_account bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_command record;
begin
	-- Who is in it, or rings, has nothing to be told of: so a request that is sent once more rings nobody twice.
	if exists (select from app.participant p where p.call_id = p_call and p.account_id = p_account and p.left_at is null) then
		return null;
	end if;
	select 'invite' as command, p_call as call, null::int as code, null::text as reason, null::text as digits into v_command;
	perform app.send_check(p_by);
	if app.has_contact(p_account) then
		perform app.leg_make_room(p_by, true);
	end if;
	perform app.send_count(p_by);
	return (app.command_put(v_command, p_account, p_by, null, 'application/json', null, true, null)).bell;
end $$;

-- As they were given, "me" being who asks.
create function app.call_invite_mine(p_emails jsonb, p_account bigint) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return (
		select jsonb_agg(case e.value when 'me' then app.email(p_account) else e.value end order by e.n)
		from jsonb_array_elements_text(p_emails) with ordinality e (value, n));
end $$;

create function app.call_invite_accounts(p_emails jsonb) returns bigint[]
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return array(select distinct a.id from jsonb_array_elements_text(p_emails) e
		join app.account a on a.email_key = app.email_key(e) order by a.id);
end $$;

-- Rings accounts of a call of p_by's, or has one dialled; app.callees_lock() has locked them.
create function app.call_invite_now(p_call bigint, p_by bigint, p_emails jsonb) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint;
	v_bell text[];
	v_to text := app.dial_to(p_call, p_by, p_emails);
begin
	if v_to is not null then
		return app.dial_begin(p_call, p_by, p_emails, v_to);
	end if;
	perform app.call_invite_check(p_emails);
	foreach v_account in array app.call_invite_accounts(p_emails) loop
		v_bell := v_bell || app.call_invite_one(p_call, p_by, v_account);
	end loop;
	return v_bell;
end $$;

-- Whom a call, which is locked, is to ring when it starts, if it is to start yet: p_emails, null: nobody. p_given: it says so;
-- else they are as before. With another time of the call it is another time.
create function app.call_invite_later(p_call bigint, p_given bool, p_emails jsonb) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_call app.call;
begin
	select c.* into v_call from app.call c where c.id = p_call;
	if v_call.dials then
		if p_given then
			perform app.refuse(409, 'exchange-pending', 'Your phone is being rung for that; DELETE of the call ends it.', '/invite');
		end if;
		return;
	end if;
	if p_given and (v_call.state = 'scheduled' or p_emails is null) then
		perform app.call_invite_check(p_emails) where p_emails is not null;
		v_call.invite := p_emails;
	end if;
	update app.call c set invite = v_call.invite,
		ring_at = case when v_call.invite is not null then greatest(c.starts_at, now()) end
	where c.id = p_call and (c.invite is not null or v_call.invite is not null);
end $$;

-- Whose call is one too many for the moment has none rung for a second, so that others' come meanwhile.
create function app.rings_wait(p_owner bigint) returns void
language plpgsql volatile as $$
begin
	update app.call c set ring_at = now() + interval '1 s' where c.id in (
		select o.id from app.call o where o.ring_at <= now() and o.owner_id = p_owner for update skip locked);
end $$;

-- A scheduled call has started, or the phone of who dials has answered, and it rings whom it is to: each once, whatever becomes of the
-- others. Who cannot be rung for a moment, or one too many in a second, is asked for once more. One a turn: who calls has the profile
-- of whoever pays, then the call, then who is called.
create function app.ring_due_calls(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_id bigint;
	v_call app.call;
	v_account bigint;
	v_again jsonb;
	v_waits bool := false;
	v_to text;
begin
	select c.id into v_id
	from app.call c join app.resource p on p.kind = 'profile' and p.id = c.owner_id
	join app.resource r on r.kind = 'call' and r.id = c.id
	where c.ring_at <= now() order by c.ring_at limit 1 for update of p, r skip locked;
	more := v_id is not null;
	select c.* into v_call from app.call c where c.id = v_id and c.ring_at <= now();
	if v_call.id is null then
		return;
	end if;
	begin
		perform app.callees_lock(v_call.invite);
	exception when others then -- behind others, for somebody may hold one for long
		perform app.duty_failed('ring_due_calls', sqlstate, sqlerrm);
		update app.call c set ring_at = now() + interval '1 s' where c.id = v_id;
		return;
	end;
	if v_call.dials then
		bell := app.dial_on(v_call, 0);
		return;
	end if;
	update app.call c set invite = null, ring_at = null, state = 'active' where c.id = v_id;
	bell := app.call_changed(v_id);
	if exists (select from app.account a where a.id = v_call.owner_id and a.disabled_at is not null) then
		return;
	end if;
	v_to := app.dial_to(v_id, v_call.owner_id, v_call.invite);
	if v_to is not null then
		bell := bell || app.dial_due(v_call, v_to);
		return;
	end if;
	foreach v_account in array app.call_invite_accounts(v_call.invite) loop
		begin
			bell := bell || app.call_invite_one(v_id, v_call.owner_id, v_account);
		exception when others then
			if sqlstate in ('55P03', '40P01', '40001', 'RS429') then
				v_again := coalesce(v_again, '[]') || to_jsonb(app.email(v_account));
				v_waits := v_waits or sqlstate = 'RS429';
			elsif sqlstate not like 'RS%' then -- what is refused, as where there are too many calls, is refused
				perform app.duty_failed('ring_due_calls', sqlstate, sqlerrm);
			end if;
		end;
	end loop;
	update app.call c set invite = v_again, ring_at = now() + interval '1 s' where c.id = v_id and v_again is not null; -- behind others
	if v_waits then
		perform app.rings_wait(v_call.owner_id);
	end if;
end $$;
