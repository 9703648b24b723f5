-- How calls end, and how long what is left of them stays.

-- Removes calls that have ended, as far as nobody is at them, and says how many.
create function app.call_remove(p_calls bigint[]) returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_calls bigint[] := array(
		select r.id from app.resource r where r.kind = 'call' and r.id = any (p_calls)
		order by r.id for update skip locked);
begin
	v_calls := array(
		select c.id from app.call c where c.id = any (v_calls) and c.state = 'ended' order by c.id for update skip locked);
	delete from app.leg l where l.call_id = any (v_calls) and l.state = 'ended';
	delete from app.call c where c.id = any (v_calls);
	delete from app.resource r where r.kind = 'call' and r.id = any (v_calls);
	return cardinality(v_calls);
end $$;

-- A call has ended: of its owner's ended calls the oldest go, so that one after the other does not fill the disk within
-- the day that they are kept.
create function app.call_make_way(p_call bigint) returns void
language plpgsql volatile as $$
declare
	v_calls bigint[];
begin
	v_calls := array(
		select o.id from app.call c join app.call o on o.owner_id = c.owner_id and o.ended_at is not null
		where c.id = p_call and o.id <> p_call order by o.ended_at desc, o.id desc
		offset app.bound('calls') limit 100);
	if v_calls <> '{}' then
		perform app.call_remove(v_calls);
	end if;
end $$;

-- A batch of the calls that ended, and of who left, longer ago than they are kept.
create function app.sweep_calls(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_before timestamptz := now() - make_interval(secs => app.bound('call_kept'));
begin
	more := app.call_remove(array(
		select c.id from app.call c where c.state = 'ended' and c.ended_at < v_before order by c.ended_at limit 200)) > 0;
	delete from app.participant p where p.id in (
		select o.id from app.participant o where o.state = 'left' and o.left_at < v_before
			and (o.cause is distinct from 'transferred' or not app.participant_is_mark(o))
		order by o.left_at limit 1000 for update skip locked);
	more := more or found;
end $$;

-- Ends a call whose resource is locked, and with it every leg. p_why: what pages that ring are told. p_cause and what follows:
-- how it ended for those who are in it; a code is that of who has not joined. p_by: who has ended it; null: nobody. p_legs: some
-- may not have been hung up yet.
create function app.call_end(p_call bigint, p_prior bigint, p_why text default 'caller-gone', p_cause text default null,
	p_code int default null, p_reason text default null, p_by bigint default null, p_legs bool default true) returns text[]
language plpgsql volatile as $$
declare
	v_before bigint[] := app.call_seers_before(p_call);
	v_prior bigint := p_prior;
	v_version bigint;
	v_part app.participant;
	v_bell text[] := case when p_legs then app.legs_hang_up(p_call, 0, 'hangup') end;
begin
	for v_part in
		select p.* from app.participant p where p.call_id = p_call and p.send_id is not null and p.state in ('calling', 'ringing')
	loop
		v_bell := v_bell || app.ring_over(v_part, p_why);
	end loop;
	v_bell := v_bell || app.dial_over(p_call, p_cause, p_by);
	update app.call c set state = 'ended', ended_at = now(), extra = '{}', invite = null, ring_at = null, dials = false, ended_by = p_by,
		cause = app.end_cause(p_cause, exists (select from app.participant p where p.call_id = p_call and p.state = 'joined'))
	where c.id = p_call and c.state <> 'ended';
	v_bell := v_bell || app.past_calls_made(null, app.end_cause(p_cause, true), p_by, p_call);
	for v_part in
		update app.participant p set state = 'left', left_at = now(), session = null, pending = null, extra = '{}', ring_until = null,
			cause = coalesce(p.cause, app.end_cause(p_cause, p.state = 'joined')),
			code = case when p_code is null or p.state = 'joined' then p.code else p_code end,
			reason = case when p_code is null or p.state = 'joined' then p.reason else p_reason end
		where p.call_id = p_call and p.left_at is null returning p.*
	loop
		if v_part.side = 'callee' then
			v_bell := v_bell || app.past_call_add(v_part, v_part.cause, p_by);
		end if;
	end loop;
	if app.is_watched('call', p_call) then -- who watches it sees how it ended, and then that it is gone
		v_version := app.version_of('call', p_call);
		perform app.log_change('call', p_call, v_version, p_prior, false, null, null);
		v_prior := v_version;
	end if;
	v_bell := v_bell || app.transfer_closes(p_call, 0);
	delete from app.call_seer s where s.call_id = p_call;
	perform app.call_make_way(p_call);
	return v_bell || app.publish_gone('call', p_call, v_prior, v_before);
end $$;

create function api.call_delete(p_who text, p_proof bytea, p_call bigint, p_if_match bigint)
returns table (bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.caller(p_who, p_proof);
	v_access record := app.call_access(v_caller, p_call);
	v_prior bigint;
begin
	perform app.refuse_not_owner(v_access.owner, v_access.handed_on);
	v_prior := app.lock('call', p_call, p_if_match);
	v_access := app.call_access(v_caller, p_call);
	perform app.refuse_not_owner(v_access.owner, v_access.handed_on);
	perform app.advance('call', p_call);
	return query select app.call_end(p_call, v_prior, p_by => v_caller);
end $$;

-- A call that its owner has handed on, whose account ends: it is then the first one's who is in it. Null: nobody is.
create function app.call_falls_to(p_call bigint, p_owner bigint) returns bigint
language plpgsql volatile as $$
declare
	v_heir bigint;
begin
	if not app.call_is_handed_on(p_call, p_owner) then
		return null;
	end if;
	select p.account_id into v_heir from app.participant p
	where p.call_id = p_call and p.state = 'joined' and p.account_id <> p_owner order by p.n limit 1;
	update app.call c set owner_id = v_heir where c.id = p_call and v_heir is not null;
	update app.participant p set past_with = app.email(p_owner)
	where p.call_id = p_call and p.by_id = p_owner and p.left_at is null and p.past_with is null and v_heir is not null;
	return v_heir;
end $$;

-- An account ends: its calls end, but for those that others talk in to whom they were handed on, and it leaves those of others. What has
-- ended meanwhile is left as it is.
create function app.call_forget(p_call bigint, p_account bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_prior bigint;
	v_version bigint;
	v_before bigint[];
	v_owner bigint;
	v_alone bool;
	v_part app.participant;
	v_bell text[];
begin
	select r.version into v_prior from app.resource r where r.kind = 'call' and r.id = p_call for update;
	select c.owner_id, c.ends_alone and exists (
		select from app.participant p
		where p.call_id = p_call and p.account_id = p_account and p.side <> 'in' and p.left_at is null)
	into v_owner, v_alone from app.call c where c.id = p_call and c.state <> 'ended';
	if v_owner is null then
		return null;
	end if;
	v_version := app.advance('call', p_call);
	if v_alone or v_owner = p_account and app.call_falls_to(p_call, p_account) is null then
		return app.call_end(p_call, v_prior);
	end if;
	v_before := app.call_seers_before(p_call);
	for v_part in
		select p.* from app.participant p where p.call_id = p_call and p.account_id = p_account and p.left_at is null order by p.n
	loop
		v_bell := v_bell || app.participant_part(v_part, p_account);
	end loop;
	delete from app.participant p where p.call_id = p_call and p.account_id = p_account;
	delete from app.invitation i where i.call_id = p_call and i.account_id = p_account;
	perform app.call_seers_set(p_call);
	return v_bell || app.publish('call', p_call, v_version, v_prior, array[p_account], v_before);
end $$;

-- Takes an account that ends out of calls of others which nobody watches, and no phone is in, all at once. Which of p_calls, whose resources
-- are locked, are left for app.call_forget.
create function app.calls_leave(p_calls bigint[], p_account bigint) returns bigint[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_quiet bigint[];
begin
	if exists (select from app.watch w where w.kind = 'list' and w.id = app.list_id('call')) then
		return p_calls;
	end if;
	v_quiet := array(
		select c.id from app.call c
		where c.id = any (p_calls) and c.owner_id <> p_account and c.state <> 'ended' and not c.ends_alone
			and not exists (select from app.watch w where w.kind = 'call' and w.id = c.id)
			and not app.is_lamp('conference', c.id)
			and not exists (select from app.participant p -- is somebody's past call
				where p.call_id = c.id and p.account_id = p_account and p.side = 'callee' and p.left_at is null)
			and not exists (select from app.leg l where l.call_id = c.id and l.ended_at is null));
	update app.resource r set version = nextval('app.version_seq') where r.kind = 'call' and r.id = any (v_quiet);
	delete from app.participant p where p.account_id = p_account and p.call_id = any (v_quiet);
	delete from app.invitation i where i.account_id = p_account and i.call_id = any (v_quiet);
	-- As call_seers_set would.
	delete from app.call_seer s where s.account_id = p_account and s.call_id = any (v_quiet);
	update app.call c set empty_since = now()
	where c.id = any (v_quiet) and c.empty_since is null
		and not exists (select from app.participant p where p.call_id = c.id and p.left_at is null);
	return array(select unnest(p_calls) except select unnest(v_quiet) order by 1);
end $$;
