-- Profiles change, accounts end.

-- RFC 7396. In one go: member by member, each would copy all that is there already, and 64 KiB of them take a minute.
create function app.merge_patch(p_target jsonb, p_patch jsonb) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	if jsonb_typeof(p_patch) <> 'object' then
		return p_patch;
	end if;
	return coalesce((
		select jsonb_object_agg(coalesce(p.key, t.key), case when p.key is null then t.value
			when jsonb_typeof(p.value) = 'object' then app.merge_patch(t.value, p.value) else p.value end)
		from jsonb_each(case when jsonb_typeof(p_target) = 'object' then p_target else '{}' end) t
		full join jsonb_each(p_patch) p on p.key = t.key
		where p.value is distinct from 'null'), '{}');
end $$;

-- Accounts, by email: a page, see app.page_items.
create function app.user_items(p_after text, p_limit int) returns table (email text, doc text, fits bool)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
	set cursor_tuple_fraction = 1 set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
declare
	v_items refcursor;
begin
	open v_items for
		select a.email, app.profile_doc(a.email, a.profile, false) from app.account a
		where a.email > coalesce(p_after, '') order by a.email limit app.page_limit(p_limit) + 1;
	return query select i.key, i.doc, i.fits from app.page_items(v_items, app.page_limit(p_limit)) i;
end $$;

create function api.user_list(p_who text, p_proof bytea, p_after text, p_limit int)
returns table (email text, doc text, fits bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform app.caller(p_who, p_proof);
	return query select i.email, i.doc, i.fits from app.user_items(p_after, p_limit) i;
end $$;

-- Locks in their order, first what phones lock first: the credentials of an account, and its profile. From here on it gets
-- no other; one that has come while this waited for the profile stands behind the lock. Gives the profile's version.
create function app.credentials_lock(p_account bigint, p_if_match bigint default null) returns bigint
language plpgsql volatile as $$
declare
	v_credentials bigint[];
	v_profile bigint;
begin
	v_credentials := array(select c.id from app.credential c where c.account_id = p_account order by c.id for update);
	v_profile := app.lock('profile', p_account, p_if_match, true);
	if exists (select from app.credential c where c.account_id = p_account and c.id <> all (v_credentials)) then
		raise exception using errcode = 'serialization_failure', message = 'a credential has come meanwhile';
	end if;
	return v_profile;
end $$;

-- Before a new password is set: what was made with the one before ends. Tickets, tokens, contacts that came over HTTP;
-- p_revoke: credentials too. Where the account was known is forgotten, for who had the password before is known there too;
-- but not p_source, the caller's own address.
create function app.password_ends(p_account bigint, p_revoke bool, p_source text) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_bell text[];
begin
	-- Locks in their order, for what is ended here has some of its own.
	if p_revoke then
		perform app.credentials_lock(p_account);
	else
		perform app.lock('profile', p_account, p_mine => true);
	end if;
	perform app.lock('login', p_account, p_mine => true);
	perform from app.account a where a.id = p_account for no key update;
	if p_revoke then
		v_bell := (app.credential_end(p_account, null, true)).bell;
	else
		v_bell := app.login_end(p_account, true, '{}');
	end if;
	delete from app.known_source k
	where k.account_id = p_account and k.source is distinct from app.source(p_source);
	return v_bell || app.sessions_end(p_account);
end $$;

-- p_merge: p_extra is a merge patch (RFC 7396), else the whole profile. p_hash: the crypt(3) output of a new password;
-- null: as it was. p_revoke, p_source: see app.password_ends().
create function api.user_put(p_who text, p_proof bytea, p_email text, p_extra jsonb, p_merge bool, p_hash text,
	p_if_match bigint, p_revoke bool default false, p_source text default null)
returns table (email text, doc text, version bigint, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_owner record;
	v_account bigint;
	v_profile jsonb;
	v_extra jsonb := p_extra - array['id', 'url', 'login', 'messages', 'email', 'password', 'revoke'];
	v_bell text[];
begin
	if p_hash is not null then
		v_account := (app.owner(p_who, p_proof, p_email)).id;
		if p_who is null then -- a token alone
			perform app.refuse(403, 'password-needed', 'A new password needs the one before; a token does not do: sign this request with Basic (email and password).');
		end if;
		v_bell := app.password_ends(v_account, p_revoke, p_source);
	end if;
	v_owner := app.owner_advance('profile', p_who, p_proof, p_email, p_if_match);
	if p_merge then
		perform app.refuse_set(p_extra, 'email', v_owner.email, 'sign up with the new one.');
	end if;
	update app.account a set profile = case when p_merge then app.merge_patch(a.profile, v_extra) else v_extra end,
		password_hash = coalesce(p_hash, a.password_hash)
	where a.id = v_owner.id returning a.profile into v_profile;
	perform app.refuse_large('profile', v_profile, 'A profile''s members');
	return query select v_owner.email, app.profile_doc(v_owner.email, v_profile, true), v_owner.version,
		v_bell || app.publish('profile', v_owner.id, v_owner.version, v_owner.prior);
end $$;

-- Calls that an account, which ends, is to be taken out of.
create function app.calls_of(p_account bigint) returns setof bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return query
		select c.id from app.call c where c.owner_id = p_account and c.state <> 'ended'
		union select p.call_id from app.participant p where p.account_id = p_account and p.left_at is null
		union select i.call_id from app.invitation i join app.call c on c.id = i.call_id
			where i.account_id = p_account and c.state <> 'ended'
		order by 1;
end $$;

-- What was sent to an account, which ends and whose login resource is locked: what is not settled yet goes now, and the
-- rest, however much it is, by and by (app.sweep_accounts).
create function app.sends_end(p_account bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_sends bigint[] := array(
		select s.id from app.send s where s.account_id = p_account and s.waits
		union select d.send_id from app.delivery d
		where d.account_id = p_account and d.state in ('stored', 'queued') and d.kind <> 'contact'
		union select d.send_id from app.delivery d
		where d.login_id = any (array(select l.id from app.login l where l.account_id = p_account))
			and d.state in ('queued', 'sending')
		union select d.send_id from app.delivery d -- rings, which no login has
		where d.account_id = p_account and d.state = 'sending' and d.login_id is null
		union select d.send_id from app.lease t cross join lateral (
			select d.send_id, d.account_id from app.delivery d where d.id = t.delivery_id limit 1) d
		where t.agent_id is not null and d.account_id = p_account); -- its binding may have gone before
begin
	perform from app.delivery d where d.send_id = any (v_sends) order by d.id for update;
	delete from app.send s where s.id = any (v_sends);
	insert into app.account_gone (account_id)
	select p_account where exists (select from app.send s where s.account_id = p_account)
		or exists (select from app.past_call c where c.account_id = p_account);
end $$;

-- An account ends, with its logins, its mail and its calls.
create function app.account_end(p_account bigint, p_if_match bigint default null) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_email text := app.email(p_account);
	v_calls bigint[];
	v_call bigint;
	v_profile bigint;
	v_login bigint;
	v_mailbox bigint;
	v_bell text[];
begin
	v_profile := app.credentials_lock(p_account, p_if_match); -- from here on nobody has a new call of this account
	v_calls := array(select c from app.calls_of(p_account) c);
	-- The ended ones too: phones hang up in them, and with the account goes its place in them.
	perform from app.resource r
	where r.kind = 'call' and r.id = any (v_calls || array(
		select c.id from app.call c where c.owner_id = p_account
		union select p.call_id from app.participant p where p.account_id = p_account))
	order by r.id for update;
	-- Who still talks to those that this account has handed on to them keeps the past call of it.
	select array_agg(b.bell) into v_bell
	from (
		select distinct p.call_id as id from app.participant p
		where p.account_id = p_account and p.side = 'callee' and p.cause = 'transferred' and not p.past_made) c
	cross join lateral unnest(app.past_calls_made(null, 'transferred', p_account, c.id)) b (bell);
	foreach v_call in array app.calls_leave(v_calls, p_account) loop
		v_bell := v_bell || app.call_forget(v_call, p_account);
	end loop;
	delete from app.resource r where r.kind = 'call' and r.id in (select c.id from app.call c where c.owner_id = p_account);
	v_login := app.lock('login', p_account, p_mine => true);
	v_mailbox := app.lock('mailbox', p_account, p_mine => true);
	perform app.sends_end(p_account);
	perform app.notify_lock(p_account);
	perform from app.subscription s where s.account_id = p_account or s.watcher_id = p_account order by s.id for update;
	v_bell := v_bell || app.publish_gone('login', p_account, v_login) || app.publish_gone('mailbox', p_account, v_mailbox)
		|| app.publish_gone('profile', p_account, v_profile);
	delete from app.resource r where r.kind in ('login', 'mailbox', 'profile') and r.id = p_account;
	-- The account is locked last: whoever writes down that it is theirs waits for nothing else of it.
	v_bell := v_bell || app.sessions_end(p_account);
	-- From here on nobody writes of it. A call that it has come into since is locked in its turn only: so once more.
	perform from app.account a where a.id = p_account for update;
	if exists (select from app.calls_of(p_account)) then
		raise exception using errcode = 'serialization_failure', message = 'a call has come meanwhile';
	end if;
	delete from app.account a where a.id = p_account;
	insert into app.email_rest as r (email) values (app.email_key(v_email)) on conflict (email) do update set deleted_at = now();
	return v_bell;
end $$;

create function api.user_delete(p_who text, p_proof bytea, p_email text, p_if_match bigint)
returns table (email text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_owner record := app.owner(p_who, p_proof, p_email);
begin
	return query select v_owner.email, app.account_end(v_owner.id, p_if_match);
end $$;

grant execute on function api.user_list, api.user_put, api.user_delete to restsip_api;
