-- A transfer: who is in a call hands the other side on to somebody else, by a phone's REFER or by REST. Who comes is rung without an
-- offer; their offer goes to the side that is kept, whose answer they get. Until that is there the old pair is as it was, so that a
-- failure restores nothing. Whoever asked for it may hang up meanwhile: that ends their own leg only. A row of app.transfer is
-- there for as long as it is under way; its steps are orders as any others. The call is locked in all of these.

-- What a participant is to the transfer that is under way: by, kept, to; null: nothing. Whom REST has dialled (53_dial.sql) are a call's two
-- as any others.
create function app.transfer_role(p_part app.participant) returns text
language sql stable as $$
	select case p_part.id when t.by_id then 'by' when t.from_by_id then 'by' when t.kept_id then 'kept' when t.to_id then 'to' end
	from app.transfer t where p_part.call_id in (t.call_id, t.from_call_id) and t.state <> 'undone' and t.by_id is not null
$$;

create function app.transfer_of(p_call bigint) returns app.transfer
language plpgsql stable as $$
declare
	v_t app.transfer;
begin
	select t.* into v_t from app.transfer t where p_call in (t.call_id, t.from_call_id);
	return v_t;
end $$;

-- The same where somebody is who comes by it.
create function app.transfer_to(p_part app.participant) returns app.transfer
language plpgsql stable as $$
declare
	v_t app.transfer;
begin
	select t.* into v_t from app.transfer t where t.call_id = p_part.call_id and t.to_id = p_part.id and t.state = 'ringing';
	return v_t;
end $$;

create function app.participant_of(p_id bigint) returns app.participant
language plpgsql stable as $$
declare
	v_part app.participant;
begin
	select p.* into v_part from app.participant p where p.id = p_id and p.left_at is null;
	return v_part;
end $$;

-- The phone by which a participant is in the call.
create function app.part_leg(p_part bigint) returns app.leg
language plpgsql stable as $$
declare
	v_leg app.leg;
begin
	select l.* into v_leg from app.leg l
	where l.participant_id = p_part and l.state in ('answered', 'up') order by l.id limit 1;
	return v_leg;
end $$;

-- The leg at the other end of one, where that is the same agent's, which passes on by itself what one says to the other. Not
-- while a transfer is under way: then it comes by here.
create function app.leg_peer(p_leg app.leg) returns bigint
language sql stable as $$
	select o.id from app.leg o
	where o.call_id = p_leg.call_id and o.agent_id = p_leg.agent_id and o.state in ('answered', 'up') and o.id <> p_leg.id
		and case when p_leg.other_id is null then o.direction <> p_leg.direction else o.participant_id = p_leg.other_id end
		and not exists (select from app.transfer t where p_leg.call_id in (t.call_id, t.from_call_id) and t.state <> 'undone')
	order by o.id limit 1
$$;

-- Each of the two legs is told by which other it is to go on.
create function app.transfer_pair(p_agent int, p_one app.leg, p_other app.leg) returns text[]
language plpgsql volatile as $$
begin
	return case when p_one.id is not null then app.leg_order(p_one, p_agent, 'pair') end
		|| case when p_other.id is not null then app.leg_order(p_other, p_agent, 'pair') end;
end $$;

-- What has become of it, for the phone that has asked: a status line without its version (RFC 3515, section 2.4.5).
create function app.transfer_tell(p_t app.transfer, p_agent int, p_said text) returns text[]
language plpgsql volatile as $$
declare
	v_leg app.leg := app.part_leg(p_t.by_id);
begin
	if not p_t.tells or v_leg.id is null then
		return null;
	end if;
	return app.leg_order(v_leg, p_agent, 'notify', p_reason => p_said, p_number => p_t.cseq);
end $$;

-- A phone's refusal as a status line has it.
create function app.transfer_line(p_code int, p_reason text) returns text
language plpgsql immutable as $$
begin
	return p_code || ' ' || coalesce(nullif(left(p_reason, 100), ''), case p_code when 480 then 'Temporarily Unavailable'
		when 486 then 'Busy Here' when 487 then 'Request Terminated' when 488 then 'Not Acceptable Here'
		when 491 then 'Request Pending' when 603 then 'Decline' else 'Refused' end);
end $$;

-- The pages of who comes ring too. As app.pages_ring, without a session: they offer.
create function app.transfer_pages(p_call bigint, p_from bigint, p_account bigint) returns table (send_id bigint, bell text[])
language plpgsql volatile as $$
declare
	v_n bigint;
begin
	if not app.has_page(p_account) then
		return;
	end if;
	begin
		perform app.send_may_wait(p_account, p_from, 100);
	exception when sqlstate 'RS507' then
		return;
	end;
	v_n := app.take_n('login', p_account);
	return query select m.send_id, m.bell from app.page_send(p_account, v_n, p_from, app.email(p_from), p_call,
		'{"command":"invite","url":"/call/' || p_call || '","id":' || v_n || '}') m;
end $$;

-- ---- it begins ----

-- The one way by which a transfer begins, for REFER and for REST: p_by (null: nobody, p_kept dials) hands p_kept on to an account, whose
-- login is locked, as is the profile of who asks. p_cseq: of a REFER, whose phone is told what becomes of it where p_tells says so.
-- p_asks: who asks, and pays for whom that rings, where it is not p_by.
create function app.transfer_begin(p_by app.participant, p_kept app.participant, p_account bigint, p_agent int,
	p_cseq bigint default null, p_tells bool default false, p_asks bigint default null) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	c_ring_s constant int := 60;
	c_legs constant int := 32; -- of a call, whatever became of them
	v_call bigint := p_kept.call_id;
	v_t app.transfer := app.transfer_of(v_call);
	v_by app.leg := app.part_leg(p_by.id);
	v_kept app.leg := app.part_leg(p_kept.id);
	v_payer bigint := coalesce(p_asks, p_by.account_id);
	v_before bigint[] := app.call_seers_before(v_call);
	v_id bigint;
	v_rung record;
	v_pages record;
	v_bell text[];
begin
	if v_t.call_id is not null then
		perform app.refuse(409, 'exchange-pending', 'A transfer of this call is under way.');
	end if;
	if exists (select from app.participant p where p.call_id = v_call and p.account_id = p_account and p.left_at is null) then
		perform app.refuse(400, 'invalid-member', 'Who is to come is in the call already.', '/to');
	end if;
	perform app.refuse_for_disabled(p_account);
	v_id := app.participant_phone(v_call, p_account, 'callee', null, v_payer);
	v_rung := app.legs_ring(v_call, p_agent, p_account, v_id, 'sip:' || app.email(p_kept.account_id), 70, c_ring_s,
		exists (select from app.leg l where l.call_id = v_call and l.secure and l.ended_at is null), null, v_payer, '',
		p_most => greatest(c_legs - (select count(*) from app.leg l where l.call_id = v_call)::int, 0));
	select p.* into v_pages from app.transfer_pages(v_call, p_kept.account_id, p_account) p;
	if v_rung.made = 0 and v_pages.send_id is null then
		perform app.refuse(409, 'not-reachable', 'Nobody is logged in there.');
	end if;
	update app.participant p set send_id = v_pages.send_id, web = v_rung.made = 0,
		ring_until = now() + make_interval(secs => c_ring_s), past_made = p_by.id is not null,
		past_with = case when p_by.id is not null then app.email(p_kept.account_id) end
	where p.id = v_id;
	insert into app.transfer (call_id, by_id, kept_id, to_id, cseq, tells)
	values (v_call, p_by.id, p_kept.id, v_id, p_cseq, p_tells) returning * into v_t;
	-- what they were told last: who has told it may leave
	update app.leg l set other_id = p_kept.id, local_sdp = app.transfer_said(v_by, p_kept.id) where l.id = v_by.id;
	update app.leg l set other_id = p_by.id, local_sdp = app.transfer_said(v_kept, p_by.id) where l.id = v_kept.id;
	perform app.call_seers_set(v_call);
	v_bell := app.transfer_pair(p_agent, v_by, v_kept) || app.transfer_tell(v_t, p_agent, '100 Trying') || v_rung.bell || v_pages.bell;
	return v_bell || app.call_changed(v_call, array[p_account], v_before);
end $$;

-- A phone hands the other side on, within its dialog (RFC 3515). p_to: the account's email; p_cseq: of its REFER, p_tells: it
-- wants NOTIFYs. Kind of the first row: refer, code 202 or 491 (another is under way).
create function api.leg_refer(p_agent int, p_leg bigint, p_cseq bigint, p_to text, p_tells bool) returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := app.target(null, p_to);
	v_leg app.leg;
	v_by app.participant;
	v_kept app.participant;
	v_t app.transfer;
	v_first app.leg_work;
	v_bell text[];
begin
	select l.* into v_leg from app.leg l where l.id = p_leg;
	v_by := app.leg_participant(v_leg);
	if v_by.id is null then
		perform app.refuse(481, 'no-dialog', 'The call is over.');
	end if;
	perform app.leg_make_room(v_by.account_id);
	perform app.leg_lock_calls(array[p_leg]);
	perform app.lock('login', v_account, p_mine => v_account = v_by.account_id);
	perform app.caller_holds(v_by.account_id);
	select l.* into v_leg from app.leg l where l.id = p_leg and l.agent_id = p_agent and l.state in ('answered', 'up');
	v_by := app.participant_of(v_leg.participant_id);
	v_kept := app.leg_other(v_leg);
	v_t := app.transfer_of(v_leg.call_id);
	if v_by.id is null or v_kept.id is null and not app.dial_is_waiting(v_leg.call_id) then
		perform app.refuse(481, 'no-dialog', 'The call is over.');
	end if;
	v_first.kind := 'refer';
	v_first.leg := p_leg;
	v_first.code := case when v_t.call_id is null and v_kept.id is not null or v_t.by_id = v_by.id and v_t.cseq = p_cseq then 202 else 491 end;
	if v_t.call_id is null and v_first.code = 202 then
		v_bell := app.transfer_begin(v_by, v_kept, v_account, p_agent, p_cseq, p_tells);
	end if;
	return query select * from app.leg_take(p_agent, v_first, v_bell);
end $$;

-- Who is at the other end of a phone: by phone too, or by a page.
create function app.leg_other(p_leg app.leg) returns app.participant
language plpgsql volatile as $$
declare
	v_page app.participant := app.leg_page(p_leg);
begin
	return case when v_page.id is not null then v_page else app.participant_of((app.leg_far(p_leg)).participant_id) end;
end $$;

-- ---- who comes has answered ----

-- Whether the one who is kept is a page with media, which then answers the phone that comes, as it does a re-INVITE.
create function app.transfer_keeps_page(p_t app.transfer) returns bool
language plpgsql volatile as $$
begin
	return exists (
		select from app.participant p
		where p.id = p_t.kept_id and (p.web or p.side = 'in') and app.sdp_kind(p.session ->> 'sdp') is not null);
end $$;

-- By a phone (p_leg), or a page, with an offer. Who is kept is asked to take it.
create function app.transfer_picked(p_t app.transfer, p_leg app.leg, p_agent int, p_sdp text) returns text[]
language plpgsql volatile as $$
declare
	v_kept app.participant := app.participant_of(p_t.kept_id);
	v_far app.leg := app.part_leg(p_t.kept_id);
	v_offer text := coalesce(p_sdp, app.sdp_inactive(null));
begin
	update app.leg l set other_id = p_t.kept_id where l.id = p_leg.id and p_t.from_call_id is null;
	if p_leg.id is not null and p_sdp is null or app.sdp_kind(p_sdp) <> app.sdp_kind(v_kept.session ->> 'sdp')
		-- a phone that is kept hears a page by a relay
		and (p_leg.id is not null or v_far.id is null or not app.agent_relays(v_far.agent_id))
	then
		return app.transfer_fail(p_t, p_agent, 488, 'Not Acceptable Here', 'media');
	elsif v_far.id is null then
		return case when p_leg.id is not null and not app.transfer_keeps_page(p_t) then
			app.leg_order(p_leg, p_agent, 'accept', p_sdp => app.sdp_inactive(p_sdp)) end || app.transfer_done(p_t, p_agent);
	elsif app.leg_is_asked(v_far) then
		return app.transfer_fail(p_t, p_agent, 491, 'Request Pending', 'media');
	end if;
	v_offer := app.sdp_next(app.transfer_said(v_far, p_t.by_id), v_offer);
	update app.transfer t set state = 'asking' where t.call_id = p_t.call_id;
	update app.leg l set asking = now(), local_sdp = v_offer where l.id = v_far.id;
	return app.leg_order(v_far, p_agent, 'offer', p_sdp => v_offer);
end $$;

-- What a phone was told last; p_by: by whom. By nobody, where it dials: that is in its row alone.
create function app.transfer_said(p_leg app.leg, p_by bigint) returns text
language plpgsql volatile as $$
begin
	return coalesce(case when p_by is null then p_leg.local_sdp end, (app.leg_sdps(p_leg)).said, (app.participant_of(p_by)).session ->> 'sdp');
end $$;

-- What who is kept has said to that; p_sdp null: it has refused, and p_reason null: nobody knows.
create function app.transfer_heard(p_t app.transfer, p_leg app.leg, p_agent int, p_code int, p_reason text, p_sdp text)
returns text[]
language plpgsql volatile as $$
declare
	v_to app.leg := app.part_leg(p_t.to_id);
	v_said text;
	v_bell text[];
begin
	update app.leg l set asking = null, remote_sdp = coalesce(p_sdp, l.remote_sdp), local_sdp = case
		when p_sdp is null and p_reason is not null then app.sdp_kept(l.local_sdp, (app.participant_of(p_t.by_id)).session)
		else l.local_sdp end
	where l.id = p_leg.id;
	if p_t.state = 'asking' and p_sdp is not null and (app.participant_of(p_t.to_id)).id is not null then
		update app.participant p set session = app.answer_session(p_sdp, p.session, null), hold = false where p.id = p_leg.participant_id;
		if v_to.id is not null then
			v_said := app.sdp_cut(v_to.remote_sdp,
				case when p_t.from_call_id is null then p_sdp else app.sdp_next(v_to.local_sdp, p_sdp) end);
			update app.leg l set acks = case when p_t.from_call_id is null then v_said end, local_sdp = v_said where l.id = v_to.id;
			v_bell := app.leg_order(v_to, p_agent, 'accept', p_sdp => v_said);
		end if;
		return v_bell || app.transfer_done(p_t, p_agent);
	elsif p_t.state = 'asking' then
		-- or who comes has left the other call, while somebody else had this one
		v_bell := app.transfer_fail(p_t, p_agent, case when p_sdp is null then p_code else 480 end, case when p_sdp is null then p_reason end, 'media');
	else
		delete from app.transfer t where t.call_id = p_t.call_id;
		v_bell := app.call_changed(p_leg.call_id);
	end if;
	if p_sdp is not null or p_reason is null then
		v_bell := v_bell || app.transfer_restore(p_t, p_agent, p_leg.id);
	end if;
	return v_bell;
end $$;

-- Who is kept has changed over, or may have, to one who is not there: it has the old session again, if its other side is there.
create function app.transfer_restore(p_t app.transfer, p_agent int, p_leg bigint) returns text[]
language plpgsql volatile as $$
declare
	v_leg app.leg;
	v_by app.participant := app.participant_of(p_t.by_id);
	v_sdp text := v_by.session ->> 'sdp';
begin
	select l.* into v_leg from app.leg l where l.id = p_leg and l.state in ('answered', 'up');
	if v_leg.id is null or v_sdp is null then
		return null;
	end if;
	v_sdp := app.sdp_next(v_leg.local_sdp, v_sdp);
	update app.leg l set asking = now(), local_sdp = v_sdp where l.id = p_leg;
	return app.leg_order(v_leg, p_agent, 'offer', p_sdp => v_sdp);
end $$;

-- ---- how it ends ----

-- The two others talk; who has asked for it is in the call no more.
create function app.transfer_done(p_t app.transfer, p_agent int) returns text[]
language plpgsql volatile as $$
declare
	v_by app.participant := app.participant_of(p_t.by_id);
	v_page app.participant := app.participant_of(p_t.kept_id);
	v_kept app.leg := app.part_leg(p_t.kept_id);
	v_to app.leg := app.part_leg(p_t.to_id);
	v_before bigint[] := app.call_seers_before(p_t.call_id);
	v_bell text[];
begin
	delete from app.transfer t where t.call_id = p_t.call_id;
	if p_t.from_call_id is not null then
		p_t.to_id := app.transfer_merge(p_t, p_agent);
	end if;
	if v_page.side = 'in' then -- a page has the phones at its other end called
		update app.participant p set by_id = v_page.account_id where p.id = p_t.to_id;
		update app.leg l set by_id = v_page.account_id where l.id = v_to.id;
	end if;
	if v_by.id is not null then
		v_bell := app.transfer_tell(p_t, p_agent, '200 OK')
			|| app.legs_hang_up(p_t.call_id, p_agent, 'transferred', p_which => v_by.id);
		v_bell := v_bell || app.participant_leave(v_by, 'transferred', v_by.account_id);
	end if;
	-- Of the two that are left each ends it, as where one has called the other.
	update app.call c set ends_alone = true
	where c.id = p_t.call_id and not c.ends_alone and v_kept.id is not null and not exists (
		select from app.participant p
		where p.call_id = c.id and p.left_at is null and p.id not in (p_t.kept_id, p_t.to_id));
	update app.leg l set other_id = case l.id when v_kept.id then p_t.to_id else p_t.kept_id end where l.id in (v_kept.id, v_to.id);
	v_bell := v_bell || app.transfer_pair(p_agent, v_kept, v_to)
		|| case when p_t.from_call_id is not null then app.transfer_from_over(p_t, p_agent) end;
	perform app.call_seers_set(p_t.call_id);
	return v_bell || app.call_changed(p_t.call_id,
		array_remove(array[v_by.account_id, (app.participant_of(p_t.to_id)).account_id], null), v_before);
end $$;

create function app.transfer_fail(p_t app.transfer, p_agent int, p_code int, p_reason text, p_cause text) returns text[]
language plpgsql volatile as $$
declare
	v_to app.participant := app.participant_of(p_t.to_id);
begin
	if p_t.from_call_id is not null then
		return app.transfer_unjoin(p_t, p_agent, p_code, p_reason);
	elsif v_to.id is not null then
		return app.call_over(v_to, p_agent, p_cause, p_code, p_reason);
	end if;
	return app.transfer_drop(p_t, p_agent) || app.transfer_goes_on(p_t, 'to', p_agent, p_cause, p_code, p_reason);
end $$;

-- What should have become something long ago: who comes rings for a minute, and a phone that is asked has 90 s.
create function app.transfers_expire() returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_t app.transfer;
	v_bell text[];
begin
	for v_t in
		select t.* from app.transfer t
		-- what is ahead is from before the clock was set back
		where t.made_at not between now() - interval '4 min' and now() + interval '1 s' order by t.call_id limit 20
	loop
		continue when not app.transfer_holds(v_t.call_id) or not app.transfer_holds_other(v_t.call_id);
		v_t := app.transfer_of(v_t.call_id);
		if v_t.state = 'undone' then
			delete from app.transfer t where t.call_id = v_t.call_id;
		elsif v_t.call_id is not null then
			v_bell := v_bell || app.transfer_fail(v_t, 0, 480, 'No answer', 'no-answer');
		end if;
	end loop;
	return v_bell;
end $$;

-- Of a transfer that is under way one leaves who is not kept, as of app.call_over: the call goes on without them.
create function app.transfer_left(p_part app.participant, p_role text, p_agent int, p_cause text, p_code int, p_reason text,
	p_why text, p_cancel text, p_by bigint) returns text[]
language plpgsql volatile as $$
declare
	v_t app.transfer := app.transfer_of(p_part.call_id);
	v_before bigint[] := app.call_seers_before(p_part.call_id);
	v_cause text := case p_role when 'by' then 'transferred' else p_cause end;
	v_bell text[];
begin
	v_bell := case when p_role = 'to' then app.transfer_drop(v_t, p_agent) end
		|| app.legs_hang_up(p_part.call_id, p_agent, v_cause, p_header => p_cancel, p_which => p_part.id)
		|| app.ring_over(p_part, p_why);
	if p_role = 'to' and p_part.state <> 'joined' then
		update app.participant p set code = p_code, reason = p_reason where p.id = p_part.id;
	end if;
	v_bell := v_bell || app.participant_leave(p_part, v_cause, p_by);
	perform app.call_seers_set(p_part.call_id);
	v_bell := v_bell || app.call_changed(p_part.call_id, array[p_part.account_id], v_before);
	return v_bell || app.transfer_goes_on(v_t, p_role, p_agent, p_cause, p_code, p_reason);
end $$;

-- What is to come of that: nobody stays in a call with nobody.
create function app.transfer_goes_on(p_t app.transfer, p_role text, p_agent int, p_cause text, p_code int, p_reason text)
returns text[]
language plpgsql volatile as $$
declare
	v_by app.participant := app.participant_of(p_t.by_id);
	v_kept app.participant := app.participant_of(p_t.kept_id);
	v_leg app.leg := app.part_leg(p_t.kept_id);
	v_is_there bool := v_leg.id is not null or v_kept.web or v_kept.side = 'in';
begin
	if p_role = 'to' and v_by.id is not null then -- the old pair is as it was
		return app.transfer_tell(p_t, p_agent, app.transfer_line(coalesce(p_code, 480), p_reason))
			|| app.transfer_pair(p_agent, app.part_leg(p_t.by_id), v_leg);
	elsif p_role = 'by' and v_is_there then -- who comes is waited for
		return null;
	end if;
	return case when app.call_is_of_phone(p_t.call_id) or v_by.id is null and not exists (
			select from app.participant p where p.call_id = p_t.call_id and p.left_at is null and p.id <> v_kept.id)
		then app.call_over(v_kept, p_agent,
		case when p_cause in ('hangup', 'cancelled', 'busy', 'declined') then 'unreachable' else p_cause end) end;
end $$;

-- It is not under way any more. Where who is kept is being asked to change over, what it says is still waited for.
create function app.transfer_drop(p_t app.transfer, p_agent int) returns text[]
language plpgsql volatile as $$
declare
	v_asked app.leg := app.part_leg(case p_t.state when 'asking' then p_t.kept_id when 'joining' then p_t.to_id end);
	v_bell text[] := case when p_t.state in ('asking', 'held') and p_t.from_call_id is not null
		then app.transfer_keep(p_t, p_agent) end;
begin
	if v_asked.asking is not null then
		delete from app.leg_job j where j.leg_id = v_asked.id and j.kind = 'offer';
		if not found then
			update app.transfer t set state = 'undone' where t.call_id = p_t.call_id;
			return v_bell;
		end if;
		update app.leg l set asking = null where l.id = v_asked.id;
	end if;
	delete from app.transfer t where t.call_id = p_t.call_id;
	return v_bell;
end $$;

-- Who was to be kept leaves: the phone that has asked for the transfer hears that there is nobody to hand on.
create function app.transfer_void(p_call bigint, p_agent int) returns text[]
language plpgsql volatile as $$
declare
	v_t app.transfer := app.transfer_of(p_call);
begin
	return app.transfer_closes(p_call, p_agent) || app.transfer_tell(v_t, p_agent, '487 Request Terminated')
		|| case when v_t.from_call_id is null and not app.call_is_of_phone(p_call) then
			app.call_over(app.participant_of(v_t.to_id), p_agent, 'cancelled', 487,
				p_by => (app.participant_of(v_t.kept_id)).account_id) end;
end $$;

grant execute on function api.leg_refer to restsip_agent;
