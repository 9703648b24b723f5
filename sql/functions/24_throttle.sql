-- Guessing is slow. Wrong passwords are counted for five minutes: of an account from one source, of a source, and over
-- HTTP of an account from everywhere. HTTP and SIP count apart. But whoever has signed in from a source within a day is
-- let in from there before anything is counted, so that nobody is shut out by what others guess.

-- ---- where an account is known ----

create function app.is_known_source(p_account bigint, p_source text) returns bool
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return exists (select from app.known_source k
		where k.account_id = p_account and k.source = p_source and k.at > now() - interval '1 day');
end $$;

-- Pairs of account and source from which a password or digest was right. An hour old and less is left as it is; where an
-- account has too many, those longest ago go.
create function app.know_sources(p_accounts bigint[], p_sources text[]) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_new bigint[];
begin
	with pair as materialized (
		select distinct u.account, app.source(u.source) as source
		from unnest(p_accounts, p_sources) u(account, source)),
	put as (
		insert into app.known_source as k (account_id, source)
		select p.account, p.source
		from pair p, lateral (select from app.account a where a.id = p.account for key share) a
		where p.source <> ''
		order by p.account, p.source
		on conflict (account_id, source) do update set at = now() where k.at < now() - interval '1 hour'
		returning k.account_id)
	select array_agg(distinct put.account_id) into v_new from put;
	delete from app.known_source k where (k.account_id, k.source) in (
		select f.account_id, f.source from app.known_source f
		join (select o.account_id, o.source, row_number() over (partition by o.account_id order by o.at desc) as place
			from app.known_source o where o.account_id = any (v_new)) o
			on o.account_id = f.account_id and o.source = f.source
		where o.place > app.bound('known_sources') for update of f skip locked);
end $$;

-- ---- what is counted ----

-- p_door: h (HTTP) or d (digests); p_who: an email, or username@realm. No refusal is an answer about p_who: who does not
-- exist is counted just so.
create function app.throttle_limits(p_door text, p_who text, p_source text, out key text, out most bigint)
returns setof record
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
	return query values
		(p_door || 'p:' || p_source || ':' || left(app.email_key(p_who), 300), app.bound('wrong_passwords')),
		(p_door || 's:' || p_source, app.bound('wrong_passwords_source'));
	if p_door = 'h' then
		return query values ('ha:' || left(app.email_key(p_who), 300), app.bound('wrong_passwords_account'));
	end if;
end $$;

-- Seconds until the next try, 0: now. Of an account that too many guess at, each source has a try a minute.
create function app.throttle_wait(p_door text, p_who text, p_source text) returns numeric
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_wait numeric;
begin
	select coalesce(max(extract(epoch from case when t.key like 'ha:%'
		then least(t.since + interval '5 minutes', n.since + interval '1 minute')
		else t.since + interval '5 minutes' end - now())), 0) into v_wait
	from app.throttle_limits(p_door, p_who, p_source) l
	join app.throttle t on t.key = l.key
	left join app.throttle n on n.key = 'hn:' || p_source || ':' || left(app.email_key(p_who), 300)
	where t.failures >= l.most and t.since > now() - interval '5 minutes'
		and (t.key not like 'ha:%' or n.since > now() - interval '1 minute');
	return v_wait;
end $$;

create function app.throttle_refuse(p_wait numeric) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
	perform app.refuse_for(429, 'too-many-guesses', 'Too many wrong passwords. Try again later.', p_wait);
end $$;

-- One more of each counter, in the order of their keys. True: one has had what it may have.
create function app.throttle_count(p_door text, p_who text, p_source text) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_full bool;
begin
	with counted as (
		insert into app.throttle as t (key, failures, since)
		select l.key, 1, now() from app.throttle_limits(p_door, p_who, p_source) l order by l.key
		on conflict (key) do update set
			failures = case when t.since > now() - interval '5 minutes' then t.failures + 1 else 1 end,
			since = case when t.since > now() - interval '5 minutes' then t.since else now() end
		returning t.key, t.failures)
	select coalesce(bool_or(c.failures > l.most), false) into v_full
	from counted c join app.throttle_limits(p_door, p_who, p_source) l on l.key = c.key
	where c.key not like 'ha:%';
	return v_full;
end $$;

-- ---- passwords over HTTP ----

-- What a caller needs before its password is hashed; a stable made-up setting for who does not exist. known: nothing is
-- counted. wait_s: not before then. Else api.password_try is to be asked. remember: api.password_settled wants to hear of
-- success.
create function api.password_look(p_email text, p_source text)
returns table (setting text, known bool, remember bool, wait_s int)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_source text := app.source(p_source);
	v_at timestamptz;
	v_wait numeric := 0;
begin
	select k.at into v_at
	from app.account a join app.known_source k on k.account_id = a.id and k.source = v_source
	where a.email_key = app.email_key(p_email) and k.at > now() - interval '1 day';
	if v_at is null then
		v_wait := app.throttle_wait('h', p_email, v_source);
	end if;
	return query select api.password_setting(p_email), v_at is not null,
		v_at is null or v_at < now() - interval '1 hour', ceil(v_wait)::int;
end $$;

-- A password is about to be hashed. It counts as a wrong one until api.password_settled says otherwise, so that a hundred
-- that come in the same instant are a hundred. RS429 with Retry-After.
create function api.password_try(p_email text, p_source text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_source text := app.source(p_source);
	v_is_full bool;
	v_wait numeric;
begin
	set local synchronous_commit = off;
	v_is_full := app.throttle_count('h', p_email, v_source);
	if v_is_full then
		perform app.throttle_refuse(app.throttle_wait('h', p_email, v_source));
	end if;
	if exists (select from app.throttle t where t.key = 'ha:' || left(app.email_key(p_email), 300)
		and t.failures > app.bound('wrong_passwords_account'))
	then
		insert into app.throttle as t (key, failures, since)
		values ('hn:' || v_source || ':' || left(app.email_key(p_email), 300), 1, now())
		on conflict (key) do update set since = now() where t.since <= now() - interval '1 minute';
		if not found then
			v_wait := app.throttle_wait('h', p_email, v_source);
			perform app.throttle_refuse(v_wait);
		end if;
	end if;
end $$;

-- What became of it, where that is not "wrong". p_right: the caller is known there from now on; else it was not looked at
-- at all. p_counted: there was an api.password_try.
create function api.password_settled(p_email text, p_source text, p_counted bool, p_right bool) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_source text := app.source(p_source);
	v_account bigint;
	v_keys text[];
begin
	set local synchronous_commit = off;
	if p_counted then
		v_keys := array(select l.key from app.throttle_limits('h', p_email, v_source) l);
		perform from app.throttle t where t.key = any (v_keys) order by t.key for update;
		update app.throttle t set failures = t.failures - 1 where t.key = any (v_keys) and t.failures > 0;
	end if;
	if p_right then
		select a.id into v_account from app.account a where a.email_key = app.email_key(p_email);
		perform app.know_sources(array[v_account], array[v_source]);
	end if;
end $$;

-- A wrong one, for programs of the version before.
create function api.password_failed(p_email text, p_source text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	set local synchronous_commit = off;
	perform app.throttle_count('h', p_email, app.source(p_source));
end $$;

-- ---- digests over SIP ----

-- A wrong response to a challenge that this source had got from us.
create function api.digest_failed(p_username text, p_realm text, p_source text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	set local synchronous_commit = off;
	perform app.throttle_count('d', app.digest_username(p_username, p_realm) || '@' || p_realm, app.source(p_source));
end $$;

-- Right ones, [{"account", "source"}]: these are known there.
create function api.digest_known(p_agent int, p_items jsonb) returns table (i int)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	set local synchronous_commit = off;
	perform app.know_sources(array_agg(t.account), array_agg(t.source))
	from jsonb_to_recordset(p_items) as t(account bigint, source text);
	return;
end $$;

grant execute on function api.password_look, api.password_try, api.password_settled, api.password_failed
	to restsip_api, restsip_stream;
grant execute on function api.digest_failed, api.digest_known to restsip_agent;
