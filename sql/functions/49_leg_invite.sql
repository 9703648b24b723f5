-- A phone calls.

-- How many calls with phones an account may have, and make, by either door.
create function app.leg_make_room(p_account bigint, p_web bool default false) returns void
language plpgsql volatile as $$
declare
	v_status int := case when p_web then 409 else 403 end;
	v_calls bigint;
	v_legs bigint;
	v_invites bigint;
begin
	perform app.lock('profile', p_account, p_mine => true);
	select (select count(*) from app.participant p where p.by_id = p_account and p.left_at is null),
		(select count(*) from app.leg l where l.by_id = p_account and l.ended_at is null),
		-- what is ahead is from before the clock was set back
		(select count(*) from app.participant p
		where p.by_id = p_account and p.rung_at between clock_timestamp() - interval '1 s' and clock_timestamp())
	into v_calls, v_legs, v_invites;
	if v_calls >= app.bound('calls_sip') then
		perform app.refuse(v_status, 'too-many-calls', format('You have %s calls already.', app.bound('calls_sip')));
	end if;
	if v_legs >= app.bound('legs') then
		perform app.refuse(v_status, 'too-many-calls', format('Your calls have %s phones already.', app.bound('legs')));
	end if;
	if v_invites >= app.bound('invites') then
		perform app.refuse_for(case when p_web then 429 else 403 end, 'too-many-calls',
			format('You may call %s times a second.', app.bound('invites')), 1);
	end if;
end $$;

-- One participant that comes by phone. p_by: who has them called; p_n: its number, where that is taken already.
create function app.participant_phone(p_call bigint, p_account bigint, p_side text, p_session jsonb,
	p_by bigint default null, p_n bigint default null) returns bigint
language plpgsql volatile as $$
declare
	v_id bigint;
begin
	insert into app.participant (call_id, n, account_id, side, state, session, joined_at, by_id, rung_at)
	values (p_call, coalesce(p_n, app.take_n('call', p_call)), p_account, p_side, 'calling', p_session, null, p_by,
		case when p_by is not null then clock_timestamp() end)
	returning id into v_id;
	return v_id;
end $$;

-- A leg to each contact that a call to an account rings. What has dialled is not rung itself. p_by: who has it called;
-- and of REST p_sdp: what is offered, p_send: where its sender reads of it, p_n: one contact alone; p_most: how many;
-- p_instead: the participant has sent the call on to this account.
create function app.legs_ring(p_call bigint, p_agent int, p_account bigint, p_participant bigint, p_from text,
	p_hops int, p_ring_s int, p_secure bool, p_but text, p_by bigint, p_sdp text default null,
	p_send bigint default null, p_n bigint default null, p_most int default 31, p_instead bool default false, out made int, out bell text[])
language plpgsql volatile as $$
declare
	v_login app.login;
	v_leg app.leg;
	v_agent int;
	v_delivery bigint;
begin
	made := 0;
	for v_login in
		select l.* from app.login l
		where l.account_id = p_account and l.expires_at > now() and l.contact is not null
			and (not p_secure or app.is_secure(l.*::app.login)) and app.is_devices_latest(l.*::app.login)
			and l.contact is distinct from p_but and (p_n is null or l.n = p_n)
		order by l.q desc nulls last, l.n limit least(p_most, 31)
	loop
		-- One that is no more has left its bindings over UDP to all.
		v_agent := coalesce((select g.id from app.agent g where g.id = v_login.agent_id and g.dead_at is null),
			nullif(p_agent, 0), (select g.id from app.agent g where g.dead_at is null order by g.id limit 1));
		continue when v_agent is null;
		if p_send is not null then
			insert into app.delivery (send_id, account_id, kind, contact, state)
			values (p_send, p_account, 'contact', v_login.contact, 'sending') returning id into v_delivery;
		end if;
		insert into app.leg (call_id, participant_id, account_id, credential_id, agent_id, direction, state, contact, path, flow, rest,
			secure, sip_call_id, local_tag, local_uri, remote_uri, hops, ring_until, by_id, delivery_id, local_sdp, spoke)
		values (p_call, p_participant, case when p_instead then p_account end, v_login.credential_id, v_agent, 'out', 'calling', v_login.contact,
			v_login.path, v_login.flow, v_login.source = 'rest', p_secure,
			gen_random_uuid() || '@restsip', replace(left(gen_random_uuid()::text, 18), '-', ''),
			p_from, 'sip:' || app.email(p_account), p_hops, now() + make_interval(secs => p_ring_s), p_by, v_delivery, p_sdp, v_login.spoke)
		returning * into v_leg;
		bell := bell || app.leg_order(v_leg, p_agent, 'invite', p_sdp => p_sdp);
		made := made + 1;
	end loop;
end $$;

-- A phone calls: the call, its two participants, the caller's leg, and one to each contact of the callee. p_leg: the
-- dialog's values, with peer and flow. Kind "made" of the first row: the caller's leg. Kind "show": nothing is done yet, for the callee
-- has pages, which do not speak plain RTP: to be asked once more with `shown` in p_leg, what they are to be offered, and its
-- `relay`; without relay: no relay could say it, and they are not rung.
create function api.sip_invite(p_agent int, p_credential bigint, p_ha1 text, p_aor text, p_leg jsonb, p_sdp text,
	p_subject text, p_ring_s int, p_secure bool) returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.digest_account(p_credential, p_ha1);
	v_account bigint := app.target(null, p_aor);
	v_ring_s int := least(coalesce(p_ring_s, 60), 180); -- p_ring_s: as the caller would have it
	v_call bigint;
	v_version bigint;
	v_n bigint;
	v_from bigint;
	v_to bigint;
	v_leg app.leg;
	v_rung record;
	v_pages record;
	v_first app.leg_work;
	v_bell text[];
	v_shows bool := p_leg ? 'shown';
	v_relays bool := app.agent_relays(p_agent);
	v_kind text := app.sdp_kind(p_sdp);
begin
	perform app.leg_make_room(v_caller);
	perform app.lock('login', v_account); -- before the first row that names an account
	perform app.caller_holds(v_caller);
	perform app.refuse_for_disabled(v_account);
	if concat_ws('', p_leg ->> 'call_id', p_leg ->> 'remote_tag', p_leg ->> 'local_uri', p_leg ->> 'remote_uri',
			p_leg ->> 'remote_target') ~ '[[:cntrl:]<>"]'
		or length(concat(p_leg ->> 'call_id', p_leg ->> 'remote_tag')) > 1024
	then
		perform app.refuse(400, 'invalid-dialog', 'Call-ID, tag or URI cannot be kept.');
	end if;
	if not app.has_contact(v_account) and not app.has_page(v_account) then
		perform app.refuse(409, 'not-reachable', 'Nobody is logged in there.');
	end if;
	if exists (select from app.leg l where l.sip_call_id = p_leg ->> 'call_id' and l.remote_tag = p_leg ->> 'remote_tag'
		and l.direction = 'in' and l.ended_at is null)
	then
		perform app.refuse(500, 'call-repeated', 'That INVITE is being served already.');
	end if;
	if v_relays and not v_shows and v_kind = 'rtp' and app.has_page(v_account) then
		v_first.kind := 'show';
		v_first.account := v_caller;
		return query select * from app.leg_take(p_agent, v_first, null);
		return;
	end if;
	insert into app.call (owner_id, subject, open, ends_alone) values (v_caller, p_subject, false, true)
	returning id into v_call;
	insert into app.resource (kind, id, next_n) select 'call', v_call, greatest(1, e.floor) + 2 from app.epoch e -- as of app.take_n
	returning version, next_n into v_version, v_n;
	v_from := app.participant_phone(v_call, v_caller, 'caller',
		app.sdp_session('offer', coalesce(nullif(p_leg ->> 'shown', ''), p_sdp)), null, v_n - 2);
	v_to := app.participant_phone(v_call, v_account, 'callee', null, v_caller, v_n - 1);
	insert into app.leg (call_id, participant_id, account_id, credential_id, agent_id, direction, state, flow, peer, secure, sip_call_id,
		local_tag, remote_tag, local_uri, remote_uri, local_target, remote_target, route, remote_cseq, invite_cseq,
		last_word, last_word_to, remote_sdp, ring_until, by_id, takes_info, session_s, session_ours, takes_update, relay)
	values (v_call, v_from, v_caller, p_credential, p_agent, 'in', 'calling', p_leg ->> 'flow', p_leg ->> 'peer', p_secure,
		p_leg ->> 'call_id', p_leg ->> 'local_tag', p_leg ->> 'remote_tag', p_leg ->> 'local_uri', p_leg ->> 'remote_uri',
		p_leg ->> 'local_target', p_leg ->> 'remote_target', p_leg ->> 'route', (p_leg ->> 'remote_cseq')::bigint,
		(p_leg ->> 'remote_cseq')::bigint, p_leg ->> 'last_word', p_leg ->> 'last_word_to', p_sdp, now() + make_interval(secs => v_ring_s), v_caller,
		(p_leg ->> 'takes_info')::bool, (p_leg ->> 'session_s')::int, coalesce((p_leg ->> 'session_ours')::bool, false),
		coalesce((p_leg ->> 'takes_update')::bool, false), p_leg ->> 'relay')
	returning * into v_leg;
	perform app.contact_spoke(v_caller, p_leg ->> 'remote_target', v_kind) where v_kind = 'webrtc' or v_relays;
	v_rung := app.legs_ring(v_call, p_agent, v_account, v_to, 'sip:' || app.email(v_caller), (p_leg ->> 'hops')::int,
		v_ring_s, p_secure, case when v_account = v_caller then p_leg ->> 'remote_target' end, v_caller);
	if v_shows and not p_leg ? 'relay' then
		if v_rung.made = 0 then
			perform app.refuse(488, 'no-relay', 'Whom you call has pages alone, and no media relay answers.');
		end if;
		select null::bigint as send_id, null::text[] as bell into v_pages;
	else
		v_pages := app.pages_ring(v_call, v_caller, v_account, coalesce(nullif(p_leg ->> 'shown', ''), p_sdp));
	end if;
	if v_rung.made = 0 and v_pages.send_id is null then
		perform app.refuse(409, 'not-reachable', 'Nobody is logged in there.');
	end if;
	v_bell := v_rung.bell || v_pages.bell;
	if v_pages.send_id is not null then
		v_bell := v_bell || app.leg_order(v_leg, p_agent, 'progress', 180, 'Ringing');
		update app.leg l set state = 'ringing', ringing_at = now() where l.id = v_leg.id;
		update app.participant p set state = 'ringing', code = 180, reason = 'Ringing', send_id = v_pages.send_id,
			web = v_rung.made = 0
		where p.id = v_to;
	end if;
	perform app.call_seers_set(v_call);
	v_bell := v_bell || app.publish('call', v_call, v_version, v_version);
	perform app.send_keep(v_caller) where v_pages.send_id is not null;
	v_first.kind := 'made';
	v_first.ring_s := v_ring_s;
	v_first.account := v_caller;
	v_first.leg := v_leg.id;
	v_first.call := v_call;
	return query select * from app.leg_take(p_agent, v_first, v_bell);
end $$;

grant execute on function api.sip_invite to restsip_agent;
