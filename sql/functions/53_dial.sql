-- Click-to-dial: REST connects its owner with somebody. Their own phones are rung first, with an offer of no media; once one has
-- answered, the other is rung without an offer, whose own goes to that phone (RFC 3725): from there on it is what a transfer is, 53_transfer.sql,
-- but that nobody is there who has handed on. The call is as one that a phone has made: it ends when either of the two has gone.

-- Whom an invitation of two to a call that nobody is in has dialled, as one of them is its owner, whose phone is first; null: it is none.
create function app.dial_to(p_call bigint, p_owner bigint, p_emails jsonb) returns text
language plpgsql stable as $$
declare
	v_own text := app.email_key(app.email(p_owner));
	v_others text[];
begin
	if p_emails is null or jsonb_array_length(p_emails) <> 2
		or exists (select from app.participant p where p.call_id = p_call and p.left_at is null)
	then
		return null;
	end if;
	v_others := array(select e from jsonb_array_elements_text(p_emails) e where app.email_key(e) <> v_own);
	return case when cardinality(v_others) = 1 then v_others[1] end;
end $$;

-- The owner's phones are rung. Their profile, the call and both logins are locked.
create function app.dial_begin(p_call bigint, p_owner bigint, p_emails jsonb, p_to text) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	c_ring_s constant int := 60;
	v_to bigint;
	v_from bigint;
	v_rung record;
	v_before bigint[] := app.call_seers_before(p_call);
begin
	perform app.call_invite_check(p_emails);
	v_to := app.target(null, p_to);
	perform app.leg_make_room(p_owner, true);
	perform app.refuse_for_disabled(v_to);
	if not (app.has_contact(v_to) or app.has_page(v_to)) then
		perform app.refuse(409, 'not-reachable', format('Nobody is logged in as %s.', app.email(v_to)));
	end if;
	v_from := app.participant_phone(p_call, p_owner, 'caller', null, p_owner);
	v_rung := app.legs_ring(p_call, 0, p_owner, v_from, 'sip:' || app.email(v_to), 70, c_ring_s, false, null, p_owner,
		app.sdp_inactive(null));
	if v_rung.made = 0 then
		perform app.refuse(409, 'not-reachable', 'You have no phone here that could be rung first.');
	end if;
	update app.participant p set ring_until = now() + make_interval(secs => c_ring_s) where p.id = v_from;
	perform app.dial_waits(p_call, p_to);
	perform app.call_seers_set(p_call);
	return v_rung.bell || app.call_changed(p_call, array[p_owner], v_before);
end $$;

create function app.dial_waits(p_call bigint, p_to text) returns void
language plpgsql volatile as $$
begin
	update app.call c set dials = true, invite = jsonb_build_array(p_to), ring_at = 'infinity', ends_alone = true, state = 'active'
	where c.id = p_call;
end $$;

-- The same of a scheduled call whose time has come. Where it cannot be, the call is over, as when nobody answers.
create function app.dial_due(p_call app.call, p_to text) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_prior bigint;
begin
	return app.dial_begin(p_call.id, p_call.owner_id, p_call.invite, p_to);
exception when others then
	if sqlstate in ('55P03', '40P01', '40001', 'RS429') then
		update app.call c set invite = p_call.invite, ring_at = now() + interval '1 s' where c.id = p_call.id; -- behind others
		if sqlstate = 'RS429' then
			perform app.rings_wait(p_call.owner_id);
		end if;
		return null;
	elsif sqlstate not like 'RS%' then
		perform app.duty_failed('ring_due_calls', sqlstate, sqlerrm);
	end if;
	perform app.dial_waits(p_call.id, p_to);
	v_prior := app.version_of('call', p_call.id);
	perform app.advance('call', p_call.id);
	return app.call_end(p_call.id, v_prior, p_cause => app.dial_cause(sqlstate));
end $$;

create function app.dial_cause(p_state text) returns text
language plpgsql immutable as $$
begin
	return case when p_state in ('RS400', 'RS404') then 'not-found' else 'unreachable' end;
end $$;

-- A phone has answered, perhaps that of somebody who dials. The other is rung at once; where somebody has a lock that this takes,
-- which stands before the call's, by the janitor (app.ring_due_calls).
create function app.dial_picked(p_part app.participant, p_agent int) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_call app.call;
	v_account bigint;
begin
	if p_part.side <> 'caller' then
		return null;
	end if;
	update app.call c set ring_at = now() where c.id = p_part.call_id and c.dials returning c.* into v_call;
	if v_call.id is null then
		return null;
	end if;
	select a.id into v_account from app.account a where a.email_key = app.email_key(v_call.invite ->> 0);
	perform from app.resource r where r.kind = 'profile' and r.id = v_call.owner_id for update skip locked;
	if found then
		perform from app.resource r where r.kind = 'login' and r.id = v_account for update skip locked;
		if found or v_account is null then
			return app.dial_on(v_call, p_agent);
		end if;
	end if;
	return null;
end $$;

-- The other's turn has come, whose login is locked, as are the owner's profile and the call.
create function app.dial_on(p_call app.call, p_agent int) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	c_wait constant interval := '60 s'; -- for who calls too often
	v_part app.participant;
	v_to bigint;
	v_cause text;
begin
	select p.* into v_part from app.participant p where p.call_id = p_call.id and p.side = 'caller' and p.left_at is null;
	if coalesce(v_part.state, '') <> 'joined' then -- its time has been changed
		update app.call c set ring_at = 'infinity' where c.id = p_call.id;
		return null;
	end if;
	begin
		v_to := app.target(null, p_call.invite ->> 0);
		perform app.leg_make_room(p_call.owner_id, true);
		update app.call c set dials = false, invite = null, ring_at = null where c.id = p_call.id;
		return app.transfer_begin(null, v_part, v_to, p_agent, p_asks => p_call.owner_id);
	exception when others then
		if sqlstate in ('55P03', '40P01', '40001', 'RS429') and v_part.joined_at > now() - c_wait then
			update app.call c set ring_at = now() + interval '1 s' where c.id = p_call.id; -- behind others
			return null;
		elsif sqlstate not like 'RS%' then
			perform app.duty_failed('ring_due_calls', sqlstate, sqlerrm);
		end if;
		v_cause := case when v_to is null then app.dial_cause(sqlstate) else 'unreachable' end; -- there, but not to be rung
		return app.call_over(v_part, p_agent, v_cause, 480,
			p_header => 'SIP;cause=' || case v_cause when 'not-found' then 404 else 480 end);
	end;
end $$;

-- Why who dials is hung up, of a Reason header: one who was dialled has left the call, and has not talked yet. p_header: what it is else.
create function app.dial_reason(p_part app.participant, p_cause text, p_code int, p_header text) returns text
language plpgsql volatile as $$
begin
	return case
		when p_header is not null or p_cause in ('hangup', 'cancelled') or p_part.side <> 'callee'
			or not exists (select from app.transfer t where t.call_id = p_part.call_id and t.by_id is null) then p_header
		when p_cause = 'no-answer' then 'Q.850;cause=19'
		else 'SIP;cause=' || p_code end;
end $$;

-- Whether who has dialled waits for the other in it.
create function app.dial_is_waiting(p_call bigint) returns bool
language plpgsql stable as $$
begin
	return exists (select from app.call c where c.id = p_call and c.dials)
		or exists (select from app.transfer t where t.call_id = p_call and t.by_id is null);
end $$;

-- The call ends before the other was rung: who dials has made it all the same, and they know of nothing.
create function app.dial_over(p_call bigint, p_cause text, p_by bigint) returns text[]
language plpgsql volatile as $$
declare
	v_call app.call;
begin
	select c.* into v_call from app.call c where c.id = p_call and c.dials;
	return case when v_call.id is not null then app.past_call_made(v_call, v_call.invite ->> 0, app.end_cause(p_cause, false), p_by) end;
end $$;
