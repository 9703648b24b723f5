-- Accounts that an operator has disabled. One rule for both doors; psql and restsipctl call inspect.user_disable().
--
-- A disabled account does nothing. Its right password or digest is RS403 `account-disabled` over HTTP and 403 over SIP; a
-- wrong one is what it always was. Its tokens, tickets, streams, contacts, subscriptions and publications end, and it
-- leaves its calls.
--
-- What it has stays: profile, mail, credentials, the calls that it owns, and messages that were accepted before. Enabled
-- again, it signs in as before, and gets these.
--
-- Nothing new is taken for it. A message or mail to it is RS409 `account-disabled` (SIP: 480), as mail servers answer for
-- a disabled mailbox (RFC 3463, X.2.1): stored, it would look as if somebody were to read it. Otherwise others see an
-- account where nobody is logged in.

-- Who asks for something has shown a right password or digest. Whoever writes asks this under a lock that
-- app.account_disable waits for, so that nothing of an account begins behind it.
create function app.refuse_disabled(p_account bigint) returns void
language plpgsql volatile as $$
begin
	if exists (select from app.account a where a.id = p_account and a.disabled_at is not null) then
		perform app.refuse(403, 'account-disabled', 'An operator has disabled this account.');
	end if;
end $$;

-- Something is meant for an account.
create function app.refuse_for_disabled(p_account bigint) returns void
language plpgsql volatile as $$
begin
	if exists (select from app.account a where a.id = p_account and a.disabled_at is not null) then
		perform app.refuse(409, 'account-disabled', 'That account is disabled: nobody would get it.');
	end if;
end $$;

-- All that an account has open ends: tokens, tickets, streams, contacts, subscriptions, publications, places in calls.
-- Locks in their order: credentials, resources, the account.
create function app.account_end_open(p_account bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_call bigint;
	v_bell text[];
begin
	perform from app.credential c where c.account_id = p_account order by c.id for update;
	for v_call in
		select p.call_id from app.participant p where p.account_id = p_account and p.left_at is null order by 1
	loop
		v_bell := v_bell || app.call_leave(v_call, p_account);
	end loop;
	v_bell := v_bell || app.login_end(p_account, true, null);
	v_bell := v_bell || app.reject_subscriptions(p_account, null);
	return v_bell || app.sessions_end(p_account);
end $$;

create function app.account_disable(p_account bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_bell text[] := app.account_end_open(p_account);
begin
	update app.account a set disabled_at = now() where a.id = p_account;
	return v_bell;
end $$;
