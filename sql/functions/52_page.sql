-- Pages in calls with phones. A page's session is what its phone is answered, or offered; what the phone says is the session
-- of the participant that has it. At the other end of a phone that calls is the callee, who has joined by REST; of one that
-- is called, who has had it called.

-- ---- a page answers ----

-- Who is being called joins: that answers the phone that calls, if one does, and stops the others. The call is locked. n null:
-- the account is not being called; won false: it has answered already, with this. RS409 where another has been quicker.
create function app.call_claim(p_call bigint, p_account bigint, p_session jsonb, p_extra jsonb, out n bigint, out won bool,
	out bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_part app.participant;
	v_caller app.leg;
	v_move app.transfer;
	v_sdp text;
begin
	won := false;
	select p.* into v_part from app.participant p
	where p.call_id = p_call and p.account_id = p_account and p.side = 'callee' and p.left_at is null;
	if v_part.id is null then
		return;
	elsif v_part.state = 'joined' then
		if v_part.web and coalesce(v_part.session, 'null') = coalesce(p_session, 'null') then
			n := v_part.n;
			return;
		end if;
		perform app.refuse(409, 'answered-elsewhere', 'Another of your phones or pages has answered.');
	end if;
	v_sdp := app.session_sdp(p_session);
	v_caller := app.leg_caller(p_call);
	if app.sdp_kind(v_sdp) <> app.sdp_kind(app.caller_shown(v_caller)) then
		perform app.refuse(409, 'media-incompatible', 'The phone''s media are not of WebRTC, or yours are not.');
	end if;
	v_move := app.transfer_to(v_part);
	bell := app.caller_answered(v_caller, 0, coalesce(v_sdp, app.sdp_inactive(v_caller.remote_sdp)))
		|| app.ring_won(v_part, 0);
	update app.participant p set state = 'joined', joined_at = now(), session = p_session, extra = p_extra, web = true,
		code = null, reason = null, ring_until = null
	where p.id = v_part.id;
	bell := bell || case when v_move.call_id is not null then app.transfer_picked(v_move, null, 0, v_sdp) end;
	n := v_part.n;
	won := true;
end $$;

-- One more with media, where a phone is at one end already.
create function app.refuse_third(p_call bigint, p_account bigint, p_session jsonb) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	if p_session is null or jsonb_typeof(p_session) <> 'object' or not p_session ? 'sdp' then
		return;
	end if;
	if exists (select from app.leg l where l.call_id = p_call and l.ended_at is null and l.by_id <> p_account)
		or exists (select from app.call c where c.id = p_call and c.ends_alone)
	then
		perform app.refuse(409, 'needs-mixer', 'A phone is in this call, and nobody mixes its media with others''.');
	end if;
end $$;

-- ---- in the call ----

-- For so long what a phone is offered may wait for its answer: an agent gives it 60 s, and 32 s more when it has cancelled it.
create function app.phone_answers() returns interval language sql immutable as $$ select interval '95 s' $$;

-- Whether an offer waits for its answer, made to a phone or by it.
create function app.leg_is_asked(p_leg app.leg) returns bool
language sql stable as $$
	select coalesce(p_leg.asking > now() - app.phone_answers(), false) or coalesce(p_leg.answering > now(), false)
$$;

-- Whether a phone has made it: its other end is that phone, and no page of the same account that has come.
create function app.call_is_of_phone(p_call bigint) returns bool
language plpgsql stable as $$
begin
	return exists (select from app.call c where c.id = p_call and c.ends_alone);
end $$;

-- The phone at the other end of a page, if that is up. A page whose media one phone has gives them to no other.
create function app.page_leg(p_part app.participant) returns app.leg
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_leg app.leg;
begin
	select l.* into v_leg from app.leg l
	where l.call_id = p_part.call_id and l.state in ('answered', 'up') and case when l.other_id is not null then l.other_id = p_part.id
		else p_part.web and l.direction = 'in' or p_part.side = 'in' and l.direction = 'out' and l.by_id = p_part.account_id
			and not app.call_is_of_phone(p_part.call_id) end
	order by l.id limit 1;
	return v_leg;
end $$;

-- The page at the other end of a phone.
create function app.leg_page(p_leg app.leg) returns app.participant
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_part app.participant;
begin
	select p.* into v_part from app.participant p
	where p.call_id = p_leg.call_id and p.state = 'joined' and case
		when p_leg.other_id is not null then p.id = p_leg.other_id and (p.web or p.side = 'in')
		else p_leg.direction = 'in' and p.web or p_leg.direction = 'out' and p.side = 'in' and p.account_id = p_leg.by_id
			and not app.call_is_of_phone(p_leg.call_id) end
	order by p.n limit 1;
	return v_part;
end $$;

-- The phone at the other end of a phone: at another agent it is asked by orders, as if a page had.
create function app.leg_far(p_leg app.leg) returns app.leg
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_far app.leg;
begin
	if p_leg.other_id is not null then
		v_far := app.part_leg(p_leg.other_id);
	elsif app.call_is_of_phone(p_leg.call_id) then
		select l.* into v_far from app.leg l
		where l.call_id = p_leg.call_id and l.direction <> p_leg.direction and l.state in ('answered', 'up') order by l.id limit 1;
	end if;
	return v_far;
end $$;

-- Whether the SDP of who is at the other end has another origin than a phone was told, or an older version: a transfer has joined
-- them in dialogs that were of others, or it was told what did not come to be.
create function app.leg_told_apart(p_leg app.leg, p_far app.leg) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	c_origin constant text := '\no=(\S+ \S+) (\d{1,20})';
	v_told text[] := regexp_match(p_leg.local_sdp, c_origin);
	v_theirs text[];
begin
	if p_leg.other_id is null or v_told is null then
		return false;
	end if;
	v_theirs := regexp_match((app.leg_participant(p_far)).session ->> 'sdp', c_origin);
	return coalesce(v_told[1] <> v_theirs[1] or v_told[2]::numeric > v_theirs[2]::numeric, false);
end $$;

-- The same of either of the two, or a relay is between them: what they offer goes by here, also where one agent has both.
create function app.leg_is_apart(p_leg app.leg) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_far app.leg := app.leg_far(p_leg);
begin
	return v_far.id is not null and (p_leg.relay is not null or v_far.relay is not null)
		or app.leg_told_apart(p_leg, v_far) or app.leg_told_apart(v_far, p_leg);
end $$;

-- What a phone is told of what that at the other end has said: it goes on with the origin of its dialog. Once a transfer has joined
-- them its row says what that was; an offer may still be refused.
create function app.far_told(p_leg app.leg, p_far app.leg, p_sdp text, p_is_offer bool) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_apart bool := app.leg_told_apart(p_leg, p_far);
	v_sdp text := case when v_apart then app.sdp_next(p_leg.local_sdp, p_sdp) else p_sdp end;
begin
	update app.leg l set local_sdp = v_sdp
	where l.id = p_leg.id and l.other_id is not null and v_sdp is not null and (v_apart or not p_is_offer);
	return v_sdp;
end $$;

-- A phone has taken an offer (p_told) that was refused meanwhile to who has made it: it is offered what it had.
create function app.leg_restore(p_leg app.leg, p_far app.leg, p_agent int, p_told text) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_sdp text := app.sdp_next(p_told, (app.leg_participant(p_far)).session ->> 'sdp');
begin
	if v_sdp is null then
		return app.call_over(app.leg_participant(p_leg), p_agent, 'media', 488);
	end if;
	update app.leg l set other_id = p_leg.participant_id, local_sdp = (app.leg_sdps(p_far)).said
	where l.id = p_far.id and l.other_id is null;
	update app.leg l set other_id = p_far.participant_id, local_sdp = v_sdp, asking = now(), kept = null where l.id = p_leg.id;
	return app.leg_order(p_leg, p_agent, 'offer', p_sdp => v_sdp) || app.transfer_pair(p_agent, p_leg, p_far);
end $$;

-- The same where one agent has both, and has passed it on by itself.
create function api.leg_late(p_agent int, p_leg bigint, p_told text) returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_leg app.leg;
	v_far app.leg;
	v_bell text[];
begin
	perform app.leg_lock_calls(array[p_leg]);
	select l.* into v_leg from app.leg l where l.id = p_leg and l.agent_id = p_agent and l.state = 'up';
	v_far := app.leg_far(v_leg);
	if v_far.id is not null then
		v_bell := app.leg_restore(v_leg, v_far, p_agent, p_told);
	end if;
	return query select * from app.leg_take(p_agent, null, v_bell);
end $$;

-- A page's new session: its phone is offered it, or answered with it, where it has asked. The call is locked.
create function app.page_session(p_part app.participant, p_session jsonb, p_extra jsonb) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_leg app.leg := app.page_leg(p_part);
	v_sdp text;
	v_bell text[];
begin
	if v_leg.id is not null then
		v_sdp := app.session_sdp(p_session);
	end if;
	if v_sdp is null then
		update app.participant p set session = p_session, extra = p_extra where p.id = p_part.id;
		return null;
	end if;
	if app.sdp_kind(v_sdp) <> app.sdp_kind(v_leg.remote_sdp)
		and (p_session ->> 'type' = 'answer' or not app.agent_relays(v_leg.agent_id))
	then
		perform app.refuse(409, 'media-incompatible', 'The phone''s media are not of WebRTC, or yours are not.');
	end if;
	v_sdp := app.sdp_next(v_leg.local_sdp, v_sdp);
	if p_session ->> 'type' = 'answer' then
		if v_leg.answering is null or v_leg.answering < now() then
			perform app.refuse(409, 'stale-answer', 'No offer of the phone waits for an answer; a new session is of type offer.');
		end if;
		v_bell := app.leg_order(v_leg, 0, 'accept', p_sdp => v_sdp);
		update app.leg l set answering = null, kept = null, local_sdp = v_sdp where l.id = v_leg.id;
		update app.participant p set session = p_session, extra = p_extra where p.id = p_part.id;
		return v_bell;
	end if;
	if v_leg.state <> 'up' or app.leg_is_asked(v_leg) then
		perform app.refuse(409, 'exchange-pending', 'An offer waits for its answer.');
	end if;
	if exists (select from app.leg l
		where l.call_id = p_part.call_id and l.state in ('answered', 'up') and l.id <> v_leg.id and l.by_id = v_leg.by_id
			and l.direction = 'out')
	then
		perform app.refuse(409, 'needs-mixer', 'Two phones are at your other end; nobody mixes here.');
	end if;
	v_bell := app.leg_order(v_leg, 0, 'offer', p_sdp => v_sdp);
	update app.leg l set asking = now(), answering = null, kept = null, local_sdp = v_sdp where l.id = v_leg.id;
	update app.participant p set pending = p_session, extra = p_extra, code = null, reason = null where p.id = p_part.id;
	return v_bell;
end $$;

-- A phone offers, or asks for an offer (p_sdp null), and a page is at the other end, or a phone of another agent. Kind of the
-- first row: accept (with sdp, at once: the page has no media, or is asked for what it has already; or who dials waits), refuse (code), or wait:
-- for an order to accept, or to refuse, ring_s at most.
create function api.leg_offer(p_agent int, p_leg bigint, p_sdp text) returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	c_page_s constant int := 20;
	c_phone_s constant int := extract(epoch from app.phone_answers());
	v_leg app.leg;
	v_far app.leg;
	v_page app.participant;
	v_phone app.participant;
	v_is_alone bool;
	v_first app.leg_work;
	v_bell text[];
begin
	perform app.leg_lock_calls(array[p_leg]);
	select l.* into v_leg from app.leg l where l.id = p_leg and l.agent_id = p_agent and l.state in ('answered', 'up');
	v_page := app.leg_page(v_leg);
	if v_page.id is null then
		v_far := app.leg_far(v_leg);
	end if;
	v_first.leg := p_leg;
	v_is_alone := v_page.id is null and v_far.id is null and not app.dial_is_waiting(v_leg.call_id);
	if v_is_alone or v_leg.asking > now() - app.phone_answers() or app.leg_is_asked(v_far) then
		v_first.kind := 'refuse';
		v_first.code := case when v_is_alone then 488 else 491 end;
		return query select * from app.leg_take(p_agent, v_first, null);
		return;
	end if;
	v_phone := app.leg_participant(v_leg);
	v_first.kind := 'wait';
	v_first.ring_s := c_page_s;
	if v_far.id is not null then
		v_first.ring_s := c_phone_s;
		v_bell := app.leg_order(v_far, p_agent, 'offer', p_sdp => app.far_told(v_far, v_leg, p_sdp, true));
		update app.leg l set asking = now() where l.id = v_far.id;
		update app.leg l set answering = now() + make_interval(secs => c_phone_s) where l.id = p_leg;
		update app.participant p set pending = app.sdp_session('offer', p_sdp) where p.id = v_phone.id;
		v_bell := v_bell || app.call_changed(v_leg.call_id);
		return query select * from app.leg_take(p_agent, v_first, v_bell);
		return;
	end if;
	if p_sdp is null then
		v_first.kind := 'accept';
		v_first.sdp := coalesce(v_leg.local_sdp, app.sdp_inactive(null));
		return query select * from app.leg_take(p_agent, v_first, null);
		return;
	end if;
	if app.session_sdp(v_page.session) is null then
		v_first.kind := 'accept';
		v_first.sdp := app.sdp_next(v_leg.local_sdp, app.sdp_inactive(p_sdp));
		update app.leg l set local_sdp = v_first.sdp, remote_sdp = p_sdp where l.id = p_leg;
	else
		update app.leg l set answering = now() + interval '15 s', kept = v_phone.session where l.id = p_leg;
	end if;
	update app.participant p set session = app.sdp_session('offer', p_sdp), hold = app.sdp_holds(p_sdp) where p.id = v_phone.id;
	v_bell := app.call_changed(v_leg.call_id);
	return query select * from app.leg_take(p_agent, v_first, v_bell);
end $$;

-- What a phone has said to what that of another agent has offered, or asked for: both have it, or keep what they had.
-- p_reason null as well: nobody knows what it has said, so that it is offered what it had.
create function app.far_answered(p_leg app.leg, p_far app.leg, p_agent int, p_code int, p_reason text, p_sdp text) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_offer jsonb := (app.leg_participant(p_far)).pending;
	v_apart bool := app.leg_told_apart(p_leg, p_far);
	v_said text;
	v_bell text[];
begin
	update app.leg l set asking = null, remote_sdp = coalesce(p_sdp, l.remote_sdp) where l.id = p_leg.id;
	update app.leg l set answering = null where l.id = p_far.id;
	update app.participant p set pending = null where p.id = p_far.participant_id;
	if p_sdp is null then
		v_bell := app.leg_order(p_far, p_agent, 'refuse', case p_code when 481 then 480 when 491 then 491 else 488 end);
		if p_reason is null then
			return v_bell || app.leg_restore(p_leg, p_far, p_agent, case when v_apart then p_leg.local_sdp else v_offer ->> 'sdp' end);
		end if;
		update app.leg l set local_sdp = app.sdp_kept(l.local_sdp, (app.leg_participant(p_far)).session)
		where l.id = p_leg.id and v_apart and v_offer is not null;
		return v_bell;
	end if;
	if v_offer is not null and not v_apart then
		update app.leg l set local_sdp = v_offer ->> 'sdp' where l.id = p_leg.id and l.other_id is not null;
	end if;
	v_said := app.sdp_cut(v_offer ->> 'sdp', app.far_told(p_far, p_leg, p_sdp, v_offer is null));
	update app.participant p set session = v_offer, hold = app.sdp_holds(v_offer ->> 'sdp')
	where p.id = p_far.participant_id and p.state = 'joined' and v_offer is not null;
	update app.participant p set session = app.sdp_session(case when v_offer is null then 'offer' else 'answer' end, p_sdp),
		hold = case when v_offer is null then app.sdp_holds(p_sdp) else p.hold end
	where p.id = p_leg.participant_id and p.state = 'joined';
	return app.leg_order(p_far, p_agent, 'accept', p_sdp => v_said);
end $$;

-- What became of an offer: of a page's, or of a phone's of another agent, p_sdp is the phone's answer, null: it has refused it.
-- Of a phone's own: nobody has answered it. Who is refused keeps what it had. The call is locked.
create function app.offer_over(p_leg app.leg, p_agent int, p_code int, p_reason text, p_sdp text) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_page app.participant := app.leg_page(p_leg);
	v_move app.transfer := app.transfer_of(p_leg.call_id);
	v_far app.leg;
	v_told text;
	v_gone text[];
	v_bell text[];
begin
	if v_page.id is null then
		v_far := app.leg_far(p_leg);
	end if;
	if p_leg.asking is null then -- nobody takes it any more, of which its agent may be waiting to hear
		v_gone := app.leg_order(p_leg, p_agent, 'refuse', p_code);
	end if;
	if p_leg.asking is not null and v_move.state in ('asking', 'undone') and v_move.kept_id = p_leg.participant_id then
		return app.transfer_heard(v_move, p_leg, p_agent, p_code, p_reason, p_sdp);
	elsif p_leg.asking is not null and v_move.state in ('joining', 'undone') and v_move.to_id = p_leg.participant_id then
		return app.transfer_joined(v_move, p_leg, p_agent, p_code, p_reason, p_sdp);
	elsif p_leg.asking is null and v_far.id is not null then
		delete from app.leg_job j where j.leg_id = v_far.id and j.kind = 'offer';
		v_told := case when found then null when app.leg_told_apart(v_far, p_leg) then v_far.local_sdp
			else (app.leg_participant(p_leg)).pending ->> 'sdp' end;
		-- it may take it yet
		v_bell := case when v_told is not null then app.leg_order(v_far, p_agent, 'refuse') end;
		update app.leg l set asking = case when v_told is not null then l.asking end, kept = app.sdp_session('offer', v_told)
		where l.id = v_far.id;
		update app.leg l set answering = null where l.id = p_leg.id;
		update app.participant p set pending = null where p.id = p_leg.participant_id;
	elsif p_leg.asking is null then
		update app.participant p set session = p_leg.kept, hold = coalesce(app.sdp_holds(p_leg.kept ->> 'sdp'), false)
		where p.id = p_leg.participant_id and p.state = 'joined' and p_leg.kept is not null;
		update app.leg l set answering = null, kept = null where l.id = p_leg.id;
	elsif p_leg.kept is not null and v_far.id is not null then
		update app.leg l set asking = null, kept = null where l.id = p_leg.id;
		v_bell := case when p_sdp is not null or p_reason is null then
			app.leg_restore(p_leg, v_far, p_agent, p_leg.kept ->> 'sdp') end;
	elsif v_far.answering is not null then
		v_bell := app.far_answered(p_leg, v_far, p_agent, p_code, p_reason, p_sdp);
	else
		update app.participant p set pending = null, session = case when p_sdp is null then p.session else p.pending end,
			code = case when p_sdp is null then p_code end, reason = case when p_sdp is null then p_reason end
		where p.id = v_page.id;
		update app.participant p set session = app.answer_session(p_sdp, p.session, v_page.session)
		where p.id = p_leg.participant_id and p.state = 'joined' and p_sdp is not null;
		update app.leg l set asking = null, remote_sdp = coalesce(p_sdp, l.remote_sdp), local_sdp = case
			when p_sdp is null and p_reason is not null then app.sdp_kept(l.local_sdp, v_page.session) else l.local_sdp end
		where l.id = p_leg.id;
	end if;
	return v_bell || v_gone || app.call_changed(p_leg.call_id);
end $$;

create function api.leg_offered(p_agent int, p_leg bigint, p_code int, p_reason text, p_sdp text) returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_leg app.leg;
	v_bell text[];
begin
	perform app.leg_lock_calls(array[p_leg]);
	select l.* into v_leg from app.leg l
	where l.id = p_leg and l.agent_id = p_agent and l.state in ('answered', 'up') and (l.asking is not null or l.answering is not null);
	if v_leg.id is not null then
		v_bell := app.offer_over(v_leg, p_agent, p_code, p_reason, p_sdp);
	end if;
	return query select * from app.leg_take(p_agent, null, v_bell);
end $$;

-- An ACK has brought the phone's answer to what a page has offered, or a phone of another agent.
create function api.leg_acked(p_agent int, p_leg bigint, p_sdp text) returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_leg app.leg;
	v_far app.leg;
	v_bell text[];
begin
	perform app.leg_lock_calls(array[p_leg]);
	update app.leg l set remote_sdp = p_sdp
	where l.id = p_leg and l.agent_id = p_agent and l.state in ('answered', 'up') returning l.* into v_leg;
	v_far := app.leg_far(v_leg);
	if v_far.id is not null then
		v_bell := app.leg_order(v_far, p_agent, 'accept', p_sdp => app.far_told(v_far, v_leg, p_sdp, false));
	end if;
	update app.participant p set session = app.answer_session(p_sdp, p.session, (app.leg_page(v_leg)).session)
	where p.id = v_leg.participant_id and p.state = 'joined';
	if found then
		v_bell := v_bell || app.call_changed(v_leg.call_id);
	end if;
	return query select * from app.leg_take(p_agent, null, v_bell);
end $$;

grant execute on function api.leg_offer, api.leg_offered, api.leg_acked, api.leg_late to restsip_agent;
