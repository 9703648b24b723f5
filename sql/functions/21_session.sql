-- Sessions (bearer tokens) and tickets. Only hashes of either are ever seen here.

-- p_token: SHA-256 of the new token. Lifetime in seconds, at most 30 days; null: a day. Where an account has too many
-- sessions, the oldest makes way.
create function api.session_create(p_who text, p_proof bytea, p_token bytea, p_lifetime_s int)
returns table (email text, expires int, expires_at text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint;
	v_lifetime_s int := least(greatest(coalesce(p_lifetime_s, 86400), 1), 2592000);
	v_expires_at timestamptz := now() + make_interval(secs => v_lifetime_s);
	v_bell text[];
begin
	-- Who sets a new password meanwhile is waited for: no session of the one before comes in behind it.
	perform from app.account a where a.email_key = app.email_key(p_who) for no key update;
	v_account := app.caller(p_who, p_proof);
	if p_who is null then
		perform app.refuse(403, 'password-needed', 'A new session needs the account''s password; a token does not do: sign this request with Basic (email and password).');
	end if;
	insert into app.session (token, account_id, expires_at) values (p_token, v_account, v_expires_at);
	delete from app.session s where s.token in (
		select o.token from app.session o where o.account_id = v_account
		order by o.expires_at > now() desc, o.token = p_token desc, o.created_at desc, o.token
		offset app.bound('sessions'));
	if found then
		v_bell := app.session_ended(v_account);
	end if;
	return query select app.email(v_account), v_lifetime_s, app.time_text(v_expires_at), v_bell;
end $$;

-- Who is signed in, until when (null: by a password), and until when what they are told of media servers is good: the
-- worker makes a credential of that (TURN), which calls made until then go on with.
create function api.session_get(p_who text, p_proof bytea)
returns table (email text, expires_at text, ice_expires bigint, ice_expires_at text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := app.caller(p_who, p_proof);
	v_ice timestamptz := date_trunc('second', now()) + interval '1 hour';
begin
	return query select app.email(v_account),
		(select app.time_text(s.expires_at) from app.session s where p_who is null and s.token = p_proof),
		extract(epoch from v_ice)::bigint, app.time_text(v_ice);
end $$;

-- All tokens and tickets of an account end, tickets first: one that is just used becomes a session.
create function app.sessions_end(p_account bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform from app.account a where a.id = p_account for no key update;
	delete from app.ticket t where t.account_id = p_account;
	delete from app.session s where s.account_id = p_account;
	return app.session_ended(p_account);
end $$;

-- Bearer: ends that session. Basic: ends all sessions of the account.
create function api.session_delete(p_who text, p_proof bytea) returns table (ended int, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := app.caller(p_who, p_proof);
	v_ended int;
begin
	perform from app.account a where a.id = v_account for no key update;
	perform app.caller_holds(v_account);
	if p_who is not null then
		delete from app.ticket t where t.account_id = v_account;
	end if;
	delete from app.session s
	where s.account_id = v_account and (p_who is not null or s.token = p_proof);
	get diagnostics v_ended = row_count;
	return query select v_ended, app.session_ended(v_account);
end $$;

-- A ticket stands once, within 60 s, for the session that asked for it.
create function api.ticket_create(p_who text, p_proof bytea, p_ticket bytea)
returns table (expires int, expires_at text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := app.caller(p_who, p_proof);
	v_expires_at timestamptz := now() + interval '60 s';
begin
	perform from app.account a where a.id = v_account for no key update;
	perform app.caller_holds(v_account);
	perform app.refuse_disabled(v_account); -- it may have come before the lock
	if (select count(*) from app.ticket t where t.account_id = v_account and t.expires_at > now()) >= app.bound('tickets') then
		perform app.refuse_for(409, 'too-many-tickets',
			format('An account has at most %s tickets that nobody has used.', app.bound('tickets')),
			(select extract(epoch from min(t.expires_at) - now()) from app.ticket t
			where t.account_id = v_account and t.expires_at > now()));
	end if;
	insert into app.ticket (ticket, account_id, session_token, expires_at)
	values (p_ticket, v_account, case when p_who is null then p_proof end, v_expires_at);
	return query select 60, app.time_text(v_expires_at);
end $$;

grant execute on function api.session_create, api.session_get, api.session_delete, api.ticket_create to restsip_api;
