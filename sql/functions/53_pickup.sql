-- A phone takes the place of another of its account that rings (INVITE with Replaces, RFC 3891): who calls is answered by it.

-- p_leg, p_sdp: as of api.sip_invite. p_call_id, p_tag, p_other_tag: of the dialog that the ringing phone has. Kind of the first row:
-- made, as there, or refused (code).
create function api.sip_pickup(p_agent int, p_credential bigint, p_ha1 text, p_leg jsonb, p_sdp text, p_secure bool,
	p_call_id text, p_tag text, p_other_tag text) returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := app.digest_account(p_credential, p_ha1);
	v_old app.leg;
	v_part app.participant;
	v_first app.leg_work;
	v_bell text[];
begin
	perform app.leg_make_room(v_account);
	select l.* into v_old from app.leg l
	where l.sip_call_id = p_call_id and l.ended_at is null and l.local_tag in (p_tag, p_other_tag)
		and coalesce(l.remote_tag in (p_tag, p_other_tag), true) limit 1;
	perform app.leg_lock_calls(array[v_old.id]);
	perform app.caller_holds(v_account);
	select l.* into v_old from app.leg l where l.id = v_old.id;
	v_part := app.leg_participant(v_old);
	v_first.kind := 'refused';
	v_first.code := case
		when v_part.id is null then 481
		when coalesce(v_old.account_id, v_part.account_id) <> v_account then 403
		when v_old.state in ('answered', 'up') then 486 -- what is up is not taken over (section 3)
		when v_old.state not in ('calling', 'ringing') or v_old.direction = 'in' or v_part.state not in ('calling', 'ringing') then 481
		when v_old.secure and not p_secure and not app.flow_has_tls(p_leg ->> 'flow') then 403 -- who calls wants TLS
		when app.sdp_media(app.pickup_offer(v_old)) <> app.sdp_media(p_sdp)
			or 'webrtc' in (app.sdp_kind(app.pickup_offer(v_old)), app.sdp_kind(p_sdp))
			or p_sdp is null or app.pickup_offer(v_old) is null
			then 488 end;
	if v_first.code is null then
		v_first.kind := 'made';
		v_first.leg := app.pickup_leg(v_old, v_account, p_agent, p_credential, p_leg, p_sdp, p_secure);
		v_first.call := v_old.call_id;
		v_first.account := v_account;
		v_first.ring_s := 60;
		v_bell := app.pickup_answer(v_old, v_first.leg, p_agent, p_sdp);
	end if;
	return query select * from app.leg_take(p_agent, v_first, v_bell);
end $$;

-- What the ringing phone was offered; null: it was to offer itself.
create function app.pickup_offer(p_old app.leg) returns text
language plpgsql volatile as $$
declare
	v_caller app.leg := app.leg_caller(p_old.call_id);
begin
	return nullif(coalesce(v_caller.remote_sdp, p_old.local_sdp), '');
end $$;

create function app.pickup_leg(p_old app.leg, p_account bigint, p_agent int, p_credential bigint, p_leg jsonb, p_sdp text,
	p_secure bool) returns bigint
language plpgsql volatile as $$
declare
	v_leg bigint;
begin
	insert into app.leg (call_id, participant_id, account_id, credential_id, agent_id, direction, state, answered_at, flow, peer, secure,
		sip_call_id, local_tag, remote_tag, local_uri, remote_uri, local_target, remote_target, route, remote_cseq, invite_cseq,
		last_word, last_word_to, remote_sdp, local_sdp, by_id, takes_info, session_s, session_ours, takes_update)
	values (p_old.call_id, p_old.participant_id, p_account, p_credential, p_agent, 'in', 'answered', now(), p_leg ->> 'flow',
		p_leg ->> 'peer', p_secure, p_leg ->> 'call_id', p_leg ->> 'local_tag', p_leg ->> 'remote_tag', p_leg ->> 'local_uri',
		p_leg ->> 'remote_uri', p_leg ->> 'local_target', p_leg ->> 'remote_target', p_leg ->> 'route',
		(p_leg ->> 'remote_cseq')::bigint, (p_leg ->> 'remote_cseq')::bigint, p_leg ->> 'last_word', p_leg ->> 'last_word_to', p_sdp,
		app.pickup_offer(p_old), p_account, (p_leg ->> 'takes_info')::bool, (p_leg ->> 'session_s')::int,
		coalesce((p_leg ->> 'session_ours')::bool, false), (p_leg ->> 'takes_update')::bool)
	returning id into v_leg;
	return v_leg;
end $$;

-- Each of the two has what the other has offered as its answer; the other phones stop.
create function app.pickup_answer(p_old app.leg, p_new bigint, p_agent int, p_sdp text) returns text[]
language plpgsql volatile as $$
declare
	v_new app.leg;
	v_caller app.leg := app.leg_caller(p_old.call_id);
	v_part app.participant := app.leg_participant(p_old);
	v_page app.participant := app.leg_page(p_old);
	v_before bigint[] := app.call_seers_before(p_old.call_id);
	v_moved bigint[];
	v_bell text[];
begin
	update app.leg l set other_id = coalesce(v_caller.participant_id, v_page.id) where l.id = p_new returning l.* into v_new;
	update app.leg l set other_id = v_part.id where l.id = v_caller.id;
	v_bell := app.leg_order(v_new, p_agent, 'answer', p_sdp => v_new.local_sdp)
		|| app.caller_answered(v_caller, p_agent, p_sdp) || app.ring_heard(p_old, 'delivered', 200, 'Call completed elsewhere')
		|| app.ring_won(v_part, p_agent, p_new);
	update app.participant p set state = 'joined', joined_at = now(), code = 200, reason = 'OK', ring_until = null, web = false,
		session = app.sdp_session('answer', p_sdp)
	where p.id = v_part.id;
	if p_old.account_id is not null then -- the call had been sent on to who answers
		v_moved := array[v_part.account_id, p_old.account_id];
		v_bell := v_bell || app.divert_answered(p_old);
		perform app.call_seers_set(p_old.call_id);
	end if;
	return v_bell || app.transfer_pair(p_agent, v_caller, v_new) || app.call_changed(p_old.call_id, v_moved, v_before)
		|| app.dial_picked(v_part, p_agent);
end $$;

grant execute on function api.sip_pickup to restsip_agent;
