-- SEND and MESSAGE: one rule, two doors. A send is committed with its deliveries before anybody hears 2xx.

-- One status for a send: the best that any recipient came to, or what is still under way.
create function app.send_status(p_send bigint) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return (select d.state from app.delivery d where d.send_id = p_send
		order by array_position(array['delivered', 'accepted', 'sending', 'queued', 'stored', 'failed', 'cancelled'],
			d.state) limit 1);
end $$;

-- A sent message and a recipient of it, each without its closing brace.
create function app.send_head(p_send app.send, p_email text) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return '{"id":' || p_send.n || ',"url":' || to_json('/login/' || app.url_segment(p_email) || '/' || p_send.n)
		|| ',"from":' || to_json(p_send.sender) || ',"to":' || to_json(p_email)
		|| ',"status":"' || app.send_status(p_send.id) || '"'
		|| ',"content_type":' || to_json(p_send.content_type) || ',"size":' || octet_length(p_send.body)
		|| ',"created_at":"' || app.time_text(p_send.created_at) || '"'
		|| case when p_send.due_at is null then '' else ',"send_at":"' || app.time_text(p_send.due_at) || '"' end;
end $$;

create function app.recipient_head(p_delivery app.delivery) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
	return '{"kind":"' || p_delivery.kind || '"'
		|| case when p_delivery.contact is null then '' else ',"contact":' || to_json(p_delivery.contact) end
		|| ',"status":"' || p_delivery.state || '"'
		|| case when p_delivery.code is null then ''
			else ',"sip":{"code":' || p_delivery.code || ',"reason":' || to_json(coalesce(p_delivery.reason, '')) || '}' end
		|| ',"changed_at":"' || app.time_text(p_delivery.changed_at) || '"';
end $$;

create function app.send_doc(p_send bigint) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return (select app.send_head(s.*::app.send, a.email) || ',"recipients":[' || coalesce((
			select string_agg(app.recipient_head(d.*::app.delivery) || '}', ',' order by d.id)
			from app.delivery d where d.send_id = s.id), '') || ']}'
		from app.send s join app.account a on a.id = s.account_id where s.id = p_send);
end $$;

-- New versions for sends whose deliveries have changed; their rows are locked in order. The agent whose phone waits for
-- the outcome of its MESSAGE is rung.
create function app.touch_sends(p_sends bigint[]) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_send bigint;
	v_prior bigint;
	v_version bigint;
	v_agent int;
	v_bell text[];
begin
	for v_send in select distinct s from unnest(p_sends) s order by s loop
		select s.version into v_prior from app.send s where s.id = v_send for update;
		update app.send s set version = nextval('app.version_seq') where s.id = v_send
		returning s.version, s.origin_agent_id into v_version, v_agent;
		v_bell := v_bell || app.publish('send', v_send, v_version, v_prior);
		if v_agent is not null then
			v_bell := v_bell || app.job_bell(v_agent);
		end if;
	end loop;
	return v_bell;
end $$;

create function app.job_bell(p_agent int) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return case when p_agent is null then 'restsip_job|' else 'restsip_job_' || p_agent || '|' end;
end $$;

-- Whether the owner has a stream open.
create function app.has_stream(p_account bigint) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return exists (select from app.watch w
		where w.kind = 'login' and w.id = p_account and w.owner and w.closed_at is null);
end $$;

-- Whether what goes to a binding goes over TLS.
create function app.is_secure(p_login app.login) returns bool
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return p_login.contact ~* '^sips:' or coalesce(p_login.flow like 'tls:%', false);
end $$;

-- Whether a binding is the one that its device is reached by: of several flows the latest (RFC 5626, section 7).
create function app.is_devices_latest(p_login app.login) returns bool
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return p_login.instance is null or p_login.id = (
		select l.id from app.login l
		where l.account_id = p_login.account_id and l.instance = p_login.instance and l.expires_at > now()
		order by app.bound_at(l) desc, l.id desc limit 1);
end $$;

-- Makes the deliveries of a send that is due; the recipient's login resource is locked. RS409 where nobody is there
-- and the sender does not want it stored.
create function app.send_fan_out(p_send app.send, p_offline bool) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_bell text[];
	v_made int := 0;
	v_login record;
begin
	for v_login in
		insert into app.delivery (send_id, account_id, kind, login_id, contact, state)
		select p_send.id, p_send.account_id, 'contact', l.id, l.contact, 'queued'
		from app.login l
		where l.account_id = p_send.account_id and l.expires_at > now() and l.contact is not null
			and (not p_send.secure or app.is_secure(l.*::app.login))
			and (l.n = p_send.target_n or p_send.target_n is null and app.is_devices_latest(l.*::app.login))
		order by l.n
		returning (select l.agent_id from app.login l where l.id = login_id) as agent_id
	loop
		v_made := v_made + 1;
		v_bell := v_bell || app.job_bell(v_login.agent_id);
	end loop;
	if app.has_stream(p_send.account_id)
		and (p_send.target_n is null or v_made = 0)
		or exists (select from app.login l where l.account_id = p_send.account_id and l.source = 'stream'
			and l.expires_at > now() and (p_send.target_n is null or l.n = p_send.target_n))
	then
		insert into app.delivery (send_id, account_id, kind, state)
		values (p_send.id, p_send.account_id, 'stream', 'queued');
		v_made := v_made + 1;
	end if;
	if v_made = 0 then
		if not p_offline then
			perform app.refuse(409, 'not-reachable', 'Nobody is logged in there.');
		end if;
		insert into app.delivery (send_id, account_id, kind, state)
		values (p_send.id, p_send.account_id, 'offline', 'stored');
	end if;
	-- Its place in the inbox is given under the lock, so inbox order is the order of commits.
	if exists (select from app.watch w where w.kind = 'login' and w.id = p_send.account_id and w.owner) then
		v_bell := v_bell || app.change_bell('login', p_send.account_id);
	end if;
	return v_bell;
end $$;

create function app.take_inbox(p_account bigint) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_inbox bigint;
begin
	update app.resource r set next_inbox = r.next_inbox + 1
	where r.kind = 'login' and r.id = p_account returning r.next_inbox - 1 into v_inbox;
	return v_inbox;
end $$;

-- The rule behind both doors. p_sender_id is null for an operator; p_target_n null: every contact. p_secure: no phone gets
-- it but over TLS.
create function app.send_put(p_account bigint, p_sender_id bigint, p_sender text, p_target_n bigint, p_type text,
	p_body bytea, p_offline bool, p_due_at timestamptz, p_origin text, p_request_id text, p_secure bool default false,
	out send_id bigint, out n bigint, out bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
	v_send app.send;
	v_due bool := p_due_at is null or p_due_at <= now();
begin
	perform app.lock('login', p_account);
	if p_target_n is not null and not exists (select from app.login l
		where l.account_id = p_account and l.n = p_target_n and l.expires_at > now())
	then
		perform app.refuse(404, 'contact-not-found', 'There is no such contact.');
	end if;
	n := app.take_n('login', p_account);
	insert into app.send (account_id, n, sender_id, sender, target_n, content_type, body, origin, request_id,
		secure, due_at, inbox)
	values (p_account, n, p_sender_id, p_sender, p_target_n, p_type, p_body, p_origin, p_request_id,
		p_secure, case when not v_due then p_due_at end, case when v_due then app.take_inbox(p_account) end)
	returning * into v_send;
	send_id := v_send.id;
	if v_due then
		bell := app.send_fan_out(v_send, p_offline);
	else
		insert into app.delivery (send_id, account_id, kind, state) values (send_id, p_account, 'offline', 'queued');
	end if;
end $$;

create function api.send_post(p_who text, p_proof bytea, p_email text, p_n bigint, p_type text, p_body bytea,
	p_offline bool, p_send_at timestamptz, p_request_id text, p_key text default null, p_print bytea default null)
returns table (n bigint, email text, status text, version bigint, doc text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_caller bigint := app.caller(p_who, p_proof);
	v_account bigint := app.target(v_caller, p_email);
	v_done jsonb := app.idem_begin(v_caller, p_key, p_print);
	v_put record;
begin
	if v_done is not null then
		return query select (v_done ->> 'n')::bigint, v_done ->> 'email', v_done ->> 'status',
			(v_done ->> 'version')::bigint, v_done ->> 'doc', null::text[];
		return;
	end if;
	v_put := app.send_put(v_account, v_caller, app.email(v_caller), p_n,
		coalesce(nullif(p_type, ''), 'application/octet-stream'), coalesce(p_body, ''), coalesce(p_offline, true),
		p_send_at, null, p_request_id);
	select s.n, app.email(v_account), app.send_status(s.id), s.version, app.send_doc(s.id), v_put.bell
	into n, email, status, version, doc, bell
	from app.send s where s.id = v_put.send_id;
	perform app.idem_end(v_caller, p_key, p_print, jsonb_build_object('n', n, 'email', email, 'status', status,
		'version', version, 'doc', doc));
	return next;
end $$;

-- Takes back what was not claimed yet. 409 where any recipient was claimed: the rest are stopped all the same, so this
-- is an answer and not a refusal.
create function api.send_cancel(p_who text, p_proof bytea, p_email text, p_n bigint)
returns table (status int, version bigint, doc text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_caller bigint := app.caller(p_who, p_proof);
	v_account bigint := app.target(v_caller, p_email);
	v_send bigint;
	v_stopped bigint[];
	v_bell text[];
begin
	select s.id into v_send from app.send s
	where s.account_id = v_account and s.n = p_n and s.sender_id = v_caller;
	if v_send is null then
		perform app.refuse(404, 'message-not-found', 'There is no such message of yours.');
	end if;
	v_stopped := array(select d.id from app.delivery d where d.send_id = v_send order by d.id for update);
	with stopped as (
		update app.delivery d set state = 'cancelled', changed_at = now(), settled_at = now()
		where d.id = any (v_stopped) and d.state in ('queued', 'stored')
		returning d.id)
	select array_agg(s.id) into v_stopped from stopped s;
	if v_stopped is not null then
		v_bell := app.touch_sends(array[v_send]);
	end if;
	return query
		select case when exists (select from app.delivery d where d.send_id = v_send and d.state <> 'cancelled')
			then 409 else 200 end, s.version, app.send_doc(v_send), v_bell
		from app.send s where s.id = v_send;
end $$;

-- A MESSAGE that an agent has authenticated. p_origin tells a repeat, which gets the first one's result; p_secure: it is
-- to a sips: URI.
create function api.sip_message(p_agent int, p_credential bigint, p_ha1 text, p_aor text, p_type text, p_body bytea,
	p_origin text, p_request_id text, p_secure bool default false)
returns table (send bigint, n bigint, status text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_caller bigint := app.digest_account(p_credential, p_ha1);
	v_account bigint := app.target(null, p_aor);
	v_origin text := encode(sha256(convert_to(p_origin, 'UTF8')), 'hex');
	v_send bigint;
	v_put record;
	v_bell text[];
begin
	perform app.lock('login', v_account);
	select s.id into v_send from app.send s where s.origin = v_origin;
	if v_send is null then
		v_put := app.send_put(v_account, v_caller, app.email(v_caller), null, p_type, coalesce(p_body, ''), true,
			null, v_origin, p_request_id, p_secure);
		v_send := v_put.send_id;
		v_bell := v_put.bell;
		update app.send s set origin_agent_id = p_agent where s.id = v_send;
	end if;
	return query select s.id, s.n, app.send_status(s.id), v_bell from app.send s where s.id = v_send;
end $$;

create function api.send_outcome(p_sends bigint[]) returns table (send bigint, status text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
	return query select s, app.send_status(s) from unnest(p_sends) s;
end $$;

grant execute on function api.send_post, api.send_cancel to restsip_api;
grant execute on function api.sip_message, api.send_outcome to restsip_agent;
