-- Who is in a call: comes, says what they have, and leaves.

-- What a participant says of itself.
create function app.participant_members(p_extra jsonb) returns jsonb
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
	v_members jsonb := coalesce(p_extra, '{}')
		- array['id', 'url', 'email', 'login', 'via', 'lifetime', 'state', 'sip', 'hold', 'session', 'truncated', 'joined_at',
			'pending', 'ended_at', 'ended'];
begin
	if p_extra ? 'invite' then
		perform app.refuse(400, 'invalid-member', 'Whom to ring is said by PATCH of the call, or by SEND of {"command":"invite"}; '
			'this is who joins.', '/invite');
	end if;
	perform app.refuse_large('participant_members', v_members, 'A participant''s own members');
	return v_members;
end $$;

-- Who has left leaves little behind, and the last hundred of a call at that: what one join after the other would make
-- without an end. p_cause: of who was called, see app.end_cause; p_by: who has them out; null: nobody.
create function app.participant_leave(p_part app.participant, p_cause text default null, p_by bigint default null) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_cause text := case when p_cause is not null then app.end_cause(p_cause, p_part.state = 'joined') end;
	v_caller app.participant := case when p_cause = 'transferred' then app.past_caller(p_part) end;
	-- Who has called them talks on.
	v_later bool := v_caller.id is not null and v_caller.left_at is null;
	v_bell text[];
begin
	update app.participant p set state = 'left', left_at = now(), session = null, pending = null, extra = '{}', hold = false,
		ring_until = null, cause = v_cause, past_made = p.past_made or not v_later
	where p.id = p_part.id;
	delete from app.transfer t where t.call_id = p_part.call_id and t.state <> 'undone' and p_part.id in (t.kept_id, t.to_id);
	delete from app.participant p where p.id in (
		select o.id from app.participant o where o.call_id = p_part.call_id and o.state = 'left'
			and (o.cause is distinct from 'transferred' or not app.participant_is_mark(o))
		order by o.left_at desc, o.n desc offset app.bound('call_children_left'));
	v_bell := app.past_calls_made(p_part, v_cause, p_by);
	return v_bell || case when p_part.side = 'callee' then app.past_call_add(p_part, v_cause, p_by, not v_later) end;
end $$;

-- One of a call, whose resource is locked, leaves it. p_by: who has them leave; null: they themselves.
create function app.participant_end(p_part app.participant, p_prior bigint, p_by bigint default null, out version bigint, out bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_role text := app.transfer_role(p_part);
	v_alone bool := (select c.ends_alone from app.call c where c.id = p_part.call_id);
	v_before bigint[];
	v_by bigint := coalesce(p_by, p_part.account_id);
begin
	if v_role in ('by', 'to') then
		bell := app.call_over(p_part, 0, 'hangup', 487, p_by => v_by);
		version := app.version_of('call', p_part.call_id);
		return;
	elsif v_role = 'kept' and not v_alone then
		bell := app.transfer_void(p_part.call_id, 0);
		p_prior := app.version_of('call', p_part.call_id);
	end if;
	v_before := app.call_seers_before(p_part.call_id);
	version := app.advance('call', p_part.call_id);
	if p_part.side <> 'in' and v_alone then
		if p_part.side = 'callee' and p_part.state <> 'joined' then
			bell := app.legs_hang_up(p_part.call_id, 0, 'declined', 603, 'Decline');
		end if;
		bell := bell || case when p_part.side = 'callee' and p_part.state <> 'joined'
			then app.call_end(p_part.call_id, p_prior, 'declined', 'declined', 603, 'Decline', v_by)
			else app.call_end(p_part.call_id, p_prior, 'declined', p_by => v_by) end;
		return;
	end if;
	bell := bell || app.participant_part(p_part, v_by);
	perform app.call_seers_set(p_part.call_id);
	bell := bell || app.publish('call', p_part.call_id, version, p_prior, array[p_part.account_id], v_before);
end $$;

-- Out of a call that goes on: its phones are hung up, and those who were called for it and have nobody else to talk to. p_by: who
-- has them out.
create function app.participant_part(p_part app.participant, p_by bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_peer app.participant;
	v_bell text[];
begin
	if p_part.side = 'in' then
		for v_peer in
			select p.* from app.participant p
			where p.call_id = p_part.call_id and p.by_id = p_part.account_id and p.left_at is null
				and (not p.web or p.state in ('calling', 'ringing')) and not app.call_is_of_phone(p.call_id)
			order by p.n
		loop
			v_bell := v_bell || app.participant_part(v_peer, p_by);
		end loop;
	elsif not p_part.web or p_part.state in ('calling', 'ringing') then
		v_bell := app.legs_hang_up(p_part.call_id, 0, 'hangup', p_which => p_part.id) || app.ring_over(p_part, 'caller-gone');
	end if;
	return v_bell || app.participant_leave(p_part, case when p_part.side <> 'in' then 'hangup' end, p_by);
end $$;

-- An account leaves a call, if it is in it.
create function app.call_leave(p_call bigint, p_account bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_prior bigint := app.lock('call', p_call);
	v_part app.participant;
begin
	select p.* into v_part from app.participant p
	where p.call_id = p_call and p.account_id = p_account and p.left_at is null order by p.n limit 1;
	if v_part.id is null then
		return null;
	end if;
	return (app.participant_end(v_part, v_prior)).bell;
end $$;

-- An account joins one more call: RS409 where it is in enough of them. Whoever asks holds its profile, so that two at once do
-- not both find room.
create function app.refuse_more_joined(p_call bigint, p_account bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	if (select count(*) from app.participant p
		where p.account_id = p_account and p.call_id <> p_call and p.left_at is null and p.state = 'joined') >= app.bound('participations')
	then
		perform app.refuse(409, 'too-many-calls', format('You are in %s calls already.', app.bound('participations')));
	end if;
end $$;

-- Who joins is the caller: p_email must be theirs. Who is being called answers by that. Joining a scheduled call starts
-- it. Who is in it already has a new session, as with participant_put, and keeps the number. p_contact_n: leaves with that
-- contact; p_lifetime stream: with the last stream of the call. Of two joins the later one says which.
create function api.call_join(p_who text, p_proof bytea, p_call bigint, p_email text, p_session jsonb, p_extra jsonb,
	p_key text, p_print bytea, p_contact_n bigint default null, p_lifetime text default null)
returns table (n bigint, version bigint, doc text, bell text[], created bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := (app.owner(p_who, p_proof, p_email)).id;
	v_done jsonb := app.idem_begin(v_account, p_key, p_print);
	v_extra jsonb := app.participant_members(p_extra);
	v_prior bigint;
	v_part app.participant;
	v_call record;
begin
	if v_done is not null then
		return query select (v_done ->> 'n')::bigint, (v_done ->> 'version')::bigint, v_done ->> 'doc', null::text[],
			coalesce((v_done ->> 'created')::bool, true);
		return;
	end if;
	perform app.refuse_large_session(p_session);
	perform app.call_access(v_account, p_call);
	perform app.lock('profile', v_account, p_mine => true);
	v_prior := app.lock('call', p_call);
	perform app.caller_holds(v_account);
	perform app.refuse_disabled(v_account);
	perform app.call_access(v_account, p_call);
	perform app.refuse_more_joined(p_call, v_account);
	if p_contact_n is not null and not exists (select from app.login l
		where l.account_id = v_account and l.n = p_contact_n and l.expires_at > now())
	then
		perform app.refuse(400, 'invalid-member', format('`url` names contact %s, which is not there (any more); '
			'`/login/%s` without a number joins without one.', p_contact_n, app.email(v_account)), '/url');
	end if;
	version := app.advance('call', p_call);
	v_call := app.call_claim(p_call, v_account, p_session, v_extra);
	created := v_call.won;
	n := v_call.n;
	if n is null then
		select p.* into v_part from app.participant p
		where p.call_id = p_call and p.account_id = v_account and p.left_at is null and p.state = 'joined' and p.side = 'in';
		created := v_part.id is null;
		n := v_part.n;
		v_call.bell := case when not created then app.page_session(v_part, p_session, v_extra) end;
	end if;
	if n is null then
		perform app.refuse_third(p_call, v_account, p_session);
		if (select count(*) from app.participant p where p.call_id = p_call and p.left_at is null and p.state = 'joined')
			>= app.bound('call_inside')
		then
			perform app.refuse(409, 'call-full', format('The call has %s participants.', app.bound('call_inside')));
		end if;
		insert into app.participant (call_id, n, account_id, session, extra)
		values (p_call, app.take_n('call', p_call), v_account, p_session, v_extra)
		returning participant.* into v_part;
		n := v_part.n;
		-- Whoever was called for it before takes part without media until now.
		v_call.bell := case when (app.page_leg(v_part)).id is not null then app.page_session(v_part, p_session, v_extra) end;
		perform app.call_seers_set(p_call);
	end if;
	update app.participant p set contact_n = p_contact_n, lifetime = p_lifetime, bound_at = now()
	where p.call_id = p_call and p.n = call_join.n;
	update app.call c set state = 'active' where c.id = p_call and c.state = 'scheduled';
	doc := app.participant_doc(app.participant(p_call, n), app.email(v_account), true);
	bell := v_call.bell || app.publish('call', p_call, version, v_prior, array[v_account]);
	perform app.idem_end(v_account, p_key, p_print, jsonb_build_object('n', n, 'version', version, 'doc', doc,
		'created', created));
	return next;
end $$;

-- p_ended: also one that a call shows though it has ended.
create function app.participant(p_call bigint, p_n bigint, p_ended bool default false) returns app.participant
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_part app.participant;
begin
	select p.* into v_part from app.participant p
	where p.call_id = p_call and p.n = p_n and (p.left_at is null or p_ended and p.cause is not null);
	if v_part.id is null then
		perform app.refuse(404, 'participant-not-found', 'There is no such participant.');
	end if;
	return v_part;
end $$;

create function api.participant_get(p_who text, p_proof bytea, p_call bigint, p_n bigint)
returns table (version bigint, doc text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_access record := app.call_access(app.caller(p_who, p_proof), p_call);
	v_part app.participant := app.participant(p_call, p_n, true);
begin
	return query select r.version, app.participant_doc(v_part, app.email(v_part.account_id), v_access.inside)
		from app.resource r where r.kind = 'call' and r.id = p_call;
end $$;

-- A new session of a participant, by themselves. pending: a phone is offered it, and has not answered yet.
create function api.participant_put(p_who text, p_proof bytea, p_call bigint, p_n bigint, p_session jsonb,
	p_extra jsonb, p_if_match bigint)
returns table (version bigint, doc text, bell text[], pending bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.caller(p_who, p_proof);
	v_extra jsonb := app.participant_members(p_extra);
	v_prior bigint;
	v_version bigint;
	v_part app.participant;
	v_bell text[];
begin
	perform app.refuse_large_session(p_session);
	perform app.call_access(v_caller, p_call);
	v_prior := app.lock('call', p_call, p_if_match);
	perform app.call_access(v_caller, p_call);
	v_part := app.participant(p_call, p_n);
	if v_part.account_id <> v_caller then
		perform app.refuse(403, 'not-owner', 'Only the participant may do this.');
	end if;
	perform app.refuse_set(p_extra, 'state', v_part.state, 'DELETE of the participant leaves the call.', 'PUT');
	perform app.refuse_set(p_extra, 'hold', v_part.hold::text, 'a session whose media are sendonly or inactive is what holds.', 'PUT');
	v_version := app.advance('call', p_call);
	v_bell := app.page_session(v_part, p_session, v_extra);
	v_part := app.participant(p_call, p_n);
	return query select v_version, app.participant_doc(v_part, app.email(v_caller), true),
		v_bell || app.publish('call', p_call, v_version, v_prior), v_part.pending is not null;
end $$;

-- Leaves: by the participant, or put out by the call's owner.
create function api.participant_delete(p_who text, p_proof bytea, p_call bigint, p_n bigint, p_if_match bigint)
returns table (version bigint, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.caller(p_who, p_proof);
	v_access record := app.call_access(v_caller, p_call);
	v_prior bigint := app.lock('call', p_call, p_if_match);
	v_part app.participant := app.participant(p_call, p_n);
begin
	if v_part.account_id <> v_caller and v_access.handed_on then
		perform app.refuse_not_owner(false, true);
	elsif v_part.account_id <> v_caller and not v_access.owner then
		perform app.refuse(403, 'not-owner', 'Only the participant or the call''s owner may do this.');
	end if;
	return query select e.version, e.bell from app.participant_end(v_part, v_prior, v_caller) e;
end $$;
