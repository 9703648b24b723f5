-- Contacts, what one is: its parameters and its size; where it may be; and when two are one.

-- The parameters that a Contact came with, one by one; value null: it has none. Quotes are those of its string.
create function app.contact_params(p_params text) returns table (name text, value text)
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return query
		select m[1], case when m[2] like '"%' then regexp_replace(substr(m[2], 2, length(m[2]) - 2), '\\(.)', '\1', 'g') else m[2] end
		from regexp_matches(p_params, ';\s*([^=;"\s]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^;"]*))?', 'g') m;
end $$;

-- The same as a JSON object: features (RFC 3840, `+sip.*`) and what else there is. A flag is true; of two the last counts.
create function app.contact_features(p_params text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return (select jsonb_object_agg(p.name, coalesce(to_jsonb(p.value), 'true'))::text from app.contact_params(p_params) p);
end $$;

-- What a contact takes of its bound: what only a phone gives counts too. Its own members have a bound of their own.
create function app.contact_size(p_contact text, p_path text, p_call_id text, p_instance text, p_name text, p_params text)
returns int
language sql immutable as $$
	select coalesce(octet_length(p_contact), 0) + coalesce(octet_length(p_path), 0)
		+ coalesce(octet_length(p_call_id), 0) + coalesce(octet_length(p_instance), 0)
		+ coalesce(octet_length(p_name), 0) + coalesce(octet_length(p_params), 0)
$$;

-- An address as an agent writes its own; IPv6 has many ways to be written.
create function app.address_text(p_host text) returns text language plpgsql stable as $$
begin
	if p_host not like '[%' then
		return p_host;
	end if;
	return '[' || host(trim(both '[]' from p_host)::inet) || ']';
exception when invalid_text_representation then
	return p_host;
end $$;

-- No contact is where an agent listens: what is sent there would come back. By the contact's comparison key, in which
-- an address stands as host or as maddr; a name is looked at when something is sent there.
create function app.is_own_address(p_key text) returns bool
language plpgsql volatile as $$
declare
	v_part text[] := regexp_match(p_key, '^(sips?):(?:[^@]*@)?(\[[^]]*\]|[^:; ]*)(?::(\d+))?');
	v_port text := coalesce(v_part[3],
		case when v_part[1] = 'sips' or p_key ~ ';transport=tls(;| |$)' then '5061' else '5060' end);
	v_maddr text := substring(p_key from ';maddr=([^; ]+)');
begin
	return exists (select from app.agent g where g.dead_at is null and g.addresses
		&& array[app.address_text(v_part[2]) || ':' || v_port, app.address_text(v_maddr) || ':' || v_port]);
end $$;

create function app.refuse_own_address(p_key text) returns void
language plpgsql volatile as $$
begin
	if app.is_own_address(p_key) then
		perform app.refuse(403, 'contact-not-allowed', 'A contact cannot be where this server itself listens.');
	end if;
end $$;

-- Whether two comparison keys are of one URI (RFC 3261, section 19.1.4): parameters behind the space may be missing on one
-- side, but not differ. A name is in a key once.
create function app.is_same_uri(p_key text, p_other text) returns bool
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return split_part(p_key, ' ', 1) = split_part(p_other, ' ', 1) and not exists (
		select from (
			select string_to_table(split_part(p_key, ' ', 2), ';') as param
			union select string_to_table(split_part(p_other, ' ', 2), ';')) u
		group by split_part(u.param, '=', 1) having count(*) > 1);
end $$;

-- Whether what goes over a flow goes over TLS; null: there is no flow.
create function app.flow_has_tls(p_flow text) returns bool
language sql immutable as $$ select coalesce(p_flow like 'tls:%', false) $$;

-- A comparison key without its third part, which is where a phone behind a NAT has registered from.
create function app.uri_key(p_key text) returns text
language sql immutable as $$ select substring(p_key from '^\S*(?: \S+)?') $$;

-- The key under which an account has a contact: the same one, or that of an equal URI; p_key itself where there is none. Behind
-- two NATs one private URI is of two phones, unless Call-ID or instance say that it is one, which has moved.
create function app.login_key(p_account bigint, p_key text, p_call_id text default null, p_instance text default null) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
	return coalesce((select l.key from app.login l where l.account_id = p_account and l.key = p_key),
		(select l.key from app.login l
		where l.account_id = p_account and split_part(l.key, ' ', 1) = split_part(p_key, ' ', 1)
			and app.is_same_uri(l.key, p_key)
			and ('' in (split_part(l.key, ' ', 3), split_part(p_key, ' ', 3)) or l.call_id = p_call_id or l.instance = p_instance)
		order by (l.call_id = p_call_id or l.instance = p_instance) is not true, l.n limit 1),
		p_key);
end $$;

-- Whether a binding can be of the phone that has spoken from an IP address: of several with one private URI it is the one behind
-- the same NAT.
create function app.is_phone_at(p_login app.login, p_ip text) returns bool
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
	return p_ip is null or split_part(p_login.key, ' ', 3) in ('', p_ip) or not exists (
		select from app.login l
		where l.account_id = p_login.account_id and l.contact = p_login.contact and l.id <> p_login.id and l.expires_at > now());
end $$;
