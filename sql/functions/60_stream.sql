-- Open streams: who watches what, what has changed since, and the inbox.

-- Who opens a stream: by header, or by a ticket, which is used up: session is what can be shown in its place. Whoever
-- ends the session or changes the password waits for this transaction, or this one for them: so either the stream is
-- refused, or they see that it is there.
create function app.stream_caller(p_who text, p_proof bytea, p_ticket bytea, out account bigint,
	out expires_at timestamptz, out session bytea, out session_id bigint)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	if p_ticket is not null then
		-- Tickets and sessions stand behind their account: whoever ends them has it FOR NO KEY UPDATE.
		perform from app.account a
		where a.id = (select t.account_id from app.ticket t where t.ticket = p_ticket) for share;
		delete from app.ticket t where t.ticket = p_ticket and t.expires_at > now()
		returning t.account_id, t.session_token into account, session;
		if account is null then
			perform app.refuse(401, 'unauthorized', 'There is no such ticket: one is of POST /session/ticket, for one '
				'stream, within 60 seconds.');
		end if;
		if session is null then -- it was got for a password
			insert into app.session (token, account_id, expires_at)
			values (sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')), account,
				now() + interval '1 day')
			returning token into session;
		end if;
	else
		account := app.caller(p_who, p_proof);
		if p_who is null then
			session := p_proof;
		else
			perform from app.account a
			where a.id = account and convert_to(a.password_hash, 'UTF8') = p_proof for share;
			if not found then
				perform app.refuse(401, 'unauthorized', 'The credentials are wrong or have expired.');
			end if;
			perform app.refuse_disabled(account);
			return;
		end if;
	end if;
	select s.expires_at, s.id into expires_at, session_id from app.session s
	where s.token = session and s.expires_at > now() for share;
	if expires_at is null then
		perform app.refuse(401, 'unauthorized', 'The session has ended.');
	end if;
end $$;

-- What a stream is on, as its caller may see it: RS404 to whom it does not concern, RS403 for another's mail. Keys are
-- as in the doorbell: an email (or me), a call's id, for a sent message its recipient and number, `email/n`, and for a
-- list its name.
create function app.watch_target(p_caller bigint, p_kind app.resource_kind, p_key text,
	out id bigint, out key text, out inside bool, out mine bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_access record;
begin
	if p_kind = 'call' then
		id := case when p_key ~ '^[0-9]{1,18}$' then p_key::bigint else 0 end;
		v_access := app.call_access(p_caller, id);
		inside := v_access.inside;
		mine := v_access.owner;
		key := id::text;
	elsif p_kind = 'send' then
		select s.id into id from app.send s
		where s.account_id = app.target(p_caller, regexp_replace(p_key, '/[0-9]+$', ''))
			and s.n::text = substring(p_key from '[0-9]+$') and p_caller in (s.sender_id, s.account_id);
		if id is null then
			perform app.refuse(404, 'message-not-found', 'There is no such message of yours.');
		end if;
		inside := true;
		mine := true;
		key := id::text;
	elsif p_kind = 'list' then
		id := app.list_id(p_key);
		key := p_key;
		inside := false;
		mine := false;
	else
		id := app.target(p_caller, p_key);
		mine := id = p_caller;
		inside := mine;
		key := app.email(id);
		if p_kind in ('mailbox', 'calls') and not mine then
			perform app.refuse(403, 'not-owner', format('Only %s may do this; these are the credentials of %s.', key,
				app.email(p_caller)));
		end if;
	end if;
end $$;

-- Must be committed before the first watch_read: then either that read sees a write or its writer sees this row.
-- p_quiet: not as who is there by it: an owner for messages, a participant for its call. participant: of the caller, who
-- is in the call for as long as its streams are: a watch of its own, to be closed as such. So it is with bearer: the caller's
-- session, whose logins live with this.
create function api.watch_open(p_process int, p_who text, p_proof bytea, p_ticket bytea, p_kind text, p_key text,
	p_quiet bool default false)
returns table (id bigint, key text, mine bool, inside bool, caller bigint, expires_at text, access bigint,
	session bytea, version bigint, expires_s int, participant bigint, bearer bigint)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_kind app.resource_kind;
	v_caller record := app.stream_caller(p_who, p_proof, p_ticket);
	v_target record;
	v_participant bigint;
	v_bearer bigint;
	-- Before access is looked at: that is as it was then, or later.
	v_version bigint := (select r.version from app.resource r where r.kind = 'call' and p_kind = 'call'
		and r.id = case when p_key ~ '^[0-9]{1,18}$' then p_key::bigint end);
begin
	-- After a crash all is opened anew; only that a ticket is used up must be known then.
	perform set_config('synchronous_commit', 'off', true) where p_ticket is null;
	if p_kind not in ('call', 'calls', 'list', 'login', 'mailbox', 'profile', 'send')
		or p_kind = 'list' and app.list_id(p_key) is null
	then
		perform app.refuse(404, 'not-found', 'There is no such resource.');
	end if;
	v_kind := p_kind;
	v_target := app.watch_target(v_caller.account, v_kind, p_key);
	insert into app.watch as w (kind, id, process_id, owner, since)
	values (v_kind, v_target.id, p_process, v_kind = 'login' and v_target.mine and not p_quiet,
		case v_kind when 'list' then app.list_inherit(p_process, v_target.id) end)
	on conflict on constraint watch_pkey do update set closed_at = null, owner = w.owner or excluded.owner,
		since = coalesce(w.since, excluded.since)
	where w.closed_at is not null or excluded.owner and not w.owner;
	insert into app.watch as w (kind, id, process_id) values ('session', v_caller.account, p_process)
	on conflict on constraint watch_pkey do update set closed_at = null where w.closed_at is not null;
	if v_kind = 'call' and not p_quiet then
		select p.id into v_participant from app.participant p
		where p.call_id = v_target.id and p.account_id = v_caller.account and p.lifetime is not null and p.left_at is null;
	end if;
	if v_kind = 'login' and v_target.mine and not p_quiet then
		v_bearer := v_caller.session_id;
	end if;
	insert into app.watch as w (kind, id, process_id)
	select o.kind, o.id, p_process
	from (values ('participant'::app.resource_kind, v_participant), ('bearer', v_bearer)) o(kind, id)
	where o.id is not null
	on conflict on constraint watch_pkey do update set closed_at = null where w.closed_at is not null;
	return query select v_target.id, v_target.key, v_target.mine and not p_quiet, v_target.inside, v_caller.account,
		app.time_text(v_caller.expires_at), a.access, v_caller.session, v_version,
		case when v_caller.expires_at is not null then
			greatest(1, ceil(extract(epoch from v_caller.expires_at - now())))::int end, v_participant, v_bearer
		from app.account a where a.id = v_caller.account;
end $$;

-- One object of a document, by its id: a contact of a login, a participant of a call. Null: not (or no more) there.
create function app.doc_item(p_kind app.resource_kind, p_doc text, p_n bigint) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	if p_n is null or p_doc is null then
		return p_doc;
	end if;
	return (select e::text
		from jsonb_array_elements(case p_kind when 'call' then p_doc::jsonb -> 'children' else p_doc::jsonb end) e
		where e ->> 'id' = p_n::text);
end $$;

-- The resource as it is (one row, prior null), or each change after p_since, where the log reaches back to it, the
-- first p_limit of them; `more`: there are others, which did not fit. p_limit 0: the last alone, with the rechecks of
-- all. p_inside: as watch_open said; p_n: one contact or participant of it.
-- p_base: for who is told differences. What such a client has must follow from its version alone, so the row of p_since
-- itself comes before the changes, without it there is only the state, and that is as the log has it, where it has:
-- between a lapse and the janitor it still shows what has lapsed.
create function api.watch_read(p_kind text, p_id bigint, p_since bigint, p_lock bool, p_inside bool default true,
	p_n bigint default null, p_base bool default false, p_limit int default null)
returns table (version bigint, prior bigint, settled bool, doc text, gone bool, recheck bigint[], more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_kind app.resource_kind := p_kind;
	v_version bigint;
	v_doc text;
	v_public bool := not p_inside and v_kind in ('call', 'profile');
begin
	if p_lock and v_kind = 'send' then
		perform from app.send s where s.id = p_id for share;
	elsif p_lock then
		perform from app.resource r where r.kind = v_kind and r.id = p_id for share;
	end if;
	v_version := app.version_of(v_kind, p_id);
	if p_since = v_version and not p_base then
		return;
	end if;
	if p_since is not null then
		return query select c.version, c.prior, true, c.doc, c.doc is null, c.recheck, c.more
			from app.changes_since(v_kind, p_id, p_since, v_public, p_n, p_base, p_limit) c;
		if found then
			return;
		end if;
	end if;
	-- In one query, so that both are of one moment.
	select v.version, coalesce(case when p_base then app.logged_doc(v_kind, p_id, v.version, v_public, p_n) end,
		app.doc_item(v_kind, app.render(v_kind, p_id, p_inside), p_n))
	into v_version, v_doc
	from (select app.version_of(v_kind, p_id) as version) v;
	if v_version is null then
		v_doc := null; -- of an account that is no more there is still a list, without anything
	end if;
	-- Of past calls nothing is logged: what a stream shows of them is short, and is the step itself.
	return query select v_version, case when v_kind = 'calls' and p_since < v_version and not p_base then p_since end, true, v_doc,
		v_doc is null, null::bigint[], false;
end $$;

-- The row stays for a minute, so that who comes back finds what happened meanwhile. A login that lives with these streams, of
-- its session or else of its owner, has 30 s from here on; while there is another, the janitor goes on extending it.
create function api.watch_close(p_process int, p_kind text, p_id bigint, p_only_owner bool) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_owner bool;
begin
	select w.owner into v_owner from app.watch w
	where w.kind = p_kind::app.resource_kind and w.id = p_id and w.process_id = p_process for update;
	update app.watch w set owner = false, closed_at = case when not p_only_owner then now() end
	where w.kind = p_kind::app.resource_kind and w.id = p_id and w.process_id = p_process;
	if v_owner then
		update app.login l set expires_at = now() + interval '30 s', sweep_at = now() + interval '30 s'
		where l.account_id = p_id and l.source = 'stream' and l.session_id is null and l.expires_at > now();
	elsif p_kind = 'bearer' then
		update app.login l set expires_at = now() + interval '30 s', sweep_at = now() + interval '30 s'
		where l.session_id = p_id and l.expires_at > now();
	end if;
end $$;

-- Which of many resources have another version than the reader's, or an inbox another head: their places in the arrays,
-- from 1, and that version. What stands behind the doorbells.
create function api.watch_poll(p_kinds text[], p_ids bigint[], p_versions bigint[], p_inboxes bigint[])
returns table (place int, version bigint)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return query
		select p.place::int, coalesce(r.version, s.version, a.access, h.version)
		from unnest(p_kinds, p_ids, p_versions, p_inboxes) with ordinality p (kind, id, version, inbox, place)
		left join app.resource r on r.kind = p.kind::app.resource_kind and r.id = p.id
		left join app.send s on p.kind = 'send' and s.id = p.id and exists (select from app.account o where o.id = s.account_id)
		left join app.account a on p.kind = 'session' and a.id = p.id
		left join lateral (
			select app.past_calls_version(p.id) as version where p.kind = 'calls') h on true
		where coalesce(r.version, s.version, a.access, h.version) is distinct from p.version
			or p.inbox is not null and r.next_inbox - 1 is distinct from p.inbox
		order by p.place;
end $$;

-- Messages for an account's streams in inbox order. Numbers are given under the account's lock, so a reader that has
-- seen k has seen all below k. p_after null: only what is not delivered yet; p_opened_s: from p_after on what was not
-- when the reader came, that many seconds ago, even if it has been delivered to another of the account's streams since.
-- What is read is as good as shown, and taken back no more: whoever takes it back waits for this, or this for him and
-- leaves it out. (A crash of the database may forget that, as it forgets the stream.)
create function api.inbox_read(p_account bigint, p_after bigint, p_limit int, p_opened_s int default null)
returns table (head bigint, inbox bigint, n bigint, sender text, content_type text, body bytea, sent_at text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_head bigint;
	v_sends bigint[];
	v_is_free bool;
	v_is_held bool := false;
begin
	loop
		select r.next_inbox - 1, array_agg(s.id) filter (where s.id is not null), bool_or(s.waits and not s.taken)
		into v_head, v_sends, v_is_free
		from app.resource r
		left join lateral (
			select s.id, s.inbox, s.waits, s.taken from app.send s
			where p_after is not null and s.account_id = p_account and s.inbox > p_after
				and exists (select from app.delivery d where d.send_id = s.id and d.state <> 'cancelled'
					-- a ring that is over rings nobody
					and (s.call_id is null or d.kind = 'stream' and d.state in ('queued', 'delivered'))
					and (s.target_n is null or d.kind <> 'contact')
					and (p_opened_s is null or d.kind <> 'contact' and (d.state in ('stored', 'queued')
						or d.settled_at between now() - make_interval(secs => p_opened_s + 10) and clock_timestamp())))
			union all
			select s.id, s.inbox, s.waits, s.taken from app.send s
			where p_after is null and s.inbox is not null and s.id in (
				select d.send_id from app.delivery d
				where d.account_id = p_account and d.kind <> 'contact' and d.state in ('stored', 'queued'))
			order by inbox limit p_limit) s on true
		where r.kind = 'login' and r.id = p_account
		group by r.next_inbox;
		exit when v_is_free is not true;
		-- These may still be taken back. Then the page is another one. Who makes deliveries or moves them holds the login:
		-- without it, what became due meanwhile would be locked after what is newer.
		if not v_is_held then
			set local synchronous_commit = off;
			perform from app.resource r where r.kind = 'login' and r.id = p_account for update;
			v_is_held := true;
			continue;
		end if;
		perform from app.send s where s.id = any (v_sends) and s.waits and not s.taken order by s.id for no key update;
		update app.send s set taken = true where s.id = any (v_sends) and s.waits and not s.taken;
	end loop;
	if v_head is not null then
		return query
			select v_head, s.inbox, s.n, s.sender, s.content_type, s.body, app.time_text(s.created_at)
			from (select) one left join app.send s on s.id = any (v_sends)
			order by s.inbox;
	end if;
end $$;

-- These were written to an open stream of their recipient. Where the streams were no recipient (a resume replays what
-- a phone has or could not have), they are one now.
create function api.inbox_written(p_process int, p_account bigint, p_inbox bigint[]) returns table (bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_deliveries bigint[];
	v_sends bigint[];
begin
	-- Several processes may have written the same: each sees what the one before has made of it.
	perform from app.resource r where r.kind = 'login' and r.id = p_account for update;
	v_deliveries := array(
		select d.id from app.delivery d join app.send s on s.id = d.send_id
		where d.account_id = p_account and d.kind <> 'contact' and d.state in ('stored', 'queued')
			and s.inbox = any (p_inbox)
		order by d.id for update of d);
	perform from app.send s where s.account_id = p_account and s.inbox = any (p_inbox) order by s.id for no key update;
	with written as (
		update app.delivery d set kind = 'stream', state = 'delivered', code = null, reason = null,
			changed_at = now(), settled_at = now()
		where d.id = any (v_deliveries) and d.state in ('stored', 'queued')
		returning d.send_id),
	replayed as (
		insert into app.delivery (send_id, account_id, kind, state, settled_at)
		select s.id, p_account, 'stream', 'delivered', now()
		from app.send s
		where s.account_id = p_account and s.inbox = any (p_inbox) and not exists (
			select from app.delivery d where d.send_id = s.id and d.kind <> 'contact')
		returning send_id)
	select array_agg(w.send_id) into v_sends from (
		select send_id from written union all select send_id from replayed) w;
	if v_sends is null then
		return query select null::text[];
	else
		return query select app.touch_sends(v_sends);
	end if;
end $$;

grant execute on function api.watch_open, api.watch_read, api.watch_poll, api.watch_close, api.inbox_read,
	api.inbox_written to restsip_stream;
