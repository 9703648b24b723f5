-- NOTIFYs under way (RFC 6665, section 4.2.2): an agent claims those that are due, sends them, and settles how each ended.

-- Whether as many NOTIFYs are under way as may be, to the place that a subscription's goes to or to all of its watcher's:
-- a phone that does not answer holds each for half a minute, and those of others go on.
create function app.notify_is_full(p_sub app.subscription) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return (select count(*) >= app.bound('notifies_account') or count(*) filter (
			where coalesce(o.flow, o.remote_target) = coalesce(p_sub.flow, p_sub.remote_target))
				>= app.bound('notifies_destination')
		from app.subscription o where o.watcher_id = p_sub.watcher_id and o.until > now());
end $$;

-- The NOTIFYs that an agent is to send, one for each row: the CSeq is committed before it is used. A document that the
-- subscriber has already is not sent again, and none sooner than notify_pause after the one before. p_target: the agent's
-- own URI, for what it takes over from a dead one. p_lost: also what it has claimed without getting to know it (it renews
-- the leases of all that it knows of).
create function api.notify_claim(p_agent int, p_target text, p_limit int, p_lease_s int, p_lost bool default true)
returns table (subscription bigint, cseq bigint, event text, event_id text, call_id text, local_tag text,
	remote_tag text, local_uri text, remote_uri text, local_target text, remote_target text, route text, flow text,
	expires int, ended text, content_type text, body text, account bigint)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_sub app.subscription;
	v_sum bytea;
	v_made int := 0;
	v_gone bigint;
	v_now record;
	v_pause interval := app.notify_pause();
	v_about bigint;
	v_legs bigint[];
	v_again bool;
begin
	perform app.lamps_due();
	for v_sub in
		select s.* from app.subscription s
		where (s.agent_id = p_agent or s.agent_id is null)
			and (s.due and s.due_at <= now() and s.until is null or p_lost and s.until < now())
		order by s.due_at
	loop
		exit when v_made >= p_limit;
		continue when app.notify_is_full(v_sub);
		v_about := coalesce(v_sub.about_call, v_sub.account_id);
		continue when v_about is not null and not app.notify_try_lock(v_about);
		select s.* into v_sub from app.subscription s
		where s.id = v_sub.id and s.agent_id is not distinct from v_sub.agent_id
			and (s.due and s.due_at <= now() and s.until is null or p_lost and s.until < now())
		for update skip locked;
		continue when v_sub.id is null;
		v_about := coalesce(v_sub.about_call, v_sub.account_id); -- the account may have gone meanwhile
		if v_sub.lost is not null then
			v_now := app.contact_flow(v_sub.watcher_id, v_sub.credential_id, v_sub.remote_target, v_sub.lost,
				v_sub.peer);
			if v_now.agent_id <> p_agent and exists (
				select from app.agent g where g.id = v_now.agent_id and g.dead_at is null)
			then
				update app.subscription s set agent_id = v_now.agent_id, until = null, due = true where s.id = v_sub.id;
				continue; -- it has that connection
			elsif v_now.agent_id = p_agent then
				update app.subscription s set flow = v_now.flow, lost = null where s.id = v_sub.id;
			end if;
		end if;
		-- An account that is gone; a call that has ended, or that the watcher may not see any more.
		if v_sub.ended is distinct from 'rejected' and (v_about is null
			or v_sub.about_call is not null and not (app.call_sight(v_sub.watcher_id, v_sub.about_call)).sees)
		then
			v_sub.ended := 'noresource';
		end if;
		v_again := v_sub.ended is null and app.is_fenced(v_sub); -- before its legs are read
		v_legs := case when v_sub.event = 'dialog' then app.dialog_legs(v_sub.account_id) else '{}' end;
		v_gone := case when v_sub.event = 'reg' then coalesce((
			select max(g.id) from app.contact_gone g where g.account_id = v_sub.account_id), 0) end;
		begin
			body := case when v_sub.ended is null or v_sub.ended not in ('noresource', 'rejected')
				then app.event_doc(v_sub.event, v_about, v_sub.documents, coalesce(v_sub.gone_told, v_gone),
					v_sub.watcher_id, v_legs) end;
			-- By what goes on alone: what has ended is told once.
			v_sum := app.event_sum(v_sub.event, body);
			if body is not null and not v_sub.dialogs_told <@ v_legs then
				body := app.event_doc(v_sub.event, v_about, v_sub.documents, p_watcher => v_sub.watcher_id, p_legs => v_legs,
					p_told => v_sub.dialogs_told);
			end if;
		exception when data_exception then
			-- What cannot be written holds up nobody else.
			raise warning 'no % document of %: %', v_sub.event, v_about, sqlerrm;
			update app.subscription s set due_at = now() + interval '1 min' where s.id = v_sub.id;
			continue;
		end;
		if v_sub.ended is null and v_sub.sum = v_sum and v_sub.until is null then
			update app.subscription s set due = v_again, due_at = case when v_again then now() + v_pause else s.due_at end
			where s.id = v_sub.id;
			continue;
		end if;
		update app.subscription s set due = v_again, until = now() + make_interval(secs => p_lease_s), sum = v_sum,
			due_at = now() + v_pause, ended = v_sub.ended,
			local_cseq = greatest(s.local_cseq, (select e.n * 1000000 from app.epoch e)) + 1,
			documents = s.documents + 1, agent_id = p_agent, claimed_after = s.remote_cseq,
			gone_told = coalesce(s.gone_told, v_gone), gone_claimed = v_gone, dialogs_claimed = v_legs,
			fence = coalesce(s.fence, case when s.event = 'dialog' then app.xid() end),
			local_target = case when s.agent_id = p_agent then s.local_target else p_target end,
			version = (select r.version from app.resource r where r.kind = s.kind and r.id = v_about)
		where s.id = v_sub.id returning s.* into v_sub;
		subscription := v_sub.id;
		cseq := v_sub.local_cseq;
		event := v_sub.event;
		event_id := v_sub.event_id;
		call_id := v_sub.call_id;
		local_tag := v_sub.local_tag;
		remote_tag := v_sub.remote_tag;
		local_uri := v_sub.local_uri;
		remote_uri := v_sub.remote_uri;
		local_target := v_sub.local_target;
		remote_target := v_sub.remote_target;
		route := v_sub.route;
		flow := v_sub.flow;
		expires := greatest(ceil(extract(epoch from v_sub.expires_at - now()))::int, 0);
		ended := v_sub.ended;
		content_type := app.event_type(v_sub.event);
		account := v_sub.watcher_id;
		v_made := v_made + 1;
		return next;
	end loop;
end $$;

-- An agent is still at these NOTIFYs. Writers wait for this as for a claim, and those of accounts that have a writer come
-- the next time.
create function api.notify_renew(p_agent int, p_subscriptions bigint[], p_lease_s int) returns table (renewed int)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_mine bigint[];
	v_renewed int;
begin
	v_mine := array(
		select s.id from app.subscription s
		where s.id = any (p_subscriptions) and s.agent_id = p_agent and s.until is not null
			and (coalesce(s.about_call, s.account_id) is null or app.notify_try_lock(coalesce(s.about_call, s.account_id))));
	v_mine := array(
		select s.id from app.subscription s
		where s.id = any (v_mine) and s.agent_id = p_agent and s.until is not null
		order by s.id for update skip locked);
	update app.subscription s set until = now() + make_interval(secs => p_lease_s) where s.id = any (v_mine);
	get diagnostics v_renewed = row_count;
	return query select v_renewed;
end $$;

-- Whether what was meant for a flow may go to the subscription's first hop instead: what came over TLS stays on it.
create function app.may_leave_flow(p_sub app.subscription) returns bool
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return not app.flow_has_tls(p_sub.flow)
		or coalesce(substring(p_sub.route from '^<([^>]*)>'), p_sub.remote_target) ~* '^sips:|;transport=tls(;|\?|$)';
end $$;

-- How a NOTIFY ended (RFC 6665, section 4.2.2). p_code null: it never left. A failure ends the subscription, unless the
-- phone says when to try again (p_retry_s), or its connection is gone: then its contact is tried, where it may be, and at last it
-- waits for the phone to come back. Fenced by (agent,
-- CSeq). Who has refreshed since the NOTIFY was claimed is there, maybe somewhere else: the next NOTIFY, which that made
-- due, says how it is.
create function api.notify_settle(p_agent int, p_subscription bigint, p_cseq bigint, p_code int, p_retry_s int)
returns table (state text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_sub app.subscription;
	v_again bool;
	v_lost text;
begin
	-- What is lost of this in a crash is a NOTIFY once more.
	set local synchronous_commit = off;
	select s.* into v_sub from app.subscription s
	where s.id = p_subscription and s.agent_id = p_agent and s.local_cseq = p_cseq and s.until is not null for update;
	if v_sub.id is null then
		return query select 'gone';
		return;
	end if;
	if (p_code between 200 and 299) is not true and v_sub.remote_cseq > v_sub.claimed_after then
		update app.subscription s set until = null, code = coalesce(p_code, s.code) where s.id = v_sub.id;
		return query select 'again';
		return;
	end if;
	v_lost := case when p_code = 430 and v_sub.flow ~ '^(tcp|tls):' then v_sub.flow else v_sub.lost end;
	if v_lost is not null and v_sub.ended is null and p_code in (408, 430, 480, 503)
		and not (p_code = 430 and v_sub.lost is null and app.may_leave_flow(v_sub)) -- once
		and p_retry_s is null
	then
		update app.subscription s set until = null, due = true, sum = null, code = p_code, lost = v_lost,
			flow = v_lost,
			due_at = now() + case when (app.contact_flow(v_sub.watcher_id, v_sub.credential_id, v_sub.remote_target,
				v_lost, v_sub.peer)).flow is null then interval '30 s' else interval '1 s' end
		where s.id = v_sub.id;
		return query select 'again';
		return;
	end if;
	v_again := p_code is null or p_code = 430 and v_sub.flow is not null and app.may_leave_flow(v_sub)
		or p_code not between 200 and 299 and p_retry_s is not null and v_sub.ended is null;
	if v_again then
		update app.subscription s set until = null, due = true, sum = null, code = coalesce(p_code, s.code),
			flow = case when p_code is distinct from 430 then s.flow end, lost = v_lost,
			due_at = now() + make_interval(secs => case when p_code is null then 1
				when p_code = 430 then 0 else least(greatest(coalesce(p_retry_s, 0), 1), 3600) end)
		where s.id = v_sub.id;
		return query select 'again';
	-- What ended meanwhile has its last NOTIFY still to come.
	elsif p_code between 200 and 299 and (v_sub.ended is null or v_sub.due) then
		update app.subscription s set until = null, code = p_code, notified_at = now(), gone_told = s.gone_claimed,
			dialogs_told = s.dialogs_claimed, lost = null
		where s.id = v_sub.id;
		return query select 'active';
	else
		delete from app.subscription s where s.id = v_sub.id;
		return query select 'ended';
	end if;
end $$;

-- An agent has a new process: what was under way is sent again, with the next CSeq. Connections of the old one are found
-- to be gone when something is to go over them.
create function app.release_notifies(p_agent int) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform from app.subscription s where s.agent_id = p_agent and s.until is not null order by s.id for update;
	update app.subscription s set until = null, due = true, due_at = now(), sum = null
	where s.agent_id = p_agent and s.until is not null;
	return array[app.notify_bell(p_agent)];
end $$;

grant execute on function api.notify_claim, api.notify_renew, api.notify_settle to restsip_agent;
