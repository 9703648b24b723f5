-- Calls of phones. An agent tells what a leg has heard; what follows from that for the call, and for its other legs, is
-- decided here, under the lock of the call's resource, so that there is one winner, whichever door it comes by.

-- ---- what an agent is to do ----

-- What is to be done with a leg, as one of the bells of who says so. What the agent that asks is to do itself is the order,
-- which app.leg_take gives it in the same answer; another finds it as a row, and is rung. p_agent 0: nobody asks.
create function app.leg_order(p_leg app.leg, p_agent int, p_kind text, p_code int default null,
	p_reason text default null, p_cause text default null, p_sdp text default null, p_number bigint default null)
returns text[]
language plpgsql volatile as $$
declare
	v_job app.leg_job;
begin
	if p_kind in ('fail', 'cancel', 'bye') then
		delete from app.leg_job j where j.leg_id = p_leg.id and j.kind <> 'left'; -- which is another agent's
	end if;
	if p_leg.agent_id = p_agent then
		v_job.leg_id := p_leg.id;
		v_job.kind := p_kind;
		v_job.code := p_code;
		v_job.reason := p_reason;
		v_job.cause := p_cause;
		v_job.sdp := p_sdp;
		v_job.number := p_number;
		return array['order|' || v_job::text];
	end if;
	insert into app.leg_job (leg_id, agent_id, kind, code, reason, cause, sdp, number)
	values (p_leg.id, p_leg.agent_id, p_kind, p_code, p_reason, p_cause, p_sdp, p_number);
	return array['restsip_job_' || p_leg.agent_id || '|call'];
end $$;

-- The orders among bells, for who does not take them now: they wait for the agent's next claim. The other bells.
create function app.leg_orders_keep(p_agent int, p_bell text[]) returns text[]
language plpgsql volatile as $$
declare
	v_one text;
	v_job app.leg_job;
	v_bell text[];
begin
	foreach v_one in array coalesce(p_bell, '{}') loop
		if v_one not like 'order|%' then
			v_bell := v_bell || v_one;
			continue;
		end if;
		v_job := substr(v_one, 7)::app.leg_job;
		insert into app.leg_job (leg_id, agent_id, kind, code, reason, cause, sdp, number)
		values (v_job.leg_id, p_agent, v_job.kind, v_job.code, v_job.reason, v_job.cause, v_job.sdp, v_job.number);
	end loop;
	return v_bell;
end $$;

-- The orders of an agent, which are taken with that, behind what p_first says.
create function app.leg_take(p_agent int, p_first app.leg_work, p_bell text[]) returns setof app.leg_work
language plpgsql volatile as $$
declare
	v_one text;
	v_bell text[];
	v_jobs app.leg_job[];
begin
	foreach v_one in array coalesce(p_bell, '{}') loop
		if v_one like 'order|%' then
			v_jobs := v_jobs || substr(v_one, 7)::app.leg_job;
		else
			v_bell := v_bell || v_one;
		end if;
	end loop;
	p_first.bell := v_bell;
	return next p_first;
	if exists (select from app.leg_job j where j.agent_id = p_agent) then -- not usual: others have caused them
		with due as materialized (
			select j.id from app.leg_job j where j.agent_id = p_agent order by j.id limit 256 for update skip locked),
		taken as (
			delete from app.leg_job j using due where j.id = due.id returning j.*)
		select array_agg(t.*::app.leg_job order by t.id) || v_jobs into v_jobs from taken t;
	end if;
	if v_jobs is null then
		return;
	end if;
	return query
		select t.kind, l.id, l.call_id, case t.kind when 'answer' then (
				select o.id from app.leg o
				where o.call_id = l.call_id and o.agent_id = l.agent_id and o.direction <> l.direction
					and o.state in ('answered', 'up') order by o.id limit 1) end,
			t.code, t.reason, t.cause, case t.kind when 'invite' then coalesce(t.sdp, (
				select i.remote_sdp from app.leg i where i.call_id = l.call_id and i.direction = 'in' limit 1))
				else t.sdp end, l.contact::text, l.path::text, l.flow::text, l.rest, l.secure,
			l.sip_call_id::text, l.local_tag::text, l.local_uri::text, l.remote_uri::text,
			case when t.kind = 'invite' then (
				select a.profile ->> 'name' from app.account a
				where a.email = substr(l.local_uri, 5) and jsonb_typeof(a.profile -> 'name') = 'string') end,
			l.hops, greatest(extract(epoch from l.ring_until - now())::int, 1), coalesce(l.by_id, (
				select c.owner_id from app.call c where c.id = l.call_id)),
			null::text[], t.number
		-- by its key, however many the planner thinks there are
		from unnest(v_jobs) with ordinality t cross join lateral (select g.* from app.leg g where g.id = t.leg_id offset 0) l
		order by t.ordinality;
end $$;

-- ---- how legs end ----

-- In one word, for people. A phone's refusal by its code.
create function app.leg_cause(p_code int) returns text
language plpgsql immutable as $$
begin
	return case
		when p_code in (486, 600) then 'busy'
		when p_code in (603, 607, 608) then 'declined'
		when p_code in (404, 410, 484, 604) then 'not-found'
		when p_code in (415, 488, 606) then 'media'
		when p_code = 487 then 'cancelled'
		else 'unreachable' end;
end $$;

-- The code that the caller hears, of those that a callee's phones gave (RFC 3261, section 16.7). Never a phone's 503,
-- which would say that we are down; what is no business of the caller's is 480 with the code in a Reason header.
create function app.leg_best(p_participant bigint, out code int, out reason text, out cause text)
language plpgsql volatile as $$
begin
	select l.code, l.reason into code, reason from app.leg l
	where l.participant_id = p_participant and l.code is not null
	order by l.code not in (600, 603, 604, 606, 607, 608), l.code <> 486, l.code <> 488,
		l.code not in (404, 410, 415, 480, 484), l.code, l.id limit 1;
	if code is null then
		code := 480;
	elsif code not in (404, 410, 415, 480, 484, 486, 488, 600, 603, 604, 606, 607, 608) then
		cause := 'SIP;cause=' || code;
		code := 480;
		reason := null;
	end if;
end $$;

create function app.leg_end(p_leg app.leg, p_code int, p_reason text, p_cause text) returns text[]
language plpgsql volatile as $$
declare
	v_code int := coalesce(p_leg.code, p_code);
begin
	update app.leg l set state = 'ended', ended_at = now(), code = coalesce(l.code, p_code),
		reason = coalesce(l.reason, p_reason), cause = coalesce(l.cause, p_cause), local_sdp = null, remote_sdp = null, kept = null,
		last_word = case when l.answered_at is null then l.last_word end
	where l.id = p_leg.id and l.ended_at is null;
	return case when p_leg.answered_at is null then app.ring_heard(p_leg,
		case when p_leg.state = 'ending' then 'cancelled' else 'failed' end, v_code, coalesce(p_leg.reason, p_reason))
		else app.keys_settle(p_leg, null, 480, 'The call is over') end;
end $$;

-- What is up is hung up, who is rung is left alone, who calls is told p_code. The call's resource is locked. p_which: of
-- one participant alone; p_header: of a Reason header.
create function app.legs_hang_up(p_call bigint, p_agent int, p_cause text, p_code int default 480,
	p_reason text default null, p_header text default null, p_which bigint default null, p_but bigint default null)
returns text[]
language plpgsql volatile as $$
declare
	v_leg app.leg;
	v_bell text[];
begin
	for v_leg in
		select l.* from app.leg l
		where l.call_id = p_call and l.state not in ('ending', 'ended') and l.id is distinct from p_but
			and (p_which is null or l.participant_id = p_which)
		order by l.id
	loop
		if v_leg.state in ('answered', 'up') then
			v_bell := v_bell || app.leg_order(v_leg, p_agent, 'bye', null, null, p_header);
		elsif v_leg.direction = 'out' then
			v_bell := v_bell || app.leg_order(v_leg, p_agent, 'cancel', null, null, p_header);
		else
			v_bell := v_bell || app.leg_order(v_leg, p_agent, 'fail', p_code, p_reason, p_header);
			v_bell := v_bell || app.leg_end(v_leg, p_code, p_reason, p_cause);
			continue;
		end if;
		update app.leg l set state = 'ending', ending_at = now(), cause = coalesce(l.cause, p_cause) where l.id = v_leg.id;
	end loop;
	return v_bell;
end $$;

-- ---- an INVITE ----

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

create function app.sdp_session(p_type text, p_sdp text) returns jsonb
language plpgsql immutable as $$
begin
	return case when p_sdp is not null then jsonb_build_object('type', p_type, 'sdp', p_sdp) end;
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
			secure, sip_call_id, local_tag, local_uri, remote_uri, hops, ring_until, by_id, delivery_id, local_sdp)
		values (p_call, p_participant, case when p_instead then p_account end, v_login.credential_id, v_agent, 'out', 'calling', v_login.contact,
			v_login.path, v_login.flow, v_login.source = 'rest', p_secure,
			gen_random_uuid() || '@restsip', replace(left(gen_random_uuid()::text, 18), '-', ''),
			p_from, 'sip:' || app.email(p_account), p_hops, now() + make_interval(secs => p_ring_s), p_by, v_delivery, p_sdp)
		returning * into v_leg;
		bell := bell || app.leg_order(v_leg, p_agent, 'invite', p_sdp => p_sdp);
		made := made + 1;
	end loop;
end $$;

-- A phone calls: the call, its two participants, the caller's leg, and one to each contact of the callee. p_leg: the
-- dialog's values, with peer and flow. Kind "made" of the first row: the caller's leg.
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
	insert into app.call (owner_id, subject, open, ends_alone) values (v_caller, p_subject, false, true)
	returning id into v_call;
	insert into app.resource (kind, id, next_n) select 'call', v_call, greatest(1, e.floor) + 2 from app.epoch e -- as of app.take_n
	returning version, next_n into v_version, v_n;
	v_from := app.participant_phone(v_call, v_caller, 'caller', app.sdp_session('offer', p_sdp), null, v_n - 2);
	v_to := app.participant_phone(v_call, v_account, 'callee', null, v_caller, v_n - 1);
	insert into app.leg (call_id, participant_id, account_id, credential_id, agent_id, direction, state, flow, peer, secure, sip_call_id,
		local_tag, remote_tag, local_uri, remote_uri, local_target, remote_target, route, remote_cseq, invite_cseq,
		last_word, last_word_to, remote_sdp, ring_until, by_id, takes_info)
	values (v_call, v_from, v_caller, p_credential, p_agent, 'in', 'calling', p_leg ->> 'flow', p_leg ->> 'peer', p_secure,
		p_leg ->> 'call_id', p_leg ->> 'local_tag', p_leg ->> 'remote_tag', p_leg ->> 'local_uri', p_leg ->> 'remote_uri',
		p_leg ->> 'local_target', p_leg ->> 'remote_target', p_leg ->> 'route', (p_leg ->> 'remote_cseq')::bigint,
		(p_leg ->> 'remote_cseq')::bigint, p_leg ->> 'last_word', p_leg ->> 'last_word_to', p_sdp, now() + make_interval(secs => v_ring_s), v_caller,
		(p_leg ->> 'takes_info')::bool)
	returning * into v_leg;
	v_rung := app.legs_ring(v_call, p_agent, v_account, v_to, 'sip:' || app.email(v_caller), (p_leg ->> 'hops')::int,
		v_ring_s, p_secure, case when v_account = v_caller then p_leg ->> 'remote_target' end, v_caller);
	v_pages := app.pages_ring(v_call, v_caller, v_account, p_sdp);
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
	-- As app.call_seers_set would.
	insert into app.call_seer (call_id, account_id, inside) values (v_call, v_caller, true), (v_call, v_account, true)
	on conflict (call_id, account_id) do nothing;
	v_bell := v_bell || app.publish('call', v_call, v_version, v_version);
	perform app.send_keep(v_caller) where v_pages.send_id is not null;
	v_first.kind := 'made';
	v_first.ring_s := v_ring_s;
	v_first.account := v_caller;
	v_first.leg := v_leg.id;
	v_first.call := v_call;
	return query select * from app.leg_take(p_agent, v_first, v_bell);
end $$;

-- ---- what legs hear ----

-- Their calls' resources, locked in order: before any of their rows. Legs that outlive their call have only those.
create function app.leg_lock_calls(p_legs bigint[]) returns void
language plpgsql volatile as $$
declare
	v_call bigint;
	v_all bool := true;
begin
	-- Each by its key: a plan of when there were few would go through all that there are, in order.
	for v_call in
		select distinct l.call_id
		from unnest(p_legs) u (id) cross join lateral (select g.call_id from app.leg g where g.id = u.id offset 0) l order by 1
	loop
		perform from app.resource r where r.kind = 'call' and r.id = v_call for update;
		v_all := v_all and found;
	end loop;
	if not v_all then
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

-- A phone rings (code, reason), a caller's phone has ACKed (up), or a dialog has other values (moved; lost: its connection has
-- gone).
create function app.leg_heard(p_agent int, p_leg bigint, p_item jsonb) returns text[]
language plpgsql volatile as $$
declare
	v_leg app.leg;
	v_caller app.leg;
	v_code int := p_item ->> 'code';
	v_bell text[];
begin
	if p_item ->> 'state' = 'up' then
		update app.leg l set state = 'up', last_word = null, last_word_to = null
		where l.id = p_leg and l.agent_id = p_agent and l.state = 'answered';
		return null;
	elsif p_item ->> 'state' = 'moved' then
		update app.leg l set flow = nullif(p_item ->> 'flow', ''), peer = p_item ->> 'peer',
			lost_at = case when (p_item ->> 'lost')::bool then coalesce(l.lost_at, now()) end,
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
	v_item jsonb;
	v_bell text[];
begin
	set local synchronous_commit = off; -- news may get lost, and orders are given again
	perform app.leg_lock_calls(app.leg_items(p_items, p_agent));
	for v_item in select i from jsonb_array_elements(p_items) i loop
		v_bell := v_bell || app.leg_heard(p_agent, (v_item ->> 'leg')::bigint, v_item);
	end loop;
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
		return query select * from app.leg_take(p_agent, v_first, null);
		return;
	end if;
	v_offer := coalesce(v_caller.remote_sdp, v_leg.local_sdp);
	update app.leg l set state = 'up', answered_at = now(), remote_tag = p_dialog ->> 'remote_tag',
		remote_target = p_dialog ->> 'remote_target', route = p_dialog ->> 'route',
		local_target = p_dialog ->> 'local_target', peer = p_dialog ->> 'peer', remote_sdp = p_sdp, last_word = null,
		last_word_to = null, takes_info = (p_dialog ->> 'takes_info')::bool
	where l.id = p_leg;
	if v_offer is null and v_caller.id is null and p_sdp is not null then
		v_first.sdp := app.sdp_inactive(p_sdp);
		update app.leg l set answering = now() + interval '15 s' where l.id = p_leg;
	end if;
	v_bell := app.caller_answered(v_caller, p_agent, p_sdp) || app.ring_heard(v_leg, 'delivered', 200, 'OK')
		|| app.ring_won(v_part, p_agent, p_leg);
	update app.participant p set state = 'joined', joined_at = now(), code = 200, reason = 'OK', ring_until = null,
		web = false, session = app.sdp_session(case when v_offer is null then 'offer' else 'answer' end, p_sdp)
	where p.id = v_part.id;
	if v_leg.account_id is not null then
		v_moved := array[v_part.account_id, v_leg.account_id];
		v_before := app.call_seers_before(v_leg.call_id);
		perform app.divert_answered(v_leg);
		perform app.call_seers_set(v_leg.call_id);
	end if;
	v_bell := v_bell || app.call_changed(v_leg.call_id, v_moved, v_before);
	v_first.kind := 'won';
	v_first.peer := case when v_caller.agent_id = p_agent then v_caller.id end;
	return query select * from app.leg_take(p_agent, v_first, v_bell);
end $$;

-- Whether an offer puts the other side on hold: nothing that is open in it goes both ways (RFC 3264, section 8.4).
create function app.sdp_holds(p_sdp text) returns bool
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
	c_way constant text := '\na=(sendrecv|sendonly|recvonly|inactive)\M';
	c_at constant text := '\nc=IN IP[46] ([^\s/]+)';
	v_parts text[] := regexp_split_to_array(replace(p_sdp, E'\r', ''), '\n(?=m=)');
	v_way text := coalesce(substring(v_parts[1] from c_way), 'sendrecv'); -- of the session
	v_at text := coalesce(substring(v_parts[1] from c_at), '');
begin
	return coalesce((
		select bool_and(coalesce(substring(p from c_way), v_way) in ('sendonly', 'inactive')
			or coalesce(substring(p from c_at), v_at) in ('0.0.0.0', '::'))
		from unnest(v_parts[2:]) p where p !~ '^m=\S+ 0[ /]'), false);
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
	end if;
	return query select * from app.leg_take(p_agent, null, v_bell);
end $$;

-- One who was called, or calls by phone, is in the call no more, whose resource is locked. A call that an INVITE has made
-- is over then. p_code and what follows: for who still calls; p_why: for the callee's pages; p_cancel: of the Reason that its
-- phones are cancelled with.
create function app.call_over(p_part app.participant, p_agent int, p_cause text, p_code int default 480,
	p_reason text default null, p_header text default null, p_why text default 'caller-gone', p_cancel text default null)
returns text[]
language plpgsql volatile as $$
declare
	v_alone bool := (select c.ends_alone from app.call c where c.id = p_part.call_id and c.state <> 'ended');
	v_prior bigint;
	v_before bigint[];
	v_bell text[];
begin
	if v_alone is null or p_part.state = 'left' then
		return null;
	end if;
	v_prior := app.version_of('call', p_part.call_id);
	if p_part.side = 'callee' and (not v_alone or p_cancel is distinct from p_header) then
		v_bell := app.legs_hang_up(p_part.call_id, p_agent, p_cause, p_header => p_cancel, p_which => p_part.id);
	end if;
	if v_alone then
		v_bell := v_bell || app.legs_hang_up(p_part.call_id, p_agent, p_cause, p_code, p_reason, p_header);
		perform app.advance('call', p_part.call_id);
		return v_bell || app.call_end(p_part.call_id, v_prior, p_why, p_cause, p_code, p_reason, p_legs => false);
	end if;
	v_before := app.call_seers_before(p_part.call_id);
	v_bell := v_bell || app.ring_over(p_part, p_why);
	update app.participant p set code = case when p_part.state = 'joined' then p.code else p_code end,
		reason = case when p_part.state = 'joined' then p.reason else p_reason end
	where p.id = p_part.id;
	perform app.participant_leave(p_part, p_cause);
	perform app.call_seers_set(p_part.call_id);
	return v_bell || app.publish('call', p_part.call_id, app.advance('call', p_part.call_id), v_prior,
		array[p_part.account_id], v_before);
end $$;

create function app.leg_participant(p_leg app.leg) returns app.participant
language plpgsql volatile as $$
declare
	v_part app.participant;
begin
	select p.* into v_part from app.participant p where p.id = p_leg.participant_id;
	return v_part;
end $$;

-- A phone that was rung has refused, or is not there.
create function app.leg_refused(p_leg app.leg, p_agent int) returns text[]
language plpgsql volatile as $$
declare
	v_part app.participant := app.leg_participant(p_leg);
	v_best record;
	v_cause text;
	v_bell text[];
begin
	if p_leg.code >= 600 then
		v_bell := app.legs_hang_up(p_leg.call_id, p_agent, 'cancelled', p_which => p_leg.participant_id);
	end if;
	if exists (select from app.leg l
		where l.participant_id = p_leg.participant_id and l.state in ('calling', 'ringing', 'answered', 'up'))
		or coalesce(p_leg.code, 0) < 600 and app.pages_ring_on(v_part)
	then
		return v_bell;
	end if;
	v_best := app.leg_best(p_leg.participant_id);
	return v_bell || app.call_over(v_part, p_agent, app.leg_cause(v_best.code), v_best.code, v_best.reason, v_best.cause,
		case when p_leg.code >= 600 then 'declined' else 'no-answer' end);
end $$;

-- Whether pages still ring for who was called.
create function app.pages_ring_on(p_part app.participant) returns bool
language plpgsql volatile as $$
begin
	return p_part.state in ('calling', 'ringing') and exists (
		select from app.delivery d where d.send_id = p_part.send_id and d.kind = 'stream' and d.state not in ('cancelled', 'failed'));
end $$;

create function app.leg_ended(p_agent int, p_leg bigint, p_item jsonb) returns text[]
language plpgsql volatile as $$
declare
	v_was text;
	v_sdp text; -- of an ended one it is no more
	v_leg app.leg;
	v_cause text := p_item ->> 'cause';
	v_bell text[];
begin
	select l.* into v_leg from app.leg l where l.id = p_leg and l.agent_id = p_agent and l.ended_at is null;
	if v_leg.id is null then
		return null;
	end if;
	v_was := v_leg.state;
	if v_was in ('answered', 'up') and p_item ? 'peer' then -- its agent hangs up on the other side by itself
		update app.leg l set state = 'ending', ending_at = now(), cause = coalesce(l.cause, v_cause)
		where l.id = (p_item ->> 'peer')::bigint and l.call_id = v_leg.call_id and l.agent_id = p_agent
			and l.state in ('answered', 'up');
	end if;
	v_sdp := v_leg.local_sdp;
	v_cause := coalesce(v_cause, case when p_item ->> 'code' is null then 'hangup' else app.leg_cause((p_item ->> 'code')::int) end);
	v_bell := app.leg_end(v_leg, (p_item ->> 'code')::int, p_item ->> 'reason', v_cause);
	v_leg.state := 'ended';
	v_leg.code := coalesce(v_leg.code, (p_item ->> 'code')::int);
	v_leg.reason := coalesce(v_leg.reason, p_item ->> 'reason');
	v_leg.cause := coalesce(v_leg.cause, v_cause);
	-- Its call has ended before it, or goes on without it; but where it is the last of those that were up, the call is over,
	-- and so is one that a phone has made, which is without any.
	if v_was = 'ending' and (v_leg.answered_at is null and not app.call_is_of_phone(v_leg.call_id)
		or exists (select from app.leg l where l.call_id = v_leg.call_id and l.ended_at is null))
	then
		return v_bell;
	elsif v_was in ('calling', 'ringing') and v_leg.direction = 'out' then
		if v_leg.code between 300 and 399 and p_item ? 'to' then
			v_bell := v_bell || app.leg_divert(v_leg, p_agent, p_item ->> 'to', v_sdp);
		end if;
		return v_bell || app.leg_refused(v_leg, p_agent);
	end if;
	return v_bell || app.call_over(app.leg_participant(v_leg), p_agent, v_leg.cause, p_header => p_item ->> 'header',
		p_why => case v_leg.cause when 'no-answer' then 'no-answer' else 'caller-gone' end);
end $$;

-- Legs have ended: cancelled, refused, hung up, or gone.
create function api.leg_ended(p_agent int, p_items jsonb) returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_legs bigint[] := app.leg_items(p_items, p_agent);
	v_bell text[];
begin
	perform app.leg_lock_calls(v_legs);
	for i in 1 .. cardinality(v_legs) loop
		v_bell := v_bell || app.leg_ended(p_agent, v_legs[i], p_items -> i - 1);
	end loop;
	return query select * from app.leg_take(p_agent, null, v_bell);
end $$;

create function api.leg_claim(p_agent int) returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_bell text[];
begin
	if exists (select from app.ring_news) then
		v_bell := app.rings_tell();
	else
		set local synchronous_commit = off; -- an order that comes back is done once more
	end if;
	return query select * from app.leg_take(p_agent, null, v_bell);
	return query select * from app.legs_ask(p_agent);
end $$;

-- Whether something should have become of a leg that has not ended. Plain SQL, to be a part of the statements that ask.
create function app.leg_is_overdue(p_leg app.leg) returns bool language sql stable as $$
	select case p_leg.state
		when 'answered' then p_leg.answered_at < now() - interval '60 s'
		when 'up' then p_leg.asking < now() - interval '120 s'
		when 'ending' then greatest(p_leg.ending_at, p_leg.asked_at) < now() - interval '60 s'
		else p_leg.ring_until < now() - interval '60 s' end $$;

-- What an agent was told and has not heard: its connection broke with the answer. Calls that have rung for longer
-- than an agent lets them are over; what is to end is ordered to once more, and has ended after 3 minutes whatever was heard of
-- it. What became of a page's offer is not heard of any more. A phone that calls has ACKed, or its agent would have ended that: the news was lost.
create function app.expire_legs(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_end timestamptz := app.turn_end();
	v_due record;
	v_leg app.leg;
begin
	more := false;
	-- All that have not ended are looked at: an index of these times would make each of their changes dearer.
	for v_due in
		select l.id, l.call_id from app.leg l
		where l.ended_at is null and app.leg_is_overdue(l) order by l.call_id, l.id limit 80
	loop
		exit when clock_timestamp() > v_end;
		perform from app.resource r where r.kind = 'call' and r.id = v_due.call_id for update skip locked;
		continue when not found and exists (select from app.resource r where r.kind = 'call' and r.id = v_due.call_id);
		-- It may have been answered, or have ended, before the lock.
		select l.* into v_leg from app.leg l where l.id = v_due.id and l.ended_at is null and app.leg_is_overdue(l);
		continue when v_leg.id is null;
		begin
			if v_leg.state = 'answered' then
				update app.leg l set state = 'up', last_word = null, last_word_to = null where l.id = v_leg.id;
			elsif v_leg.state = 'up' then
				bell := bell || app.offer_over(v_leg, 0, 480, 'No answer', null);
			elsif v_leg.state = 'ending' and v_leg.asked_at > v_leg.ending_at and v_leg.ending_at < now() - interval '150 s' then
				bell := bell || app.leg_end(v_leg, null, null, 'unreachable');
			elsif v_leg.state = 'ending' then
				bell := bell || app.leg_order(v_leg, 0, case when v_leg.answered_at is null then 'cancel' else 'bye' end);
				update app.leg l set asked_at = now() where l.id = v_leg.id;
			else
				bell := bell || app.call_over(app.leg_participant(v_leg), 0, 'no-answer', p_why => 'no-answer');
			end if;
			more := true;
		exception when others then
			more := app.leg_failed(v_leg.id, 'expire_legs', sqlstate, sqlerrm) or more;
		end;
	end loop;
	bell := bell || app.keys_expire();
end $$;

-- What is to become of a leg has failed. Unless it was somebody's lock, so that it may be tried again, it is given up: else
-- it would be tried for ever, in the place of others. True: it was.
create function app.leg_failed(p_leg bigint, p_duty text, p_state text, p_message text) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform app.duty_failed(p_duty, p_state, p_message || ' (leg ' || p_leg || ')');
	update app.leg l set state = 'ended', ended_at = now(), cause = coalesce(l.cause, 'agent-lost'), local_sdp = null,
		remote_sdp = null, kept = null
	where l.id = p_leg and l.ended_at is null and p_state not in ('55P03', '40P01', '40001');
	return found;
end $$;

-- A batch of the legs that ended longer ago than calls are kept.
create function app.sweep_legs(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	delete from app.leg l where l.id in (
		select o.id from app.leg o
		where o.state = 'ended' and o.ended_at < now() - make_interval(secs => app.bound('call_kept'))
		order by o.ended_at limit 1000 for update skip locked);
	more := found;
end $$;

grant execute on function api.sip_invite, api.leg_news, api.leg_answered, api.leg_ended, api.leg_session, api.leg_claim
	to restsip_agent;
