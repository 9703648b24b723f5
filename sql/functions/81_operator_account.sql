-- What an operator may do to accounts, in psql or by restsipctl. The same rules hold as for their owners, whose functions
-- these call; only that nobody has to show a password, and that sign-up may be closed. Emails are compared without case, as
-- everywhere; RS404 for who is not there.

-- p_hash: what crypt(3) gives for the password; restsipctl makes it. An email that rests after its account was deleted is
-- an operator's to give again.
create function inspect.user_add(p_email text, p_hash text, p_profile jsonb default '{}') returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	if (app.account_make(p_email, p_hash, p_profile)).id is null then
		perform app.refuse(409, 'account-exists', format('There is an account %s already.', p_email));
	end if;
	delete from app.email_rest r where r.email = app.email_key(p_email);
	perform app.operated('user add', p_email);
end $$;
comment on function inspect.user_add(text, text, jsonb) is 'Makes an account, whether sign-up is open or not.';

-- A new password. Tokens, streams and contacts of REST end; p_revoke: SIP credentials too, with what their phones have.
create function inspect.user_passwd(p_email text, p_hash text, p_revoke bool default false) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := app.target(null, p_email);
	v_bell text[] := app.password_ends(v_account, p_revoke, null);
begin
	update app.account a set password_hash = p_hash where a.id = v_account;
	perform app.operated('user passwd', p_email, case when p_revoke then 'and no credentials any more' end);
	perform app.ring_now(v_bell);
end $$;
comment on function inspect.user_passwd(text, text, bool) is
	'Sets a password: what was signed in with the one before ends; p_revoke: SIP credentials too.';

-- Gives whether that has changed something. What it means: 25_disabled.sql.
create function inspect.user_disable(p_email text) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := app.target(null, p_email);
	v_bell text[];
begin
	if exists (select from app.account a where a.id = v_account and a.disabled_at is not null) then
		return false;
	end if;
	v_bell := app.account_disable(v_account);
	perform app.operated('user disable', p_email);
	perform app.ring_now(v_bell);
	return true;
end $$;
comment on function inspect.user_disable(text) is
	'Disables an account: it is thrown out and cannot sign in; what it has stays. False: it was already.';

create function inspect.user_enable(p_email text) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := app.target(null, p_email);
begin
	update app.account a set disabled_at = null where a.id = v_account and a.disabled_at is not null;
	if not found then
		return false;
	end if;
	perform app.operated('user enable', p_email);
	return true;
end $$;
comment on function inspect.user_enable(text) is 'Undoes inspect.user_disable(). False: it was not disabled.';

create function inspect.user_delete(p_email text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := app.target(null, p_email);
	v_email text := app.email(v_account);
	v_bell text[] := app.account_end(v_account);
begin
	perform app.operated('user delete', v_email);
	perform app.ring_now(v_bell);
end $$;
comment on function inspect.user_delete(text) is
	'Deletes an account with its logins, mail, credentials and calls, for good.';

-- p_password: what the phone is to be told; random, and ours.
create function inspect.credential_add(p_email text, p_password text, p_label text default '',
	p_algorithm text default 'MD5')
returns table (n bigint, username text, realm text, algorithm text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_made record;
begin
	v_made := app.credential_make(app.target(null, p_email), p_label, p_algorithm, p_password);
	perform app.operated('credential add', p_email, 'credential ' || v_made.n);
	return query select v_made.n, v_made.username, v_made.realm, v_made.algorithm;
end $$;
comment on function inspect.credential_add(text, text, text, text) is
	'Makes a SIP credential of an account, with the password that its phone is to have.';

create function inspect.credential_delete(p_email text, p_n bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_end record := app.credential_end(app.target(null, p_email), coalesce(p_n, 0), false);
begin
	if v_end.gone = 0 then
		perform app.refuse(404, 'credential-not-found', format('%s has no credential %s.', p_email, p_n));
	end if;
	perform app.operated('credential delete', p_email, 'credential ' || p_n);
	perform app.ring_now(v_end.bell);
end $$;
comment on function inspect.credential_delete(text, bigint) is
	'Deletes a SIP credential; what its phones have bound, subscribed to and published ends.';

-- Contact p_n ends; null: all that the account has open. Who knows the password, or has a credential, may come again.
-- Gives how many contacts have ended.
create function inspect.kick(p_email text, p_n bigint default null) returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := app.target(null, p_email);
	v_ids bigint[];
	v_bell text[];
begin
	if p_n is null then
		v_ids := array(select l.id from app.login l where l.account_id = v_account and l.expires_at > now());
		v_bell := app.account_end_open(v_account);
	else
		select e.ids, e.bell into v_ids, v_bell from app.login_unregister(v_account, p_n, p_event => 'deactivated') e;
	end if;
	perform app.operated('kick', p_email, 'contact ' || p_n);
	perform app.ring_now(v_bell);
	return cardinality(v_ids);
end $$;
comment on function inspect.kick(text, bigint) is
	'Ends a contact of an account, or all that it has open: tokens, streams, contacts, subscriptions, places in calls.';

-- Forgets what an account (an email), or a source (an address), has got wrong or done too often: wrong passwords and
-- digests; of a source sign-ups and mail without credentials too. Gives how many counters that were.
create function inspect.unlock(p_who text) returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_source text;
	v_forgotten int;
	v_more int;
begin
	if strpos(p_who, '@') > 0 then
		with who as materialized (
			select 'h' as door, app.email_key(p_who) as name where app.target(null, p_who) is not null
			union all
			select 'd', app.email_key(c.username || '@' || c.realm) from app.credential c where c.account_id = app.target(null, p_who))
		delete from app.throttle t using who w
		where t.key = w.door || 'a:' || left(w.name, 300)
			or left(t.key, 3) in (w.door || 'p:', w.door || 'n:')
				and right(t.key, length(left(w.name, 300)) + 1) = ':' || left(w.name, 300);
		get diagnostics v_forgotten = row_count;
	else
		begin
			v_source := app.source(p_who::inet::text);
			-- A source is an address, or the /64 of one.
			if masklen(p_who::inet) <> all (case family(p_who::inet) when 4 then array[32] else array[64, 128] end) then
				perform app.refuse(400, 'invalid-parameter', format('%s is a network: name an address, or the /64 of an IPv6 one.', p_who));
			end if;
		exception when invalid_text_representation then
			perform app.refuse(400, 'invalid-parameter', format('%s is neither an email nor an address.', p_who));
		end;
		delete from app.throttle t
		where t.key in ('hs:' || v_source, 'ds:' || v_source)
			or left(t.key, 3) in ('hp:', 'dp:', 'hn:') and starts_with(substr(t.key, 4), v_source || ':');
		get diagnostics v_forgotten = row_count;
		delete from app.signup s where s.source = v_source;
		get diagnostics v_more = row_count;
		v_forgotten := v_forgotten + v_more;
		delete from app.mail_turn m where m.key = 's:' || v_source;
		get diagnostics v_more = row_count;
		v_forgotten := v_forgotten + v_more;
	end if;
	perform app.operated('unlock', p_who);
	return v_forgotten;
end $$;
comment on function inspect.unlock(text) is
	'Forgets what an account (email) or a source (address) has got wrong lately; gives how many counters that were.';

grant execute on function inspect.user_add, inspect.user_passwd, inspect.user_disable, inspect.user_enable,
	inspect.user_delete, inspect.credential_add, inspect.credential_delete, inspect.kick, inspect.unlock
	to restsip_operator;
