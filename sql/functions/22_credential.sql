-- Digest credentials of SIP devices (RFC 7616, RFC 8760).

create function app.credential_doc(p_n bigint, p_email text, p_username text, p_realm text, p_algorithm text,
	p_label text, p_used_at timestamptz) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
	return '{"id":' || p_n || ',"url":' || to_json('/user/' || app.url_segment(p_email) || '/credential/' || p_n)
		|| ',"username":' || to_json(p_username) || ',"realm":' || to_json(p_realm)
		|| ',"algorithm":' || to_json(p_algorithm) || ',"label":' || to_json(p_label)
		|| ',"used_at":' || coalesce(to_json(app.time_text(p_used_at))::text, 'null') || '}';
end $$;

-- RS401 where a credential has ended until its account's login resource was locked, RS403 where that was disabled.
create function app.credential_holds(p_credential bigint) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
	if not exists (select from app.credential c where c.id = p_credential) then
		perform app.refuse(401, 'unauthorized', 'The credential is not valid any more.');
	end if;
	perform app.refuse_disabled((select c.account_id from app.credential c where c.id = p_credential));
end $$;

-- Contacts of an account end, in one change of its login resource: those that were made over HTTP (p_http), and those of
-- credentials, with what those have published. p_credentials null: all that there is.
create function app.login_end(p_account bigint, p_http bool, p_credentials bigint[]) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_prior bigint := app.lock('login', p_account, p_mine => true);
	v_version bigint;
	v_ids bigint[];
	v_changed bool := app.publications_end(p_account, p_credentials);
	v_bell text[];
begin
	v_ids := array(select l.id from app.login l where l.account_id = p_account
		and (p_credentials is null or p_http and l.source in ('rest', 'stream') or l.credential_id = any (p_credentials)));
	if v_ids = '{}' and not v_changed then
		return null;
	end if;
	v_version := app.advance('login', p_account);
	v_bell := app.login_remove(p_account, v_ids, 'rejected');
	return v_bell || app.publish('login', p_account, v_version, v_prior);
end $$;

-- Credentials go (p_n null: all of an account), and what phones have with them. They are locked before the resources: so
-- does every request of a phone, whose first use in an hour is written down.
create function app.credential_end(p_account bigint, p_n bigint, p_http bool, out gone int, out bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_credentials bigint[];
begin
	v_credentials := array(select c.id from app.credential c
		where c.account_id = p_account and (p_n is null or c.n = p_n) order by c.id for update);
	delete from app.credential c where c.id = any (v_credentials);
	gone := cardinality(v_credentials);
	if gone > 0 or p_http then
		bell := app.login_end(p_account, p_http, v_credentials);
		bell := bell || app.reject_subscriptions(p_account, v_credentials);
	end if;
end $$;

create function app.ha1(p_username text, p_realm text, p_algorithm text, p_password text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
	v_a1 text := p_username || ':' || p_realm || ':' || p_password;
begin
	return case p_algorithm when 'MD5' then md5(v_a1) else encode(sha256(convert_to(v_a1, 'UTF8')), 'hex') end;
end $$;

-- Makes a credential of an account, whoever may. The username is the email's local part for the first device, with a number
-- behind it for a further one.
create function app.credential_make(p_account bigint, p_label text, p_algorithm text, p_password text)
returns app.credential
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_email text := app.email(p_account);
	v_local text := substring(v_email from '^(.*)@[^@]*$');
	v_realm text := substring(v_email from '[^@]*$');
	v_algorithm text := coalesce(p_algorithm, 'MD5');
	v_username text := v_local;
	v_n bigint;
	v_made app.credential;
begin
	if v_algorithm not in ('MD5', 'SHA-256') then
		perform app.refuse(400, 'invalid-member', 'The algorithm is MD5 or SHA-256.', '/algorithm');
	end if;
	v_n := app.take_n('profile', p_account);
	perform app.caller_holds(p_account);
	if (select count(*) from app.credential c where c.account_id = p_account) >= app.bound('credentials') then
		perform app.refuse(409, 'too-many-credentials',
			format('An account has at most %s credentials.', app.bound('credentials')));
	end if;
	while exists (select from app.credential c where c.realm = v_realm and c.username = v_username)
		or (v_username <> v_local and exists (
			select from app.account a where a.email_key = app.email_key(v_username || '@' || v_realm)))
	loop
		v_username := v_local || '-' || case when v_username = v_local then v_n::text
			else substr(md5(gen_random_uuid()::text), 1, 6) end;
	end loop;
	insert into app.credential (account_id, n, username, realm, algorithm, ha1, ha1_email, label)
	values (p_account, v_n, v_username, v_realm, v_algorithm, app.ha1(v_username, v_realm, v_algorithm, p_password),
		app.ha1(v_username || '@' || v_realm, v_realm, v_algorithm, p_password), coalesce(p_label, ''))
	returning * into v_made;
	return v_made;
end $$;

-- Where phones register: host:port of the agent that is there for longest; null: there is none.
create function app.agent_address() returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return (select g.addresses[1] from app.agent g where g.dead_at is null and g.addresses <> '{}' order by g.id limit 1);
end $$;

-- By Basic alone: a token that was stolen makes no phone. server: where it registers, host:port, or null.
create function api.credential_create(p_who text, p_proof bytea, p_email text, p_label text, p_algorithm text,
	p_password text)
returns table (n bigint, email text, username text, realm text, algorithm text, label text, doc text, server text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_owner record := app.owner(p_who, p_proof, p_email);
	v_email text := v_owner.email;
	v_made app.credential;
begin
	if p_who is null then
		perform app.refuse(403, 'password-needed', 'A new credential needs the account''s password; a token does not do: sign this request with Basic (email and password).');
	end if;
	v_made := app.credential_make(v_owner.id, p_label, p_algorithm, p_password);
	perform app.owner(p_who, p_proof, p_email); -- a new password may have come before the lock
	return query select v_made.n, v_email, v_made.username, v_made.realm, v_made.algorithm, v_made.label,
		app.credential_doc(v_made.n, v_email, v_made.username, v_made.realm, v_made.algorithm, v_made.label, null),
		app.agent_address();
end $$;

create function api.credential_list(p_who text, p_proof bytea, p_email text)
returns table (n bigint, doc text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := (app.owner(p_who, p_proof, p_email)).id;
begin
	return query
		select c.n, app.credential_doc(c.n, a.email, c.username, c.realm, c.algorithm, c.label, c.used_at)
		from app.credential c join app.account a on a.id = c.account_id
		where c.account_id = v_account order by c.n;
end $$;

-- With all that phones have with it: their bindings, their subscriptions, what they have published.
create function api.credential_delete(p_who text, p_proof bytea, p_email text, p_n bigint)
returns table (gone bool, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := (app.owner(p_who, p_proof, p_email)).id;
	v_end record;
begin
	v_end := app.credential_end(v_account, p_n, false);
	if v_end.gone = 0 then
		perform app.caller_holds(v_account);
		perform app.refuse(404, 'credential-not-found', 'There is no such credential.');
	end if;
	return query select true, v_end.bell;
end $$;

-- For whoever sets up a demo as the owner of the database: a credential whose password is known already.
create function app.credential_put(p_email text, p_username text, p_realm text, p_algorithm text, p_ha1 text,
	p_label text, p_ha1_email text default null) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint;
	v_n bigint;
begin
	select a.id into strict v_account from app.account a where a.email_key = app.email_key(p_email);
	v_n := app.take_n('profile', v_account);
	insert into app.credential (account_id, n, username, realm, algorithm, ha1, ha1_email, label)
	values (v_account, v_n, p_username, p_realm, p_algorithm, p_ha1, p_ha1_email, p_label)
	on conflict (realm, username) do update set ha1 = excluded.ha1, ha1_email = excluded.ha1_email,
		algorithm = excluded.algorithm
	where app.credential.account_id = excluded.account_id;
end $$;

-- Which algorithm to challenge with: one alone, for Debian's baresip gives up on any offer of SHA-256.
create function api.digest_algorithm(p_email text) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return case when (select bool_and(c.algorithm = 'SHA-256')
			from app.credential c join app.account a on a.id = c.account_id
			where a.email_key = app.email_key(p_email))
		then 'SHA-256' else 'MD5' end;
end $$;

-- The username of a credential, of what a phone gives as such: people type their email, too. One user, however written,
-- has one counter of guesses. Plain SQL, to be a part of the statements that ask for it.
create function app.digest_username(p_username text, p_realm text) returns text language sql immutable as $$
	select case when right(p_username, length(p_realm) + 1) = '@' || p_realm
		then left(p_username, -length(p_realm) - 1) else p_username end $$;

-- RS429 after too many wrong guesses from p_source, unless the account is known there. remember: api.digest_known wants to
-- hear of success.
create function api.digest_credential(p_username text, p_realm text, p_source text default null)
returns table (credential bigint, account bigint, email text, algorithm text, ha1 text, remember bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_source text := app.source(p_source);
	v_username text := app.digest_username(p_username, p_realm);
	v_at timestamptz;
	v_wait numeric;
begin
	select k.at into v_at
	from app.credential c join app.known_source k on k.account_id = c.account_id and k.source = v_source
	where c.realm = p_realm and c.username = v_username and k.at > now() - interval '1 day';
	if v_source is not null and v_at is null then
		v_wait := app.throttle_wait('d', v_username || '@' || p_realm, v_source);
		if v_wait > 0 then
			perform app.throttle_refuse(v_wait);
		end if;
	end if;
	return query
		select c.id, c.account_id, a.email, c.algorithm, case when c.username = p_username then c.ha1 else c.ha1_email end,
			v_at is null or v_at < now() - interval '1 hour'
		from app.credential c join app.account a on a.id = c.account_id
		where c.realm = p_realm and c.username = v_username;
end $$;

-- The account behind a digest credential that an agent has checked; RS401 when it is not valid any more, RS403 where the
-- account is disabled.
create function app.digest_account(p_credential bigint, p_ha1 text) returns bigint
language plpgsql volatile as $$
declare
	v_account bigint;
	v_used_at timestamptz;
begin
	select c.account_id, c.used_at into v_account, v_used_at
	from app.credential c where c.id = p_credential and p_ha1 in (c.ha1, c.ha1_email);
	if v_account is null then
		perform app.refuse(401, 'unauthorized', 'The credential is not valid any more.');
	end if;
	if v_used_at is null or v_used_at < now() - interval '1 hour' then
		update app.credential set used_at = now() where id = p_credential;
	end if;
	perform app.refuse_disabled(v_account);
	return v_account;
end $$;

grant execute on function api.credential_create, api.credential_list, api.credential_delete to restsip_api;
grant execute on function api.digest_algorithm, api.digest_credential to restsip_agent;
