-- SEND and MESSAGE: one rule, two doors. A send is committed with its deliveries before anybody hears 2xx.

-- One status for a send: the best that any recipient came to, or what is still under way.
create function app.send_status(p_send bigint) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return (select d.state from app.delivery d where d.send_id = p_send
		order by array_position(array['displayed', 'delivered', 'accepted', 'sending', 'queued', 'stored', 'failed', 'cancelled'],
			d.state) limit 1);
end $$;

-- A sent message and a recipient of it, each without its closing brace.
create function app.send_head(p_send app.send, p_email text) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
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

create function app.send_recipients(p_send bigint) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return (select '[' || coalesce(string_agg(app.recipient_head(d.*::app.delivery) || '}', ',' order by d.id), '') || ']'
		from app.delivery d where d.send_id = p_send);
end $$;

create function app.send_doc(p_send bigint) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return (select app.send_head(s.*::app.send, a.email) || ',"recipients":' || app.send_recipients(s.id) || '}'
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
		select s.version into v_prior from app.send s where s.id = v_send for no key update;
		update app.send s set version = nextval('app.version_seq'),
			waits = s.inbox is not null and app.send_status(s.id) in ('queued', 'sending', 'stored')
		where s.id = v_send returning s.version, s.origin_agent_id into v_version, v_agent;
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
language plpgsql volatile as $$
begin
	return exists (select from app.watch w
		where w.kind = 'login' and w.id = p_account and w.owner and w.closed_at is null);
end $$;

-- Whether what goes to a binding goes over TLS.
create function app.is_secure(p_login app.login) returns bool
language plpgsql immutable as $$
begin
	return p_login.contact ~* '^sips:' or app.flow_has_tls(p_login.flow);
end $$;

-- Whether a binding is the one that its device is reached by: of several flows the latest (RFC 5626, section 7).
create function app.is_devices_latest(p_login app.login) returns bool
language plpgsql stable as $$
begin
	return p_login.instance is null or p_login.id = (
		select l.id from app.login l
		where l.account_id = p_login.account_id and l.instance = p_login.instance and l.expires_at > now()
		order by app.bound_at(l) desc, l.id desc limit 1);
end $$;

-- Makes the deliveries of a send that is due; the recipient's login resource is locked. A contact that too much waits for
-- does not get it: it waits for the account, unless somebody else has it. p_refuse: RS413 where there are only contacts
-- that it is too large for; p_offline false: RS409 where nobody is there.
create function app.send_fan_out(p_send app.send, p_offline bool, p_refuse bool default false) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_bell text[];
	v_bytes int := octet_length(p_send.body) + octet_length(p_send.content_type) + octet_length(p_send.sender);
	v_made int := 0;
	v_too_large int := 0;
	v_full int := 0;
	v_login record;
	v_owner bool;
	v_stream bool;
begin
	v_owner := app.has_stream(p_send.account_id);
	v_stream := exists (
		select from app.login l where l.account_id = p_send.account_id and l.source = 'stream' and l.expires_at > now()
			and (p_send.target_n is null or l.n = p_send.target_n));
	for v_login in
		with contact as materialized (
			select l.id, l.n, l.contact, l.agent_id, app.destination(l.*::app.login) as destination,
				case when app.is_too_large(v_bytes, l.*::app.login) then 413
					when app.contact_room(l.id) <= 0 then 480 end as code
			from app.login l
			where l.account_id = p_send.account_id and l.expires_at > now() and l.contact is not null
				and (not p_send.secure or app.is_secure(l.*::app.login))
				and (l.n = p_send.target_n or p_send.target_n is null and app.is_devices_latest(l.*::app.login))),
		made as (
			insert into app.delivery (send_id, account_id, kind, login_id, contact, state, code, reason, settled_at,
				sender_id, agent_id, destination)
			select p_send.id, p_send.account_id, 'contact', c.id, c.contact,
				case when c.code is null then 'queued' else 'failed' end, c.code,
				case c.code when 413 then 'Too large for UDP' when 480 then 'Too much waits for it' end,
				case when c.code is not null then now() end, coalesce(p_send.sender_id, 0), coalesce(c.agent_id, 0),
				c.destination
			from contact c
			where c.code is distinct from 480 or v_stream or v_owner
				or exists (select from contact o where o.code is null)
			order by c.n)
		select c.code, c.agent_id from contact c order by c.n
	loop
		if v_login.code is null then
			v_made := v_made + 1;
			v_bell := v_bell || app.job_bell(v_login.agent_id);
		elsif v_login.code = 413 then
			v_too_large := v_too_large + 1;
		else
			v_full := v_full + 1;
		end if;
	end loop;
	if v_stream or v_owner and (p_send.target_n is null or v_made = 0) then
		insert into app.delivery (send_id, account_id, kind, state)
		values (p_send.id, p_send.account_id, 'stream', 'queued');
		v_made := v_made + 1;
	end if;
	if v_made + v_full = 0 and v_too_large > 0 then
		if p_refuse then
			perform app.refuse(413, 'content-too-large',
				'No datagram holds it, and there is nothing but UDP to send it over.');
		end if;
	elsif v_made = 0 then
		if not p_offline and v_full = 0 then
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
	update app.resource r set next_inbox = greatest(r.next_inbox, (select e.floor from app.epoch e)) + 1
	where r.kind = 'login' and r.id = p_account returning r.next_inbox - 1 into v_inbox;
	return v_inbox;
end $$;

-- A message that may wait for an account, whose login resource is locked: RS507 where too much does already. Messages
-- that are due and that nobody has yet count, whether they are stored or still tried: those become stored.
create function app.send_may_wait(p_account bigint, p_sender_id bigint, p_bytes int) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_all record;
begin
	select count(*) as sends, coalesce(sum(octet_length(s.body)), 0) as bytes,
		count(*) filter (where s.sender_id = p_sender_id) as of_sender,
		coalesce(sum(octet_length(s.body)) filter (where s.sender_id = p_sender_id), 0) as bytes_of_sender
	into v_all
	from app.send s where s.account_id = p_account and s.waits;
	if v_all.sends = 0 then
		return;
	end if;
	if v_all.sends >= app.bound('sends_stored') or v_all.bytes + p_bytes > app.bound('sends_stored_bytes') then
		perform app.refuse(507, 'too-much-waiting', format('At most %s messages, or %s bytes, wait for an account.',
			app.bound('sends_stored'), app.bound('sends_stored_bytes')));
	end if;
	if v_all.of_sender >= app.bound('sender_stored')
		or v_all.bytes_of_sender + p_bytes > app.bound('sender_stored_bytes')
	then
		perform app.refuse(507, 'too-much-waiting', format(
			'At most %s messages, or %s bytes, of one sender wait for an account.', app.bound('sender_stored'),
			app.bound('sender_stored_bytes')));
	end if;
end $$;

create function app.send_too_many(p_since timestamptz) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform app.refuse_for(429, 'too-many-sends', format('An account sends at most %s messages a minute, and to %s contacts.',
		app.bound('sends'), app.bound('sends_contacts')), extract(epoch from p_since + interval '1 minute' - now()));
end $$;

-- RS429 where an account has sent its messages of this minute already. Only a look: app.send_count counts.
create function app.send_check(p_sender_id bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_since timestamptz;
begin
	select r.since into v_since from app.send_rate r
	where r.account_id = p_sender_id and r.since > now() - interval '1 minute'
		and (r.sends >= app.bound('sends') or r.deliveries >= app.bound('sends_contacts'));
	if found then
		perform app.send_too_many(v_since);
	end if;
end $$;

-- Removes messages with all that hangs on them, and says how many. Deliveries are locked before sends; one that somebody
-- has locked is left for the next time.
create function app.send_remove(p_sends bigint[]) returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_held bigint[];
	v_removed int;
begin
	if p_sends = '{}' then
		return 0;
	end if;
	with free as materialized (
		select d.id from app.delivery d where d.send_id = any (p_sends) order by d.id for update skip locked)
	select array_agg(d.send_id) into v_held
	from app.delivery d left join free f on f.id = d.id where d.send_id = any (p_sends) and f.id is null;
	delete from app.send s where s.id in (
		select o.id from app.send o
		where o.id = any (p_sends) and o.id <> all (coalesce(v_held, '{}')) for update skip locked);
	get diagnostics v_removed = row_count;
	return v_removed;
end $$;

-- Of a sender's messages that nobody is to get any more the latest are kept: else those that arrive at once would fill the
-- disk for as long as messages are kept.
create function app.sender_trim(p_sender_id bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_messages bigint := app.bound('sender_kept');
	v_bytes bigint := app.bound('sender_kept_bytes');
begin
	perform app.send_remove(array(
		select o.id from (
			select s.id, row_number() over w as messages, sum(octet_length(s.body)) over w as bytes
			from app.send s where s.sender_id = p_sender_id and s.inbox is not null and not s.waits
			window w as (order by s.id desc)) o
		where (o.messages > v_messages or o.bytes > v_bytes) and not exists (
			select from app.delivery d where d.send_id = o.id and d.state in ('queued', 'sending', 'stored'))
		order by o.id limit 1000));
end $$;

-- Counts a message of an account, and to how many contacts it goes: a refusal undoes that. This row is locked last, and
-- until the commit, so that no two at once pass as the last one.
create function app.send_count(p_sender_id bigint, p_contacts bigint default 1) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_rate record;
begin
	insert into app.send_rate as r (account_id, since, sends, deliveries, total) values (p_sender_id, now(), 1, p_contacts, 1)
	on conflict (account_id) do update set
		since = case when r.since > now() - interval '1 minute' then r.since else now() end,
		sends = case when r.since > now() - interval '1 minute' then r.sends + 1 else 1 end,
		deliveries = case when r.since > now() - interval '1 minute' then r.deliveries else 0 end + p_contacts,
		total = r.total + 1
	returning r.since, r.sends, r.deliveries - p_contacts as before, r.total into v_rate;
	if v_rate.sends > app.bound('sends') or v_rate.before >= app.bound('sends_contacts') then
		perform app.send_too_many(v_rate.since);
	end if;
	if v_rate.total % 500 = 0 then -- to look costs something
		perform app.sender_trim(p_sender_id);
	end if;
end $$;

-- Counts what an INVITE sends to pages, which is no message of the account's minute, so that it is not kept without an end.
create function app.send_keep(p_sender_id bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_total bigint;
begin
	insert into app.send_rate as r (account_id, since, sends, total) values (p_sender_id, now(), 0, 1)
	on conflict (account_id) do update set total = r.total + 1 returning r.total into v_total;
	if v_total % 500 = 0 then
		perform app.sender_trim(p_sender_id);
	end if;
end $$;

-- What is sent later is due while it would still be kept.
create function app.send_may_be_later(p_due_at timestamptz) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	if p_due_at > now() + make_interval(days => app.bound('send_kept')::int) then
		perform app.refuse(400, 'invalid-parameter', format('send_at is within %s days.', app.bound('send_kept')));
	end if;
end $$;

-- RS409 where a sender, whose row of app.send_rate is locked, has scheduled more than it may.
create function app.send_count_scheduled(p_sender_id bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	if app.bound('sends_scheduled') < (
		select count(*) from app.send s where s.sender_id = p_sender_id and s.inbox is null)
	then
		perform app.refuse(409, 'too-many-scheduled', format('An account has at most %s messages that are due later.',
			app.bound('sends_scheduled')));
	end if;
end $$;

-- The rule behind both doors. p_sender_id is null for an operator; p_target_n null: every contact. p_secure: no phone gets
-- it but over TLS.
create function app.send_put(p_account bigint, p_sender_id bigint, p_sender text, p_target_n bigint, p_type text,
	p_body bytea, p_offline bool, p_due_at timestamptz, p_origin text, p_request_id text, p_secure bool default false,
	p_message_id text default null, out send_id bigint, out n bigint, out bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_send app.send;
	v_due bool := p_due_at is null or p_due_at <= now();
begin
	perform app.send_check(p_sender_id);
	perform app.send_may_be_later(p_due_at);
	perform app.lock('login', p_account, p_mine => p_account = p_sender_id);
	perform app.caller_holds(p_sender_id);
	perform app.refuse_for_disabled(p_account);
	if p_target_n is not null and not exists (select from app.login l
		where l.account_id = p_account and l.n = p_target_n and l.expires_at > now())
	then
		perform app.refuse(404, 'contact-not-found', 'There is no such contact.');
	end if;
	if v_due then
		perform app.send_may_wait(p_account, p_sender_id, octet_length(p_body));
	end if;
	n := app.take_n('login', p_account);
	insert into app.send (account_id, n, sender_id, sender, target_n, content_type, body, origin, request_id,
		secure, due_at, inbox, waits, message_id)
	values (p_account, n, p_sender_id, p_sender, p_target_n, p_type, p_body, p_origin, p_request_id,
		p_secure, case when not v_due then p_due_at end, case when v_due then app.take_inbox(p_account) end, v_due,
		nullif(p_message_id, ''))
	returning * into v_send;
	send_id := v_send.id;
	if v_due then
		bell := app.send_fan_out(v_send, p_offline, true);
	else
		insert into app.delivery (send_id, account_id, kind, state) values (send_id, p_account, 'offline', 'queued');
	end if;
	if p_sender_id is not null then
		-- What is due later counts now, by the contacts of now: when it is due nobody is there to be refused.
		perform app.send_count(p_sender_id, case when v_due
			then (select count(*) from app.delivery d where d.send_id = v_send.id and d.kind = 'contact')
			else (select count(*) from app.login l where l.account_id = p_account and l.contact is not null and l.expires_at > now()) end);
	end if;
	if p_sender_id is not null and not v_due then
		perform app.send_count_scheduled(p_sender_id);
	end if;
end $$;

create function api.send_post(p_who text, p_proof bytea, p_email text, p_n bigint, p_type text, p_body bytea,
	p_offline bool, p_send_at timestamptz, p_request_id text, p_key text default null, p_print bytea default null,
	p_message_id text default null)
returns table (n bigint, email text, status text, version bigint, doc text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.caller(p_who, p_proof);
	v_account bigint := app.target(v_caller, p_email);
	v_done jsonb := app.idem_begin(v_caller, p_key, p_print);
	v_command record;
	v_put record;
begin
	if v_done is not null then
		return query select (v_done ->> 'n')::bigint, v_done ->> 'email', v_done ->> 'status',
			(v_done ->> 'version')::bigint, v_done ->> 'doc', null::text[];
		return;
	end if;
	v_command := app.call_command(v_caller, p_type, p_body);
	if v_command.command is not null and p_send_at is null then
		perform app.send_check(v_caller);
		if v_command.command = 'transfer' or v_command.command = 'invite' and app.has_contact(v_account) then
			perform app.leg_make_room(v_caller, true);
		end if;
		v_put := app.command_put(v_command, v_account, v_caller, p_n, p_type, p_body, coalesce(p_offline, true), p_request_id);
		perform app.send_count(v_caller);
	else
		v_put := app.send_put(v_account, v_caller, app.email(v_caller), p_n,
			coalesce(nullif(p_type, ''), 'application/octet-stream'), coalesce(p_body, ''), coalesce(p_offline, true),
			p_send_at, null, p_request_id, p_message_id => p_message_id);
	end if;
	select s.n, app.email(v_account), app.send_status(s.id), s.version, app.send_doc(s.id), v_put.bell
	into n, email, status, version, doc, bell
	from app.send s where s.id = v_put.send_id;
	perform app.idem_end(v_caller, p_key, p_print, jsonb_build_object('n', n, 'email', email, 'status', status,
		'version', version, 'doc', doc));
	return next;
end $$;

-- Takes back what was not claimed yet, by an agent or by a stream that has read it; of an invitation, what it rings. 409 where any recipient was claimed:
-- the rest are stopped all the same, so this is an answer and not a refusal.
create function api.send_cancel(p_who text, p_proof bytea, p_email text, p_n bigint)
returns table (status int, version bigint, doc text, recipients text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.caller(p_who, p_proof);
	v_account bigint := app.target(v_caller, p_email);
	v_send bigint;
	v_taken bool;
	v_ring record;
	v_bell text[];
begin
	v_ring := app.ring_cancel(v_account, p_n, v_caller);
	v_bell := v_ring.bell;
	-- Whoever makes deliveries, or moves them, holds the login: it is waited for, and what is there then is all.
	perform from app.resource r where r.kind = 'login' and r.id = v_account for update;
	select s.id into v_send from app.send s
	where s.account_id = v_account and s.n = p_n and s.sender_id = v_caller;
	if v_send is null then
		perform app.refuse(404, 'message-not-found', 'There is no such message of yours.');
	end if;
	perform from app.resource r where r.kind = 'login' and r.id = v_account for update;
	perform from app.delivery d where d.send_id = v_send order by d.id for update;
	select s.taken into v_taken from app.send s where s.id = v_send for no key update;
	perform app.caller_holds(v_caller);
	if v_taken is null then
		perform app.refuse(404, 'message-not-found', 'There is no such message of yours.');
	end if;
	update app.delivery d set state = 'cancelled', changed_at = now(), settled_at = now()
	where d.send_id = v_send and (d.state in ('queued', 'stored') and (d.kind = 'contact' or not v_taken)
		or v_ring.done and d.state = 'sending');
	if found then
		v_bell := v_bell || app.touch_sends(array[v_send]);
	end if;
	return query
		select case when v_ring.done then 200 when v_taken or exists (select from app.delivery d where d.send_id = v_send and d.state <> 'cancelled')
			then 409 else 200 end, s.version, app.send_doc(v_send), app.send_recipients(v_send), v_bell
		from app.send s where s.id = v_send;
end $$;

-- A MESSAGE that an agent has authenticated. p_origin tells a repeat, which gets the first one's result; p_secure: it is
-- to a sips: URI.
create function api.sip_message(p_agent int, p_credential bigint, p_ha1 text, p_aor text, p_type text, p_body bytea,
	p_origin text, p_request_id text, p_secure bool default false, p_message_id text default null)
returns table (send bigint, n bigint, status text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.digest_account(p_credential, p_ha1);
	v_account bigint := app.target(null, p_aor);
	v_origin text := encode(sha256(convert_to(p_origin, 'UTF8')), 'hex');
	v_send bigint;
	v_put record;
	v_bell text[];
begin
	perform app.lock('login', v_account, p_mine => v_account = v_caller);
	select s.id into v_send from app.send s where s.origin = v_origin;
	if v_send is null then
		v_put := app.send_put(v_account, v_caller, app.email(v_caller), null, p_type, coalesce(p_body, ''), true,
			null, v_origin, p_request_id, p_secure, p_message_id);
		v_send := v_put.send_id;
		v_bell := v_put.bell;
		update app.send s set origin_agent_id = p_agent where s.id = v_send;
	end if;
	return query select s.id, s.n, app.send_status(s.id), v_bell from app.send s where s.id = v_send;
end $$;

create function api.send_outcome(p_sends bigint[]) returns table (send bigint, status text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return query select s, app.send_status(s) from unnest(p_sends) s;
end $$;

grant execute on function api.send_post, api.send_cancel to restsip_api;
grant execute on function api.sip_message, api.send_outcome to restsip_agent;
