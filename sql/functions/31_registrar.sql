-- The registrar's door to logins (RFC 3261, section 10.3).

-- Whether what a REGISTER of this Call-ID and CSeq asks for is as it stands: it was there before.
create function app.is_registered(p_account bigint, p_call_id text, p_cseq bigint, p_contacts jsonb) returns bool
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return p_contacts <> '[]' and not exists (
		select from jsonb_array_elements(p_contacts) c
		left join app.login l on l.account_id = p_account and l.key = app.login_key(p_account, c ->> 'key', p_call_id, c ->> 'instance')
			and l.expires_at > now()
		where case when (c ->> 'expires')::bigint = 0 then l.id is not null
			else (l.call_id, l.cseq) is distinct from (p_call_id, p_cseq) end);
end $$;

-- All contacts of one REGISTER, all or none. Contacts: {"contact", "key", "expires", "q"?, "instance"?, "reg_id"?,
-- "dials"?};
-- expires 0 removes; p_star removes all; neither: only asks. An equal REGISTER again (same Call-ID and CSeq) changes
-- nothing and gets the same answer; an older one is refused, and one that asks for something else under the same.
create function api.sip_register(p_agent int, p_credential bigint, p_ha1 text, p_aor text, p_call_id text,
	p_cseq bigint, p_contacts jsonb, p_star bool, p_path text, p_flow text, p_user_agent text)
returns table (n bigint, contact text, expires int, q text, path text, instance text, reg_id bigint, bell text[], name text,
	params text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := app.digest_account(p_credential, p_ha1);
	v_email text := app.email(v_account);
	v_prior bigint;
	v_version bigint;
	v_latest bigint;
	v_bell text[];
	v_contact jsonb;
	v_ids bigint[] := '{}';
	v_put record;
	v_set app.login;
begin
	if v_email is distinct from p_aor then
		perform app.caller_holds(v_account);
		perform app.refuse(403, 'not-owner', 'Only the owner may register here.');
	end if;
	if p_star or p_contacts <> '[]' then
		v_prior := app.lock('login', v_account, p_mine => true);
		perform app.credential_holds(p_credential);
		select max(l.cseq) into v_latest
		from app.login l where l.account_id = v_account and l.call_id = p_call_id and l.expires_at > now();
		if v_latest > p_cseq
			or v_latest = p_cseq and not app.is_registered(v_account, p_call_id, p_cseq, p_contacts)
		then
			perform app.refuse(500, 'cseq-out-of-order', 'A later REGISTER of this Call-ID was there already.');
		end if;
	end if;
	if v_prior is not null and v_latest is distinct from p_cseq then
		v_version := app.advance('login', v_account);
		v_bell := app.login_remove_lapsed(v_account);
		if p_star then
			v_ids := array(select l.id from app.login l where l.account_id = v_account and l.contact is not null);
		else
			v_ids := array(select l.id from app.login l where l.account_id = v_account and l.key in (
				select coalesce(
					(select o.key from app.login o where o.account_id = v_account
						and o.key = app.login_key(v_account, c ->> 'key', p_call_id, c ->> 'instance')),
					app.login_key(v_account, app.uri_key(c ->> 'key'))) -- whoever removes a contact may be anywhere
				from jsonb_array_elements(p_contacts) c where (c ->> 'expires')::bigint = 0));
		end if;
		if v_ids <> '{}' then
			v_bell := v_bell || app.login_remove(v_account, v_ids, 'unregistered');
		end if;
		for v_contact in
			select c from jsonb_array_elements(p_contacts) c where (c ->> 'expires')::bigint > 0
		loop
			v_set.q := (v_contact ->> 'q')::numeric;
			v_set.call_id := p_call_id;
			v_set.cseq := p_cseq;
			v_set.instance := v_contact ->> 'instance';
			v_set.reg_id := (v_contact ->> 'reg_id')::bigint;
			v_set.path := p_path;
			v_set.flow := p_flow;
			v_set.dials := case when v_set.reg_id is null and (v_contact ->> 'dials')::bool then split_part(p_flow, ':', 1) end;
			v_set.agent_id := p_agent;
			v_set.credential_id := p_credential;
			v_set.name := v_contact ->> 'name';
			v_set.params := v_contact ->> 'params';
			v_set.user_agent := left(p_user_agent, 200);
			-- What was set of the contact by REST or PUBLISH outlives its refreshes.
			v_put := app.login_put(v_account, v_email, 'sip', v_contact ->> 'contact', v_contact ->> 'key',
				least((v_contact ->> 'expires')::bigint, app.max_lifetime_s())::int, (select l.extra from app.login l
					where l.account_id = v_account
						and l.key = app.login_key(v_account, v_contact ->> 'key', p_call_id, v_set.instance)), v_set);
			v_bell := v_bell || v_put.bell;
			-- The same flow of the same device from another address (RFC 5626, section 6).
			if v_set.reg_id is not null then
				v_bell := v_bell || app.login_lose(v_account, array(
					select l.id from app.login l
					where l.account_id = v_account and l.instance = v_set.instance and l.reg_id = v_set.reg_id
						and l.n <> v_put.n));
			end if;
		end loop;
		v_bell := v_bell || app.publish('login', v_account, v_version, v_prior);
	end if;
	return query
		select l.n, l.contact, greatest(ceil(extract(epoch from l.expires_at - now()))::int, 1),
			trim_scale(l.q)::text, l.path, l.instance, l.reg_id, v_bell, l.name, l.params
		from app.login l where l.account_id = v_account and l.expires_at > now() and l.contact is not null
		-- what this request has bound comes first
		order by (l.call_id = p_call_id and l.cseq = p_cseq) is not true, l.n;
	if not found then
		return query select null::bigint, null::text, null::int, null::text, null::text,
			null::text, null::bigint, v_bell, null::text, null::text;
	end if;
end $$;

-- Which contact of his own account an OPTIONS of a phone's user goes on to: the one over the flow that it came over, or
-- else the latest of this agent's. No row: there is none.
create function api.sip_own_contact(p_agent int, p_credential bigint, p_ha1 text, p_aor text, p_flow text)
returns table (account bigint, contact text, path text, flow text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := app.digest_account(p_credential, p_ha1);
begin
	return query
		select l.account_id, l.contact, l.path, l.flow
		from app.login l
		where l.account_id = v_account and l.email = p_aor and l.source = 'sip' and l.agent_id = p_agent
			and l.expires_at > now()
		order by l.flow is distinct from nullif(p_flow, ''), app.bound_at(l) desc, l.n limit 1;
end $$;

-- Bindings of an account, whose login resource is locked, that were over connections of an agent which are gone: p_flow, or
-- null: all. Where another connection can be opened to its contact, a binding stays, and is reached that way. The others are
-- to be removed: returned.
create function app.login_unflow(p_account bigint, p_agent int, p_flow text) returns bigint[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	update app.login l set flow = null
	where l.account_id = p_account and l.agent_id = p_agent and l.dials is not null
		and (l.flow = p_flow or p_flow is null and l.flow ~ '^(tcp|tls):');
	return array(select l.id from app.login l
		where l.account_id = p_account and l.agent_id = p_agent
			and (l.flow = p_flow or p_flow is null and l.flow ~ '^(tcp|tls):'));
end $$;

-- Removes bindings whose connection has gone. Who is in a call with one of them has time to come back.
create function app.login_lose(p_account bigint, p_ids bigint[]) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	insert into app.contact_lost as c (account_id, n, key, instance)
	select l.account_id, l.n, l.key, l.instance from app.login l
	where l.account_id = p_account and l.id = any (p_ids) and l.key is not null and exists (
		select from app.participant p where p.account_id = l.account_id and p.contact_n = l.n and p.left_at is null
			and p.state = 'joined')
	on conflict (account_id, n) do update set at = now();
	return app.login_remove(p_account, p_ids, 'deactivated');
end $$;

-- The bindings over a flow that is gone: a connection of this agent that was closed (RFC 5626, section 5.3). more: not all
-- of them, for there are many, or somebody holds an account: to be called again. removed: bindings from the flow, which have
-- gone or are reached at themselves from now on.
create function api.flow_lost(p_agent int, p_flow text) returns table (removed int, bell text[], more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set lock_timeout = '500ms' as $$
declare
	v_end timestamptz;
	v_accounts bigint[];
	v_version bigint;
	v_turn record;
	v_ids bigint[];
	v_here int;
	v_done int := 0;
	v_more bool;
	v_bell text[];
begin
	v_accounts := array(
		select distinct l.account_id from app.login l where l.agent_id = p_agent and l.flow = p_flow order by 1 limit 100);
	for v_turn in select * from app.turn_lock('login', v_accounts, '-infinity') loop
		v_end := coalesce(v_end, app.turn_end());
		exit when clock_timestamp() > v_end;
		v_here := (select count(*) from app.login l
			where l.account_id = v_turn.id and l.agent_id = p_agent and l.flow = p_flow);
		begin
			v_ids := app.login_unflow(v_turn.id, p_agent, p_flow);
			if v_ids <> '{}' then
				v_version := app.advance('login', v_turn.id);
				v_bell := v_bell || app.login_lose(v_turn.id, v_ids);
				v_bell := v_bell || app.publish('login', v_turn.id, v_version, v_turn.prior);
			end if;
			v_done := v_done + v_here;
		exception when others then -- the others go on
			perform app.duty_failed('flow_lost', sqlstate, sqlerrm);
		end;
	end loop;
	v_more := app.legs_flow_lost(p_agent, p_flow);
	return query select v_done, v_bell, v_more or exists (
		select from app.login l where l.agent_id = p_agent and l.flow = p_flow);
end $$;

grant execute on function api.sip_register, api.sip_own_contact, api.flow_lost to restsip_agent;
