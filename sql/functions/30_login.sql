-- Logins: what a binding is, however it came about; of its contact the file beside this. REST's door to it; the registrar's is the next file.

-- An own member stands in the place of what the phone says of itself.
create function app.login_doc(p_n bigint, p_email text, p_source text, p_contact text, p_expires_s int,
	p_expires_at timestamptz, p_q numeric, p_user_agent text, p_extra jsonb, p_name text default null,
	p_params text default null) returns text
language plpgsql stable as $$
begin
	return app.doc_close('{"id":' || p_n
		|| case when p_source = 'stream' then ',"lifetime":"stream"'
			else case when p_contact is null then '' else ',"contact":' || to_json(p_contact) end
				|| ',"expires":' || p_expires_s || ',"expires_at":"' || app.time_text(p_expires_at) || '"' end
		|| ',"source":"' || p_source || '"'
		|| case when p_q is null then '' else ',"q":' || trim_scale(p_q) end
		|| case when p_user_agent is null then '' else ',"user_agent":' || to_json(p_user_agent) end
		|| case when p_name is null or p_extra ? 'name' then '' else ',"name":' || to_json(p_name) end
		|| case when p_params is null or p_extra ? 'features' then ''
			else coalesce(',"features":' || app.contact_features(p_params), '') end
		|| ',"url":' || to_json('/login/' || app.url_segment(p_email) || '/' || p_n), p_extra);
end $$;

-- The contacts of an account as a JSON array; what has lapsed is not in it.
create function app.login_list_doc(p_account bigint) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return '[' || coalesce((select string_agg(l.doc, ',' order by l.n) from app.login l
		where l.account_id = p_account and l.expires_at > now()), '') || ']';
end $$;

-- What is on its way to contacts of accounts, whose login resources are locked: before a message of theirs is touched.
create function app.login_deliveries_lock(p_accounts bigint[]) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform from app.delivery d
	where d.login_id = any (array(select l.id from app.login l where l.account_id = any (p_accounts)))
		and d.state in ('queued', 'sending')
	order by d.id for update;
end $$;

-- How contacts end is kept for who subscribes to reg, until that is told: an hour, and 32 of an account at most: all
-- of them go into one NOTIFY.
create function app.contacts_gone(p_account bigint, p_ids bigint[], p_event text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	if not exists (select from app.subscription s where s.account_id = p_account and s.kind = 'login' and s.event = 'reg') then
		return;
	end if;
	insert into app.contact_gone (account_id, n, contact, event)
	select l.account_id, l.n, l.contact, p_event
	from app.login l where l.account_id = p_account and l.id = any (p_ids) and l.contact is not null order by l.n;
	delete from app.contact_gone g where g.account_id = p_account and g.id <= (
		select o.id from app.contact_gone o where o.account_id = p_account order by o.id desc offset 32 limit 1);
end $$;

-- Removes bindings of an account whose login resource is locked, for a reason of RFC 3680, section 5.3; what was queued
-- for them goes to another flow of the device, to another contact, or is kept for later.
create function app.login_remove(p_account bigint, p_ids bigint[], p_event text) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_deliveries bigint[];
	v_bell text[];
begin
	perform app.login_deliveries_lock(array[p_account]);
	if exists (select from app.delivery d where d.login_id = any (p_ids) and d.state in ('queued', 'sending')) then
		v_bell := app.delivery_to_device(p_account, p_ids);
		v_deliveries := array(
			select d.id from app.delivery d where d.login_id = any (p_ids) and d.state = 'queued' order by d.id);
		update app.delivery d set login_id = null where d.login_id = any (p_ids) and d.state in ('queued', 'sending');
	end if;
	perform app.contacts_gone(p_account, p_ids, p_event);
	delete from app.login l where l.account_id = p_account and l.id = any (p_ids);
	if v_deliveries is null or v_deliveries = '{}' then
		return v_bell;
	end if;
	return v_bell || app.delivery_move(p_account, v_deliveries, 480, 'Contact gone', '-infinity');
end $$;

-- What has lapsed goes before a writer counts on a binding: a lapsed contact comes back as a new one.
create function app.login_remove_lapsed(p_account bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_ids bigint[];
begin
	v_ids := array(select l.id from app.login l where l.account_id = p_account and l.expires_at <= now());
	if v_ids = '{}' then
		return null;
	end if;
	return app.login_remove(p_account, v_ids, 'expired');
end $$;

-- When a binding was made, or refreshed last.
create function app.bound_at(p_login app.login) returns timestamptz
language sql stable as $$ select p_login.expires_at - make_interval(secs => p_login.expires_s) $$;

-- For how long a contact is granted: a week. Plain SQL, so that a plan has the number itself.
create function app.max_lifetime_s() returns int language sql immutable as 'select 604800';

-- Before one more binding of an account whose login resource is locked: what has lapsed goes; RS409 if it is full.
create function app.login_make_room(p_account bigint) returns text[]
language plpgsql volatile as $$
declare
	v_contacts bigint;
	v_lapsed bool;
begin
	select count(*) filter (where l.expires_at > now()), bool_or(l.expires_at <= now()) into v_contacts, v_lapsed
	from app.login l where l.account_id = p_account;
	if v_contacts >= app.bound('contacts') then
		perform app.refuse(409, 'too-many-contacts',
			format('An account has at most %s contacts at a time.', app.bound('contacts')));
	end if;
	if v_lapsed then
		return app.login_remove_lapsed(p_account);
	end if;
	return null;
end $$;

-- The session by which somebody calls; null: by a password.
create function app.session_id(p_who text, p_proof bytea) returns bigint
language sql stable as $$ select s.id from app.session s where p_who is null and s.token = p_proof $$;

-- Whether one of the streams that a login lives with is open.
create function app.login_has_stream(p_login app.login) returns bool
language plpgsql volatile as $$
begin
	if p_login.session_id is null then
		return app.has_stream(p_login.account_id);
	end if;
	return exists (select from app.watch w
		where w.kind = 'bearer' and w.id = p_login.session_id and w.closed_at is null);
end $$;

-- Writes one binding of an account whose login resource is locked, by its comparison key; p_contact null: a login
-- that lives with a stream, or a publication. p_set holds what only a phone gives: call_id, cseq, instance, reg_id,
-- path, flow, dials, agent, user_agent, credential, name, params; or the session of a login that lives with its streams.
-- Members that the server itself gives are not kept from p_extra.
create function app.login_put(p_account bigint, p_email text, p_source text, p_contact text, p_key text,
	p_expires_s int, p_extra jsonb, p_set app.login default null,
	out n bigint, out created bool, out expires_s int, out expires_at timestamptz, out doc text, out bell text[])
language plpgsql volatile as $$
declare
	v_id bigint;
	v_extra jsonb := coalesce(p_extra, '{}')
		- array['id', 'url', 'self', 'contact', 'expires', 'expires_at', 'source', 'lifetime', 'q', 'user_agent'];
	v_q numeric := p_set.q;
begin
	if p_extra ? 'q' then
		if jsonb_typeof(p_extra -> 'q') <> 'number' or not (p_extra ->> 'q')::numeric between 0 and 1 then
			perform app.refuse(400, 'invalid-member', format('`q` is a number from 0 to 1; this is %s.',
				left((p_extra -> 'q')::text, 40)), '/q');
		end if;
		v_q := round((p_extra ->> 'q')::numeric, 3);
	end if;
	if v_extra <> '{}' then
		perform app.refuse_large('login_members', v_extra, 'A login''s own members');
	end if;
	if exists (select from app.setting s where s.name = 'contact'
		and s.amount < app.contact_size(p_contact, p_set.path, p_set.call_id, p_set.instance, p_set.name, p_set.params))
	then
		perform app.refuse(413, 'document-too-large', format(
			'A contact with its Path, Call-ID, instance, name and parameters has at most %s bytes.', app.bound('contact')), '/contact');
	end if;
	expires_s := least(p_expires_s, app.max_lifetime_s());
	expires_at := now() + make_interval(secs => expires_s);
	-- Found first, and changed by its id: one statement that does both would be planned anew each time.
	v_id := case when p_key is null then p_set.id else coalesce(
		(select l.id from app.login l where l.account_id = p_account and l.key = p_key),
		(select l.id from app.login l where l.account_id = p_account
			and l.key = app.login_key(p_account, p_key, p_set.call_id, p_set.instance))) end;
	-- No column that an index has changes here but sweep_at, and that seldom.
	update app.login l set contact = p_contact, key = p_key, source = p_source, expires_s = login_put.expires_s,
		expires_at = login_put.expires_at, sweep_at = least(l.sweep_at, login_put.expires_at), q = v_q,
		call_id = p_set.call_id, cseq = p_set.cseq, instance = p_set.instance, reg_id = p_set.reg_id,
		path = p_set.path, flow = p_set.flow, dials = p_set.dials, agent_id = p_set.agent_id,
		user_agent = p_set.user_agent, session_id = p_set.session_id,
		credential_id = p_set.credential_id, extra = v_extra, name = p_set.name, params = p_set.params,
		doc = app.login_doc(l.n, p_email, p_source, p_contact, login_put.expires_s, login_put.expires_at, v_q,
			p_set.user_agent, v_extra, p_set.name, p_set.params)
	where l.id = v_id and l.expires_at > now()
	returning l.n, l.doc into n, doc;
	created := n is null;
	if created then
		perform app.refuse_own_address(p_key);
		bell := app.login_make_room(p_account);
		n := app.take_n('login', p_account);
		doc := app.login_doc(n, p_email, p_source, p_contact, expires_s, expires_at, v_q, p_set.user_agent, v_extra,
			p_set.name, p_set.params);
		insert into app.login (account_id, email, n, key, contact, source, expires_s, expires_at, sweep_at, q, call_id, cseq,
			instance, reg_id, path, flow, dials, agent_id, user_agent, credential_id, extra, name, params, session_id, doc)
		values (p_account, p_email, n, p_key, p_contact, p_source, expires_s, expires_at, expires_at, v_q, p_set.call_id,
			p_set.cseq, p_set.instance, p_set.reg_id, p_set.path, p_set.flow, p_set.dials, p_set.agent_id,
			p_set.user_agent, p_set.credential_id, v_extra, p_set.name, p_set.params, p_set.session_id, doc)
		returning id into v_id;
	end if;
	if p_contact is not null and exists (select from app.delivery d
		where d.account_id = p_account and d.state in ('stored', 'queued') and d.kind <> 'contact')
	then
		-- A few: a phone that answers gets the others then, and one that only registers is not sent all of them each time.
		bell := bell || app.release_stored(p_account, v_id, p_most => app.bound('deliveries_first'));
	end if;
end $$;

-- What login_put did as a row of app.login_result, to be kept under an Idempotency-Key.
create function app.login_result_of(p_put record, p_email text, p_version bigint) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
	return jsonb_build_object('n', p_put.n, 'email', p_email, 'created', p_put.created, 'expires', p_put.expires_s,
		'expires_at', app.time_text(p_put.expires_at), 'version', p_version, 'doc', p_put.doc);
end $$;

create function api.login_get(p_who text, p_proof bytea, p_email text)
returns table (email text, version bigint, settled bool, doc text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint;
	v_email text := p_email;
begin
	-- The usual case in one look; whatever is not usual goes the whole way.
	if p_who is null then
		select s.account_id into v_caller from app.session s where s.token = p_proof and s.expires_at > now();
	end if;
	if v_caller is null then
		v_caller := app.caller(p_who, p_proof);
	end if;
	if p_email = 'me' then
		v_email := app.email(v_caller);
	end if;
	-- Who is logged in is found among those who are: the index of all accounts is deeper, and seldom in a processor's cache.
	return query
		select v_email, r.version, l.settled, '[' || coalesce(l.docs, '') || ']'
		from (
			select min(o.account_id) as id, bool_and(o.expires_at > now()) as settled,
				string_agg(case when o.expires_at > now() then o.doc end, ',' order by o.n) as docs
			from app.login o where o.email = v_email) l
		join app.resource r on r.kind = 'login' and r.id = l.id;
	-- Nobody is logged in there, or the email is not written as it was signed up with.
	if not found then
		return query
			select a.email, r.version, coalesce(l.settled, true), '[' || coalesce(l.docs, '') || ']'
			from app.account a
			join app.resource r on r.kind = 'login' and r.id = a.id
			cross join lateral (
				select bool_and(o.expires_at > now()) as settled,
					string_agg(case when o.expires_at > now() then o.doc end, ',' order by o.n) as docs
				from app.login o where o.account_id = a.id) l
			where a.email_key = app.email_key(v_email);
	end if;
	if not found then
		perform app.refuse(404, 'user-not-found', format('There is no user %s.', v_email));
	end if;
end $$;

-- An account with contacts, as /login shows it.
create function app.login_item_doc(p_email text, p_contacts bigint) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return '{"id":' || to_json(p_email) || ',"url":' || to_json('/login/' || app.url_segment(p_email))
		|| ',"contacts":' || p_contacts || '}';
end $$;

-- Who is logged in, by email: a page, see app.page_items. It walks an index of what is listed, whatever the statistics say.
create function app.login_items(p_after text, p_limit int) returns table (email text, doc text, fits bool)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
	set cursor_tuple_fraction = 1 set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashagg = off as $$
declare
	v_items refcursor;
begin
	open v_items for
		select o.email, app.login_item_doc(o.email, o.contacts)
		from (
			select l.email, count(*) as contacts from app.login l
			where l.email > coalesce(p_after, '') and l.source <> 'publish' and l.expires_at > now()
			group by l.email order by l.email limit app.page_limit(p_limit) + 1) o;
	return query select i.key, i.doc, i.fits from app.page_items(v_items, app.page_limit(p_limit)) i;
end $$;

create function api.login_list(p_who text, p_proof bytea, p_after text, p_limit int)
returns table (email text, doc text, fits bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform app.caller(p_who, p_proof);
	return query select i.email, i.doc, i.fits from app.login_items(p_after, p_limit) i;
end $$;

-- /login/{email}/{n}: a contact, for anyone signed in; or a sent message, for its sender and its recipient.
create function api.login_item(p_who text, p_proof bytea, p_email text, p_n bigint)
returns table (email text, what text, version bigint, settled bool, doc text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.caller(p_who, p_proof);
	v_account bigint := app.target(v_caller, p_email);
begin
	return query
		select app.email(v_account), 'contact', r.version, true, l.doc
		from app.login l join app.resource r on r.kind = 'login' and r.id = l.account_id
		where l.account_id = v_account and l.n = p_n and l.expires_at > now();
	if not found then
		return query
			select app.email(v_account), 'send', s.version, true, app.send_doc(s.id)
			from app.send s
			where s.account_id = v_account and s.n = p_n and v_caller in (s.sender_id, s.account_id);
	end if;
	if not found then
		perform app.refuse(404, 'contact-not-found', 'There is nothing of that number.');
	end if;
end $$;

-- Several contacts at once, all or none. Items: {"contact", "key", "expires"?, "extra"?}. p_replace removes the
-- other contacts that came by REST.
create function api.login_register_many(p_who text, p_proof bytea, p_email text, p_items jsonb, p_replace bool,
	p_if_match bigint, p_idem_key text default null, p_print bytea default null)
returns table (n bigint, email text, created bool, expires int, expires_at text, version bigint, doc text,
	bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_owner record := app.owner(p_who, p_proof, p_email);
	v_account bigint := v_owner.id;
	v_email text := v_owner.email;
	v_done jsonb := app.idem_begin(v_account, p_idem_key, p_print);
	v_lock record;
	v_bell text[];
	v_item jsonb;
	v_put record;
	v_out app.login_result[];
begin
	if v_done is not null then
		return query select r.* from jsonb_populate_recordset(null::app.login_result, v_done) r;
		return;
	end if;
	v_lock := app.lock_advance('login', v_account, p_if_match);
	perform app.refuse_disabled(v_account);
	if p_replace then
		v_bell := v_bell || app.login_remove(v_account, array(
			select l.id from app.login l where l.account_id = v_account and l.source = 'rest'
			and l.key not in (select app.login_key(v_account, i ->> 'key') from jsonb_array_elements(p_items) i)),
			'unregistered');
	end if;
	for v_item in select i from jsonb_array_elements(p_items) i loop
		v_put := app.login_put(v_account, v_email, 'rest', v_item ->> 'contact', v_item ->> 'key',
			coalesce((v_item ->> 'expires')::int, 3600), v_item -> 'extra');
		v_bell := v_bell || v_put.bell;
		v_out := v_out || row(v_put.n, v_email, v_put.created, v_put.expires_s, app.time_text(v_put.expires_at),
			v_lock.version, v_put.doc, null)::app.login_result;
	end loop;
	v_bell := v_bell || app.publish('login', v_account, v_lock.version, v_lock.prior);
	if p_idem_key is not null then
		perform app.idem_end(v_account, p_idem_key, p_print, to_jsonb(v_out));
	end if;
	return query select o.n, o.email, o.created, o.expires, o.expires_at, o.version, o.doc, v_bell
		from unnest(v_out) o;
end $$;

-- One contact; null: a login that lives with a stream. The same contact again keeps its number.
create function api.login_register(p_who text, p_proof bytea, p_email text, p_contact text, p_key text,
	p_expires_s int, p_extra jsonb, p_if_match bigint, p_idem_key text default null, p_print bytea default null)
returns table (n bigint, email text, created bool, expires int, expires_at text, version bigint, doc text,
	bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_owner record;
	v_done jsonb;
	v_set app.login;
	v_put record;
	v_bell text[];
begin
	if p_idem_key is not null then
		v_owner := app.owner(p_who, p_proof, p_email);
		v_done := app.idem_begin(v_owner.id, p_idem_key, p_print);
		if v_done is not null then
			return query select r.* from jsonb_populate_record(null::app.login_result, v_done) r;
			return;
		end if;
	end if;
	v_owner := app.owner_advance('login', p_who, p_proof, p_email, p_if_match);
	if p_contact is null then
		v_set.session_id := app.session_id(p_who, p_proof);
	end if;
	v_put := app.login_put(v_owner.id, v_owner.email, case when p_contact is null then 'stream' else 'rest' end,
		p_contact, p_key, coalesce(p_expires_s, 3600), p_extra, v_set);
	v_bell := v_put.bell || app.publish('login', v_owner.id, v_owner.version, v_owner.prior);
	if p_idem_key is not null then
		perform app.idem_end(v_owner.id, p_idem_key, p_print,
			app.login_result_of(v_put, v_owner.email, v_owner.version));
	end if;
	return query
		select v_put.n, v_owner.email, v_put.created, v_put.expires_s, app.time_text(v_put.expires_at),
			v_owner.version, v_put.doc, v_bell;
end $$;

-- A login without a contact that lives as long as the streams of its session and 30 s after (the janitor sees to that); where it
-- is made by a password, those of the account.
create function api.login_stream(p_who text, p_proof bytea, p_email text, p_extra jsonb,
	p_idem_key text default null, p_print bytea default null)
returns table (n bigint, email text, created bool, expires int, expires_at text, version bigint, doc text,
	bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return query select * from api.login_register(p_who, p_proof, p_email, null, null, 30, p_extra, null, p_idem_key,
		p_print);
end $$;

-- A refresh of contact n; null leaves a part as it was. p_merge: p_extra changes the members that it names and leaves
-- the others.
create function api.login_refresh(p_who text, p_proof bytea, p_email text, p_n bigint, p_contact text, p_key text,
	p_expires_s int, p_extra jsonb, p_if_match bigint, p_merge bool default false)
returns table (n bigint, email text, created bool, expires int, expires_at text, version bigint, doc text,
	bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_lock record := app.owner_advance('login', p_who, p_proof, p_email, p_if_match);
	v_account bigint := v_lock.id;
	v_email text := v_lock.email;
	v_bell text[] := app.login_remove_lapsed(v_account);
	v_old app.login;
	v_put record;
begin
	select l.* into v_old from app.login l where l.account_id = v_account and l.n = p_n;
	if v_old.id is null then
		perform app.refuse(404, 'contact-not-found', 'That contact is gone: register it again.');
	end if;
	if v_old.contact is null and p_contact is not null then
		perform app.refuse(409, 'contact-exists', 'A login that lives with a stream has no contact.', '/contact');
	end if;
	if p_key is distinct from app.uri_key(v_old.key) and p_key is not null then
		if exists (select from app.login l
			where l.account_id = v_account and l.id <> v_old.id and app.is_same_uri(l.key, p_key))
		then
			perform app.refuse(409, 'contact-exists', 'Another number has that contact.', '/contact');
		end if;
		perform app.refuse_own_address(p_key);
		update app.login l set key = p_key, contact = p_contact where l.id = v_old.id;
		v_old.flow := null;
		v_old.agent_id := null;
	end if;
	-- Whoever has a new session, since the old one's end, goes on with the login.
	if v_old.session_id is not null and not app.login_has_stream(v_old) then
		v_old.session_id := coalesce(app.session_id(p_who, p_proof), v_old.session_id);
	end if;
	v_put := app.login_put(v_account, v_email, v_old.source, coalesce(p_contact, v_old.contact),
		case when p_key is distinct from app.uri_key(v_old.key) then coalesce(p_key, v_old.key) else v_old.key end,
		coalesce(p_expires_s, v_old.expires_s),
		coalesce(case when p_merge then v_old.extra || p_extra else p_extra end, v_old.extra), v_old);
	v_bell := v_bell || v_put.bell || app.publish('login', v_account, v_lock.version, v_lock.prior);
	return query
		select v_put.n, v_email, false, v_put.expires_s, app.time_text(v_put.expires_at), v_lock.version,
			v_put.doc, v_bell;
end $$;

-- Contact n of an account ends, or all (p_n null). RS404 where there is none of that number.
create function app.login_unregister(p_account bigint, p_n bigint, p_if_match bigint default null,
	p_event text default 'unregistered',
	out ids bigint[], out version bigint, out bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_prior bigint := app.lock('login', p_account, p_if_match, true);
begin
	ids := array(select l.id from app.login l
		where l.account_id = p_account and (p_n is null or l.n = p_n and l.expires_at > now()));
	if p_n is not null and ids = '{}' then
		perform app.refuse(404, 'contact-not-found', 'There is no such contact.');
	end if;
	if ids = '{}' then
		version := v_prior;
		return;
	end if;
	version := app.advance('login', p_account);
	bell := app.login_remove(p_account, ids, p_event);
	bell := bell || app.publish('login', p_account, version, v_prior);
end $$;

-- Unregisters contact n, or all (p_n null).
create function api.login_delete(p_who text, p_proof bytea, p_email text, p_n bigint, p_if_match bigint)
returns table (removed int, version bigint, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := (app.owner(p_who, p_proof, p_email)).id;
begin
	return query select cardinality(e.ids), e.version, e.bell from app.login_unregister(v_account, p_n, p_if_match) e;
end $$;

grant execute on function api.login_get, api.login_list, api.login_item, api.login_register, api.login_register_many,
	api.login_stream, api.login_refresh, api.login_delete to restsip_api;
