-- An attended transfer: who asks is in two calls, and has the two others talk to each other (Replaces in Refer-To, RFC 3891). The one in
-- the second call is asked for an offer, which the one in the first gets, as from who comes by 53_transfer.sql; then
-- the second call is over, and its other side is in the first. Both calls are locked where an agent says something of one
-- (app.leg_lock_calls). Others have locked one alone: the other is looked at if nobody has it, else it is found out later.

-- The second call of the transfer that a call has to do with.
create function app.transfer_from(p_call bigint) returns bigint
language plpgsql stable as $$
begin
	return (app.transfer_of(p_call)).from_call_id;
end $$;

-- Whether the other call of a transfer can be changed too: one that is no more keeps nobody from it.
create function app.transfer_holds(p_call bigint) returns bool
language plpgsql volatile as $$
begin
	perform from app.resource r where r.kind = 'call' and r.id = p_call for update skip locked;
	return found or not exists (select from app.resource r where r.kind = 'call' and r.id = p_call);
end $$;

-- The same of the other of a call that is locked, if there is one.
create function app.transfer_holds_other(p_call bigint) returns bool
language plpgsql volatile as $$
declare
	v_t app.transfer := app.transfer_of(p_call);
begin
	return v_t.from_call_id is null or app.transfer_holds(case p_call when v_t.call_id then v_t.from_call_id else v_t.call_id end);
end $$;

-- p_call_id, p_tag and p_other_tag: of the dialog that its phone has in the second call; the URI that they come in is not looked at.
-- Otherwise as api.leg_refer.
create function api.leg_refer_join(p_agent int, p_leg bigint, p_cseq bigint, p_tells bool, p_call_id text, p_tag text, p_other_tag text)
returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_leg app.leg;
	v_second app.leg;
	v_by app.participant;
	v_from_by app.participant;
	v_t app.transfer;
	v_first app.leg_work;
	v_bell text[];
begin
	select l.* into v_second from app.leg l
	where l.sip_call_id = p_call_id and l.ended_at is null
		and (l.local_tag = p_tag and l.remote_tag = p_other_tag or l.local_tag = p_other_tag and l.remote_tag = p_tag) limit 1;
	perform app.leg_lock_calls(array[p_leg, v_second.id]);
	select l.* into v_leg from app.leg l where l.id = p_leg and l.agent_id = p_agent and l.state in ('answered', 'up');
	select l.* into v_second from app.leg l where l.id = v_second.id and l.state in ('answered', 'up');
	v_by := app.participant_of(v_leg.participant_id);
	v_from_by := app.participant_of(v_second.participant_id);
	if v_by.id is null then
		perform app.refuse(481, 'no-dialog', 'The call is over.');
	elsif v_from_by.id is null or v_from_by.account_id <> v_by.account_id or v_from_by.call_id = v_by.call_id then
		perform app.refuse(403, 'not-owner', 'That call is none of yours.');
	end if;
	select t.* into v_t from app.transfer t
	where v_by.call_id in (t.call_id, t.from_call_id) or v_from_by.call_id in (t.call_id, t.from_call_id) limit 1;
	v_first.kind := 'refer';
	v_first.leg := p_leg;
	v_first.code := case when v_t.call_id is null or v_t.by_id = v_by.id and v_t.cseq = p_cseq then 202 else 491 end;
	if v_t.call_id is null then
		v_bell := app.transfer_join(v_leg, v_second, p_agent, p_cseq, p_tells);
	end if;
	return query select * from app.leg_take(p_agent, v_first, v_bell);
end $$;

-- Whether what its phone is told goes over TLS.
create function app.leg_has_tls(p_leg app.leg) returns bool
language plpgsql immutable as $$
begin
	return p_leg.secure or app.flow_has_tls(p_leg.flow);
end $$;

-- Of the phone that asks: its leg, and that of its second call.
create function app.transfer_join(p_leg app.leg, p_second app.leg, p_agent int, p_cseq bigint, p_tells bool) returns text[]
language plpgsql volatile as $$
declare
	v_t app.transfer;
	v_kept app.participant := app.leg_other(p_leg);
	v_to app.participant := app.leg_other(p_second);
	v_kept_leg app.leg := app.part_leg(v_kept.id);
	v_to_leg app.leg := app.part_leg(v_to.id);
	v_said text;
begin
	v_t.call_id := p_leg.call_id;
	v_t.by_id := p_leg.participant_id;
	v_t.kept_id := v_kept.id;
	v_t.to_id := v_to.id;
	v_t.state := 'joining';
	v_t.cseq := p_cseq;
	v_t.tells := p_tells;
	v_t.from_call_id := p_second.call_id;
	v_t.from_by_id := p_second.participant_id;
	v_t.made_at := now();
	v_said := case
		-- pages have no offer to give
		when v_kept_leg.id is null or v_to_leg.id is null
			or app.sdp_kind(v_kept.session ->> 'sdp') <> app.sdp_kind(v_to.session ->> 'sdp')
			-- nor does what was to go over TLS alone come to who has none
			or not (app.leg_has_tls(v_kept_leg) and app.leg_has_tls(v_to_leg)) and exists (select from app.leg l
				where l.call_id in (p_leg.call_id, p_second.call_id) and l.secure and l.ended_at is null)
			or exists (select from app.participant p
				where p.call_id = p_leg.call_id and p.account_id = v_to.account_id and p.left_at is null)
			then app.transfer_line(488, null)
		-- a call that others are in is not ended for them
		when exists (select from app.participant p
			where p.call_id = p_second.call_id and p.left_at is null and p.id not in (p_second.participant_id, v_to.id))
			then app.transfer_line(403, 'Others Are In That Call')
		when app.leg_is_asked(v_kept_leg) or app.leg_is_asked(v_to_leg) then app.transfer_line(491, null) end;
	if v_said is not null then
		return app.transfer_tell(v_t, p_agent, '100 Trying') || app.transfer_tell(v_t, p_agent, v_said);
	end if;
	insert into app.transfer select v_t.*;
	update app.leg l set other_id = case l.id when p_leg.id then v_kept.id when v_kept_leg.id then p_leg.participant_id
		when p_second.id then v_to.id else p_second.participant_id end,
		local_sdp = app.transfer_said(l.*::app.leg, case l.id when p_leg.id then v_kept.id when v_kept_leg.id then p_leg.participant_id
			when p_second.id then v_to.id else p_second.participant_id end),
		asking = case when l.id = v_to_leg.id then now() else l.asking end
	where l.id in (p_leg.id, v_kept_leg.id, p_second.id, v_to_leg.id);
	return app.transfer_pair(p_agent, p_leg, v_kept_leg) || app.transfer_pair(p_agent, p_second, v_to_leg)
		|| app.transfer_tell(v_t, p_agent, '100 Trying') || app.leg_order(v_to_leg, p_agent, 'offer');
end $$;

-- What the one in the second call has said to that, who waits for the answer to it; p_sdp null: it has refused.
create function app.transfer_joined(p_t app.transfer, p_leg app.leg, p_agent int, p_code int, p_reason text, p_sdp text)
returns text[]
language plpgsql volatile as $$
begin
	update app.leg l set asking = null, remote_sdp = coalesce(p_sdp, l.remote_sdp) where l.id = p_leg.id returning l.* into p_leg;
	if p_sdp is null and p_t.state = 'joining' then
		return app.transfer_unjoin(p_t, p_agent, p_code, p_reason);
	elsif p_sdp is null or p_t.state = 'undone' then
		delete from app.transfer t where t.call_id = p_t.call_id;
		return case when p_sdp is not null then app.transfer_keep(p_t, p_agent) end;
	end if;
	p_t.state := 'held';
	return app.transfer_picked(p_t, p_leg, p_agent, p_sdp);
end $$;

-- Who has offered stays with whom they talk to, and hears what that has said before.
create function app.transfer_keep(p_t app.transfer, p_agent int) returns text[]
language plpgsql volatile as $$
declare
	v_to app.leg := app.part_leg(p_t.to_id);
	v_sdp text := coalesce((app.participant_of(p_t.from_by_id)).session ->> 'sdp', v_to.local_sdp);
begin
	return case when v_to.id is not null then
		app.leg_order(v_to, p_agent, 'accept', p_sdp => coalesce(app.sdp_next(v_to.local_sdp, v_sdp), app.sdp_inactive(v_to.remote_sdp)))
		end;
end $$;

-- It has failed: both calls go on as they are. Where who has asked has left one, whoever is alone there is hung up.
create function app.transfer_unjoin(p_t app.transfer, p_agent int, p_code int, p_reason text) returns text[]
language plpgsql volatile as $$
declare
	v_from_by app.leg := app.part_leg(p_t.from_by_id);
	v_bell text[] := app.transfer_drop(p_t, p_agent);
begin
	v_bell := v_bell || case when v_from_by.id is not null then app.transfer_pair(p_agent, v_from_by, app.part_leg(p_t.to_id))
		else app.call_over(app.participant_of(p_t.to_id), p_agent, 'unreachable') end;
	return v_bell || app.transfer_goes_on(p_t, 'to', p_agent, 'unreachable', p_code, p_reason);
end $$;

-- It is done: the one in the second call is in the first now, with its leg. The second call is over.
create function app.transfer_merge(p_t app.transfer, p_agent int) returns bigint
language plpgsql volatile as $$
declare
	v_was app.participant := app.participant_of(p_t.to_id);
	v_leg app.leg := app.part_leg(p_t.to_id);
	v_id bigint;
begin
	insert into app.participant (call_id, n, account_id, side, state, session, joined_at, by_id, code, reason, hold, past_made,
		past_with)
	values (p_t.call_id, app.take_n('call', p_t.call_id), v_was.account_id, 'callee', 'joined', app.sdp_session('offer', v_leg.remote_sdp), now(),
		(select p.account_id from app.participant p where p.id = p_t.by_id), 200, 'OK', v_was.hold, true,
		app.email((app.participant_of(p_t.kept_id)).account_id))
	returning id into v_id;
	update app.leg l set call_id = p_t.call_id, participant_id = v_id where l.id = v_leg.id;
	perform app.participant_leave(v_was, 'transferred');
	return v_id;
end $$;

-- The second call ends with that.
create function app.transfer_from_over(p_t app.transfer, p_agent int) returns text[]
language plpgsql volatile as $$
declare
	v_prior bigint := app.version_of('call', p_t.from_call_id);
	v_bell text[] := app.legs_hang_up(p_t.from_call_id, p_agent, 'transferred');
begin
	perform app.advance('call', p_t.from_call_id);
	return v_bell || app.call_end(p_t.from_call_id, v_prior, p_cause => 'transferred', p_legs => false);
end $$;

-- One of the two calls ends, which is locked: what is left of it in the other.
create function app.transfer_closes(p_call bigint, p_agent int) returns text[]
language plpgsql volatile as $$
declare
	v_t app.transfer := app.transfer_of(p_call);
	v_bell text[];
begin
	if v_t.call_id is null then
		return null;
	elsif v_t.call_id = p_call then
		if v_t.state <> 'undone' and v_t.from_call_id is not null and app.transfer_holds(v_t.from_call_id) then
			v_bell := app.transfer_drop(v_t, p_agent)
				|| app.transfer_pair(p_agent, app.part_leg(v_t.from_by_id), app.part_leg(v_t.to_id));
		end if;
		-- what they say who was asked for an offer is still waited for
		delete from app.transfer t where t.call_id = p_call and (t.state <> 'undone' or t.from_call_id is null);
	elsif v_t.state <> 'undone' and app.transfer_holds(v_t.call_id) then
		v_bell := app.transfer_drop(v_t, p_agent) || app.transfer_goes_on(v_t, 'to', p_agent, 'unreachable', 487, null);
	end if;
	return v_bell;
end $$;

grant execute on function api.leg_refer_join to restsip_agent;
