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
	from app.account a where a.email = p_email;
	if v_setting is not null then
		return v_setting;
	end if;
	select sha256(s.value || convert_to(p_email, 'UTF8')) into v_bytes
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

-- p_hash: the whole crypt(3) output. Members that the server itself gives are not kept from p_extra.
create function api.user_create(p_email text, p_hash text, p_extra jsonb)
returns table (email text, doc text, version bigint, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_account bigint;
	v_profile jsonb := coalesce(p_extra, '{}') - array['id', 'url', 'login', 'messages', 'email', 'password'];
	v_version bigint;
begin
	insert into app.account (email, password_hash, profile) values (p_email, p_hash, v_profile)
	on conflict (email) do nothing returning app.account.id into v_account;
	if v_account is null then
		perform app.refuse(409, 'account-exists', 'An account with this email exists already.', '/email');
	end if;
	insert into app.resource (kind, id)
	values ('login', v_account), ('mailbox', v_account), ('profile', v_account);
	select r.version into v_version from app.resource r where r.kind = 'profile' and r.id = v_account;
	return query select p_email, app.profile_doc(p_email, v_profile, true), v_version, null::text[];
end $$;

create function api.user_get(p_who text, p_proof bytea, p_email text)
returns table (email text, doc text, version bigint, mine bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
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
grant execute on function api.user_create, api.user_get to restsip_api;
