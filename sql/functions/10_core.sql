-- What every other file uses: refusals, who calls, versions, doorbells, small renderers.
-- Functions of app are only called by those of api, which are security definer and set the search_path; where a request
-- passes often they do not do so again, for that costs as much as a look into a table.

-- Ends the call: status is HTTP's, slug the stable problem name, pointer (RFC 6901) the member that is wrong.
-- To PostgreSQL that is an ERROR, which its log does not get: there, errors are what an operator must look at.
create function app.refuse(p_status int, p_slug text, p_detail text, p_pointer text default '') returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp set log_min_messages = log as $$
begin
	raise exception using errcode = 'RS' || p_status, message = p_slug, detail = p_detail, hint = p_pointer;
end $$;

-- In a merge patch: a member of the server's may be sent back as it is, and not as anything else. p_is: what it is now;
-- p_how: what to do instead.
create function app.refuse_set(p_patch jsonb, p_member text, p_is text, p_how text, p_method text default 'PATCH') returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	if p_patch ? p_member and p_patch ->> p_member is distinct from p_is then
		perform app.refuse(400, 'invalid-member', format('%s is not set by a %s: %s', p_member, p_method, p_how), '/' || p_member);
	end if;
end $$;

-- What came in the place of what a refusal asks for, as the programs say it.
create function app.value_text(p_value jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return case coalesce(jsonb_typeof(p_value), 'nothing') when 'nothing' then 'it is missing.' when 'object' then 'this is an object.'
		when 'array' then 'this is an array.' when 'string' then 'this is the string ' || left(p_value::text, 100) || '.'
		else 'this is ' || left(p_value::text, 100) || '.' end;
end $$;

-- The same where it is only too soon: p_retry_s, seconds, rounded up, is what the answer says in Retry-After.
create function app.refuse_for(p_status int, p_slug text, p_detail text, p_retry_s numeric) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp set log_min_messages = log as $$
begin
	raise exception using errcode = 'RS' || p_status, message = p_slug, detail = p_detail, hint = '',
		column = greatest(ceil(p_retry_s), 1)::text;
end $$;

-- Who sends, as far as an address tells: an IPv4 address, or the /64 of an IPv6 one. What is none stays as it is.
-- common/source.c does the same.
create function app.source(p_address text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
	v_address inet := p_address;
begin
	if family(v_address) = 4 then
		return host(v_address);
	end if;
	if v_address <<= '::ffff:0:0/96' then
		return host('0.0.0.0'::inet + (v_address - '::ffff:0:0'::inet));
	end if;
	return host(network(set_masklen(v_address, 64)));
exception when invalid_text_representation then
	return left(p_address, 64);
end $$;

-- What an email is known by: local parts are compared without case, and kept as they were signed up with (domains are in lower
-- case anyway). As app.account.email_key is made; plain SQL, to be a part of the statements that look for one.
create function app.email_key(p_email text) returns text language sql immutable as $$
	select lower(p_email collate "C") $$;

-- The account that calls, or null where nobody does. RS401 for a proof that does not hold.
create function app.caller_or_nobody(p_who text, p_proof bytea) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint;
begin
	if p_proof is null then
		return null;
	end if;
	if p_who is null then
		select s.account_id into v_account from app.session s
		where s.token = p_proof and s.expires_at > now();
	else
		select a.id into v_account from app.account a
		where a.email_key = app.email_key(p_who) and convert_to(a.password_hash, 'UTF8') = p_proof;
	end if;
	if v_account is null then
		perform app.refuse(401, 'unauthorized', 'The credentials are wrong or have expired.');
	end if;
	if p_who is not null then -- a disabled account has no token
		perform app.refuse_disabled(v_account);
	end if;
	return v_account;
end $$;

create function app.caller(p_who text, p_proof bytea) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := app.caller_or_nobody(p_who, p_proof);
begin
	if v_account is null then
		perform app.refuse(401, 'unauthorized', 'This needs credentials.');
	end if;
	return v_account;
end $$;

-- The caller, who must be p_email (or have said 'me'). One look for a token, which is what nearly everybody has.
create function app.owner(p_who text, p_proof bytea, p_email text, out id bigint, out email text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	if p_who is null and p_proof is not null then
		select a.id, a.email into id, email
		from app.session s join app.account a on a.id = s.account_id
		where s.token = p_proof and s.expires_at > now();
	end if;
	if id is null then
		id := app.caller(p_who, p_proof);
		email := app.email(id);
	end if;
	if p_email <> 'me' and app.email_key(p_email) <> app.email_key(email) then
		perform app.refuse(403, 'not-owner', format('Only %s may do this; these are the credentials of %s.', p_email, email));
	end if;
end $$;

-- RS401 where a caller's account has gone since it was looked at; else it stays until the commit. For writers, whose rows
-- name the account, once they have their resources locked: accounts stand behind these. Nobody (null) stays.
create function app.caller_holds(p_account bigint) returns void
language plpgsql volatile as $$
begin
	perform from app.account a where a.id = p_account for key share;
	if not found and p_account is not null then
		perform app.refuse(401, 'unauthorized', 'The account is gone.');
	end if;
end $$;

-- The account named p_email as seen by v_caller; RS404.
create function app.target(p_caller bigint, p_email text) returns bigint
language plpgsql volatile as $$
declare
	v_account bigint;
begin
	if p_email = 'me' then
		return p_caller;
	end if;
	select a.id into v_account from app.account a where a.email_key = app.email_key(p_email);
	if v_account is null then
		perform app.refuse(404, 'user-not-found', format('There is no user %s.', p_email));
	end if;
	return v_account;
end $$;

create function app.email(p_account bigint) returns text
language plpgsql stable as $$
begin
	return (select a.email from app.account a where a.id = p_account);
end $$;

-- RFC 3339 in UTC with milliseconds.
create function app.time_text(p_at timestamptz) returns text
language plpgsql stable as $$
begin
	return to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
end $$;

-- An email as one segment of a path (RFC 3986, section 3.3: pchar stays as it is).
create function app.url_segment(p_text text) returns text
language plpgsql immutable as $$
declare
	v_out text := '';
	v_byte int;
	v_bytes bytea;
begin
	if p_text ~ '^[A-Za-z0-9._~!$&''()*+,;=:@-]*$' then
		return p_text;
	end if;
	v_bytes := convert_to(p_text, 'UTF8');
	for i in 0 .. octet_length(v_bytes) - 1 loop
		v_byte := get_byte(v_bytes, i);
		v_out := v_out || case when chr(greatest(v_byte, 1)) ~ '[A-Za-z0-9._~!$&''()*+,;=:@-]' and v_byte < 128
			then chr(v_byte) else '%' || upper(lpad(to_hex(v_byte), 2, '0')) end;
	end loop;
	return v_out;
end $$;

-- One object text: p_head is an object without its closing brace; the members of p_extra follow.
create function app.doc_close(p_head text, p_extra jsonb) returns text
language plpgsql immutable as $$
begin
	if p_extra is null or p_extra = '{}' then
		return p_head || '}';
	end if;
	return p_head || ',' || substr(p_extra::text, 2);
end $$;

-- Locks a resource; its version as it stands. RS412 unless that is p_if_match (null: any). RS404 where there is none;
-- p_mine: it is one of the caller's account, which has gone then: RS401.
create function app.lock(p_kind app.resource_kind, p_id bigint, p_if_match bigint default null,
	p_mine bool default false) returns bigint
language plpgsql volatile as $$
declare
	v_version bigint;
begin
	select r.version into v_version from app.resource r where r.kind = p_kind and r.id = p_id for update;
	if v_version is null and p_mine then
		perform app.refuse(401, 'unauthorized', 'The account is gone.');
	elsif v_version is null then
		perform app.refuse(404, 'not-found', 'It is gone.');
	end if;
	if p_if_match is not null and p_if_match is distinct from v_version then
		perform app.refuse(412, 'precondition-failed', 'The resource has changed since that version.');
	end if;
	return v_version;
end $$;

-- Both at once, for a writer that is sure to change something of its own account.
create function app.lock_advance(p_kind app.resource_kind, p_id bigint, p_if_match bigint,
	out prior bigint, out version bigint)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	with old as (
		select r.version from app.resource r where r.kind = p_kind and r.id = p_id for update)
	update app.resource r set version = nextval('app.version_seq') from old
	where r.kind = p_kind and r.id = p_id returning old.version, r.version into prior, version;
	if version is null then
		perform app.refuse(401, 'unauthorized', 'The account is gone.');
	end if;
	if p_if_match is not null and p_if_match is distinct from prior then
		perform app.refuse(412, 'precondition-failed', 'The resource has changed since that version.');
	end if;
end $$;

-- The caller, who must be p_email (or have said 'me'), and a resource of his with its next version: app.owner and
-- app.lock_advance, for the usual case in one statement.
create function app.owner_advance(p_kind app.resource_kind, p_who text, p_proof bytea, p_email text, p_if_match bigint,
	out id bigint, out email text, out prior bigint, out version bigint)
language plpgsql volatile as $$
begin
	if p_who is null then
		with mine as (
			select a.id, a.email, r.version
			from app.session s join app.account a on a.id = s.account_id
			join app.resource r on r.kind = p_kind and r.id = a.id
			where s.token = p_proof and s.expires_at > now() and p_email in ('me', a.email)
				and (p_if_match is null or p_if_match = r.version)
			for update of r)
		update app.resource r set version = nextval('app.version_seq') from mine
		where r.kind = p_kind and r.id = mine.id
		returning mine.id, mine.email, mine.version, r.version into id, email, prior, version;
	end if;
	if id is null then
		select o.id, o.email into id, email from app.owner(p_who, p_proof, p_email) o;
		select l.prior, l.version into prior, version from app.lock_advance(p_kind, id, p_if_match) l;
	end if;
	perform app.refuse_disabled(id); -- it may have come before the lock
end $$;

-- Gives a locked resource its next version.
create function app.advance(p_kind app.resource_kind, p_id bigint) returns bigint
language plpgsql volatile as $$
declare
	v_version bigint;
begin
	update app.resource r set version = nextval('app.version_seq')
	where r.kind = p_kind and r.id = p_id returning r.version into v_version;
	return v_version;
end $$;

-- The next id for something below a locked resource: /login/{email}/{n}.
create function app.take_n(p_kind app.resource_kind, p_id bigint) returns bigint
language plpgsql volatile as $$
declare
	v_n bigint;
begin
	update app.resource r set next_n = greatest(r.next_n, (select e.floor from app.epoch e)) + 1
	where r.kind = p_kind and r.id = p_id returning r.next_n - 1 into v_n;
	return v_n;
end $$;

-- As what a list is watched; null: these are in none.
create function app.list_id(p_kind text) returns bigint
language sql immutable as $$ select case p_kind when 'login' then 1 when 'call' then 2 end $$;

-- After the write: where the resource or its list is watched, writes what has changed into the change log; where phones
-- subscribe to it, a NOTIFY falls due. Says what to ring. Must not run in the statement that took the lock: it has to
-- see the watchers of then, not of before.
-- p_recheck: accounts whose access it may change, 0: anybody's; p_before: of a call, app.call_seers_before(); p_parts: of
-- a mailbox, app.mailbox_change().
create function app.publish(p_kind app.resource_kind, p_id bigint, p_version bigint, p_prior bigint,
	p_recheck bigint[] default null, p_before bigint[] default '{}', p_parts app.part_change[] default null)
returns text[]
language plpgsql volatile as $$
declare
	v_bell text[];
	v_is record;
begin
	select exists (select from app.watch w where w.kind = p_kind and w.id = p_id) as watched,
		exists (select from app.watch w where w.kind = 'list' and w.id = app.list_id(p_kind::text)) as listed,
		case p_kind when 'call' then app.has_lamps()
			else exists (select from app.subscription s where s.account_id = p_id and s.kind = p_kind) end as subscribed into v_is;
	if v_is.watched and app.is_watched(p_kind, p_id) then
		perform app.log_change(p_kind, p_id, p_version, p_prior, false, p_recheck, p_parts);
		v_bell := array[app.change_bell(p_kind, p_id)];
	end if;
	if v_is.listed then
		v_bell := v_bell || app.list_publish(p_kind::text, p_id, false, p_before);
	end if;
	if v_is.subscribed and p_kind = 'call' then
		v_bell := v_bell || app.lamps_tell(array[p_id]);
	elsif v_is.subscribed then
		v_bell := v_bell || app.notify_due(p_kind, p_id);
	end if;
	return v_bell;
end $$;

-- The same where the resource, which is locked, ends.
create function app.publish_gone(p_kind app.resource_kind, p_id bigint, p_prior bigint,
	p_before bigint[] default '{}') returns text[]
language plpgsql volatile as $$
declare
	v_bell text[];
begin
	if app.is_watched(p_kind, p_id) then
		perform app.log_change(p_kind, p_id, nextval('app.version_seq'), p_prior, true, null, null);
		v_bell := array[app.change_bell(p_kind, p_id)];
	end if;
	if exists (select from app.watch w where w.kind = 'list' and w.id = app.list_id(p_kind::text)) then
		v_bell := v_bell || app.list_publish(p_kind::text, p_id, true, p_before);
	end if;
	if p_kind in ('login', 'mailbox') then
		v_bell := v_bell || app.notify_due(p_kind, p_id, 'noresource');
	elsif p_kind = 'call' then
		v_bell := v_bell || app.lamps_tell(array[p_id]);
	end if;
	return v_bell;
end $$;

-- Where the account has open streams, they are to be looked at again: a session, or the password, has just ended.
create function app.session_ended(p_account bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	update app.account a set access = a.access + 1 where a.id = p_account;
	if exists (select from app.watch w where w.kind = 'session' and w.id = p_account) then
		return array['restsip_change|session/' || p_account];
	end if;
	return null;
end $$;

-- The JSON of a resource as it is now; p_inside: as its owner and those in it see it. A call that has ended is not there any
-- more; p_last: how it ended, for those who watch it.
create function app.render(p_kind app.resource_kind, p_id bigint, p_inside bool, p_last bool default false) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return case p_kind
		when 'call' then (select app.call_doc(p_id, p_inside) from app.call c
			where c.id = p_id and (p_last or c.state <> 'ended'))
		when 'login' then app.login_list_doc(p_id)
		when 'mailbox' then app.mailbox_doc(p_id)
		when 'calls' then app.past_calls_doc(p_id)
		when 'profile' then (select app.profile_doc(a.email, a.profile, p_inside) from app.account a where a.id = p_id)
		when 'send' then app.send_doc(p_id)
	end;
end $$;

create function app.change_bell(p_kind app.resource_kind, p_id bigint) returns text
language plpgsql stable as $$
begin
	return 'restsip_change|' || p_kind || '/' || case p_kind
		when 'call' then p_id::text
		when 'send' then p_id::text
		else app.email(p_id) end;
end $$;

-- Rings doorbells once each, in a commit that nobody waits for.
create function api.ring(p_bells text[]) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_bell text;
begin
	set local synchronous_commit = off;
	for v_bell in select distinct b from unnest(p_bells) b
	loop
		if v_bell ~ '^restsip_(change|job|job_[0-9]+)\|' then
			perform pg_notify(split_part(v_bell, '|', 1), substr(v_bell, strpos(v_bell, '|') + 1));
		end if;
	end loop;
end $$;

-- What api.schema_version answers.
create function app.schema_version() returns int
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return 14;
end $$;

grant execute on function api.ring to restsip_api, restsip_stream, restsip_agent;
