-- SIP's subscriptions (RFC 6665): the same resources as the streams watch, under the same rule of who may. A writer
-- marks them due while it holds its resource; the agent that has the dialog claims, sends, settles (47_notify.sql): one
-- NOTIFY at a time for each, always with the state of then.

-- Which resource an event package is about.
create function app.event_kind(p_event text) returns app.resource_kind
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return case p_event when 'presence' then 'login' when 'reg' then 'login' when 'dialog' then 'login'
		when 'message-summary' then 'mailbox' when 'conference' then 'call' end;
end $$;

create function app.event_type(p_event text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return case p_event when 'presence' then 'application/pidf+xml' when 'reg' then 'application/reginfo+xml'
		when 'message-summary' then 'application/simple-message-summary' when 'dialog' then 'application/dialog-info+xml'
		when 'conference' then 'application/conference-info+xml' end;
end $$;

-- What a NOTIFY carries, about an account, or a call. p_documents: how many this subscription has had; p_gone: as login_reginfo has
-- it; p_watcher, p_legs, p_told: as dialog_info has them.
create function app.event_doc(p_event text, p_about bigint, p_documents int, p_gone bigint default null,
	p_watcher bigint default null, p_legs bigint[] default '{}', p_told bigint[] default '{}') returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return case p_event
		when 'presence' then app.login_pidf(p_about)
		when 'reg' then app.login_reginfo(p_about, p_documents, p_gone)
		when 'message-summary' then app.mailbox_summary(p_about)
		when 'dialog' then app.dialog_info(p_about, p_watcher, p_documents, p_legs, p_told)
		when 'conference' then app.call_info(p_about, p_documents) end;
end $$;

-- By what documents are compared: of a call's, which count, without their number. Nothing that others have written stands before it
-- with its quotes as they were.
create function app.event_sum(p_event text, p_doc text) returns bytea
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return sha256(convert_to(case when p_event in ('conference', 'dialog') then regexp_replace(p_doc, ' version="[0-9]+"', '')
		else p_doc end, 'UTF8'));
end $$;

create function app.notify_bell(p_agent int) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return app.job_bell(p_agent) || 'notify';
end $$;

-- An account's subscriptions under writers and claims: writers wait for claims here, claims never for writers. Row locks
-- alone would not do, since even SKIP LOCKED waits where a row's next version has been locked in that instant.
create function app.notify_lock(p_account bigint) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
	perform pg_advisory_xact_lock(29288, hashint8(p_account));
end $$;

create function app.notify_try_lock_alone(p_account bigint) returns bool
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
	return pg_try_advisory_xact_lock(29288, hashint8(p_account));
end $$;

create function app.notify_try_lock(p_account bigint) returns bool
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
	return pg_try_advisory_xact_lock_shared(29288, hashint8(p_account));
end $$;

-- Between two NOTIFYs of a subscription. What happens meanwhile goes into the next one.
create function app.notify_pause() returns interval
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
	return make_interval(secs => app.bound('notify_pause') / 1000.0);
end $$;

-- When the next NOTIFY of a subscription may go at the earliest: a claim has put due_at behind the pause.
create function app.notify_from(p_due_at timestamptz) returns timestamptz
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
	return least(greatest(p_due_at, now()), now() + app.notify_pause());
end $$;

-- The resource, which is locked, has changed (p_ended: is gone): its subscribers are to hear of it. Not a call: app.lamps_tell; nor
-- what an account has in calls, which is no business of its contacts.
create function app.notify_due(p_kind app.resource_kind, p_id bigint, p_ended text default null) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_bell text[];
begin
	if not exists (select from app.subscription s where s.account_id = p_id and s.kind = p_kind) then
		return null;
	end if;
	-- A claim under way may have read the state of before: without waiting for it here, its row would still look due.
	perform app.notify_lock(p_id);
	perform from app.subscription s
	where s.account_id = p_id and s.kind = p_kind and s.ended is null
		and (not s.due and s.event <> 'dialog' or p_ended is not null)
	order by s.id for update;
	with marked as (
		update app.subscription s set due = true, due_at = app.notify_from(s.due_at), ended = p_ended
		where s.account_id = p_id and s.kind = p_kind and s.ended is null
			and (not s.due and s.event <> 'dialog' or p_ended is not null)
		returning s.agent_id),
	-- A claim may have passed over what is due already, because of this change.
	waiting as (
		select s.agent_id from app.subscription s
		where s.account_id = p_id and s.kind = p_kind and s.due and s.due_at <= now() and s.until is null)
	select array_agg(distinct app.notify_bell(r.agent_id)) into v_bell
	from (select m.agent_id from marked m union all select w.agent_id from waiting w) r;
	return v_bell;
end $$;

-- Over which flow a contact of an account is reached now, whose connection p_lost has gone: that of the latest binding of the same
-- URI, or, for behind a NAT a phone comes back from another port, that of the credential, if only one contact has that. What was
-- over TLS stays on it. Null: none.
create function app.contact_flow(p_account bigint, p_credential bigint, p_contact text, p_lost text,
	p_peer text default null, out flow text, out agent_id int)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	select l.flow, l.agent_id into flow, agent_id
	from app.login l
	where l.account_id = p_account and l.expires_at > now() and l.flow <> p_lost
		and (app.flow_has_tls(l.flow) or not app.flow_has_tls(p_lost))
		and app.is_phone_at(l.*::app.login, p_peer)
		and (l.contact = p_contact or l.credential_id = p_credential and not exists (
			select from app.login o
			where o.account_id = p_account and o.credential_id = p_credential and o.id <> l.id
				and o.contact is not null and o.flow is distinct from p_lost and o.expires_at > now()))
	order by l.contact = p_contact desc, app.bound_at(l) desc, l.id desc limit 1;
end $$;

-- Whether a contact of an account, whose connection p_lost has gone, is reached at itself (app.login.dials, which the agent
-- has found out by next_hop_dials). What was over TLS stays on it.
create function app.contact_dials(p_account bigint, p_contact text, p_lost text) returns bool
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return exists (select from app.login l
		where l.account_id = p_account and l.contact = p_contact and l.expires_at > now()
			and (l.dials = 'tls' or l.dials = 'tcp' and not app.flow_has_tls(p_lost)));
end $$;

-- A phone has registered over a connection that is new: what it has subscribed to, and could not be told, is due; so is the BYE of
-- a call.
create function api.flow_new(p_agent int, p_credential bigint) returns table (bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_agents int[];
begin
	with waiting as (
		update app.subscription s set due_at = now()
		where s.id in (
			select o.id from app.subscription o
			where o.watcher_id = (select c.account_id from app.credential c where c.id = p_credential)
				and o.lost is not null and o.due and o.until is null and o.due_at > now()
			for update skip locked)
		returning s.agent_id)
	select array_agg(distinct w.agent_id) into v_agents from waiting w;
	return query select array(select app.notify_bell(a) from unnest(v_agents) a) || app.legs_flow_new(p_credential);
end $$;

-- A SUBSCRIBE within its dialog: a refresh, or its end (p_expires_s 0). RS481 where there is no such subscription.
create function app.resubscribe(p_agent int, p_watcher bigint, p_ask app.subscription, p_expires_s int,
	out local_tag text, out expires int)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_now app.subscription;
begin
	select s.* into v_now from app.subscription s
	where s.call_id = p_ask.call_id and s.remote_tag = p_ask.remote_tag and s.local_tag = p_ask.local_tag
		and s.event = p_ask.event and s.event_id is not distinct from p_ask.event_id and s.watcher_id = p_watcher
	for update;
	if v_now.remote_cseq > p_ask.remote_cseq then
		perform app.refuse(500, 'cseq-out-of-order', 'A later SUBSCRIBE of this dialog was there already.');
	end if;
	if v_now.id is null or v_now.remote_cseq < p_ask.remote_cseq
		and (v_now.ended is not null or v_now.expires_at <= now())
	then
		perform app.refuse(481, 'subscription-not-found', 'There is no such subscription.');
	end if;
	if v_now.remote_cseq < p_ask.remote_cseq then
		update app.subscription s set remote_cseq = p_ask.remote_cseq, remote_target = p_ask.remote_target,
			local_target = p_ask.local_target, flow = p_ask.flow, peer = p_ask.peer, lost = null, agent_id = p_agent,
			until = case when s.agent_id = p_agent then s.until end, credential_id = p_ask.credential_id,
			expires_at = now() + make_interval(secs => p_expires_s),
			ended = case when p_expires_s = 0 then 'timeout' end, due = true, due_at = app.notify_from(s.due_at),
			sum = null, fence = null
		where s.id = v_now.id;
	end if;
	local_tag := v_now.local_tag;
	expires := p_expires_s;
end $$;

-- A SUBSCRIBE that an agent has authenticated. p_dialog: the members of app.subscription that the agent knows;
-- p_within: it is within a dialog that stands already. An equal one again (same Call-ID, tag and CSeq) gets the same
-- answer. The first NOTIFY is due at once. A phone has one subscription of a resource and event: where it subscribes
-- again, it has forgotten the earlier one, which goes without a word. (Two that do so in the same instant may both stay,
-- for as long as they live.)
create function api.sip_subscribe(p_agent int, p_credential bigint, p_ha1 text, p_aor text, p_dialog jsonb,
	p_within bool, p_expires_s int)
returns table (local_tag text, expires int)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_watcher bigint := app.digest_account(p_credential, p_ha1);
	v_ask app.subscription := jsonb_populate_record(null::app.subscription, p_dialog);
	v_target record;
	v_due_at timestamptz;
begin
	v_ask.credential_id := p_credential;
	if p_within then
		return query select r.local_tag, r.expires from app.resubscribe(p_agent, v_watcher, v_ask, p_expires_s) r;
		return;
	end if;
	-- Who ends the credential waits for this, or this sees it gone.
	perform from app.credential c where c.id = p_credential for key share;
	if not found then
		perform app.refuse(401, 'unauthorized', 'The credential is not valid any more.');
	end if;
	perform app.refuse_disabled(v_watcher);
	v_ask.kind := app.event_kind(v_ask.event);
	-- A call's URI has its number as the user.
	v_target := app.watch_target(v_watcher, v_ask.kind, case v_ask.kind when 'call' then split_part(p_aor, '@', 1) else p_aor end);
	return query
		select s.local_tag, p_expires_s from app.subscription s
		where s.call_id = v_ask.call_id and s.remote_tag = v_ask.remote_tag and s.first_cseq = v_ask.remote_cseq
			and s.event = v_ask.event and s.event_id is not distinct from v_ask.event_id and s.watcher_id = v_watcher;
	if found then
		return;
	end if;
	-- Writers under way do not see the new row: they are waited for. All others will.
	perform from app.resource r where r.kind = v_ask.kind and r.id = v_target.id for share;
	if not found then
		perform app.refuse(404, 'user-not-found', 'There is no such user.');
	end if;
	with old as (
		select s.id, s.due_at, s.ended from app.subscription s
		where s.watcher_id = v_watcher and coalesce(s.about_call, s.account_id) = v_target.id and s.event = v_ask.event
			and coalesce(s.flow, s.remote_target) = coalesce(v_ask.flow, v_ask.remote_target)
		order by s.id for update),
	-- One that only fetches ends none that lives.
	gone as (
		delete from app.subscription s using old o where s.id = o.id and (o.ended is null) = (p_expires_s > 0))
	select app.notify_from(max(o.due_at)) into v_due_at from old o;
	if (select count(*) from app.subscription s where s.watcher_id = v_watcher) >= app.bound('subscriptions') then
		perform app.refuse(403, 'too-many-subscriptions',
			format('A user has at most %s subscriptions at a time.', app.bound('subscriptions')));
	end if;
	insert into app.subscription (account_id, watcher_id, kind, event, event_id, call_id, local_tag, remote_tag,
		local_uri, remote_uri, local_target, remote_target, route, flow, peer, agent_id, first_cseq, remote_cseq,
		expires_at, ended, due_at, credential_id, about_call)
	values (case when v_ask.kind <> 'call' then v_target.id end, v_watcher, v_ask.kind, v_ask.event, v_ask.event_id, v_ask.call_id, v_ask.local_tag,
		v_ask.remote_tag, v_ask.local_uri, v_ask.remote_uri, v_ask.local_target, v_ask.remote_target, v_ask.route,
		v_ask.flow, v_ask.peer, p_agent, v_ask.remote_cseq, v_ask.remote_cseq, now() + make_interval(secs => p_expires_s),
		case when p_expires_s = 0 then 'timeout' end, coalesce(v_due_at, now()), p_credential,
		case when v_ask.kind = 'call' then v_target.id end);
	return query select v_ask.local_tag, p_expires_s;
end $$;

-- A dead agent's subscriptions go to any that lives, whose first NOTIFY tells its own address (RFC 6665, section 4.4.1). A
-- few at a time.
create function app.orphan_subscriptions(p_agent int, out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	update app.subscription s set agent_id = null, until = null, due = true, due_at = now(), sum = null
	where s.id = any (array(
		select o.id from app.subscription o where o.agent_id = p_agent limit 500 for update skip locked));
	more := found;
	if more then
		bell := array[app.notify_bell(null)];
	end if;
end $$;

-- What an account has subscribed to with credentials that are gone (null: with any): the phone is told, and that it need
-- not come again.
create function app.reject_subscriptions(p_watcher bigint, p_credentials bigint[]) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_bell text[];
begin
	with mine as materialized (
		select s.id from app.subscription s
		where s.watcher_id = p_watcher and (p_credentials is null or s.credential_id = any (p_credentials))
		order by s.id for update),
	marked as (
		update app.subscription s set ended = 'rejected', due = true, due_at = app.notify_from(s.due_at),
			expires_at = least(s.expires_at, now())
		from mine m where s.id = m.id and s.ended is null returning s.agent_id)
	select array_agg(distinct app.notify_bell(m.agent_id)) into v_bell from marked m;
	return v_bell;
end $$;

-- Whose time is over hears so; who cannot be told within two minutes is forgotten.
create function app.expire_subscriptions(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	delete from app.subscription s where s.id = any (array(
		select o.id from app.subscription o
		where o.ended is not null and o.expires_at < now() - interval '2 minutes'
		order by o.expires_at limit 500 for update skip locked));
	more := found;
	with expired as (
		update app.subscription s set ended = 'timeout', due = true, due_at = app.notify_from(s.due_at)
		where s.id in (
			select o.id from app.subscription o where o.expires_at <= now() and o.ended is null
			order by o.expires_at limit 500 for update skip locked)
		returning s.agent_id)
	select array_agg(distinct app.notify_bell(e.agent_id)) into bell from expired e;
	more := more or bell is not null;
end $$;

grant execute on function api.flow_new, api.sip_subscribe to restsip_agent;
