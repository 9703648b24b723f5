-- Calls outlive the process that has them: who is up talks on, and another process reads the dialog from its row when somebody
-- wants something of it; who still rings is told that it is over.

-- What is left of a leg, whose call's resource is locked, after its process. p_heir: the agent that has it now, p_asks: the
-- one that asks.
create function app.leg_inherit(p_leg bigint, p_heir int, p_asks int) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_leg app.leg;
	v_bell text[];
begin
	update app.leg l set agent_id = p_heir where l.id = p_leg and l.ended_at is null returning * into v_leg;
	update app.leg_job j set agent_id = p_heir where j.leg_id = v_leg.id and j.kind <> 'left';
	if v_leg.state in ('calling', 'ringing') and v_leg.direction = 'out' then
		v_bell := app.leg_order(v_leg, p_asks, 'cancel');
		update app.leg l set state = 'ending', ending_at = now(), cause = 'agent-lost' where l.id = v_leg.id returning l.* into v_leg;
		return v_bell || app.leg_refused(v_leg, p_asks) || app.legs_tell(array[p_leg]);
	elsif v_leg.state = 'answered' and v_leg.remote_sdp is not null and v_leg.agent_id = p_asks then
		if app.leg_waits_for_ack(v_leg) then
			v_bell := app.leg_order(v_leg, p_asks, 'answer');
		else -- whether its ACK has come is found out by asking its phone
			update app.leg l set state = 'up' where l.id = v_leg.id;
		end if;
	elsif v_leg.state = 'up' and v_leg.agent_id = p_asks then
		-- What a page has offered is offered once more; phones do that themselves, where they want it.
		if v_leg.asking is not null and (app.leg_page(v_leg)).id is not null then
			v_bell := app.leg_order(v_leg, p_asks, 'offer', p_sdp => v_leg.local_sdp);
		else
			v_bell := app.offer_over(v_leg, p_asks, 480, null, null);
		end if;
	elsif v_leg.state = 'ending' then
		v_bell := app.leg_order(v_leg, p_asks, case when v_leg.answered_at is null then 'cancel' else 'bye' end);
	elsif v_leg.id is not null then
		v_bell := app.call_over(app.leg_participant(v_leg), p_asks, 'agent-lost', 503);
	end if;
	return v_bell;
end $$;

-- Whether the process before may not have come to send its 200 to a phone that calls: it is sent again until the ACK. Of
-- one over a connection there is nothing to send: its end has told the phone.
create function app.leg_waits_for_ack(p_leg app.leg) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return p_leg.direction = 'in' and p_leg.state in ('answered', 'ending') and p_leg.last_word is not null
		and p_leg.answered_at > now() - interval '32 s'
		and (p_leg.relay is null or p_leg.own_said is not null); -- else what it was to say is not known
end $$;

-- Whether something is to be done for it with its agent's new process, and is not ordered yet.
create function app.leg_is_left(p_leg app.leg) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return p_leg.state in ('calling', 'ringing')
		or p_leg.state = 'answered' and not exists (
			select from app.leg_job j where j.leg_id = p_leg.id and j.kind = 'answer')
		or p_leg.state = 'up' and (p_leg.answering is not null or p_leg.asking is not null and not exists (
			select from app.leg_job j where j.leg_id = p_leg.id and j.kind = 'offer'));
end $$;

-- An agent begins anew: what its earlier process has left. What is up stays. more: there are others.
create function app.bury_legs(p_agent int, out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_legs bigint[] := array(
		select l.id from app.leg l
		where l.agent_id = p_agent and l.ended_at is null
			and (l.state in ('calling', 'ringing', 'answered') or l.asking is not null or l.answering is not null)
			and app.leg_is_left(l.*::app.leg)
		order by l.id limit 32);
	v_keys bigint[] := array(
		select l.id from app.leg l
		where l.agent_id = p_agent and l.pressing <> '{}' and l.ended_at is null and app.keys_taken(l.*::app.leg) <> '{}'
		order by l.id limit 32);
	v_leg bigint;
	v_failed record;
begin
	more := cardinality(v_legs) = 32 or cardinality(v_keys) = 32;
	perform app.leg_lock_calls(v_legs || v_keys);
	foreach v_leg in array v_keys loop
		bell := bell || (select app.keys_bury(l.*::app.leg) from app.leg l where l.id = v_leg);
	end loop;
	foreach v_leg in array v_legs loop
		-- one may have ended with its call
		continue when not exists (
			select from app.leg l where l.id = v_leg and l.ended_at is null and app.leg_is_left(l.*::app.leg));
		begin
			bell := bell || app.leg_orders_keep(p_agent, app.leg_inherit(v_leg, p_agent, p_agent));
		exception when others then -- or its agent would never begin
			v_failed := app.leg_failed(v_leg, 'agent_start', sqlstate, sqlerrm, p_agent);
			bell := bell || v_failed.bell;
		end;
	end loop;
end $$;

-- What of an agent's legs it is to ask about or to end, once it has begun anew. Without their calls: whom somebody has is left to
-- them; and after all else, for who waits behind this holds what stands before.
create function app.legs_left(p_agent int) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	insert into app.leg_job (leg_id, agent_id, kind)
	select l.id, l.agent_id, case when l.answered_at is null then 'cancel' else 'bye' end from (
		select o.* from app.leg o
		where o.agent_id = p_agent and o.ended_at is null and o.state = 'ending' and not exists (
			select from app.leg_job j where j.leg_id = o.id and j.kind not in ('left', 'informed'))
		order by o.id for update skip locked) l;
	update app.leg l set asked_at = '-infinity' where l.id in (
		select o.id from app.leg o
		where o.agent_id = p_agent and o.ended_at is null and o.state = 'up' order by o.id for update skip locked);
end $$;

-- One agent is given up: nobody answers any more where its phones send to, so that what is up is hung up too, by another.
create function app.bury_dead_legs(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_agent int;
	v_heir int;
	v_end timestamptz;
	v_legs bigint[];
	v_calls bigint[];
	v_leg bigint;
	v_failed record;
begin
	more := false;
	select g.id into v_agent from app.agent g
	where g.dead_at is not null and exists (select from app.leg l where l.agent_id = g.id and l.ended_at is null) limit 1;
	select g.id into v_heir from app.agent g
	where g.dead_at is null and app.is_alive(29285, g.id, g.beat_at) order by random() limit 1;
	if v_agent is null or v_heir is null then
		return;
	end if;
	v_legs := array(
		select l.id from app.leg l where l.agent_id = v_agent and l.ended_at is null order by l.id limit 32);
	v_calls := array(
		select t.id from app.turn_lock('call', array(
			select l.call_id from app.leg l where l.id = any (v_legs) and l.call_id is not null group by 1 order by 1), '-infinity') t);
	v_end := app.turn_end();
	-- As they are now: one may have ended, or its agent have come back.
	for v_leg in
		select l.id from app.leg l join app.agent g on g.id = l.agent_id and g.dead_at is not null
		where l.id = any (v_legs) and l.agent_id = v_agent and l.ended_at is null and (l.call_id is null or l.call_id = any (v_calls))
		order by l.id
	loop
		exit when clock_timestamp() > v_end;
		continue when not app.transfer_holds_other((select l.call_id from app.leg l where l.id = v_leg));
		begin
			bell := bell || app.leg_inherit(v_leg, v_heir, 0);
			more := true;
		exception when others then
			v_failed := app.leg_failed(v_leg, 'bury_dead_legs', sqlstate, sqlerrm, v_heir);
			more := more or v_failed.given_up;
			bell := bell || v_failed.bell;
		end;
	end loop;
end $$;

-- Over which flow the phone of a leg is reached now. What came over a connection that has gone goes over the one that its
-- phone registers over; a phone behind a NAT that has given it another port, to where its contact has registered from last.
-- flow null and lost: nowhere, for now; null and not lost: at its contact. agent_id: who has that connection.
create function app.leg_way(p_leg app.leg, p_agent int, out flow text, out agent_id int, out lost bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := coalesce(p_leg.account_id, (
		select p.account_id from app.participant p where p.id = p_leg.participant_id));
	v_contact text := case p_leg.direction when 'in' then p_leg.remote_target else p_leg.contact end;
	v_now record;
begin
	flow := p_leg.flow;
	agent_id := p_agent;
	lost := false;
	if p_leg.flow like 'udp:%' then
		select l.flow into v_now from app.login l
		where l.account_id = v_account and l.contact = v_contact and l.expires_at > now() and l.flow like 'udp:%'
			and app.is_phone_at(l.*::app.login, p_leg.peer)
		order by app.bound_at(l) desc limit 1;
		flow := coalesce(v_now.flow, p_leg.flow);
	elsif p_leg.lost_at is not null or not exists (
		select from app.agent g where g.boot = split_part(p_leg.flow, ':', 2) and g.dead_at is null)
	then
		v_now := app.contact_flow(v_account, p_leg.credential_id, v_contact, p_leg.flow, p_leg.peer);
		flow := v_now.flow;
		lost := p_leg.flow is not null and v_now.flow is null
			-- a request within the dialog goes to the Contact of its 2xx, which need not be the one that has registered
			and (p_leg.route is not null or not app.contact_dials(v_account, p_leg.remote_target, p_leg.flow));
		if v_now.flow !~ '^udp:' and exists (select from app.agent g where g.id = v_now.agent_id and g.dead_at is null) then
			agent_id := v_now.agent_id;
		end if;
	end if;
end $$;

-- The last SDP that the phone of a leg was told, and that it has said. Of two phones, what the one has said the other was told, as
-- long as no transfer was begun.
create function app.leg_sdps(p_leg app.leg, out said text, out heard text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_far app.leg := app.leg_far(p_leg);
begin
	heard := (app.leg_participant(p_leg)).session ->> 'sdp';
	said := case when v_far.id is null or p_leg.other_id is not null then p_leg.local_sdp
		else (app.leg_participant(v_far)).session ->> 'sdp' end;
end $$;

-- The same for the agent that has it, and keeps none that are long.
create function api.leg_sdps(p_agent int, p_leg bigint) returns table (said text, heard text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return query
		select case when l.relay is null then s.said else l.own_said end, case when l.relay is null then s.heard else l.own_heard end
		from app.leg l, app.leg_sdps(l.*::app.leg) s
		where l.id = p_leg and l.agent_id = p_agent and l.state = 'up';
end $$;

-- A leg that its agent does not have in memory: for an order (p_leg), a request of its phone's, or an answer to its INVITE
-- (p_remote_tag null). p_from: the IP address that it came from. No row: there is no such leg here, or its phone is not
-- reached for now. state: up, its values are set, and it is the asking agent's; gone: it is lost for good; prove: whoever asks from
-- another address for what another agent has is to prove who it is, and asks again with p_aor, whom a digest has named; else how it
-- stands in its row. Whoever guesses tags pays for one look, and locks nothing.
create function api.leg_load(p_agent int, p_leg bigint, p_call_id text, p_local_tag text, p_remote_tag text, p_from text,
	p_aor text default null)
returns table (leg bigint, call bigint, peer bigint, direction text, state text, fresh bool, account bigint, aor text,
	host text, contact text, flow text, secure bool, rest bool, call_id text, local_tag text, remote_tag text, local_uri text,
	remote_uri text, local_target text, remote_target text, route text, cseq bigint, remote_cseq bigint, invite_cseq bigint,
	sdp text, last_word text, last_word_to text, session_s int, session_ours bool, takes_update bool, said text, heard text,
	apart bool, relay text, web bool, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_leg app.leg;
	v_way record;
	v_lost bool := false;
	v_over bool := false;
	v_left_s int;
	v_was int;
	v_mine bool;
	v_waits bool := false;
	v_word text;
	v_account bigint;
begin
	if p_leg is not null then
		select l.* into v_leg from app.leg l where l.id = p_leg;
	elsif p_remote_tag is not null then
		select l.* into v_leg from app.leg l
		where l.sip_call_id = p_call_id and l.local_tag = p_local_tag and l.remote_tag = p_remote_tag;
	else
		select l.* into v_leg from app.leg l
		where l.sip_call_id = p_call_id and l.local_tag = p_local_tag and l.direction = 'out';
	end if;
	v_was := v_leg.agent_id;
	v_mine := v_was = p_agent or exists (select from app.agent g where g.id = v_was and g.dead_at is not null);
	v_account := coalesce(v_leg.account_id, (
		select p.account_id from app.participant p where p.id = v_leg.participant_id));
	if v_leg.id is null then
		return;
	elsif not v_mine and p_from is distinct from v_leg.peer then
		if p_remote_tag is null or v_leg.state not in ('answered', 'up', 'ending') then
			return;
		elsif p_aor is null or p_aor is distinct from app.email(v_account) then
			if p_aor is null then
				state := 'prove';
				return next;
			end if;
			return;
		end if;
	end if;
	state := v_leg.state;
	if v_leg.state in ('answered', 'up', 'ending') and v_leg.remote_tag is not null then
		perform app.leg_lock_calls(array[v_leg.id]);
		select l.* into v_leg from app.leg l where l.id = v_leg.id and l.agent_id = v_was for update;
		if v_leg.id is null then
			return;
		end if;
		state := v_leg.state;
	end if;
	if v_leg.state in ('answered', 'up', 'ending') and v_leg.remote_tag is not null then
		if p_leg is not null then
			v_way := app.leg_way(v_leg, p_agent);
			v_lost := v_way.lost;
			v_left_s := case when v_lost and v_leg.session_s > 0 then
				extract(epoch from v_leg.lost_at + make_interval(secs => v_leg.left_s) - now())::int end;
			v_over := coalesce(v_left_s <= 0, false);
			if v_lost and not v_over and coalesce(v_leg.lost_at, now()) > now() - interval '2 min' then
				-- its phone may come back, until its session is over
				update app.leg l set lost_at = coalesce(l.lost_at, now()), asked_at = app.asked_so(l.asked_at, least(60, v_left_s))
				where l.id = v_leg.id;
				return;
			end if;
			-- One that is reached at its contact keeps the name of what was: whether that was encrypted.
			update app.leg l set flow = coalesce(v_way.flow, l.flow), agent_id = v_way.agent_id,
				lost_at = case when v_lost then l.lost_at end
			where l.id = v_leg.id returning l.* into v_leg;
			if v_way.agent_id <> p_agent then
				state := 'elsewhere';
				bell := case v_leg.state when 'ending' then app.leg_order(v_leg, p_agent, 'bye') end;
				return next;
				return;
			end if;
		end if;
		v_waits := app.leg_waits_for_ack(v_leg) and not v_lost;
		state := case when v_over then 'expired' when v_lost then 'gone' when v_waits then 'answered' else 'up' end;
		v_word := case when v_lost or v_leg.state = 'answered' and not v_waits then null else v_leg.last_word end;
		-- The one before may have used more than its row says.
		update app.leg l set agent_id = p_agent, local_cseq =
			greatest(l.local_cseq, (select e.n * 1000000 from app.epoch e)) + 1000,
			state = case when l.state = 'answered' and not v_waits then 'up' else l.state end,
			last_word = case when v_waits then l.last_word end, -- it is said once
			left_s = null
		where l.id = v_leg.id returning l.* into v_leg;
		if v_was <> p_agent then
			update app.leg_job j set agent_id = p_agent where j.leg_id = v_leg.id and j.kind <> 'left';
			insert into app.leg_job (leg_id, agent_id, kind) values (v_leg.id, v_was, 'left');
			bell := array['restsip_job_' || v_was || '|call'] || app.keys_bury(v_leg);
		end if;
	end if;
	leg := v_leg.id;
	call := v_leg.call_id;
	peer := app.leg_peer(v_leg);
	apart := app.leg_is_apart(v_leg);
	direction := v_leg.direction;
	fresh := v_leg.ended_at is null or v_leg.ended_at > now() - interval '1 min';
	account := (select c.owner_id from app.call c where c.id = v_leg.call_id);
	aor := app.email(v_account);
	host := v_leg.peer;
	contact := v_leg.contact;
	flow := v_leg.flow;
	secure := v_leg.secure;
	rest := v_leg.rest;
	call_id := v_leg.sip_call_id;
	local_tag := v_leg.local_tag;
	remote_tag := v_leg.remote_tag;
	local_uri := v_leg.local_uri;
	remote_uri := v_leg.remote_uri;
	local_target := v_leg.local_target;
	remote_target := v_leg.remote_target;
	route := v_leg.route;
	cseq := v_leg.local_cseq;
	remote_cseq := v_leg.remote_cseq;
	invite_cseq := v_leg.invite_cseq;
	sdp := case when v_waits then coalesce(v_leg.own_said, v_leg.local_sdp)
		-- its ACK waits for what it is to say
		when exists (select from app.transfer t where t.call_id = v_leg.call_id and t.to_id = v_leg.participant_id and t.state = 'asking')
			then '' else v_leg.acks end;
	last_word := coalesce(v_word, v_leg.last_word);
	last_word_to := v_leg.last_word_to;
	session_s := v_leg.session_s;
	session_ours := v_leg.session_ours;
	takes_update := v_leg.takes_update;
	relay := v_leg.relay;
	web := app.sdp_kind(v_leg.remote_sdp) = 'rtp'; -- that is the other side's kind
	if relay is null then
		select s.said, s.heard into said, heard from app.leg_sdps(v_leg) s;
	else
		said := v_leg.own_said;
		heard := v_leg.own_heard;
	end if;
	return next;
end $$;

-- What an agent was ordered, of a leg that another has by now, goes on to that: what a page or another phone offers, asks or presses.
-- Not where that has an outcome already. p_order: kind, number, reason, cause, sdp.
create function api.leg_hand_on(p_agent int, p_leg bigint, p_order jsonb) returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_leg app.leg;
	v_kind text := p_order ->> 'kind';
	v_number bigint := p_order ->> 'number';
	v_bell text[];
begin
	perform app.leg_lock_calls(array[p_leg]);
	-- Who has handed on the call hears of it also where that has ended the leg.
	select l.* into v_leg from app.leg l
	where l.id = p_leg and (l.state = 'up' or l.state = 'ending' and v_kind = 'notify');
	if v_kind = 'offer' and v_leg.asking is not null or v_kind = 'dtmf' and v_number = any (v_leg.pressing)
		or v_kind in ('info', 'notify') and v_leg.id is not null
	then
		v_bell := app.leg_order(v_leg, p_agent, v_kind, null, p_order ->> 'reason', p_order ->> 'cause', p_order ->> 'sdp', v_number);
	end if;
	return query select * from app.leg_take(p_agent, null, v_bell);
end $$;

-- Phones whose connection has gone: what is known of it, and what is to be done once it is back. Their calls are not
-- locked, so that it waits for none of them. True: somebody has some, to be called again.
create function app.legs_flow_lost(p_agent int, p_flow text) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	update app.leg l set lost_at = now()
	where l.id in (
		select o.id from app.leg o
		where o.flow = p_flow and o.agent_id = p_agent and o.ended_at is null and o.lost_at is null for update skip locked);
	return exists (
		select from app.leg l where l.flow = p_flow and l.agent_id = p_agent and l.ended_at is null and l.lost_at is null);
end $$;

create function app.legs_flow_new(p_credential bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_leg app.leg;
	v_bell text[];
begin
	for v_leg in
		select l.* from app.leg l
		where l.credential_id = p_credential and l.lost_at is not null and l.ended_at is null and l.state = 'ending'
		order by l.id for update skip locked
	loop
		v_bell := v_bell || app.leg_order(v_leg, 0, 'bye');
	end loop;
	return v_bell;
end $$;

create function app.asked_every() returns interval language sql immutable as $$ select interval '10 min' $$;

-- Phones of an agent, in calls that are up, that are to be asked whether they are there: nobody else notices that both have
-- gone. Whose session is short is asked first: of a new process nobody knows how much of it is left.
create function app.legs_ask(p_agent int, p_most int) returns setof app.leg_work
language plpgsql volatile as $$
declare
	v_work app.leg_work;
begin
	v_work.kind := 'ask';
	for v_work.leg in
		with due as materialized (
			select l.id from app.leg l
			where l.agent_id = p_agent and l.ended_at is null and l.state = 'up' and l.asked_at < now() - app.asked_every()
			order by l.asked_at, nullif(l.session_s, 0) limit p_most for update skip locked)
		update app.leg l set asked_at = now() from due where l.id = due.id returning l.id
	loop
		return next v_work;
	end loop;
end $$;

grant execute on function api.leg_sdps, api.leg_load, api.leg_hand_on to restsip_agent;
