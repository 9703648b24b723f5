-- What an agent asks for many requests at once: one statement, one commit. Items are JSON, i numbers them in the answer's
-- rows. An item that has no row in the answer is not the usual case: nothing was done for it, and it is to be asked for
-- alone, by the function without _many, which knows all cases and says what is wrong. Every look is by a key, whatever
-- the tables' statistics say.

-- {"i", "username", "realm", "source"}. One row an item; credential null: there is no such user.
create function api.digest_credential_many(p_agent int, p_items jsonb)
returns table (i int, credential bigint, account bigint, email text, algorithm text, ha1 text, remember bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
	set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
	set plan_cache_mode = force_generic_plan as $$
declare
	c_pair constant bigint := app.bound('wrong_passwords');
	c_source constant bigint := app.bound('wrong_passwords_source');
begin
	return query
		with item as materialized (
			select t.i, app.digest_username(t.username, t.realm) as username, t.username as given, t.realm,
				app.source(t.source) as source
			from jsonb_to_recordset(p_items) as t(i int, username text, realm text, source text))
		select m.i, c.id, c.account_id, a.email, c.algorithm,
			case when c.username = m.given then c.ha1 else c.ha1_email end, k.at is null or k.at < now() - interval '1 hour'
		from item m
		left join app.credential c on c.realm = m.realm and c.username = m.username
		left join app.account a on a.id = c.account_id
		left join app.known_source k on k.account_id = c.account_id and k.source = m.source
			and k.at > now() - interval '1 day'
		where k.at is not null or not exists (
			select from (values ('dp:' || m.source || ':' || left(app.email_key(m.username || '@' || m.realm), 300), c_pair),
				('ds:' || m.source, c_source)) l(key, most)
			join app.throttle t on t.key = l.key
			where t.failures >= l.most and t.since > now() - interval '5 minutes')
		order by m.i;
end $$;

-- {"i", "email"}
create function api.digest_algorithm_many(p_agent int, p_items jsonb) returns table (i int, algorithm text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
	set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
	set plan_cache_mode = force_generic_plan as $$
begin
	return query
		select m.i, case when bool_and(c.algorithm = 'SHA-256') then 'SHA-256' else 'MD5' end
		from jsonb_to_recordset(p_items) as m(i int, email text)
		left join app.account a on a.email_key = app.email_key(m.email)
		left join app.credential c on c.account_id = a.id
		group by m.i order by m.i;
end $$;

-- REGISTERs that bind one contact each, without an instance: {"i", "credential", "ha1", "aor", "call_id", "cseq",
-- "contact", "key", "expires", "q"?, "name"?, "params"?, "dials"?, "path"?, "flow"?, "user_agent"?}. Done here: refreshes and new contacts of accounts
-- for which nothing has lapsed, waits or is full, and whose row nobody holds; of contacts that are not ours. Rows as of
-- api.sip_register; the bells, if there are any, stand in a last row with i = -1.
create function api.sip_register_many(p_agent int, p_items jsonb)
returns table (i int, n bigint, contact text, expires int, q text, path text, instance text, reg_id bigint,
	bell text[], name text, params text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
	set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
	set plan_cache_mode = force_generic_plan as $$
declare
	v_items int[];
	v_accounts bigint[];
	v_priors bigint[];
	v_unused bigint[];
	v_account bigint;
	v_is_followed bool;
	v_followed bigint[] := '{}';
	v_changed record;
begin
	-- The accounts, locked in order. Who must be waited for is left out, and who is there twice.
	with item as materialized (
		select distinct on (a.id) t.i, a.id, t.credential, c.used_at
		from jsonb_to_recordset(p_items) as t(i int, credential bigint, ha1 text, aor text)
		join app.credential c on c.id = t.credential and t.ha1 in (c.ha1, c.ha1_email)
		join app.account a on a.id = c.account_id and a.email = t.aor
		order by a.id, t.i)
	select array_agg(m.i), array_agg(m.id), array_agg(k.version),
		array_agg(m.credential) filter (where m.used_at is null or m.used_at < now() - interval '1 hour')
	into v_items, v_accounts, v_priors, v_unused
	from item m
	cross join lateral (
		select r.version from app.resource r where r.kind = 'login' and r.id = m.id for update skip locked) k;
	if v_items is null then
		return;
	end if;

	-- With the locks held: what is the usual case, and that done. Rows to write are found by an array of their keys too,
	-- and what is read stands in lateral queries, so that a plan made for empty tables does not read them whole later.
	for i, n, contact, expires, q, path, instance, reg_id, name, params, v_account, v_is_followed in
		with usual as materialized (
			select t.*, least(t.expires, app.max_lifetime_s()) as expires_s,
				now() + make_interval(secs => least(t.expires, app.max_lifetime_s())) as expires_at,
				m.account_id, h.login_id, h.n, h.contacts, h.is_followed
			from jsonb_to_recordset(p_items) as t(i int, credential bigint, aor text, call_id text, cseq bigint,
				contact text, key text, expires int, q numeric, name text, params text, dials bool, path text, flow text,
				user_agent text)
			join unnest(v_items, v_accounts) as m(i, account_id) on m.i = t.i
			cross join lateral (
				select count(*) as contacts,
					max(o.id) filter (where o.key = t.key) as login_id, max(o.n) filter (where o.key = t.key) as n,
					bool_or(o.expires_at <= now() or o.call_id = t.call_id and o.cseq >= t.cseq) as odd,
					exists (select from app.delivery d where d.account_id = m.account_id
						and d.state in ('stored', 'queued') and d.kind <> 'contact') as waits,
					-- whether app.publish has something to do
					exists (select from app.watch w where w.kind = 'login' and w.id = m.account_id)
						or exists (select from app.watch w where w.kind = 'list' and w.id = app.list_id('login'))
						or exists (select from app.subscription s where s.account_id = m.account_id and s.kind = 'login')
						as is_followed
				from app.login o where o.account_id = m.account_id) h
			-- it may have ended, or its account have been disabled, until the lock was there
			where exists (select from app.credential c join app.account a on a.id = c.account_id
					where c.id = t.credential and a.disabled_at is null)
				and h.contacts < (select b.amount from app.setting b where b.name = 'contacts')
				and app.contact_size(t.contact, t.path, t.call_id, null, t.name, t.params)
					<= (select b.amount from app.setting b where b.name = 'contact')
				and h.odd is not true and not h.waits
				and (h.login_id is not null or not app.is_own_address(t.key) and app.login_key(m.account_id, t.key, t.call_id) = t.key)),
		took as (
			update app.resource r
			set version = nextval('app.version_seq'),
				next_n = greatest(r.next_n, (select e.floor from app.epoch e)) + (u.login_id is null)::int
			from usual u where r.kind = 'login' and r.id = any (v_accounts) and r.id = u.account_id
			returning r.id, r.next_n - 1 as n),
		made as (
			insert into app.login (account_id, email, n, key, contact, source, expires_s, expires_at, sweep_at, q, call_id,
				cseq, path, flow, dials, agent_id, user_agent, credential_id, name, params, doc)
			select u.account_id, u.aor, t.n, u.key, u.contact, 'sip', u.expires_s, u.expires_at, u.expires_at, u.q, u.call_id,
				u.cseq, u.path, u.flow, case when u.dials then split_part(u.flow, ':', 1) end, p_agent, u.user_agent, u.credential, u.name, u.params,
				app.login_doc(t.n, u.aor, 'sip', u.contact, u.expires_s, u.expires_at, round(u.q, 3), u.user_agent, null, u.name, u.params)
			from usual u join took t on t.id = u.account_id where u.login_id is null),
		put as (
			update app.login l set contact = u.contact, source = 'sip', expires_s = u.expires_s,
				expires_at = u.expires_at, sweep_at = least(l.sweep_at, u.expires_at), q = u.q, call_id = u.call_id,
				cseq = u.cseq, instance = null, reg_id = null, path = u.path, flow = u.flow,
				dials = case when u.dials then split_part(u.flow, ':', 1) end, agent_id = p_agent, user_agent = u.user_agent, credential_id = u.credential, name = u.name, params = u.params,
				doc = app.login_doc(l.n, u.aor, 'sip', u.contact, u.expires_s, u.expires_at, round(u.q, 3), u.user_agent,
					l.extra, u.name, u.params)
			from usual u where l.id = any (array(select o.login_id from usual o)) and l.id = u.login_id)
		select u.i, b.n, b.contact, greatest(ceil(extract(epoch from b.expires_at - now()))::int, 1),
			trim_scale(b.q)::text, b.path, b.instance, b.reg_id, b.name, b.params, u.account_id, u.is_followed
		from usual u
		cross join lateral (
			select coalesce(u.n, (select t.n from took t where t.id = u.account_id)) as n, u.contact, u.expires_at,
				round(u.q, 3) as q, u.path, null::text as instance, null::bigint as reg_id, u.name, u.params, 0 as place
			union all
			select o.n, o.contact, o.expires_at, o.q, o.path, o.instance, o.reg_id, o.name, o.params, 1
			from app.login o
			where u.contacts > (u.login_id is not null)::int and o.account_id = u.account_id
				and o.id is distinct from u.login_id and o.contact is not null) b
		order by u.i, b.place, b.n
	loop
		if v_is_followed and v_account <> all (v_followed) then
			v_followed := v_followed || v_account;
		end if;
		return next;
	end loop;

	if v_unused is not null then
		update app.credential c set used_at = now() where c.id in (
			select o.id from app.credential o where o.id = any (v_unused) for update skip locked);
	end if;
	if v_followed <> '{}' then
		for v_changed in
			select r.id, r.version, m.prior
			from unnest(v_accounts, v_priors) as m(id, prior)
			join app.resource r on r.kind = 'login' and r.id = m.id
			where r.id = any (v_followed) order by r.id
		loop
			bell := bell || app.publish('login', v_changed.id, v_changed.version, v_changed.prior);
		end loop;
		i := -1;
		return next;
	end if;
end $$;

grant execute on function api.digest_credential_many, api.digest_algorithm_many, api.sip_register_many
	to restsip_agent;
