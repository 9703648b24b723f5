-- Deliveries: a transactional outbox. queued -> sending (claimed, leased) -> delivered, accepted, failed or, for
-- "not now", stored until the account is next reached.

-- Whether a code says "not now": what is meant for the account is kept for its next contact. All others are final.
create function app.is_not_now(p_code int) returns bool
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return p_code in (408, 430, 480) or p_code between 500 and 599 and p_code not in (501, 505);
end $$;

-- Deliveries (locked by the caller, as is the login resource) that could not reach their contact now. What is nowhere
-- else under way and arrived nowhere is stored, or goes to the account's open streams, as a new message to them; the
-- others have failed.
create function app.delivery_unreached(p_deliveries bigint[], p_code int, p_reason text) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_delivery bigint;
	v_account bigint;
	v_bell text[];
begin
	foreach v_delivery in array p_deliveries loop
		if exists (
			select from app.delivery d join app.delivery o on o.send_id = d.send_id and o.id <> d.id
			where d.id = v_delivery and o.state in ('queued', 'sending', 'delivered', 'accepted', 'stored'))
		then
			update app.delivery d set state = 'failed', code = p_code, reason = p_reason, changed_at = now(),
				settled_at = now()
			where d.id = v_delivery;
			continue;
		end if;
		update app.delivery d set kind = 'offline', state = 'stored', login_id = null, code = p_code,
			reason = p_reason, changed_at = now(), settled_at = null
		where d.id = v_delivery returning d.account_id into v_account;
		if app.has_stream(v_account) then
			update app.delivery d set kind = 'stream', state = 'queued' where d.id = v_delivery;
			update app.send s set inbox = app.take_inbox(v_account)
			where s.id = (select d.send_id from app.delivery d where d.id = v_delivery);
			v_bell := v_bell || app.change_bell('login', v_account);
		end if;
	end loop;
	return v_bell || app.touch_sends(array(select d.send_id from app.delivery d where d.id = any (p_deliveries)));
end $$;

-- What waited for the account, or of that only p_only, goes to a contact, if it may. The login resource is locked.
create function app.release_stored(p_account bigint, p_login bigint, p_contact text, p_only bigint[] default null)
returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_deliveries bigint[];
	v_agent int;
	v_secure bool;
begin
	select l.agent_id, app.is_secure(l.*::app.login) into v_agent, v_secure from app.login l where l.id = p_login;
	v_deliveries := array(select d.id from app.delivery d
		where d.account_id = p_account and d.kind = 'offline' and d.state = 'stored'
			and (p_only is null or d.id = any (p_only))
			and (v_secure or not exists (select from app.send s where s.id = d.send_id and s.secure))
		order by d.id for update);
	if v_deliveries = '{}' then
		return null;
	end if;
	update app.delivery d set kind = 'contact', login_id = p_login, contact = p_contact, state = 'queued',
		code = null, reason = null, changed_at = now()
	where d.id = any (v_deliveries);
	return app.touch_sends(array(select d.send_id from app.delivery d where d.id = any (v_deliveries)))
		|| app.job_bell(v_agent);
end $$;

-- Deliveries (locked, as is the login resource) that could not reach their contact, or whose binding is deleted: what
-- would be stored goes to the contact that was last heard of, if it was heard of since p_since.
create function app.delivery_move(p_account bigint, p_deliveries bigint[], p_code int, p_reason text,
	p_since timestamptz) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_bell text[] := app.delivery_unreached(p_deliveries, p_code, p_reason);
	v_secure bool;
	v_ids bigint[];
	v_login bigint;
	v_contact text;
begin
	for v_secure, v_ids in
		select s.secure, array_agg(d.id) from app.delivery d join app.send s on s.id = d.send_id
		where d.id = any (p_deliveries) group by s.secure
	loop
		select l.id, l.contact into v_login, v_contact from app.login l
		where l.account_id = p_account and l.contact is not null and l.expires_at > now()
			and (not v_secure or app.is_secure(l.*::app.login))
			and app.bound_at(l) > p_since
		order by app.bound_at(l) desc, l.id desc limit 1;
		if v_login is not null then
			v_bell := v_bell || app.release_stored(p_account, v_login, v_contact, v_ids);
		end if;
	end loop;
	return v_bell;
end $$;

-- The bindings of an account, whose login resource is locked, are about to go: what is on its way to a device goes over
-- another of its flows, if it has any.
create function app.delivery_to_device(p_account bigint, p_ids bigint[]) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_agents int[];
	v_sends bigint[];
begin
	with moved as (
		update app.delivery d set login_id = o.id, contact = o.contact, changed_at = now()
		from app.send s, app.login l cross join lateral (
			select x.id, x.contact, x.agent_id, app.is_secure(x.*::app.login) as secure from app.login x
			where x.account_id = l.account_id and x.instance = l.instance and x.id <> all (p_ids)
				and x.expires_at > now()
			order by app.bound_at(x) desc, x.id desc limit 1) o
		where s.id = d.send_id and (o.secure or not s.secure) and d.login_id = l.id and l.id = any (p_ids)
			and l.account_id = p_account and d.state in ('queued', 'sending')
		returning d.send_id, o.agent_id)
	select array_agg(m.send_id), array_agg(distinct m.agent_id) into v_sends, v_agents from moved m;
	if v_sends is null then
		return null;
	end if;
	return app.touch_sends(v_sends) || array(select app.job_bell(a) from unnest(v_agents) a);
end $$;

-- A delivery (locked, as is the login resource) did not reach its device over one flow: another one that was not tried is
-- (RFC 5626, section 7). Null: there is none.
create function app.delivery_other_flow(p_delivery bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_login app.login;
	v_send bigint;
begin
	select o.* into v_login
	from app.delivery d
	join app.send s on s.id = d.send_id
	join app.login l on l.id = d.login_id
	join app.login o on o.account_id = l.account_id and o.instance = l.instance and o.expires_at > now()
	where d.id = p_delivery and (not s.secure or app.is_secure(o.*::app.login)) and not exists (
		select from app.attempt t where t.delivery_id = p_delivery and t.contact = o.contact)
	order by app.bound_at(o) desc, o.id desc limit 1;
	if v_login.id is null then
		return null;
	end if;
	update app.delivery d set state = 'queued', login_id = v_login.id, contact = v_login.contact, changed_at = now()
	where d.id = p_delivery returning d.send_id into v_send;
	return app.touch_sends(array[v_send]) || app.job_bell(v_login.agent_id);
end $$;

-- Work for one agent: what goes over its own flows, over nobody's, or over a dead agent's; and what it has claimed
-- itself without getting to know it (it renews the leases of all that it knows of). What another transaction holds is
-- skipped; it comes up again at the next ring or poll.
create function api.delivery_claim(p_agent int, p_limit int, p_lease_s int)
returns table (delivery bigint, attempt int, send bigint, contact text, path text, flow text, owner int,
	sender text, recipient text, content_type text, body bytea, sent_at text, request_id text, secure bool,
	source text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_deliveries bigint[];
	v_bell text[];
begin
	v_deliveries := array(
		select d.id
		from app.delivery d
		left join app.login l on l.id = d.login_id
		left join app.agent g on g.id = l.agent_id
		where d.kind = 'contact' and d.state = 'queued'
			and (l.agent_id is null or l.agent_id = p_agent or g.dead_at is not null)
		order by d.id limit p_limit
		for update of d skip locked);
	v_deliveries := v_deliveries || array(
		select d.id from app.lease t join app.delivery d on d.id = t.delivery_id
		where t.agent_id = p_agent and t.until < now() and d.state = 'sending'
		order by d.id limit p_limit - cardinality(v_deliveries)
		for update of d skip locked);
	if v_deliveries = '{}' then
		return;
	end if;
	update app.delivery d set state = 'sending', changed_at = now() where d.id = any (v_deliveries);
	insert into app.lease as t (delivery_id, agent_id, attempt, until)
	select d, p_agent, 1, now() + make_interval(secs => p_lease_s) from unnest(v_deliveries) d
	on conflict (delivery_id) do update set agent_id = excluded.agent_id, attempt = t.attempt + 1,
		until = excluded.until;
	insert into app.attempt (delivery_id, attempt, agent_id, contact)
	select d.id, t.attempt, p_agent, coalesce(d.contact, '')
	from app.delivery d join app.lease t on t.delivery_id = d.id where d.id = any (v_deliveries);
	v_bell := app.touch_sends(array(select d.send_id from app.delivery d where d.id = any (v_deliveries)));
	return query
		select d.id, t.attempt, d.send_id, d.contact, l.path, l.flow, l.agent_id, s.sender, a.email,
			s.content_type, s.body, app.time_text(s.created_at), s.request_id, s.secure, l.source, v_bell
		from app.delivery d
		join app.lease t on t.delivery_id = d.id
		join app.send s on s.id = d.send_id
		join app.account a on a.id = d.account_id
		left join app.login l on l.id = d.login_id
		where d.id = any (v_deliveries) order by d.id;
end $$;

create function api.delivery_renew(p_agent int, p_deliveries bigint[], p_lease_s int) returns table (renewed int)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_renewed int;
begin
	update app.lease t set until = now() + make_interval(secs => p_lease_s)
	where t.delivery_id = any (p_deliveries) and t.agent_id = p_agent;
	get diagnostics v_renewed = row_count;
	return query select v_renewed;
end $$;

-- A contact has refused a send for good (all of its deliveries are locked, as is the login resource). Another one that
-- could not be reached while this was under way waits for the account's next contact, if nobody else has it.
create function app.delivery_refused(p_send bigint, p_account bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_other app.delivery;
begin
	select d.* into v_other from app.delivery d
	where d.send_id = p_send and d.state = 'failed' and app.is_not_now(d.code)
		and not exists (select from app.delivery o where o.send_id = p_send
			and o.state in ('queued', 'sending', 'delivered', 'accepted', 'stored'))
	order by d.settled_at desc, d.id limit 1;
	if v_other.id is null then
		return null;
	end if;
	return app.delivery_move(p_account, array[v_other.id], v_other.code, v_other.reason,
		(select max(t.began_at) from app.attempt t where t.delivery_id = v_other.id));
end $$;

-- The final answer to a delivery (RFC 3428). p_code null: it never left, queue it again. Fenced by (agent, attempt):
-- who was overtaken changes nothing. 482 to a repeat means that the phone has it already.
create function api.delivery_settle(p_agent int, p_delivery bigint, p_attempt int, p_code int, p_reason text)
returns table (state text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_account bigint;
	v_login bigint;
	v_send bigint;
	v_state text;
	v_began timestamptz;
	v_bell text[];
	v_not_now bool;
begin
	select d.account_id, d.login_id, d.send_id into v_account, v_login, v_send
	from app.delivery d where d.id = p_delivery;
	-- Without its binding nobody knows by which way it may go.
	v_not_now := app.is_not_now(p_code) or p_code is null and v_login is null;
	v_state := case
		when v_not_now then 'stored'
		when p_code is null then 'queued'
		when p_code = 202 then 'accepted'
		when p_code between 200 and 299 or p_code = 482 and p_attempt > 1 then 'delivered'
		else 'failed' end;
	if v_state in ('stored', 'failed') then
		-- A contact that registers meanwhile must find it stored, or must be seen here.
		perform app.lock('login', v_account);
	end if;
	perform from app.delivery d
	where d.id = p_delivery or v_state = 'failed' and d.send_id = v_send order by d.id for update;
	update app.lease t set agent_id = null, until = null
	where t.delivery_id = p_delivery and t.agent_id = p_agent and t.attempt = p_attempt;
	if not found then
		return query select d.state, null::text[] from app.delivery d where d.id = p_delivery;
		return;
	end if;
	update app.attempt t set ended_at = now(), code = p_code, reason = left(p_reason, 200)
	where t.delivery_id = p_delivery and t.attempt = p_attempt returning t.began_at into v_began;
	if p_code in (408, 430) then
		v_bell := app.delivery_other_flow(p_delivery);
	end if;
	if v_bell is not null then
		null;
	elsif v_not_now then
		-- Who has registered since then is not waited for.
		v_bell := app.delivery_move(v_account, array[p_delivery], p_code, left(p_reason, 200), v_began);
	else
		update app.delivery d set state = v_state, code = p_code, reason = left(p_reason, 200), changed_at = now(),
			settled_at = case when p_code is not null then now() end
		where d.id = p_delivery;
		if v_state = 'failed' then
			v_bell := app.delivery_refused(v_send, v_account);
		end if;
		v_bell := v_bell || app.touch_sends(array[v_send]);
	end if;
	return query select d.state, v_bell from app.delivery d where d.id = p_delivery;
end $$;

-- What was claimed by an agent that is no more is queued again, with the same identity on the wire; without its binding
-- it goes to another, or is stored. The login resources are locked.
create function app.release_claims(p_agent int) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_deliveries bigint[];
	v_account bigint;
	v_moved bigint[];
	v_bell text[];
begin
	v_deliveries := array(
		select d.id from app.delivery d join app.lease t on t.delivery_id = d.id
		where t.agent_id = p_agent order by d.id for update of d);
	if v_deliveries = '{}' then
		return null;
	end if;
	update app.lease t set agent_id = null, until = null where t.delivery_id = any (v_deliveries);
	update app.attempt t set ended_at = now()
	from app.lease e
	where e.delivery_id = any (v_deliveries) and t.delivery_id = e.delivery_id and t.attempt = e.attempt
		and t.ended_at is null;
	update app.delivery d set state = 'queued', changed_at = now()
	where d.id = any (v_deliveries) and d.state = 'sending';
	for v_account, v_moved in
		select d.account_id, array_agg(d.id order by d.id) from app.delivery d
		where d.id = any (v_deliveries) and d.state = 'queued' and d.login_id is null group by 1 order by 1
	loop
		v_bell := v_bell || app.delivery_move(v_account, v_moved, 480, 'Contact gone', '-infinity');
	end loop;
	return v_bell || app.touch_sends(array(select d.send_id from app.delivery d where d.id = any (v_deliveries)))
		|| app.job_bell(null);
end $$;

grant execute on function api.delivery_claim, api.delivery_renew, api.delivery_settle to restsip_agent;
