-- PUBLISH of presence (RFC 3903): the member `presence` of the contact that the phone has, as REST's PUT sets it. What
-- matches no contact is a login of its own, without a contact. The login resource of the account is locked in all of this.

create function app.login_set_presence(p_login bigint, p_presence jsonb) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_login app.login;
	v_extra jsonb;
begin
	select l.* into v_login from app.login l where l.id = p_login;
	v_extra := v_login.extra - 'presence'
		|| case when p_presence is null then '{}' else jsonb_build_object('presence', p_presence) end;
	if v_login.id is null or v_extra = v_login.extra then
		return false;
	end if;
	perform app.refuse_large('login_members', v_extra, 'A login''s own members');
	update app.login l set extra = v_extra, doc = app.login_doc(l.n, app.email(l.account_id), l.source, l.contact,
		l.expires_s, l.expires_at, l.q, l.user_agent, v_extra, l.name, l.params)
	where l.id = p_login;
	return true;
end $$;

-- The contact that a publication is of: the one that its document names (of two phones with one private URI that over whose
-- flow it came), or else the one that came over the same flow.
create function app.published_contact(p_account bigint, p_contact_key text, p_agent int, p_flow text) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_key text := app.login_key(p_account, p_contact_key);
begin
	return (select l.id from app.login l
		where l.account_id = p_account and l.expires_at > now() and l.contact is not null
			and (l.key = v_key or l.flow = p_flow and l.agent_id = p_agent)
		order by (l.flow = p_flow and l.agent_id = p_agent and app.uri_key(l.key) = app.uri_key(v_key)) is not true,
			l.key is distinct from v_key, l.n desc limit 1);
end $$;

-- A publication is seen no more where it was: there stands what another one says, or nothing; what REST has put in its
-- place stays.
create function app.publication_hide(p_publication app.publication) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_login app.login;
begin
	select l.* into v_login from app.login l where l.id = p_publication.login_id;
	if v_login.id is null then
		return false;
	elsif v_login.source = 'publish' then
		perform app.login_remove(v_login.account_id, array[v_login.id], 'unregistered');
		return true;
	elsif v_login.extra -> 'presence' is distinct from p_publication.presence then
		return false;
	end if;
	return app.login_set_presence(v_login.id, (
		select p.presence from app.publication p
		where p.login_id = v_login.id and p.id <> p_publication.id and p.expires_at > now()
		order by p.created_at desc limit 1));
exception when sqlstate 'RS413' then
	-- That has no room any more beside what REST has put there since.
	return app.login_set_presence(v_login.id, null);
end $$;

-- Shows a publication where it belongs now. p_old: as it was before, null for a new one; p_new: its document has just
-- come.
create function app.publication_show(p_old app.publication, p_publication app.publication, p_new bool, p_agent int,
	p_flow text) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_login bigint := app.published_contact(p_publication.account_id, p_publication.contact_key, p_agent, p_flow);
	v_old app.login;
	v_changed bool := false;
	v_put record;
begin
	select l.* into v_old from app.login l where l.id = p_old.login_id;
	if v_old.source <> 'publish' and not p_new then
		return false;
	end if;
	if v_login <> v_old.id or v_login is null and v_old.source <> 'publish' then
		v_changed := app.publication_hide(p_old);
		v_old := null;
	end if;
	if v_login is not null then
		v_changed := app.login_set_presence(v_login, p_publication.presence) or v_changed;
	else
		v_put := app.login_put(p_publication.account_id, app.email(p_publication.account_id), 'publish', null, null,
			p_publication.expires_s, jsonb_build_object('presence', p_publication.presence), v_old);
		select l.id into v_login from app.login l where l.account_id = p_publication.account_id and l.n = v_put.n;
		v_changed := true;
	end if;
	update app.publication p set login_id = v_login where p.id = p_publication.id;
	return v_changed;
end $$;

-- A PUBLISH that an agent has authenticated. p_etag: its SIP-If-Match (RS412 where it names nothing), p_presence what
-- its document says, or null; p_contact_key: of the contact that the document names, if any; p_expires_s 0: removes. An
-- equal one again (same Call-ID and CSeq) gets the same answer.
create function api.sip_publish(p_agent int, p_credential bigint, p_ha1 text, p_aor text, p_call_id text, p_cseq bigint,
	p_etag text, p_presence jsonb, p_contact_key text, p_flow text, p_expires_s int)
returns table (etag text, expires int, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := app.digest_account(p_credential, p_ha1);
	v_prior bigint;
	v_changed bool;
	v_bell text[];
	v_old app.publication;
	v_pub app.publication;
	v_etag text := substr(md5(gen_random_uuid()::text), 1, 16);
begin
	if app.email(v_account) is distinct from p_aor then
		perform app.caller_holds(v_account);
		perform app.refuse(403, 'not-owner', 'Only the owner may publish here.');
	end if;
	v_prior := app.lock('login', v_account, p_mine => true);
	perform app.credential_holds(p_credential);
	select p.* into v_pub from app.publication p
	where p.account_id = v_account and p.call_id = p_call_id and p.cseq = p_cseq and p.expires_at > now();
	if v_pub.id is not null then
		return query select v_pub.etag, v_pub.expires_s, null::text[];
		return;
	end if;
	if p_etag is not null then
		select p.* into v_old from app.publication p
		where p.account_id = v_account and p.etag = p_etag and p.expires_at > now();
		if v_old.id is null then
			perform app.refuse(412, 'publication-not-found', 'There is no such publication.');
		end if;
	elsif p_presence is null then
		perform app.refuse(400, 'invalid-body', 'A first PUBLISH needs a document.');
	elsif (select count(*) from app.publication p where p.account_id = v_account and p.expires_at > now())
		>= app.bound('publications')
	then
		perform app.refuse(403, 'too-many-publications',
			format('A user has at most %s publications at a time.', app.bound('publications')));
	end if;
	if p_expires_s = 0 then
		v_changed := app.publication_hide(v_old);
		delete from app.publication p where p.id = v_old.id;
	else
		insert into app.publication as p (id, account_id, etag, presence, contact_key, call_id, cseq, expires_s, expires_at,
			credential_id)
		overriding system value
		values (coalesce(v_old.id, nextval('app.publication_id_seq')), v_account, v_etag,
			coalesce(p_presence, v_old.presence), case when p_presence is null then v_old.contact_key else p_contact_key end,
			p_call_id, p_cseq, p_expires_s, now() + make_interval(secs => p_expires_s), p_credential)
		on conflict (id) do update set etag = excluded.etag, presence = excluded.presence,
			contact_key = excluded.contact_key, call_id = excluded.call_id, cseq = excluded.cseq,
			expires_s = excluded.expires_s, expires_at = excluded.expires_at, credential_id = excluded.credential_id
		returning p.* into v_pub;
		v_changed := app.publication_show(v_old, v_pub, p_presence is not null, p_agent, p_flow);
	end if;
	if v_changed then
		v_bell := app.publish('login', v_account, app.advance('login', v_account), v_prior);
	end if;
	return query select v_etag, p_expires_s, v_bell;
end $$;

-- What an account, whose login resource is locked, has published with credentials that are gone (null: with any). True:
-- that has changed what is shown.
create function app.publications_end(p_account bigint, p_credentials bigint[]) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_pub app.publication;
	v_changed bool := false;
begin
	for v_pub in
		select p.* from app.publication p
		where p.account_id = p_account and (p_credentials is null or p.credential_id = any (p_credentials)) order by p.id
	loop
		v_changed := app.publication_hide(v_pub) or v_changed;
		delete from app.publication p where p.id = v_pub.id;
	end loop;
	return v_changed;
end $$;

-- Publications whose time is over.
create function app.expire_publications(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_end timestamptz;
	v_accounts bigint[];
	v_since timestamptz;
	v_turn record;
	v_pub app.publication;
	v_changed bool;
begin
	more := false;
	select array_agg(a.account_id order by a.since), min(a.since) into v_accounts, v_since
	from (
		select o.account_id, min(o.expires_at) as since from (
			select p.account_id, p.expires_at from app.publication p where p.expires_at <= now()
			order by p.expires_at limit 100) o
		group by o.account_id) a;
	for v_turn in select * from app.turn_lock('login', v_accounts, v_since) loop
		v_end := coalesce(v_end, app.turn_end());
		exit when clock_timestamp() > v_end;
		v_changed := false;
		begin
			for v_pub in select p.* from app.publication p where p.account_id = v_turn.id and p.expires_at <= now() loop
				v_changed := app.publication_hide(v_pub) or v_changed;
				delete from app.publication p where p.id = v_pub.id;
				more := true;
			end loop;
			if v_changed then
				bell := bell || app.publish('login', v_turn.id, app.advance('login', v_turn.id), v_turn.prior);
			end if;
		exception when others then
			perform app.duty_failed('expire_publications', sqlstate, sqlerrm);
		end;
	end loop;
end $$;

grant execute on function api.sip_publish to restsip_agent;
