-- Calls: what they are, and who may see them. A call is its participants.

-- Writes down anew who sees a live call besides everybody, where it is open: the one place of that rule; and since when
-- nobody has been in it. The call's resource is locked.
create function app.call_seers_set(p_call bigint) returns void
language plpgsql volatile as $$
begin
	with seer as materialized (
		select o.account_id, bool_or(o.inside) as inside
		from (
			select c.owner_id as account_id, false as inside from app.call c where c.id = p_call
			union all select p.account_id, true from app.participant p where p.call_id = p_call and p.left_at is null
			union all select i.account_id, true from app.invitation i where i.call_id = p_call) o
		where exists (select from app.call c where c.id = p_call and c.state <> 'ended')
		group by o.account_id),
	gone as (
		delete from app.call_seer s where s.call_id = p_call and s.account_id not in (select account_id from seer))
	insert into app.call_seer as s (call_id, account_id, inside) select p_call, n.account_id, n.inside from seer n
	on conflict (call_id, account_id) do update set inside = excluded.inside where s.inside <> excluded.inside;
	update app.call c set empty_since = case when c.empty_since is null then now() end
	where c.id = p_call and c.state <> 'ended' and (c.empty_since is null) <> exists (
		select from app.participant p where p.call_id = p_call and p.left_at is null);
end $$;

-- What an account is to a live call: owner, inside (participant or invited: sees sessions), sees it at all.
create function app.call_sight(p_account bigint, p_call bigint, out owner bool, out inside bool, out open bool, out sees bool)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	select c.owner_id = p_account, c.open, coalesce(s.inside, false), c.open or s.call_id is not null
	into owner, open, inside, sees
	from app.call c left join app.call_seer s on s.call_id = c.id and s.account_id = p_account
	where c.id = p_call and c.state <> 'ended';
	sees := coalesce(sees, false);
end $$;

-- Whether somebody has handed a call on: who owns it commands it no more then.
create function app.call_is_handed_on(p_call bigint, p_account bigint) returns bool
language plpgsql volatile as $$
begin
	return exists (
		select from app.participant p where p.call_id = p_call and p.account_id = p_account and p.cause = 'transferred');
end $$;

-- Of those with that cause, whether it is the one that says so of the call's owner, which stays for as long as the call is up.
create function app.participant_is_mark(p_part app.participant) returns bool
language plpgsql volatile as $$
begin
	return exists (
		select from app.call c where c.id = p_part.call_id and c.owner_id = p_part.account_id and c.state <> 'ended')
		and not exists (
			select from app.participant p
			where p.call_id = p_part.call_id and p.account_id = p_part.account_id and p.cause = 'transferred' and p.id > p_part.id);
end $$;

create function app.refuse_not_owner(p_owner bool, p_handed_on bool) returns void
language plpgsql volatile as $$
begin
	if p_handed_on then
		perform app.refuse(403, 'not-owner', 'You have handed this call on; only who is in it may end it, by leaving.');
	elsif not p_owner then
		perform app.refuse(403, 'not-owner',
			'Only the call''s owner may do this. Who is in it leaves by DELETE of their participant, /call/{id}/{n}.');
	end if;
end $$;

-- The same, but that an owner who has handed it on (handed_on) is none; RS404 to whom it does not concern.
create function app.call_access(p_account bigint, p_call bigint, out owner bool, out inside bool, out open bool, out handed_on bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_sight record := app.call_sight(p_account, p_call);
begin
	if not v_sight.sees then
		perform app.refuse(404, 'call-not-found', 'There is no such call.');
	end if;
	handed_on := v_sight.owner and app.call_is_handed_on(p_call, p_account);
	owner := v_sight.owner and not handed_on;
	inside := v_sight.inside;
	open := v_sight.open;
end $$;

create function app.call_invite(p_call bigint, p_invited jsonb) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_unknown record;
	v_most bigint := app.bound('call_invited');
begin
	if jsonb_typeof(p_invited) <> 'array' then
		perform app.refuse(400, 'invalid-member', 'invited is an array of emails.', '/invited');
	end if;
	if jsonb_array_length(p_invited) > v_most then
		perform app.refuse(409, 'call-full', format('At most %s are invited to a call.', v_most), '/invited');
	end if;
	-- Who is found now stays until the commit.
	perform from app.account a
	where a.email_key in (select app.email_key(e #>> '{}') from jsonb_array_elements(p_invited) e) order by a.id for key share;
	select '/invited/' || e.n - 1 as pointer, left(e.value #>> '{}', 254) as email into v_unknown
	from jsonb_array_elements(p_invited) with ordinality e (value, n)
	where jsonb_typeof(e.value) <> 'string' or not exists (
		select from app.account a where a.email_key = app.email_key(e.value #>> '{}'))
	order by e.n limit 1;
	if found then
		perform app.refuse(400, 'invalid-member', format('There is no user %s.', v_unknown.email), v_unknown.pointer);
	end if;
	delete from app.invitation i where i.call_id = p_call and i.account_id <> all (array(
		select a.id from jsonb_array_elements_text(p_invited) e join app.account a on a.email_key = app.email_key(e)));
	insert into app.invitation (call_id, account_id)
	select distinct p_call, a.id from jsonb_array_elements_text(p_invited) e join app.account a on a.email_key = app.email_key(e)
	on conflict (call_id, account_id) do nothing;
end $$;

create function app.call_reserved() returns text[]
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return array['id', 'url', 'subject', 'owner', 'state', 'open', 'created_at', 'starts_at', 'ended_at', 'ended', 'invited',
		'children', 'session', 'invite'];
end $$;

create function app.refuse_large_session(p_session jsonb) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
	v_most bigint := app.bound('session');
begin
	if app.written(p_session) > v_most then
		perform app.refuse(413, 'document-too-large', format('A session has at most %s bytes, written out.', v_most),
			'/session');
	end if;
end $$;

-- One more live call of an owner, or one that is to be open: RS409 where there are enough. Whoever asks holds the
-- owner's profile from here on, so that two at once do not both find room.
create function app.call_make_room(p_owner bigint, p_new bool, p_open bool) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_calls bigint;
	v_open bigint;
begin
	perform app.lock('profile', p_owner, p_mine => true);
	select count(*), count(*) filter (where c.open) into v_calls, v_open
	from app.call c where c.owner_id = p_owner and c.ended_at is null;
	if p_new and v_calls >= app.bound('calls') then
		perform app.refuse(409, 'too-many-calls', format('You have %s calls already.', app.bound('calls')));
	end if;
	if p_open and v_open >= app.bound('calls_open') then
		perform app.refuse(409, 'too-many-calls', format('You have %s open calls already.', app.bound('calls_open')),
			'/open');
	end if;
end $$;

-- p_session: the owner joins with it; p_invite: emails who are rung, at once, by whom a session of none is one too, or when it starts; without
-- a session two, of whom one is the owner, are dialled (53_dial.sql).
create function api.call_create(p_who text, p_proof bytea, p_subject text, p_starts_at timestamptz, p_open bool,
	p_invited jsonb, p_extra jsonb, p_key text, p_print bytea, p_session jsonb default null, p_invite jsonb default null)
returns table (id bigint, doc text, version bigint, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.caller(p_who, p_proof);
	v_done jsonb := app.idem_begin(v_caller, p_key, p_print);
	v_extra jsonb := coalesce(p_extra, '{}') - app.call_reserved();
	v_is_later bool := coalesce(p_starts_at > now(), false);
	v_bell text[];
begin
	if v_done is not null then
		return query select (v_done ->> 'id')::bigint, v_done ->> 'doc', (v_done ->> 'version')::bigint, null::text[];
		return;
	end if;
	p_invite := app.call_invite_mine(p_invite, v_caller);
	perform app.refuse_large('call_members', v_extra, 'A call''s own members');
	perform app.refuse_set(p_extra, 'state', case when v_is_later then 'scheduled' else 'active' end,
		'a call is scheduled where starts_at is later, else active; DELETE ends it.', 'POST');
	perform app.call_make_room(v_caller, true, coalesce(p_open, true));
	perform app.callees_lock(p_invite);
	insert into app.call (owner_id, subject, state, open, starts_at, extra)
	values (v_caller, p_subject, case when v_is_later then 'scheduled' else 'active' end,
		coalesce(p_open, true), p_starts_at, v_extra)
	returning app.call.id into id;
	insert into app.resource (kind, id) values ('call', id) returning app.resource.version into version;
	if p_invited is not null then
		perform app.call_invite(id, p_invited);
	end if;
	if p_session is not null or p_invite is not null and not v_is_later and app.dial_to(id, v_caller, p_invite) is null then
		perform app.refuse_large_session(p_session);
		insert into app.participant (call_id, n, account_id, session)
		values (id, app.take_n('call', id), v_caller, p_session);
	end if;
	perform app.call_seers_set(id);
	if p_invite is not null and v_is_later then
		perform app.call_invite_later(id, true, p_invite);
	elsif p_invite is not null then
		v_bell := app.call_invite_now(id, v_caller, p_invite);
		version := app.version_of('call', id);
	end if;
	doc := app.call_doc(id, true);
	bell := v_bell || app.publish('call', id, version, version);
	perform app.idem_end(v_caller, p_key, p_print, jsonb_build_object('id', id, 'doc', doc, 'version', version));
	return next;
end $$;

-- A call as /call shows it.
create function app.call_item_doc(p_call app.call) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return app.doc_close(app.call_head(p_call) || ',"participants":' || (
		select count(*) from app.participant p where p.call_id = p_call.id and p.left_at is null and p.state = 'joined'), p_call.extra);
end $$;

-- Live calls that an account may see, by id: a page, see app.page_items. Open ones and those that it is named in come
-- from an index each; others are not walked through, whatever the statistics say.
create function app.call_items(p_account bigint, p_after bigint, p_limit int, p_state text default null)
returns table (id bigint, doc text, fits bool)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
	set cursor_tuple_fraction = 1 set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
	v_limit int := app.page_limit(p_limit);
	v_items refcursor;
begin
	open v_items for
		select c.id, app.call_item_doc(c.*::app.call) from (
			(select o.id from app.call o
			where p_state is null and o.open and o.state <> 'ended' and o.id > coalesce(p_after, 0)
			order by o.id limit v_limit + 1)
			union
			(select o.id from app.call o
			where o.state = p_state and o.open and o.state <> 'ended' and o.id > coalesce(p_after, 0)
			order by o.id limit v_limit + 1)
			union
			(select s.call_id from app.call_seer s
			where s.account_id = p_account and s.call_id > coalesce(p_after, 0) and (p_state is null
				or exists (select from app.call c where c.id = s.call_id and c.state = p_state))
			order by s.call_id limit v_limit + 1)
			order by 1 limit v_limit + 1) i
		join app.call c on c.id = i.id
		order by i.id;
	return query select i.key::bigint, i.doc, i.fits from app.page_items(v_items, v_limit) i;
end $$;

-- p_state: scheduled or active alone.
create function api.call_list(p_who text, p_proof bytea, p_after bigint, p_limit int, p_state text default null)
returns table (id bigint, doc text, fits bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return query select i.id, i.doc, i.fits from app.call_items(app.caller(p_who, p_proof), p_after, p_limit, p_state) i;
end $$;

-- Who was in a call until its end sees how it ended, while it is kept: the bound call_kept.
create function api.call_get(p_who text, p_proof bytea, p_call bigint)
returns table (version bigint, inside bool, doc text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.caller(p_who, p_proof);
	v_access record;
	v_inside bool := false;
begin
	if not exists (
		select from app.call c join app.participant p on p.call_id = c.id
		where c.id = p_call and c.state = 'ended' and p.account_id = v_caller and p.left_at >= c.ended_at)
	then
		v_access := app.call_access(v_caller, p_call);
		v_inside := v_access.inside;
	end if;
	return query select r.version, v_inside, app.call_doc(p_call, v_inside)
		from app.resource r where r.kind = 'call' and r.id = p_call;
end $$;

-- p_set: which of the typed members are given (null then means: take away); p_extra is a merge patch. p_invite: emails who are rung at once,
-- or, of one that is to start yet, then.
create function api.call_patch(p_who text, p_proof bytea, p_call bigint, p_set text[], p_subject text,
	p_starts_at timestamptz, p_open bool, p_invited jsonb, p_extra jsonb, p_if_match bigint, p_invite jsonb default null)
returns table (version bigint, doc text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_access record := app.call_access(app.caller(p_who, p_proof), p_call);
	v_prior bigint;
	v_version bigint;
	v_before bigint[];
	v_extra jsonb;
	v_bell text[];
begin
	perform app.refuse_not_owner(v_access.owner, v_access.handed_on);
	p_invite := app.call_invite_mine(p_invite, app.caller(p_who, p_proof));
	perform app.refuse_set(p_extra, 'state', (select c.state::text from app.call c where c.id = p_call),
		'DELETE of the call ends it, starts_at schedules it.');
	if p_set && array['open', 'invite'] then -- the owner's profile is locked before the call
		perform app.lock('profile', app.caller(p_who, p_proof));
	end if;
	v_prior := app.lock('call', p_call, p_if_match);
	v_access := app.call_access(app.caller(p_who, p_proof), p_call);
	perform app.refuse_not_owner(v_access.owner, v_access.handed_on);
	if 'open' = any (p_set) and coalesce(p_open, true) and not v_access.open then
		perform app.call_make_room(app.caller(p_who, p_proof), false, true);
	end if;
	perform app.callees_lock(p_invite);
	v_before := app.call_seers_before(p_call);
	v_version := app.advance('call', p_call);
	update app.call c set
		subject = case when 'subject' = any (p_set) then p_subject else c.subject end,
		open = case when 'open' = any (p_set) then coalesce(p_open, true) else c.open end,
		starts_at = case when 'starts_at' = any (p_set) then p_starts_at else c.starts_at end,
		state = case when 'starts_at' <> all (p_set) then c.state
			when p_starts_at > now() then 'scheduled' else 'active' end,
		extra = app.merge_patch(c.extra, coalesce(p_extra, '{}') - app.call_reserved())
	where c.id = p_call returning c.extra into v_extra;
	perform app.refuse_large('call_members', v_extra, 'A call''s own members');
	if 'invited' = any (p_set) then
		perform app.call_invite(p_call, coalesce(p_invited, '[]'));
		perform app.call_seers_set(p_call);
	end if;
	if p_set && array['invite', 'starts_at'] then
		perform app.call_invite_later(p_call, 'invite' = any (p_set), p_invite);
	end if;
	v_bell := app.publish('call', p_call, v_version, v_prior, case when p_set && array['open', 'invited'] then array[0::bigint] end, v_before);
	if p_invite is not null and (select c.state <> 'scheduled' from app.call c where c.id = p_call) then
		v_bell := v_bell || app.call_invite_now(p_call, app.caller(p_who, p_proof), p_invite);
	end if;
	return query select app.version_of('call', p_call), app.call_doc(p_call, v_access.inside), v_bell;
end $$;

-- Scheduled calls whose time has come.
create function app.start_due_calls(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_end timestamptz;
	v_calls bigint[];
	v_since timestamptz;
	v_turn record;
begin
	more := false;
	select array_agg(o.id order by o.starts_at), min(o.starts_at) into v_calls, v_since
	from (
		select c.id, c.starts_at from app.call c where c.state = 'scheduled' and c.starts_at <= now()
		order by c.starts_at limit 100) o;
	for v_turn in select * from app.turn_lock('call', v_calls, v_since) loop
		v_end := coalesce(v_end, app.turn_end());
		exit when clock_timestamp() > v_end;
		begin
			update app.call c set state = 'active' where c.id = v_turn.id and c.state = 'scheduled' and c.starts_at <= now();
			continue when not found;
			bell := bell || app.publish('call', v_turn.id, app.advance('call', v_turn.id), v_turn.prior);
			more := true;
		exception when others then
			perform app.duty_failed('start_due_calls', sqlstate, sqlerrm);
		end;
	end loop;
end $$;
