-- Guessing is slow: so many wrong passwords within five minutes, for an account from one source, for a source, and for
-- an account from everywhere. Who knows the password meanwhile is held up by none but the last.

create function app.throttle_limits(p_email text, p_source text, out key text, out most int) returns setof record
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return query values ('p:' || p_source || ':' || left(p_email, 300), 10), ('s:' || p_source, 100),
		('a:' || left(p_email, 300), 300);
end $$;

-- RS429 while there were too many wrong guesses.
create function app.throttle_check(p_email text, p_source text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	if exists (select from app.throttle_limits(p_email, p_source) l join app.throttle t on t.key = l.key
		where t.failures >= l.most and t.since > now() - interval '5 minutes')
	then
		perform app.refuse(429, 'too-many-guesses', 'Too many wrong passwords. Try again later.');
	end if;
end $$;

create function app.throttle_count(p_email text, p_source text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	insert into app.throttle as t (key, failures, since)
	select l.key, 1, now() from app.throttle_limits(p_email, p_source) l order by l.key
	on conflict (key) do update set
		failures = case when t.since > now() - interval '5 minutes' then t.failures + 1 else 1 end,
		since = case when t.since > now() - interval '5 minutes' then t.since else now() end;
end $$;

-- A password was wrong (and a password alone: a token cannot be guessed). p_source: the caller's address.
create function api.password_failed(p_email text, p_source text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	set local synchronous_commit = off;
	perform app.throttle_count(p_email, p_source);
end $$;

-- The same for an agent's digests: a wrong response, and whether a source may try.
create function api.digest_failed(p_username text, p_realm text, p_source text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	set local synchronous_commit = off;
	perform app.throttle_count('sip:' || p_username || '@' || p_realm, p_source);
end $$;

grant execute on function api.password_failed to restsip_api, restsip_stream;
grant execute on function api.digest_failed to restsip_agent;
