-- Calls of phones. An agent tells what a leg has heard; what follows from that for the call, and for its other legs, is
-- decided here, under the lock of the call's resource, so that there is one winner, whichever door it comes by. How legs come and
-- end, and what agents are ordered to do with them: the files beside this.

-- Their calls' resources, locked in order: before any of their rows. Legs that outlive their call have only those.
create function app.leg_lock_calls(p_legs bigint[]) returns void
language plpgsql volatile as $$
declare
	-- Each by its key: a plan of when there were few would go through all that there are, in order.
	v_calls bigint[] := array(
		select distinct c.id
		from unnest(p_legs) u (id) cross join lateral (select g.call_id from app.leg g where g.id = u.id offset 0) l
			cross join lateral (
				select l.call_id as id union all select unnest(array[t.call_id, t.from_call_id]) from app.transfer t
				where l.call_id in (t.call_id, t.from_call_id) and t.from_call_id is not null) c order by 1);
begin
	if cardinality(v_calls) > (
		select count(*)
		from unnest(v_calls) u (id)
		cross join lateral (select from app.resource r where r.kind = 'call' and r.id = u.id for update) k)
	then
		perform from app.leg l where l.id = any (p_legs) order by l.id for update;
	end if;
end $$;

-- The legs of items, in their order. One that an agent has not heard of, since the answer to its INVITE was lost, is found by its
-- dialog.
create function app.leg_items(p_items jsonb, p_agent int) returns bigint[]
language plpgsql stable as $$
begin
	return array(
		select coalesce((e.i ->> 'leg')::bigint, (
			select l.id from app.leg l
			where l.sip_call_id = e.i ->> 'call_id' and l.local_tag = e.i ->> 'local_tag'
				and l.remote_tag = e.i ->> 'remote_tag' and l.direction = 'in' and l.agent_id = p_agent))
		from jsonb_array_elements(p_items) with ordinality e (i, n) order by e.n);
end $$;

-- A new version of a call, whose resource is locked. p_recheck, p_before: of app.publish, where others may see it now.
create function app.call_changed(p_call bigint, p_recheck bigint[] default null, p_before bigint[] default '{}')
returns text[]
language plpgsql volatile as $$
declare
	v_prior bigint;
	v_version bigint;
begin
	with old as (
		select r.version from app.resource r where r.kind = 'call' and r.id = p_call)
	update app.resource r set version = nextval('app.version_seq') from old
	where r.kind = 'call' and r.id = p_call returning old.version, r.version into v_prior, v_version;
	return app.publish('call', p_call, v_version, v_prior, p_recheck, p_before);
end $$;

-- When it is to be taken to have been asked, so that app.legs_ask comes to it in p_in_s from now, if not before. Null: as it was.
create function app.asked_so(p_asked_at timestamptz, p_in_s int) returns timestamptz
language plpgsql stable as $$
begin
	return case when p_in_s is null then p_asked_at
		else least(now() - app.asked_every() + make_interval(secs => p_in_s + 1), now()) end;
end $$;

-- A phone rings (code, reason), or a dialog has other values (moved; lost: its connection has gone).
create function app.leg_heard(p_agent int, p_leg bigint, p_item jsonb) returns text[]
language plpgsql volatile as $$
declare
	v_leg app.leg;
	v_caller app.leg;
	v_code int := p_item ->> 'code';
	v_bell text[];
begin
	if p_item ? 'relay' then
		perform app.leg_relayed(l.id, p_item) from app.leg l
		where l.id = p_leg and l.agent_id = p_agent
			-- that it rang may be heard after what it has answered
			and (p_item ->> 'state' <> 'ringing' or l.state in ('calling', 'ringing'));
	end if;
	if p_item ->> 'state' = 'moved' then
		update app.leg l set flow = nullif(p_item ->> 'flow', ''), peer = p_item ->> 'peer',
			lost_at = case when (p_item ->> 'lost')::bool then coalesce(l.lost_at, now()) end,
			left_s = (p_item ->> 'left_s')::int,
			asked_at = app.asked_so(l.asked_at, (p_item ->> 'left_s')::int),
			session_s = coalesce((p_item ->> 'session_s')::int, l.session_s),
			session_ours = coalesce((p_item ->> 'session_ours')::bool, l.session_ours),
			takes_update = coalesce((p_item ->> 'takes_update')::bool, l.takes_update),
			last_word = case when p_item ? 'last_word' then nullif(p_item ->> 'last_word', '') else l.last_word end,
			last_word_to = coalesce(p_item ->> 'last_word_to', l.last_word_to),
			remote_target = coalesce(p_item ->> 'remote_target', l.remote_target),
			local_cseq = greatest(l.local_cseq, (p_item ->> 'cseq')::bigint),
			remote_cseq = greatest(l.remote_cseq, (p_item ->> 'remote_cseq')::bigint)
		where l.id = p_leg and l.agent_id = p_agent and l.ended_at is null;
		return null;
	end if;
	update app.leg l set state = 'ringing', ringing_at = coalesce(l.ringing_at, now()),
		last_word = coalesce(p_item ->> 'last_word', l.last_word),
		last_word_to = coalesce(p_item ->> 'last_word_to', l.last_word_to)
	where l.id = p_leg and l.agent_id = p_agent and l.state in ('calling', 'ringing') and l.direction = 'out'
	returning * into v_leg;
	if v_leg.call_id is null then
		return null;
	end if;
	v_bell := app.ring_heard(v_leg, 'sending', v_code, p_item ->> 'reason');
	update app.participant p set state = 'ringing', code = v_code, reason = p_item ->> 'reason'
	where p.id = v_leg.participant_id and p.state in ('calling', 'ringing')
		and (p.state, p.code) is distinct from ('ringing', v_code);
	if not found then
		return v_bell;
	end if;
	select l.* into v_caller from app.leg l
	where l.call_id = v_leg.call_id and l.direction = 'in' and l.state in ('calling', 'ringing');
	if v_caller.id is not null then
		update app.leg l set state = 'ringing', ringing_at = coalesce(l.ringing_at, now()) where l.id = v_caller.id;
		v_bell := v_bell || app.leg_order(v_caller, p_agent, 'progress', v_code, p_item ->> 'reason', null, p_item ->> 'sdp');
	end if;
	return v_bell || app.call_changed(v_leg.call_id);
end $$;

create function api.leg_news(p_agent int, p_items jsonb) returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_legs bigint[] := app.leg_items(p_items, p_agent);
	v_rung record;
	v_work app.leg_work;
	v_done int[] := '{}';
	v_bell text[];
begin
	set local synchronous_commit = off; -- news may get lost, and orders are given again
	perform app.leg_lock_calls(v_legs);
	if p_items @> '[{"state": "up"}]' then -- their callers have ACKed
		update app.leg l set state = 'up', last_word = null, last_word_to = null
		where l.id = any (array(
				select t.leg from jsonb_to_recordset(p_items) as t(leg bigint, state text) where t.state = 'up'))
			and l.agent_id = p_agent and l.state = 'answered';
	end if;
	v_work.kind := 'progress';
	for v_rung in select * from app.plain_rings(p_agent, p_items, v_legs) loop
		v_done := v_done || v_rung.i;
		v_bell := v_bell || v_rung.bell;
		continue when v_rung.caller is null;
		v_work.leg := v_rung.caller;
		v_work.call := v_rung.call;
		v_work.code := v_rung.code;
		v_work.reason := v_rung.reason;
		return next v_work;
	end loop;
	for i in 0 .. jsonb_array_length(p_items) - 1 loop
		continue when i = any (v_done) or p_items -> i ->> 'state' = 'up';
		v_bell := v_bell || app.leg_heard(p_agent, v_legs[i + 1], p_items -> i);
	end loop;
	if p_items @> '[{"state": "ringing"}]' then
		v_bell := v_bell || app.legs_tell(v_legs);
	end if;
	return query select * from app.leg_take(p_agent, null, v_bell);
end $$;

-- Of the call's forks, phones and pages, the first that answers has it: the others stop.
create function app.ring_won(p_part app.participant, p_agent int, p_leg bigint default null) returns text[]
language plpgsql volatile as $$
begin
	return app.ring_over(p_part, 'answered-elsewhere') || app.legs_hang_up(p_part.call_id, p_agent, 'cancelled',
		p_header => 'SIP;cause=200;text="Call completed elsewhere"', p_which => p_part.id, p_but => p_leg);
end $$;

-- The phone that calls, if there is one and it still waits, is answered with p_sdp.
create function app.caller_answered(p_caller app.leg, p_agent int, p_sdp text) returns text[]
language plpgsql volatile as $$
begin
	if p_caller.id is null then
		return null;
	end if;
	-- What was made for pages is of use to a page that answers it.
	if p_caller.relay is not null and app.sdp_kind(p_sdp) = 'webrtc' then
		update app.leg l set remote_sdp = app.caller_shown(p_caller) where l.id = p_caller.id;
	else
		perform app.caller_unshown(p_caller);
	end if;
	update app.leg l set state = 'answered', answered_at = now(), local_sdp = p_sdp
	where l.id = p_caller.id;
	update app.participant p set state = 'joined', joined_at = now(), code = 200, reason = 'OK'
	where p.id = p_caller.participant_id and p.left_at is null;
	return app.leg_order(p_caller, p_agent, 'answer', null, null, null, p_sdp);
end $$;

create function app.leg_caller(p_call bigint) returns app.leg
language plpgsql volatile as $$
declare
	v_caller app.leg;
begin
	select l.* into v_caller from app.leg l
	where l.call_id = p_call and l.direction = 'in' and l.state in ('calling', 'ringing');
	return v_caller;
end $$;

-- A phone has answered. The first wins the call: its caller is answered, and others stop. Kind of the first row: won (ACK;
-- sdp: what it says if a page does not answer the phone's offer), or lost (ACK and BYE).
create function api.leg_answered(p_agent int, p_leg bigint, p_dialog jsonb, p_sdp text) returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_leg app.leg;
	v_caller app.leg;
	v_part app.participant;
	v_first app.leg_work;
	v_offer text;
	v_move app.transfer;
	v_moved bigint[];
	v_before bigint[] := '{}';
	v_bell text[];
begin
	perform app.leg_lock_calls(array[p_leg]);
	select l.* into v_leg from app.leg l where l.id = p_leg and l.agent_id = p_agent;
	select p.* into v_part from app.participant p where p.id = v_leg.participant_id;
	v_caller := app.leg_caller(v_leg.call_id);
	v_first.leg := p_leg;
	v_first.call := v_leg.call_id;
	if v_leg.state is null or v_leg.state not in ('calling', 'ringing')
		or coalesce(v_part.state, 'left') not in ('calling', 'ringing')
	then
		update app.leg l set state = 'ending', ending_at = now(), cause = coalesce(l.cause, 'cancelled')
		where l.id = p_leg and l.state in ('calling', 'ringing');
		v_first.kind := 'lost';
		-- A phone does not list as missed what another, or a page, has answered.
		v_first.cause := case when v_part.web and v_part.joined_at is not null or exists (
			select from app.leg l where l.participant_id = v_leg.participant_id and l.answered_at is not null)
			then 'SIP;cause=200;text="Call completed elsewhere"' end;
		return query select * from app.leg_take(p_agent, v_first, app.legs_tell(array[p_leg]));
		return;
	end if;
	v_offer := coalesce(v_caller.remote_sdp, nullif(v_leg.local_sdp, ''));
	v_move := app.transfer_to(v_part);
	update app.leg l set state = 'up', answered_at = now(), remote_tag = p_dialog ->> 'remote_tag',
		remote_target = p_dialog ->> 'remote_target', route = p_dialog ->> 'route',
		local_target = p_dialog ->> 'local_target', peer = p_dialog ->> 'peer', remote_sdp = p_sdp, last_word = null,
		last_word_to = null, takes_info = (p_dialog ->> 'takes_info')::bool, session_s = (p_dialog ->> 'session_s')::int,
		session_ours = coalesce((p_dialog ->> 'session_ours')::bool, false),
		takes_update = coalesce((p_dialog ->> 'takes_update')::bool, false)
	where l.id = p_leg;
	if v_offer is null and v_caller.id is null and p_sdp is not null
		and (v_move.call_id is null or app.transfer_keeps_page(v_move))
	then
		v_first.sdp := app.sdp_inactive(p_sdp);
		update app.leg l set answering = now() + interval '15 s' where l.id = p_leg;
	end if;
	perform app.leg_relayed(p_leg, p_dialog) where v_leg.relay is not null or p_dialog ? 'relay';
	perform app.contact_spoke(coalesce(v_leg.account_id, v_part.account_id), v_leg.contact, p_dialog ->> 'spoke');
	v_bell := app.caller_answered(v_caller, p_agent, p_sdp) || app.ring_heard(v_leg, 'delivered', 200, 'OK')
		|| app.ring_won(v_part, p_agent, p_leg);
	update app.participant p set state = 'joined', joined_at = now(), code = 200, reason = 'OK', ring_until = null,
		web = false, session = app.sdp_session(case when v_offer is null then 'offer' else 'answer' end, p_sdp)
	where p.id = v_part.id;
	if v_leg.account_id is not null then
		v_moved := array[v_part.account_id, v_leg.account_id];
		v_before := app.call_seers_before(v_leg.call_id);
		v_bell := v_bell || app.divert_answered(v_leg);
		perform app.call_seers_set(v_leg.call_id);
	end if;
	v_bell := v_bell || app.call_changed(v_leg.call_id, v_moved, v_before);
	if v_move.call_id is not null then
		select l.* into v_leg from app.leg l where l.id = p_leg;
		v_bell := v_bell || app.transfer_picked(v_move, v_leg, p_agent, p_sdp);
	end if;
	v_bell := v_bell || app.dial_picked(v_part, p_agent);
	v_first.kind := 'won';
	v_first.peer := case when v_caller.agent_id = p_agent then v_caller.id end;
	return query select * from app.leg_take(p_agent, v_first, v_bell);
end $$;

-- Both sides of a call have a new session: p_leg has offered.
create function api.leg_session(p_agent int, p_leg bigint, p_offer text, p_peer bigint, p_answer text)
returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_call bigint;
	v_bell text[];
begin
	select l.call_id into v_call from app.leg l where l.id = p_leg and l.agent_id = p_agent;
	perform app.leg_lock_calls(array[p_leg]);
	update app.participant p set session = app.sdp_session(case l.id when p_leg then 'offer' else 'answer' end,
			case l.id when p_leg then p_offer else p_answer end),
		hold = case l.id when p_leg then app.sdp_holds(p_offer) else p.hold end
	from app.leg l
	where l.id in (p_leg, p_peer) and l.call_id = v_call and l.state in ('answered', 'up') and p.id = l.participant_id
		and p.state = 'joined';
	if found then
		v_bell := app.call_changed(v_call);
		update app.leg l set local_sdp = case l.id when p_leg then p_answer else p_offer end
		where l.id in (p_leg, p_peer) and l.call_id = v_call and l.other_id is not null;
	end if;
	return query select * from app.leg_take(p_agent, null, v_bell);
end $$;

create function app.leg_participant(p_leg app.leg) returns app.participant
language plpgsql volatile as $$
declare
	v_part app.participant;
begin
	select p.* into v_part from app.participant p where p.id = p_leg.participant_id;
	return v_part;
end $$;

-- p_asks: so many legs that are not in memory it can look after now.
create function api.leg_claim(p_agent int, p_asks int default 50) returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_bell text[];
begin
	if exists (select from app.ring_news) then
		v_bell := app.rings_tell();
	else
		set local synchronous_commit = off; -- an order that comes back is done once more
	end if;
	return query select * from app.leg_take(p_agent, null, v_bell, true);
	return query select * from app.legs_ask(p_agent, p_asks);
end $$;

grant execute on function api.leg_news, api.leg_answered, api.leg_session, api.leg_claim to restsip_agent;
