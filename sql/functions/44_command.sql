-- SEND of a command about a call: invite, cancel, reject, dtmf, transfer. The call's rules are those that phones are under (49_leg.sql and beside it);
-- what is sent is for pages. Anything else with that look is a message like any other.

-- Whether an account has a page that would show a call.
create function app.has_page(p_account bigint) returns bool
language plpgsql volatile as $$
begin
	return app.has_stream(p_account) or exists (
		select from app.login l where l.account_id = p_account and l.source = 'stream' and l.expires_at > now());
end $$;

-- A message to the pages of an account, whose login resource is locked. p_n: its number, of app.take_n; p_sender: the email of
-- p_sender_id, whose account may have gone.
create function app.page_send(p_account bigint, p_n bigint, p_sender_id bigint, p_sender text, p_call bigint, p_body text,
	out send_id bigint, out bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	insert into app.send (account_id, n, sender_id, sender, content_type, body, inbox, waits, call_id)
	values (p_account, p_n, p_sender_id, p_sender, 'application/json', convert_to(p_body, 'UTF8'),
		app.take_inbox(p_account), true, p_call)
	returning id into send_id;
	insert into app.delivery (send_id, account_id, kind, state) values (send_id, p_account, 'stream', 'queued');
	bell := array[app.change_bell('login', p_account)];
end $$;

-- A phone's call rings at the callee's pages too, if there are any and they have room. Null: there are none. The callee's
-- login resource is locked.
create function app.pages_ring(p_call bigint, p_caller bigint, p_account bigint, p_sdp text, out send_id bigint,
	out bell text[])
language plpgsql volatile as $$
declare
	v_n bigint;
	v_made record;
begin
	if not app.has_page(p_account) then
		return;
	end if;
	begin
		perform app.send_may_wait(p_account, p_caller, coalesce(octet_length(p_sdp), 0));
	exception when sqlstate 'RS507' then
		return;
	end;
	v_n := app.take_n('login', p_account);
	v_made := app.page_send(p_account, v_n, p_caller, app.email(p_caller), p_call, app.invite_body(p_call, v_n, p_caller));
	send_id := v_made.send_id;
	bell := v_made.bell;
end $$;

-- ---- what has become of a ring ----

-- The ring at an account's pages is over. p_why: what they are told; null: they know.
create function app.ring_over(p_part app.participant, p_why text) returns text[]
language plpgsql volatile as $$
begin
	if p_part.send_id is null or p_part.state not in ('calling', 'ringing') then
		return null;
	end if;
	insert into app.ring_news (account_id, send_id, call_id, why)
	values (p_part.account_id, p_part.send_id, p_part.call_id, p_why);
	return array['restsip_job|call'];
end $$;

-- A phone that a SEND rings has news.
create function app.ring_heard(p_leg app.leg, p_state text, p_code int, p_reason text) returns text[]
language plpgsql volatile as $$
begin
	if p_leg.delivery_id is null then
		return null;
	end if;
	insert into app.ring_news (account_id, send_id, call_id, delivery_id, state, code, reason)
	select d.account_id, d.send_id, p_leg.call_id, d.id, p_state, p_code, p_reason
	from app.delivery d where d.id = p_leg.delivery_id;
	return array['restsip_job|call'];
end $$;

create function app.ring_tell(p_news app.ring_news) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_send app.send;
begin
	if p_news.delivery_id is not null then
		update app.delivery d set state = p_news.state, code = p_news.code, reason = p_news.reason, changed_at = now(),
			settled_at = case when p_news.state <> 'sending' then now() end
		where d.id = p_news.delivery_id and d.state = 'sending';
		return null;
	end if;
	select s.* into v_send from app.send s where s.id = p_news.send_id;
	if not v_send.taken then -- nobody has seen it, and nobody will
		update app.delivery d set state = 'cancelled', changed_at = now(), settled_at = now()
		where d.send_id = p_news.send_id and d.kind <> 'contact' and d.state in ('queued', 'stored');
	elsif p_news.why is not null and v_send.sender_id is not null and app.has_page(p_news.account_id) then
		return (app.page_send(p_news.account_id, app.take_n('login', p_news.account_id), v_send.sender_id, v_send.sender,
			p_news.call_id,
			'{"command":"cancel","url":"/call/' || p_news.call_id || '","id":' || v_send.n || ',"reason":"' || p_news.why
			|| '"}')).bell;
	end if;
	return null;
end $$;

-- Tells what there is, but not of accounts, deliveries or messages that somebody has locked: they are for the next time. An
-- agent's claims stand behind this, so it waits for nobody.
create function app.rings_tell() returns text[]
language plpgsql volatile as $$
declare
	v_accounts bigint[];
	v_sends bigint[];
	v_held bigint[];
	v_news app.ring_news;
	v_bell text[];
begin
	if not exists (select from app.ring_news) then
		return null;
	end if;
	v_accounts := array(
		select r.id from app.resource r
		where r.kind = 'login'
			and r.id in (select n.account_id from app.ring_news n group by n.account_id order by min(n.id) limit 32)
		order by r.id for update skip locked);
	delete from app.ring_news n where n.id in (
		select o.id from app.ring_news o
		where not exists (select from app.resource r where r.kind = 'login' and r.id = o.account_id) for update skip locked);
	v_sends := array(select distinct n.send_id from app.ring_news n where n.account_id = any (v_accounts));
	with free as materialized (
		select d.id from app.delivery d where d.send_id = any (v_sends) order by d.id for update skip locked)
	select coalesce(array_agg(d.send_id), '{}') into v_held
	from app.delivery d left join free f on f.id = d.id where d.send_id = any (v_sends) and f.id is null;
	with free as materialized (
		select s.id from app.send s
		where s.id = any (v_sends) and s.id <> all (v_held) order by s.id for no key update skip locked)
	select v_held || coalesce(array_agg(s.id), '{}') into v_held
	from app.send s left join free f on f.id = s.id where s.id = any (v_sends) and f.id is null;
	v_sends := array(select s from unnest(v_sends) s where s <> all (v_held));
	for v_news in
		select n.* from app.ring_news n where n.account_id = any (v_accounts) and n.send_id = any (v_sends) order by n.id
	loop
		begin
			v_bell := v_bell || app.ring_tell(v_news);
		exception when others then -- or nobody would be told of anything any more
			raise warning 'a ring''s news failed: % %', sqlstate, sqlerrm;
		end;
		delete from app.ring_news n where n.id = v_news.id;
	end loop;
	return v_bell || app.touch_sends(v_sends);
end $$;

-- ---- commands ----

-- What a SEND says of a call; command null: it is a message. code: what a rejection says over SIP; digits: keys; to_id: to whom one
-- is handed on.
create function app.call_command(p_sender bigint, p_type text, p_body bytea, out command text, out call bigint,
	out code int, out reason text, out digits text, out to_id bigint)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_json jsonb;
	v_command text;
begin
	if p_type !~* '^\s*application/json\s*(;|$)' or position('"command"'::bytea in p_body) = 0 then
		return;
	end if;
	begin
		v_json := convert_from(p_body, 'UTF8')::jsonb;
	exception when data_exception or program_limit_exceeded then
		return;
	end;
	v_command := v_json ->> 'command';
	call := substring(v_json ->> 'url' from '^/call/([0-9]{1,18})$');
	if jsonb_typeof(v_json) <> 'object' or coalesce(v_command, '') not in ('invite', 'cancel', 'reject', 'dtmf', 'transfer')
		or not app.command_holds(p_sender, v_command, call)
	then
		return;
	end if;
	if v_command = 'reject' then
		code := app.reject_code(v_json -> 'reason');
		reason := case code when 486 then 'Busy Here' when 480 then 'Temporarily Unavailable' when 603 then 'Decline' end;
	end if;
	if v_command = 'dtmf' then
		digits := upper(v_json ->> 'digits');
		if coalesce(jsonb_typeof(v_json -> 'digits'), '') <> 'string' or digits !~ '^[0-9A-D*#]{1,32}$' then
			perform app.refuse(400, 'invalid-member', '`digits` is a string of 1 to 32 keys: 0 to 9, *, #, A to D; '
				|| app.value_text(v_json -> 'digits'), '/digits');
		end if;
	end if;
	if v_command = 'transfer' then
		to_id := app.transfer_target(v_json -> 'to');
	end if;
	command := v_command;
end $$;

-- Whether a command is the sender's to give: of a live call that they own, and have not handed on, or are in. Keys are pressed by who was called there,
-- or has called somebody: not by everybody who joins a call that is open.
create function app.command_holds(p_sender bigint, p_command text, p_call bigint) returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return exists (select from app.call c where c.id = p_call and c.state <> 'ended' and (
		p_command <> 'reject' and c.owner_id = p_sender and not app.call_is_handed_on(p_call, p_sender)
		or exists (
			select from app.participant p
			where p.call_id = p_call and p.account_id = p_sender and p.left_at is null
				and (p_command <> 'reject' or p.state <> 'joined')
				-- who has come to look at a call of two rings nobody in it, and ends no ring: that might end it
				and (p_command not in ('invite', 'cancel') or p.side <> 'in' or not c.ends_alone)
				and (p_command <> 'dtmf' or p.state = 'joined'
					and (p.side <> 'in' or exists (select from app.participant o
						where o.call_id = p_call and o.by_id = p_sender and o.left_at is null))))));
end $$;

-- The code of a rejection's reason.
create function app.reject_code(p_reason jsonb) returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	c_codes constant int[] := array[404, 410, 415, 480, 484, 486, 488, 600, 603, 604, 606, 607, 608];
begin
	if jsonb_typeof(p_reason) = 'number' then
		if p_reason <> all (select to_jsonb(c) from unnest(c_codes) c) then
			perform app.refuse(400, 'invalid-member', format('A reason is busy, unavailable, or one of %s.',
				array_to_string(c_codes, ', ')), '/reason');
		end if;
		return (p_reason #>> '{}')::numeric::int;
	end if;
	return case p_reason #>> '{}' when 'busy' then 486 when 'unavailable' then 480 else 603 end;
end $$;

-- An account's phones are rung by REST; at its pages the send itself rings. The call and the login are locked. How many phones.
create function app.call_ring(p_call bigint, p_by bigint, p_account bigint, p_send bigint, p_target_n bigint,
	out phones int, out bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	c_ring_s constant int := 60;
	v_to bigint;
	v_rung record;
	v_sdp text;
	v_has_page bool := app.has_page(p_account);
	v_before bigint[] := app.call_seers_before(p_call);
	v_prior bigint := app.version_of('call', p_call);
begin
	phones := 0;
	if not (app.has_contact(p_account) or v_has_page) or exists (
		select from app.participant p where p.call_id = p_call and p.account_id = p_account and p.left_at is null)
	then
		return;
	end if;
	if app.call_is_of_phone(p_call) then
		perform app.refuse(409, 'needs-mixer', 'The call is of a phone, or was dialled: it is for two, and nobody mixes here.');
	end if;
	v_sdp := app.call_offer(p_call, p_by);
	v_to := app.participant_phone(p_call, p_account, 'callee', null, p_by);
	v_rung := app.legs_ring(p_call, 0, p_account, v_to, 'sip:' || app.email(p_by), 70, c_ring_s, false, null, p_by,
		v_sdp, p_send, p_target_n);
	phones := v_rung.made;
	if phones = 0 and not v_has_page then
		delete from app.participant p where p.id = v_to;
		return;
	end if;
	update app.participant p set send_id = p_send, ring_until = now() + make_interval(secs => c_ring_s), web = phones = 0
	where p.id = v_to;
	perform app.call_seers_set(p_call);
	bell := v_rung.bell || app.publish('call', p_call, app.advance('call', p_call), v_prior, array[p_account], v_before);
end $$;

create function app.has_contact(p_account bigint) returns bool
language plpgsql volatile as $$
begin
	return exists (select from app.login l
		where l.account_id = p_account and l.expires_at > now() and l.contact is not null);
end $$;

-- What a call by REST offers to phones: the session of who calls. Null: they have given none, and the phone offers; who
-- has another kind of session, or has not joined, takes part without media. A phone is at one end of one page's media.
create function app.call_offer(p_call bigint, p_by bigint) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_part app.participant;
	v_sdp text;
begin
	select p.* into v_part from app.participant p
	where p.call_id = p_call and p.account_id = p_by and p.left_at is null and p.state = 'joined' and p.side = 'in';
	if v_part.id is not null and coalesce(v_part.session, 'null') = 'null' then
		return null;
	end if;
	v_sdp := app.session_sdp(v_part.session);
	if v_sdp is not null and (exists (
			select from app.participant p where p.call_id = p_call and p.by_id = p_by and p.left_at is null and not p.web)
		or exists (select from app.transfer t where t.call_id = p_call and t.kept_id = v_part.id))
	then
		perform app.refuse(409, 'needs-mixer', 'Your media have a phone at their other end already; nobody mixes here.');
	end if;
	return coalesce(v_sdp, app.sdp_inactive(null));
end $$;

-- The other two: what it does to the call. p_code: of a rejection; p_by: whose command it is. False: there was nothing to end.
create function app.command_end(p_call bigint, p_account bigint, p_cause text, p_code int, p_reason text, p_why text,
	p_by bigint, out done bool, out bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_part app.participant;
begin
	select p.* into v_part from app.participant p
	where p.call_id = p_call and p.account_id = p_account and p.side = 'callee' and p.state in ('calling', 'ringing');
	done := v_part.id is not null;
	if done then
		bell := app.call_over(v_part, 0, p_cause, p_code, p_reason, null, p_why,
			case when p_cause = 'cancelled' then null else 'SIP;cause=' || p_code end, p_by);
	end if;
end $$;

-- A SEND that is a command, in the place of app.send_put. p_command: of app.call_command; p_body null: is written here. Whoever
-- asks has counted it, and has the sender's profile locked where phones are rung.
create function app.command_put(p_command record, p_account bigint, p_sender_id bigint, p_target_n bigint, p_type text,
	p_body bytea, p_offline bool, p_request_id text, out send_id bigint, out n bigint, out bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_reached int := 0;
	v_has_page bool;
	v_done record;
begin
	perform app.lock('call', p_command.call);
	if p_command.command = 'transfer' then
		perform app.transfer_lock(p_account, p_command.to_id);
	end if;
	perform app.lock('login', p_account, p_mine => p_account = p_sender_id);
	perform app.caller_holds(p_sender_id);
	perform app.refuse_for_disabled(p_account);
	if not app.command_holds(p_sender_id, p_command.command, p_command.call) then
		perform app.refuse(404, 'call-not-found', 'There is no such call.');
	end if;
	if p_target_n is not null and not exists (select from app.login l
		where l.account_id = p_account and l.n = p_target_n and l.expires_at > now())
	then
		perform app.refuse(404, 'contact-not-found', 'There is no such contact.');
	end if;
	begin
		perform app.send_may_wait(p_account, p_sender_id, coalesce(octet_length(p_body), 0));
	exception when sqlstate 'RS507' then
		-- A call can always be ended: pages that have no place for that see it by the call itself.
		if p_command.command not in ('cancel', 'reject') then
			raise;
		end if;
		v_has_page := false;
	end;
	n := app.take_n('login', p_account);
	insert into app.send (account_id, n, sender_id, sender, target_n, content_type, body, request_id, inbox, waits, call_id)
	values (p_account, n, p_sender_id, app.email(p_sender_id), p_target_n, p_type,
		coalesce(p_body, convert_to(app.invite_body(p_command.call, n, p_sender_id), 'UTF8')), p_request_id,
		app.take_inbox(p_account), true, p_command.call)
	returning id into send_id;
	if p_command.command = 'invite' then
		v_done := app.call_ring(p_command.call, p_sender_id, p_account, send_id, p_target_n);
		bell := v_done.bell;
		v_reached := v_done.phones;
	elsif p_command.command = 'dtmf' then
		v_done := app.keys_press(p_command.call, p_account, send_id, p_command.digits);
		bell := v_done.bell;
		v_reached := v_done.phones;
	elsif p_command.command = 'transfer' then
		bell := app.transfer_by_rest(p_command.call, p_sender_id, p_account, p_command.to_id);
		v_reached := 1;
		insert into app.delivery (send_id, account_id, kind, state, settled_at)
		values (send_id, p_account, 'contact', 'delivered', now());
	else
		v_done := app.command_end(p_command.call,
			case p_command.command when 'reject' then p_sender_id else p_account end,
			case p_command.command when 'reject' then app.leg_cause(p_command.code) else 'cancelled' end,
			case p_command.command when 'reject' then p_command.code else 487 end, p_command.reason,
			case p_command.command when 'reject' then 'declined' end, p_sender_id);
		bell := v_done.bell;
		if not v_done.done and not v_has_page then
			perform app.send_may_wait(p_account, p_sender_id, coalesce(octet_length(p_body), 0));
		end if;
		if v_done.done then
			v_reached := 1;
			insert into app.delivery (send_id, account_id, kind, state, settled_at)
			values (send_id, p_account, 'contact', 'delivered', now());
		end if;
	end if;
	if coalesce(v_has_page, app.has_page(p_account)) and (p_command.command not in ('dtmf', 'transfer') or v_reached = 0) then
		insert into app.delivery (send_id, account_id, kind, state) values (send_id, p_account, 'stream', 'queued');
		bell := bell || app.change_bell('login', p_account);
		v_reached := v_reached + 1;
	end if;
	if v_reached = 0 then
		if not p_offline then
			perform app.refuse(409, 'not-reachable', 'Nobody is logged in there.');
		end if;
		insert into app.delivery (send_id, account_id, kind, state, code, reason, settled_at)
		values (send_id, p_account, 'offline', 'failed', 480, 'Nobody is logged in there', now());
	end if;
	update app.send s set waits = app.send_status(s.id) in ('queued', 'sending', 'stored') where s.id = command_put.send_id;
end $$;

-- What a page that is called reads, where no client has written it. p_n: of the send; p_by: whose session it shows.
create function app.invite_body(p_call bigint, p_n bigint, p_by bigint) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_session text := (
		select p.session::text from app.participant p
		where p.call_id = p_call and p.account_id = p_by and p.left_at is null and p.side <> 'callee' order by p.n limit 1);
begin
	-- Where it is too long the call has it.
	return '{"command":"invite","url":"/call/' || p_call || '","id":' || p_n
		|| case when octet_length(v_session) < 65000 then ',"session":' || v_session else '' end || '}';
end $$;

-- Locks the login resources of whom a call is to ring. Before the first row that names their accounts: who ends has the
-- login, and waits for the account.
create function app.callees_lock(p_emails jsonb) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform from app.resource r
	where r.kind = 'login' and r.id in (
		select a.id from jsonb_array_elements_text(p_emails) e join app.account a on a.email_key = app.email_key(e))
	order by r.id for update;
end $$;

-- CANCEL of a SEND that rings, which is locked with its call. done: it has rung, and does so no more.
create function app.ring_cancel(p_account bigint, p_n bigint, p_sender_id bigint, out done bool, out bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_call bigint;
	v_part app.participant;
begin
	done := false;
	select s.call_id into v_call from app.send s
	where s.account_id = p_account and s.n = p_n and s.sender_id = p_sender_id;
	if v_call is null then
		return;
	end if;
	perform from app.resource r where r.kind = 'call' and r.id = v_call for update;
	select p.* into v_part from app.participant p join app.send s on s.id = p.send_id
	where p.call_id = v_call and s.account_id = p_account and s.n = p_n and p.state in ('calling', 'ringing');
	if v_part.id is not null then
		done := true;
		bell := app.call_over(v_part, 0, 'cancelled', 487, p_by => p_sender_id);
	end if;
end $$;

-- Rings of REST whose time is over. One a turn: a call is locked before another's.
create function app.expire_rings(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_part app.participant;
	v_call bigint;
begin
	select r.id into v_call
	from app.participant p join app.resource r on r.kind = 'call' and r.id = p.call_id
	where p.ring_until < now() order by p.ring_until limit 1 for update of r skip locked;
	more := v_call is not null;
	for v_part in
		select p.* from app.participant p where p.call_id = v_call and p.ring_until < now() order by p.id
	loop
		begin
			if v_part.state in ('calling', 'ringing') then
				bell := bell || app.call_over(v_part, 0, 'no-answer', 480, 'No answer', null, 'no-answer');
			else
				update app.participant p set ring_until = null where p.id = v_part.id;
			end if;
		exception when others then -- behind the others
			perform app.duty_failed('expire_rings', sqlstate, sqlerrm);
			update app.participant p set ring_until = now() + interval '1 min' where p.id = v_part.id;
		end;
	end loop;
end $$;

-- A command that no page has come for; tomorrow's must not ring. Its delivery and the login are locked.
create function app.command_missed(p_delivery bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_send bigint;
begin
	update app.delivery d set state = 'failed', code = 480, reason = 'Stream gone', changed_at = now(), settled_at = now()
	where d.id = p_delivery returning d.send_id into v_send;
	return app.touch_sends(array[v_send]);
end $$;
