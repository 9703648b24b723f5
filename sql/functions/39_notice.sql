-- What is no message, but is sent like one: receipts (RFC 5438), by which a recipient says that he has got a message, and that
-- somebody is writing (RFC 3994). They are kept nowhere.

-- ---- receipts ----

-- What a delivery of a message is called on the wire: its Call-ID. The number leads to the message, the rest is nobody's to guess.
create function app.delivery_call_id(p_delivery bigint, p_send app.send, p_recipient text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
	return left(encode(sha256(convert_to('restsip-call|' || p_delivery || '|' || app.time_text(p_send.created_at) || '|'
		|| p_send.sender || '|' || p_recipient, 'UTF8')), 'hex'), 32) || '-' || p_send.n || '@restsip';
end $$;

-- Which deliveries of a message of p_sender a receipt of p_recipient is about. By its Call-ID it is that one. By the id that its
-- sender has given it (imdn.Message-ID): those to the phone that says so (p_credential), or to any that has it where that is not
-- known; of a page (no credential), and by its URL, /login/{email}/{n}: that of the streams.
create function app.receipt_deliveries(p_recipient bigint, p_sender bigint, p_id text, p_credential bigint)
returns bigint[]
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_n bigint := coalesce(substring(p_id from '^[0-9a-f]{32}-(\d{1,18})@restsip$'),
		substring(p_id from '/login/[^/]+/(\d{1,18})$'))::bigint;
	v_email text := app.email(p_recipient);
	v_send app.send;
begin
	if v_n is not null then
		select s.* into v_send from app.send s
		where s.account_id = p_recipient and s.n = v_n and s.sender_id = p_sender and s.inbox is not null;
	else -- the latest of that id, by the index of ids, however many its sender has sent
		select f.* into v_send from (
			select s.* from app.send s
			where s.account_id = p_recipient and s.message_id = p_id and s.sender_id = p_sender and s.inbox is not null offset 0) f
		order by f.id desc limit 1;
	end if;
	if p_id like '%@restsip' and v_n is not null then
		return array(select d.id from app.delivery d
			where d.send_id = v_send.id and d.kind <> 'stream' and app.delivery_call_id(d.id, v_send, v_email) = p_id);
	elsif v_n is not null or p_credential is null then
		return array(select d.id from app.delivery d where d.send_id = v_send.id and d.kind = 'stream');
	end if;
	return array(
		with sent as materialized (
			select d.id, d.state, l.credential_id from app.delivery d left join app.login l on l.id = d.login_id
			where d.send_id = v_send.id and d.kind = 'contact' and d.state in ('sending', 'delivered', 'accepted', 'displayed'))
		select t.id from sent t
		where t.credential_id = p_credential
			or t.state <> 'sending' and not exists (select from sent o where o.credential_id = p_credential));
end $$;

-- Counts a receipt that has moved nothing: RS429 where there are too many.
create function app.receipt_count(p_recipient bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_rate record;
begin
	insert into app.send_rate as r (account_id, since, sends, receipts_since, receipts) values (p_recipient, now(), 0, now(), 1)
	on conflict (account_id) do update set
		receipts_since = case when r.receipts_since > now() - interval '1 minute' then r.receipts_since else now() end,
		receipts = case when r.receipts_since > now() - interval '1 minute' then r.receipts + 1 else 1 end
	returning r.receipts_since, r.receipts into v_rate;
	if v_rate.receipts > app.bound('sends') then
		perform app.send_too_many(v_rate.receipts_since);
	end if;
end $$;

-- p_status: delivered, displayed, or null for what we have no status for. Whoever it is for hears nothing but by his message's
-- status; a receipt for no message of his changes nothing, and has the same answer. Phones send receipts by themselves, so
-- that whoever sends to them has a say in how many: one that moves something is counted nowhere (a delivery moves twice at
-- most), all others in a minute of their own.
create function app.receipt_put(p_recipient bigint, p_sender bigint, p_id text, p_status text, p_credential bigint)
returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_deliveries bigint[];
	v_login bigint;
	v_send bigint;
	v_bell text[];
begin
	perform app.lock('login', p_recipient, p_mine => true);
	perform app.caller_holds(p_recipient);
	perform app.refuse_for_disabled(p_sender);
	v_deliveries := app.receipt_deliveries(p_recipient, p_sender, p_id, p_credential);
	v_deliveries := array(
		select d.id from app.delivery d
		where d.id = any (v_deliveries) and d.state not in ('cancelled', 'displayed')
			and (p_status = 'displayed' or p_status = 'delivered' and d.state <> 'delivered')
		order by d.id for update);
	-- Its phone has it, whatever was known of that: nobody sends it again.
	update app.attempt t set ended_at = now()
	from app.lease e
	where e.delivery_id = any (v_deliveries) and t.delivery_id = e.delivery_id and t.attempt = e.attempt
		and t.ended_at is null;
	select d.login_id into v_login from app.delivery d
	where d.id = any (v_deliveries) and d.state = 'sending' limit 1;
	update app.delivery d set state = p_status, kind = case d.kind when 'offline' then 'contact' else d.kind end,
		code = case when d.state in ('delivered', 'accepted') then d.code end,
		reason = case when d.state in ('delivered', 'accepted') then d.reason end,
		changed_at = now(), settled_at = now()
	where d.id = any (v_deliveries) returning d.send_id into v_send;
	if v_send is not null then
		update app.lease t set agent_id = null, until = null where t.delivery_id = any (v_deliveries);
		v_bell := app.touch_sends(array[v_send]);
		if v_login is not null and app.has_stored(p_recipient) then
			v_bell := v_bell || app.release_more(p_recipient, v_login);
		end if;
	else
		perform app.receipt_count(p_recipient);
	end if;
	return v_bell;
end $$;

create function api.send_receipt(p_who text, p_proof bytea, p_email text, p_id text, p_status text)
returns table (bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.caller(p_who, p_proof);
begin
	return query select app.receipt_put(v_caller, app.target(v_caller, p_email), p_id, p_status, null);
end $$;

create function api.sip_receipt(p_agent int, p_credential bigint, p_ha1 text, p_aor text, p_id text, p_status text)
returns table (bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.digest_account(p_credential, p_ha1);
begin
	return query select app.receipt_put(v_caller, app.target(null, p_aor), p_id, p_status, p_credential);
end $$;

grant execute on function api.send_receipt to restsip_api;
grant execute on function api.sip_receipt to restsip_agent;

-- ---- that somebody is writing (RFC 3994) ----

-- Told to the account's streams and phones by their bells alone, and kept nowhere: who is not there, or has too many at once,
-- does not hear of it. The next one, or the message, makes up for it.
create function app.composing_tell(p_sender bigint, p_account bigint, p_says text, p_secure bool) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_bell text[];
	v_told text[];
begin
	perform app.send_check(p_sender);
	perform app.caller_holds(p_sender);
	perform app.refuse_for_disabled(p_account);
	if app.has_stream(p_account) then
		v_bell := array['restsip_change|composing/' || app.email(p_account) || ' ' || app.email(p_sender) || ' ' || p_says];
	end if;
	v_told := array(
		select app.job_bell(g.id) || 'composing ' || l.id || ' ' || p_sender || ' ' || p_says
		from app.login l
		cross join lateral (
			select g.id from app.agent g where g.dead_at is null order by g.id = l.agent_id desc nulls last, g.id limit 1) g
		where l.account_id = p_account and l.contact is not null and l.expires_at > now()
			and (not p_secure or app.is_secure(l.*::app.login)) and app.is_devices_latest(l.*::app.login)
		order by l.n limit 32);
	perform app.send_count(p_sender, cardinality(v_told));
	return v_bell || v_told;
end $$;

-- p_says: active or idle, a blank, and for how many seconds, or 0.
create function api.send_composing(p_who text, p_proof bytea, p_email text, p_says text) returns table (bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.caller(p_who, p_proof);
begin
	return query select app.composing_tell(v_caller, app.target(v_caller, p_email), p_says, false);
end $$;

create function api.sip_composing(p_agent int, p_credential bigint, p_ha1 text, p_aor text, p_says text, p_secure bool)
returns table (bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.digest_account(p_credential, p_ha1);
begin
	return query select app.composing_tell(v_caller, app.target(null, p_aor), p_says, p_secure);
end $$;

-- By which way an agent that was rung tells a contact. No row: it has gone.
create function api.composing_way(p_agent int, p_login bigint, p_sender bigint)
returns table (contact text, path text, flow text, dials bool, source text, sender text, recipient text, call_id text, sent_at text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return query
		select l.contact, l.path, l.flow, l.dials is not null, l.source, s.email, l.email, gen_random_uuid() || '@restsip', app.time_text(now())
		from app.login l join app.account s on s.id = p_sender
		where l.id = p_login and l.contact is not null and l.expires_at > now();
end $$;

grant execute on function api.send_composing to restsip_api;
grant execute on function api.sip_composing, api.composing_way to restsip_agent;
