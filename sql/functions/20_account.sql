-- Accounts: sign-up, profile, passwords.

-- What crypt(3) needs to check a password: the setting alone, never the hash. Who does not exist gets a stable
-- one of the same kind, so that asking tells nothing. p_source is given by programs of the version before alone: RS429
-- after too many wrong guesses from there.
create function api.password_setting(p_email text, p_source text default null) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_setting text;
	v_salt text := '';
	v_bytes bytea;
	v_look record;
	c_alphabet constant text := './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
begin
	if p_source is not null then
		v_look := api.password_look(p_email, p_source);
		if v_look.wait_s > 0 then
			perform app.throttle_refuse(v_look.wait_s);
		end if;
	end if;
	select substring(a.password_hash from '^(\$[^$]+\$[^$]+\$[^$]+)\$') into v_setting
	from app.account a where a.email_key = app.email_key(p_email);
	if v_setting is not null then
		return v_setting;
	end if;
	select sha256(s.value || convert_to(app.email_key(p_email), 'UTF8')) into v_bytes
	from app.setting s where s.name = 'fake_salt_key';
	for i in 0 .. 20 loop
		v_salt := v_salt || substr(c_alphabet, get_byte(v_bytes, i) % 64 + 1, 1);
	end loop;
	return '$y$j9T$' || v_salt || substr(c_alphabet, get_byte(v_bytes, 21) % 4 + 1, 1);
end $$;

create function app.profile_doc(p_email text, p_profile jsonb, p_mine bool) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
	v_segment text := app.url_segment(p_email);
	v_head text;
begin
	v_head := '{"id":' || to_json(p_email) || ',"url":' || to_json('/user/' || v_segment)
		|| ',"login":' || to_json('/login/' || v_segment)
		|| ',"messages":' || to_json('/user/' || v_segment || '/messages');
	if p_mine then
		return app.doc_close(v_head, p_profile);
	end if;
	return app.doc_close(v_head, case when p_profile ? 'name'
		then jsonb_build_object('name', p_profile -> 'name') end);
end $$;

-- RS409 where an email is somebody's, or was until lately: what is meant for who had it is not to reach another.
create function app.signup_free(p_email text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	if exists (select from app.account a where a.email_key = app.email_key(p_email))
		or exists (select from app.email_rest r where r.email = app.email_key(p_email)
			and r.deleted_at > now() - make_interval(days => app.bound('email_rest')::int))
	then
		perform app.refuse(409, 'account-exists', 'An account with this email exists, or did until lately.', '/email');
	end if;
end $$;

-- RS429 where a source has made as many accounts as it may. p_at: when it made some, the latest first.
create function app.signup_check(p_at timestamptz[]) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_wait numeric;
begin
	select max(extract(epoch from case when l.most = 0 then l.length else p_at[l.most::int] + l.length - now() end)) into v_wait
	from (values (app.bound('signups_minute'), interval '1 minute'), (app.bound('signups_day'), interval '1 day'))
		l(most, length);
	if v_wait > 0 then
		perform app.refuse_for(429, 'too-many-sign-ups', 'Too many accounts were made from there. Try again later.', v_wait);
	end if;
end $$;

-- One more account of a source. Whoever signs up from there in the same instant waits for this one; who has made too many
-- already waits for nobody, and writes nothing.
create function app.signup_count(p_source text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_at timestamptz[];
begin
	perform app.signup_check(s.at) from app.signup s where s.source = p_source;
	insert into app.signup as s (source, at) values (p_source, '{}')
	on conflict (source) do update set source = excluded.source returning s.at into v_at;
	perform app.signup_check(v_at);
	update app.signup s set at = array[now()] || array(
		select t from unnest(v_at) with ordinality u(t, i) where t > now() - interval '1 day' order by i)
	where s.source = p_source;
end $$;

-- Takes a place for an account before its password is hashed, which is the dear part: many sign-ups of one source in the
-- same instant are not hashed before the first of them counts. p_source: the address of who asks.
create function api.signup_take(p_email text, p_source text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	set local synchronous_commit = off;
	perform app.signup_free(p_email);
	perform app.signup_count(app.source(p_source));
end $$;

-- Makes an account, whoever may. p_hash: the whole crypt(3) output. Members that the server itself gives are not kept from
-- p_extra. Nothing where there is one of that email.
create function app.account_make(p_email text, p_hash text, p_extra jsonb, out id bigint, out version bigint)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_profile jsonb := coalesce(p_extra, '{}')
		- array['id', 'url', 'login', 'messages', 'email', 'password', 'revoke'];
begin
	perform app.refuse_large('profile', v_profile, 'A profile''s members');
	insert into app.account as a (email, password_hash, profile) values (p_email, p_hash, v_profile)
	on conflict do nothing returning a.id into id;
	if id is null then
		return;
	end if;
	insert into app.resource (kind, id) values ('login', account_make.id), ('mailbox', account_make.id),
		('profile', account_make.id);
	insert into app.past_calls (account_id) values (account_make.id);
	select r.version into version from app.resource r where r.kind = 'profile' and r.id = account_make.id;
end $$;

create function api.user_create(p_email text, p_hash text, p_extra jsonb)
returns table (email text, doc text, version bigint, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_made record;
begin
	perform app.signup_free(p_email);
	v_made := app.account_make(p_email, p_hash, p_extra);
	if v_made.id is null then
		perform app.signup_free(p_email);
	end if;
	return query select p_email, app.profile_doc(p_email, a.profile, true), v_made.version, null::text[]
		from app.account a where a.id = v_made.id;
end $$;

create function api.user_get(p_who text, p_proof bytea, p_email text)
returns table (email text, doc text, version bigint, mine bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.caller_or_nobody(p_who, p_proof);
	v_account bigint;
begin
	if p_email = 'me' and v_caller is null then
		perform app.refuse(401, 'unauthorized', 'This needs credentials.');
	end if;
	v_account := app.target(v_caller, p_email);
	return query
		select a.email, app.profile_doc(a.email, a.profile, a.id is not distinct from v_caller), r.version,
			a.id is not distinct from v_caller
		from app.account a join app.resource r on r.kind = 'profile' and r.id = a.id
		where a.id = v_account;
end $$;

grant execute on function api.password_setting to restsip_api, restsip_stream;
grant execute on function api.signup_take, api.user_create, api.user_get to restsip_api;
