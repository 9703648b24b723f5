-- How legs end: for whom, with which code, and what becomes of their call; and those that nobody ends.

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

-- The same of who was in a call, or only rung, where it has ended as p_cause says; null: somebody has ended it. The one place of that:
-- what has not begun is not hung up.
create function app.end_cause(p_cause text, p_was_up bool) returns text
language plpgsql immutable as $$
begin
	return case when p_cause <> 'hangup' then p_cause when p_was_up then 'hangup' else 'cancelled' end;
end $$;

-- The code that the caller hears, of those that a callee's phones gave (RFC 3261, section 16.7). Never a phone's 503,
-- which would say that we are down; what is no business of the caller's is 480 with the code in a Reason header (cause). word: how
-- the phone's leg has ended that gave it.
create function app.leg_best(p_participant bigint, out code int, out reason text, out cause text, out word text)
language plpgsql volatile as $$
begin
	select l.code, l.reason, l.cause into code, reason, word from app.leg l
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

-- What REST has begun with a leg that is over has its outcome: a ring, or keys.
create function app.leg_end_tell(p_leg app.leg, p_code int, p_reason text) returns text[]
language plpgsql volatile as $$
begin
	return case when p_leg.answered_at is null then app.ring_heard(p_leg,
		case when p_leg.state = 'ending' then 'cancelled' else 'failed' end, p_code,
		case when p_leg.state = 'ending' and (app.leg_participant(p_leg)).joined_at is not null then 'Call completed elsewhere'
			else p_reason end)
		else app.keys_settle(p_leg, null, 480, 'The call is over') end;
end $$;

-- p_cause: as app.end_cause has it.
create function app.leg_end(p_leg app.leg, p_code int, p_reason text, p_cause text) returns text[]
language plpgsql volatile as $$
begin
	update app.leg l set state = 'ended', ended_at = now(), code = coalesce(l.code, p_code),
		reason = coalesce(l.reason, p_reason), cause = coalesce(l.cause, p_cause),
		local_sdp = null, remote_sdp = null, kept = null, own_said = null, own_heard = null,
		last_word = case when l.answered_at is null then l.last_word end
	where l.id = p_leg.id and l.ended_at is null;
	return app.leg_end_tell(p_leg, coalesce(p_leg.code, p_code), coalesce(p_leg.reason, p_reason));
end $$;

-- What is up is hung up, who is rung is left alone, who calls is told p_code. The call's resource is locked. p_header: of a
-- Reason header.
create function app.leg_hang_up(p_leg app.leg, p_agent int, p_cause text, p_code int, p_reason text, p_header text)
returns text[]
language plpgsql volatile as $$
declare
	v_bell text[];
begin
	if p_leg.direction = 'in' and p_leg.state in ('calling', 'ringing') then
		v_bell := app.leg_order(p_leg, p_agent, 'fail', p_code, p_reason, p_header);
		return v_bell || app.leg_end(p_leg, p_code, p_reason, app.end_cause(p_cause, false));
	end if;
	v_bell := app.leg_order(p_leg, p_agent, case when p_leg.state in ('answered', 'up') then 'bye' else 'cancel' end,
		null, null, p_header);
	update app.leg l set state = 'ending', ending_at = now(),
		cause = coalesce(l.cause, app.end_cause(p_cause, l.answered_at is not null))
	where l.id = p_leg.id;
	return v_bell;
end $$;

-- The same of all of a call. p_which: of one participant alone.
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
		v_bell := v_bell || app.leg_hang_up(v_leg, p_agent, p_cause, p_code, p_reason, p_header);
	end loop;
	return v_bell;
end $$;

-- One who was called, or calls by phone, is in the call no more, whose resource is locked. A call that an INVITE has made
-- is over then. p_code and what follows: for who still calls; p_why: for the callee's pages; p_cancel: of the Reason that its
-- phones are cancelled with; p_by: who has them out; null: they themselves.
create function app.call_over(p_part app.participant, p_agent int, p_cause text, p_code int default 480,
	p_reason text default null, p_header text default null, p_why text default 'caller-gone', p_cancel text default null,
	p_by bigint default null)
returns text[]
language plpgsql volatile as $$
declare
	v_alone bool := (select c.ends_alone from app.call c where c.id = p_part.call_id and c.state <> 'ended');
	v_role text := app.transfer_role(p_part);
	v_prior bigint;
	v_before bigint[];
	v_by bigint := coalesce(p_by, case when p_cause in ('hangup', 'cancelled', 'busy', 'declined') then p_part.account_id end);
	v_bell text[];
begin
	if v_alone is null or p_part.state = 'left' then
		return null;
	elsif v_role = 'to' and p_part.call_id = app.transfer_from(p_part.call_id) then
		v_bell := app.transfer_closes(p_part.call_id, p_agent);
	elsif v_role in ('by', 'to') then
		return app.transfer_left(p_part, v_role, p_agent, p_cause, p_code, p_reason, p_why, p_cancel, v_by);
	elsif v_role = 'kept' then
		v_bell := app.transfer_void(p_part.call_id, p_agent);
	end if;
	v_prior := app.version_of('call', p_part.call_id);
	p_header := app.dial_reason(p_part, p_cause, p_code, p_header);
	if p_part.side = 'callee' and (not v_alone or p_cancel is distinct from p_header) then
		v_bell := v_bell || app.legs_hang_up(p_part.call_id, p_agent, p_cause, p_header => p_cancel, p_which => p_part.id);
	end if;
	if v_alone then
		v_bell := v_bell || app.legs_hang_up(p_part.call_id, p_agent, p_cause, p_code, p_reason, p_header);
		perform app.advance('call', p_part.call_id);
		return v_bell || app.call_end(p_part.call_id, v_prior, p_why, p_cause, p_code, p_reason, v_by, false);
	end if;
	v_before := app.call_seers_before(p_part.call_id);
	v_bell := v_bell || app.ring_over(p_part, p_why);
	update app.participant p set code = case when p_part.state = 'joined' then p.code else p_code end,
		reason = case when p_part.state = 'joined' then p.reason else p_reason end
	where p.id = p_part.id;
	v_bell := v_bell || app.participant_leave(p_part, p_cause, v_by);
	perform app.call_seers_set(p_part.call_id);
	return v_bell || app.publish('call', p_part.call_id, app.advance('call', p_part.call_id), v_prior,
		array[p_part.account_id], v_before);
end $$;

-- A phone that was rung has refused, or is not there.
create function app.leg_refused(p_leg app.leg, p_agent int) returns text[]
language plpgsql volatile as $$
declare
	v_part app.participant := app.leg_participant(p_leg);
	v_best record;
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
	return v_bell || app.call_over(v_part, p_agent, coalesce(v_best.word, p_leg.cause), v_best.code, v_best.reason, v_best.cause,
		case when p_leg.code >= 600 then 'declined' else 'no-answer' end);
end $$;

-- Whether pages still ring for who was called.
create function app.pages_ring_on(p_part app.participant) returns bool
language plpgsql volatile as $$
begin
	return p_part.state in ('calling', 'ringing') and exists (
		select from app.delivery d where d.send_id = p_part.send_id and d.kind = 'stream' and d.state not in ('cancelled', 'failed'));
end $$;

-- A leg that was ending has ended: its call had done so before it, or goes on without it; but where it is the last of those that
-- were up, the call is over, and so is one that a phone has made, which is without any.
create function app.call_goes_on(p_leg app.leg) returns bool
language plpgsql volatile as $$
begin
	return p_leg.answered_at is null and not app.call_is_of_phone(p_leg.call_id)
		or exists (select from app.leg l where l.call_id = p_leg.call_id and l.ended_at is null);
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
	v_cause := app.end_cause(coalesce(v_cause, case when p_item ->> 'code' is null then 'hangup'
		else app.leg_cause((p_item ->> 'code')::int) end), v_leg.answered_at is not null);
	v_bell := app.leg_end(v_leg, (p_item ->> 'code')::int, p_item ->> 'reason', v_cause);
	v_leg.state := 'ended';
	v_leg.code := coalesce(v_leg.code, (p_item ->> 'code')::int);
	v_leg.reason := coalesce(v_leg.reason, p_item ->> 'reason');
	v_leg.cause := coalesce(v_leg.cause, v_cause);
	if v_was = 'ending' and app.call_goes_on(v_leg) then
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
	v_plain record;
	v_bell text[];
begin
	perform app.leg_lock_calls(v_legs);
	v_plain := app.plain_ends(p_agent, p_items, v_legs);
	v_bell := v_plain.bell;
	for i in 1 .. cardinality(v_legs) loop
		continue when i - 1 = any (v_plain.done);
		v_bell := v_bell || app.leg_ended(p_agent, v_legs[i], p_items -> i - 1);
	end loop;
	v_bell := v_bell || app.legs_tell(v_legs);
	return query select * from app.leg_take(p_agent, null, v_bell);
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
	v_failed record;
begin
	more := false;
	-- All that have not ended are looked at: an index of these times would make each of their changes dearer.
	for v_due in
		select l.id, l.call_id from app.leg l
		where l.ended_at is null and app.leg_is_overdue(l) order by l.call_id, l.id limit 80
	loop
		exit when clock_timestamp() > v_end;
		perform from app.resource r where r.kind = 'call' and r.id = v_due.call_id for update skip locked;
		continue when not found and exists (select from app.resource r where r.kind = 'call' and r.id = v_due.call_id)
			or not app.transfer_holds_other(v_due.call_id);
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
			v_failed := app.leg_failed(v_leg.id, 'expire_legs', sqlstate, sqlerrm);
			more := more or v_failed.given_up;
			bell := bell || v_failed.bell;
		end;
	end loop;
	bell := bell || app.keys_expire();
	begin
		bell := bell || app.transfers_expire();
	exception when others then
		perform app.duty_failed('expire_legs', sqlstate, sqlerrm || ' (a transfer)');
	end;
end $$;

-- What is to become of a leg, whose call is locked, has failed. Unless it was somebody's lock, so that it may be tried again, it is
-- given up: else it would be tried for ever, in the place of others. Its phone is told that it is over, and so are the others of its
-- call. Each step stands alone, so that one which fails too keeps no other from being done, and at the last the leg has ended,
-- whatever was told. p_heir: whose it is to be.
create function app.leg_failed(p_leg bigint, p_duty text, p_state text, p_message text, p_heir int default null,
	out given_up bool, out bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_was text;
	v_leg app.leg;
	v_told bool := false;
begin
	perform app.duty_failed(p_duty, p_state, p_message || ' (leg ' || p_leg || ')');
	select l.* into v_leg from app.leg l where l.id = p_leg and l.ended_at is null;
	v_was := v_leg.state;
	given_up := v_was is not null and p_state not in ('55P03', '40P01', '40001');
	if not given_up then
		return;
	end if;
	begin
		if v_was <> 'ending' then -- or it was before
			update app.leg l set agent_id = coalesce(p_heir, l.agent_id) where l.id = p_leg returning l.* into v_leg;
			bell := app.leg_hang_up(v_leg, 0, 'agent-lost', 503, null, null);
			v_told := true;
		end if;
	exception when others then
		perform app.duty_failed(p_duty, sqlstate, sqlerrm || ' (leg ' || p_leg || ', its phone)');
	end;
	if not v_told then
		update app.leg l set state = 'ended', ended_at = now(), cause = coalesce(l.cause, 'agent-lost'), local_sdp = null,
			remote_sdp = null, kept = null, own_said = null, own_heard = null
		where l.id = p_leg;
		begin
			bell := bell || app.leg_end_tell(v_leg, 503, null);
		exception when others then
			perform app.duty_failed(p_duty, sqlstate, sqlerrm || ' (leg ' || p_leg || ', who has it rung)');
		end;
	end if;
	bell := bell || app.leg_failed_call(p_leg, p_duty, v_was);
end $$;

-- Its call is over, as far as it was anything to that; where that fails, those who talk are hung up at least.
create function app.leg_failed_call(p_leg bigint, p_duty text, p_was text) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_leg app.leg;
	v_bell text[];
begin
	select l.* into v_leg from app.leg l where l.id = p_leg;
	if p_was = 'ending' and app.call_goes_on(v_leg) then
		return null;
	elsif p_was in ('calling', 'ringing') and v_leg.direction = 'out' then -- others may ring on
		return app.leg_refused(v_leg, 0);
	end if;
	return app.call_over(app.leg_participant(v_leg), 0, 'agent-lost', 503);
exception when others then
	perform app.duty_failed(p_duty, sqlstate, sqlerrm || ' (leg ' || p_leg || ', its call)');
	for v_leg in
		select o.* from app.leg l join app.leg o on o.call_id = l.call_id and o.state in ('answered', 'up')
		where l.id = p_leg and app.call_is_of_phone(l.call_id) order by o.id
	loop
		begin
			v_bell := v_bell || app.leg_hang_up(v_leg, 0, 'agent-lost', 503, null, null);
		exception when others then
			perform app.duty_failed(p_duty, sqlstate, sqlerrm || ' (leg ' || v_leg.id || ')');
		end;
	end loop;
	return v_bell;
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

grant execute on function api.leg_ended to restsip_agent;
