-- Deliveries: a transactional outbox. queued -> sending (claimed, leased) -> delivered, accepted, failed or, for
-- "not now", stored until the account is next reached.

-- Whether a code says "not now": what is meant for the account is kept for its next contact. All others are final.
create function app.is_not_now(p_code int) returns bool
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return p_code in (408, 430, 480) or p_code between 500 and 599 and p_code not in (501, 505);
end $$;

-- Deliveries of an account (locked by the caller, as is its login resource) that could not reach their contact now. What
-- is nowhere else under way and arrived nowhere is stored, or goes to the account's open streams, as a new message to
-- them; the others have failed.
create function app.delivery_unreached(p_account bigint, p_deliveries bigint[], p_code int, p_reason text)
returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_send bigint;
	v_kept bigint[];
	v_bell text[];
begin
	update app.delivery d set state = 'failed', code = p_code, reason = p_reason, changed_at = now(), settled_at = now()
	where d.id = any (p_deliveries);
	v_kept := array(
		select max(d.id) from app.delivery d
		where d.id = any (p_deliveries) and not exists (
			select from app.delivery o where o.send_id = d.send_id
				and o.state in ('queued', 'sending', 'delivered', 'displayed', 'accepted', 'stored'))
		group by d.send_id);
	if v_kept <> '{}' then
		update app.delivery d set kind = 'offline', state = 'stored', login_id = null, settled_at = null
		where d.id = any (v_kept);
		if app.has_stream(p_account) then
			update app.delivery d set kind = 'stream', state = 'queued' where d.id = any (v_kept);
			for v_send in
				select d.send_id from app.delivery d where d.id = any (v_kept) order by d.id
			loop
				update app.send s set inbox = app.take_inbox(p_account) where s.id = v_send;
			end loop;
			v_bell := array[app.change_bell('login', p_account)];
		end if;
	end if;
	return v_bell || app.touch_sends(array(select d.send_id from app.delivery d where d.id = any (p_deliveries)));
end $$;

-- Where what goes to a binding is sent: the flow that it registered over, or transport, host and port. Names are not
-- looked up. Anybody may name any host and port: so what goes there takes no places of the phone that has its flow from
-- there, and what REST names none of what a phone or its proxy does.
create function app.destination(p_login app.login) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
	v_uri text := lower(coalesce(substring(p_login.path from '<([^>]*)>'), p_login.key));
	v_part text[] := regexp_match(v_uri, '^(sips?):(?:[^@]*@)?(\[[^]]*\]|[^:;?> ]*)(?::(\d+))?');
	v_transport text := case when v_part[1] = 'sips' then 'tls'
		else coalesce(substring(v_uri from ';transport=([a-z]+)'), 'udp') end;
begin
	return left(coalesce(p_login.flow, p_login.source || ' ' || v_transport || ':' || v_part[2] || ':'
		|| coalesce(v_part[3], case v_transport when 'tls' then '5061' else '5060' end), '?'), 200);
end $$;

-- What no datagram holds is not for a binding that is reached by nothing else. p_bytes: of the body, its type and the
-- sender; the other headers take 300 at least.
create function app.is_too_large(p_bytes int, p_login app.login) returns bool
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return p_bytes + octet_length(p_login.contact) + 300 > 65527
		and (p_login.flow like 'udp:%' or p_login.flow is null
			and lower(coalesce(p_login.path, p_login.key)) ~ ';transport=udp(\W|$)');
end $$;

-- How many more deliveries a binding may have waiting.
create function app.contact_room(p_login bigint) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return app.bound('deliveries_contact') - (
		select count(*) from app.delivery d where d.login_id = p_login and d.state in ('queued', 'sending'));
end $$;

-- What waited for the account, or of that only p_only, goes to a contact, if it may and has not refused it: what has waited
-- longest since it was sent or tried, as many as there is room for, p_most at most. The others follow when it has taken
-- those (app.release_more). The login resource is locked.
create function app.release_stored(p_account bigint, p_login bigint, p_only bigint[] default null,
	p_most bigint default null)
returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_login app.login;
	v_room bigint := least(app.contact_room(p_login), p_most);
	v_deliveries bigint[];
begin
	if v_room <= 0 then
		return null;
	end if;
	select l.* into v_login from app.login l where l.id = p_login;
	v_deliveries := array(
		select d.id from app.delivery d join app.send s on s.id = d.send_id
		where d.account_id = p_account and d.kind = 'offline' and d.state = 'stored'
			and (p_only is null or d.id = any (p_only))
			and (not s.secure or app.is_secure(v_login)) and not app.is_too_large(octet_length(s.body) + octet_length(s.content_type)
				+ octet_length(s.sender), v_login)
			and not exists (
				select from app.delivery o where o.send_id = d.send_id and o.login_id = p_login
					and o.state = 'failed' and not app.is_not_now(o.code))
		order by d.changed_at, d.id limit v_room);
	v_deliveries := array(
		select d.id from app.delivery d
		where d.id = any (v_deliveries) and d.kind = 'offline' and d.state = 'stored' order by d.id for update);
	if v_deliveries = '{}' then
		return null;
	end if;
	update app.delivery d set kind = 'contact', login_id = p_login, contact = v_login.contact, state = 'queued',
		code = null, reason = null, changed_at = now(), sender_id = coalesce(s.sender_id, 0),
		agent_id = coalesce(v_login.agent_id, 0), destination = app.destination(v_login)
	from app.send s
	where d.id = any (v_deliveries) and s.id = d.send_id;
	return app.touch_sends(array(select d.send_id from app.delivery d where d.id = any (v_deliveries)))
		|| app.job_bell(v_login.agent_id);
end $$;

create function app.has_stored(p_account bigint) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return exists (select from app.delivery d
		where d.account_id = p_account and d.kind = 'offline' and d.state = 'stored');
end $$;

-- A contact has answered: it gets more of what waits for the account once half of what it had is gone. The login
-- resource is locked.
create function app.release_more(p_account bigint, p_login bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	if 2 * app.contact_room(p_login) < app.bound('deliveries_contact') or not exists (
		select from app.login l where l.id = p_login and l.contact is not null and l.expires_at > now())
	then
		return null;
	end if;
	return app.release_stored(p_account, p_login);
end $$;

-- Deliveries (locked, as is the login resource) that could not reach their contact, or whose binding is deleted: what
-- would be stored goes to the contact that was last heard of, if it was heard of since p_since.
create function app.delivery_move(p_account bigint, p_deliveries bigint[], p_code int, p_reason text,
	p_since timestamptz) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_bell text[] := app.delivery_unreached(p_account, p_deliveries, p_code, p_reason);
	v_secure bool;
	v_ids bigint[];
	v_login bigint;
begin
	for v_secure, v_ids in
		select s.secure, array_agg(d.id) from app.delivery d join app.send s on s.id = d.send_id
		where d.id = any (p_deliveries) group by s.secure
	loop
		select l.id into v_login from app.login l
		where l.account_id = p_account and l.contact is not null and l.expires_at > now()
			and (not v_secure or app.is_secure(l.*::app.login))
			and app.bound_at(l) > p_since
		order by app.bound_at(l) desc, l.id desc limit 1;
		if v_login is not null then
			v_bell := v_bell || app.release_stored(p_account, v_login, v_ids);
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
		update app.delivery d set login_id = o.id, contact = o.contact, agent_id = coalesce(o.agent_id, 0),
			destination = o.destination, changed_at = now()
		from app.send s, app.login l cross join lateral (
			select x.id, x.contact, x.agent_id, app.is_secure(x.*::app.login) as secure,
				app.destination(x.*::app.login) as destination from app.login x
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
	update app.delivery d set state = 'queued', login_id = v_login.id, contact = v_login.contact,
		agent_id = coalesce(v_login.agent_id, 0), destination = app.destination(v_login), changed_at = now()
	where d.id = p_delivery returning d.send_id into v_send;
	return app.touch_sends(array[v_send]) || app.job_bell(v_login.agent_id);
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
			and o.state in ('queued', 'sending', 'delivered', 'displayed', 'accepted', 'stored'))
	order by d.settled_at desc, d.id limit 1;
	if v_other.id is null then
		return null;
	end if;
	return app.delivery_move(p_account, array[v_other.id], v_other.code, v_other.reason,
		(select max(t.began_at) from app.attempt t where t.delivery_id = v_other.id));
end $$;

-- The final answer to a delivery (RFC 3428). p_code null: it never left, queue it again. Fenced by (agent, attempt):
-- who was overtaken changes nothing, nor does who settles what is gone: that has no row. 482 to a repeat means that the
-- phone has it already.
create function api.delivery_settle(p_agent int, p_delivery bigint, p_attempt int, p_code int, p_reason text)
returns table (state text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint;
	v_login bigint;
	v_send bigint;
	v_state text;
	v_began timestamptz;
	v_bell text[];
	v_not_now bool;
	v_is_locked bool := false;
begin
	select d.account_id, d.send_id into v_account, v_send from app.delivery d where d.id = p_delivery;
	if not found then
		return;
	end if;
	v_state := case
		when app.is_not_now(p_code) then 'stored'
		when p_code is null then 'queued'
		when p_code = 202 then 'accepted'
		when p_code between 200 and 299 or p_code = 482 and p_attempt > 1 then 'delivered'
		else 'failed' end;
	if v_state in ('stored', 'failed', 'queued') or app.has_stored(v_account) then
		-- A contact that comes or goes meanwhile must find it stored, or must be seen here.
		perform from app.resource r where r.kind = 'login' and r.id = v_account for update;
		if not found then
			return;
		end if;
		v_is_locked := true;
	end if;
	perform from app.delivery d
	where d.id = p_delivery or v_state = 'failed' and d.send_id = v_send order by d.id for update;
	update app.lease t set agent_id = null, until = null
	where t.delivery_id = p_delivery and t.agent_id = p_agent and t.attempt = p_attempt;
	if not found then
		return query select d.state, null::text[] from app.delivery d where d.id = p_delivery;
		return;
	end if;
	-- Without its binding nobody knows by which way it may go.
	select d.login_id into v_login from app.delivery d where d.id = p_delivery;
	v_not_now := v_state = 'stored' or p_code is null and v_login is null;
	update app.attempt t set ended_at = now(), code = p_code, reason = left(p_reason, 200)
	where t.delivery_id = p_delivery and t.attempt = p_attempt returning t.began_at into v_began;
	if p_code in (408, 430) then
		v_bell := app.delivery_other_flow(p_delivery);
	end if;
	if v_bell is not null then
		null;
	elsif v_not_now then
		-- Who has registered since then is not waited for; what never left is anybody's.
		v_bell := app.delivery_move(v_account, array[p_delivery], p_code, left(p_reason, 200),
			case when p_code is null then '-infinity' else v_began end);
	else
		update app.delivery d set state = v_state, code = p_code, reason = left(p_reason, 200), changed_at = now(),
			settled_at = case when p_code is not null then now() end
		where d.id = p_delivery;
		if v_state = 'failed' then
			v_bell := app.delivery_refused(v_send, v_account);
		end if;
		v_bell := v_bell || app.touch_sends(array[v_send]);
		if v_is_locked and v_state <> 'queued' and app.has_stored(v_account) then
			v_bell := v_bell || app.release_more(v_account, v_login);
		end if;
	end if;
	return query select d.state, v_bell from app.delivery d where d.id = p_delivery;
end $$;

-- What was claimed by an agent that is no more (locked, as are the login resources) is queued again, with the same identity
-- on the wire; without its binding it goes to another, or is stored.
create function app.release_claims(p_deliveries bigint[]) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint;
	v_moved bigint[];
	v_bell text[];
begin
	if p_deliveries = '{}' then
		return null;
	end if;
	update app.lease t set agent_id = null, until = null where t.delivery_id = any (p_deliveries);
	update app.attempt t set ended_at = now()
	from app.lease e
	where e.delivery_id = any (p_deliveries) and t.delivery_id = e.delivery_id and t.attempt = e.attempt
		and t.ended_at is null;
	update app.delivery d set state = 'queued', changed_at = now()
	where d.id = any (p_deliveries) and d.state = 'sending';
	for v_account, v_moved in
		select d.account_id, array_agg(d.id order by d.id) from app.delivery d
		where d.id = any (p_deliveries) and d.state = 'queued' and d.login_id is null group by 1 order by 1
	loop
		v_bell := v_bell || app.delivery_move(v_account, v_moved, 480, 'Contact gone', '-infinity');
	end loop;
	return v_bell || app.touch_sends(array(select d.send_id from app.delivery d where d.id = any (p_deliveries)))
		|| app.job_bell(null);
end $$;

grant execute on function api.delivery_settle to restsip_agent;
