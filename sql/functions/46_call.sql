-- Calls: who is in them, who may see them. A call is its participants.

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

-- What an account is to a live call: owner, inside (participant or invited: sees sessions), sees it at all. RS404 to
-- whom it does not concern.
create function app.call_access(p_account bigint, p_call bigint, out owner bool, out inside bool, out open bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_seer bool;
begin
	select c.owner_id = p_account, c.open, coalesce(s.inside, false), s.call_id is not null
	into owner, open, inside, v_seer
	from app.call c left join app.call_seer s on s.call_id = c.id and s.account_id = p_account
	where c.id = p_call and c.state <> 'ended';
	if owner is null or not (open or v_seer) then
		perform app.refuse(404, 'call-not-found', 'There is no such call.');
	end if;
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
	return array['id', 'url', 'subject', 'owner', 'state', 'open', 'created_at', 'starts_at', 'ended_at', 'invited',
		'children', 'session', 'invite'];
end $$;

-- What a participant says of itself.
create function app.participant_members(p_extra jsonb) returns jsonb
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
	v_members jsonb := coalesce(p_extra, '{}')
		- array['id', 'url', 'email', 'login', 'via', 'lifetime', 'state', 'sip', 'hold', 'session', 'truncated', 'joined_at',
			'pending', 'ended_at', 'ended'];
begin
	perform app.refuse_large('participant_members', v_members, 'A participant''s own members');
	return v_members;
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

-- p_session: the owner joins with it; p_invite: emails who are rung at once, by whom a session of none is one too.
create function api.call_create(p_who text, p_proof bytea, p_subject text, p_starts_at timestamptz, p_open bool,
	p_invited jsonb, p_extra jsonb, p_key text, p_print bytea, p_session jsonb default null, p_invite jsonb default null)
returns table (id bigint, doc text, version bigint, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.caller(p_who, p_proof);
	v_done jsonb := app.idem_begin(v_caller, p_key, p_print);
	v_extra jsonb := coalesce(p_extra, '{}') - app.call_reserved();
	v_bell text[];
begin
	if v_done is not null then
		return query select (v_done ->> 'id')::bigint, v_done ->> 'doc', (v_done ->> 'version')::bigint, null::text[];
		return;
	end if;
	perform app.refuse_large('call_members', v_extra, 'A call''s own members');
	perform app.call_make_room(v_caller, true, coalesce(p_open, true));
	perform app.callees_lock(p_invite);
	insert into app.call (owner_id, subject, state, open, starts_at, extra)
	values (v_caller, p_subject, case when p_starts_at > now() then 'scheduled' else 'active' end,
		coalesce(p_open, true), p_starts_at, v_extra)
	returning app.call.id into id;
	insert into app.resource (kind, id) values ('call', id) returning app.resource.version into version;
	if p_invited is not null then
		perform app.call_invite(id, p_invited);
	end if;
	if p_session is not null or p_invite is not null then
		perform app.refuse_large_session(p_session);
		insert into app.participant (call_id, n, account_id, session)
		values (id, app.take_n('call', id), v_caller, p_session);
	end if;
	perform app.call_seers_set(id);
	if p_invite is not null then
		v_bell := app.call_invite_now(id, v_caller, p_invite, p_starts_at);
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

-- Live calls that an account may see, by id: a page, see app.login_items. Open ones and those that it is named in come
-- from an index each; others are not walked through, whatever the statistics say.
create function app.call_items(p_account bigint, p_after bigint, p_limit int, p_state text default null)
returns table (id bigint, doc text, fits bool)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
	set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
	v_limit int := least(greatest(coalesce(p_limit, 100), 1), 1000);
	v_most bigint := app.bound('page');
	v_bytes bigint := 0;
	v_rows int := 0;
	v_call app.call;
begin
	for v_call in
		select c.* from (
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
		order by i.id
	loop
		id := v_call.id;
		doc := app.call_item_doc(v_call);
		v_bytes := v_bytes + octet_length(doc) + 1;
		v_rows := v_rows + 1;
		fits := v_rows <= v_limit and (v_rows = 1 or v_bytes < v_most);
		return next;
		exit when not fits;
	end loop;
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

-- p_set: which of the typed members are given (null then means: take away); p_extra is a merge patch.
create function api.call_patch(p_who text, p_proof bytea, p_call bigint, p_set text[], p_subject text,
	p_starts_at timestamptz, p_open bool, p_invited jsonb, p_extra jsonb, p_if_match bigint)
returns table (version bigint, doc text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_access record := app.call_access(app.caller(p_who, p_proof), p_call);
	v_prior bigint;
	v_version bigint;
	v_before bigint[];
	v_extra jsonb;
begin
	if not v_access.owner then
		perform app.refuse(403, 'not-owner', 'Only the call''s owner may do this.');
	end if;
	perform app.refuse_set(p_extra, 'state', (select c.state::text from app.call c where c.id = p_call),
		'DELETE of the call ends it, starts_at schedules it.');
	if 'open' = any (p_set) then -- the owner's profile is locked before the call
		perform app.lock('profile', app.caller(p_who, p_proof));
	end if;
	v_prior := app.lock('call', p_call, p_if_match);
	v_access := app.call_access(app.caller(p_who, p_proof), p_call);
	if 'open' = any (p_set) and coalesce(p_open, true) and not v_access.open then
		perform app.call_make_room(app.caller(p_who, p_proof), false, true);
	end if;
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
	return query select v_version, app.call_doc(p_call, v_access.inside), app.publish('call', p_call, v_version, v_prior,
		case when p_set && array['open', 'invited'] then array[0::bigint] end, v_before);
end $$;

-- Who has left leaves little behind, and the last hundred of a call at that: what one join after the other would make
-- without an end. p_cause: of who was called.
create function app.participant_leave(p_part app.participant, p_cause text default null) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	update app.participant p set state = 'left', left_at = now(), session = null, pending = null, extra = '{}', hold = false,
		ring_until = null, cause = p_cause
	where p.id = p_part.id;
	delete from app.participant p where p.id in (
		select o.id from app.participant o where o.call_id = p_part.call_id and o.state = 'left'
		order by o.left_at desc, o.n desc offset app.bound('call_children_left'));
end $$;

-- One of a call, whose resource is locked, leaves it.
create function app.participant_end(p_part app.participant, p_prior bigint, out version bigint, out bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_before bigint[] := app.call_seers_before(p_part.call_id);
begin
	version := app.advance('call', p_part.call_id);
	if p_part.side <> 'in' and exists (select from app.call c where c.id = p_part.call_id and c.ends_alone) then
		if p_part.side = 'callee' and p_part.state <> 'joined' then
			bell := app.legs_hang_up(p_part.call_id, 0, 'declined', 603, 'Decline');
		end if;
		bell := bell || case when p_part.side = 'callee' and p_part.state <> 'joined'
			then app.call_end(p_part.call_id, p_prior, 'declined', 'declined', 603, 'Decline')
			else app.call_end(p_part.call_id, p_prior, 'declined') end;
		return;
	end if;
	bell := app.participant_part(p_part);
	perform app.call_seers_set(p_part.call_id);
	bell := bell || app.publish('call', p_part.call_id, version, p_prior, array[p_part.account_id], v_before);
end $$;

-- Out of a call that goes on: its phones are hung up, and those who were called for it and have nobody else to talk to.
create function app.participant_part(p_part app.participant) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_peer app.participant;
	v_bell text[];
begin
	if p_part.side = 'in' then
		for v_peer in
			select p.* from app.participant p
			where p.call_id = p_part.call_id and p.by_id = p_part.account_id and p.left_at is null
				and (not p.web or p.state in ('calling', 'ringing')) and not app.call_is_of_phone(p.call_id)
			order by p.n
		loop
			v_bell := v_bell || app.participant_part(v_peer);
		end loop;
	elsif not p_part.web or p_part.state in ('calling', 'ringing') then
		v_bell := app.legs_hang_up(p_part.call_id, 0, 'hangup', p_which => p_part.id) || app.ring_over(p_part, 'caller-gone');
	end if;
	perform app.participant_leave(p_part, case when p_part.side = 'in' then null
		when p_part.state = 'joined' then 'hangup' else 'cancelled' end);
	return v_bell;
end $$;

-- An account leaves a call, if it is in it.
create function app.call_leave(p_call bigint, p_account bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_prior bigint := app.lock('call', p_call);
	v_part app.participant;
begin
	select p.* into v_part from app.participant p
	where p.call_id = p_call and p.account_id = p_account and p.left_at is null order by p.n limit 1;
	if v_part.id is null then
		return null;
	end if;
	return (app.participant_end(v_part, v_prior)).bell;
end $$;

-- Removes calls that have ended, as far as nobody is at them, and says how many.
create function app.call_remove(p_calls bigint[]) returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_calls bigint[] := array(
		select r.id from app.resource r where r.kind = 'call' and r.id = any (p_calls)
		order by r.id for update skip locked);
begin
	v_calls := array(
		select c.id from app.call c where c.id = any (v_calls) and c.state = 'ended' order by c.id for update skip locked);
	delete from app.leg l where l.call_id = any (v_calls) and l.state = 'ended';
	delete from app.call c where c.id = any (v_calls);
	delete from app.resource r where r.kind = 'call' and r.id = any (v_calls);
	return cardinality(v_calls);
end $$;

-- A call has ended: of its owner's ended calls the oldest go, so that one after the other does not fill the disk within
-- the day that they are kept.
create function app.call_make_way(p_call bigint) returns void
language plpgsql volatile as $$
declare
	v_calls bigint[];
begin
	v_calls := array(
		select o.id from app.call c join app.call o on o.owner_id = c.owner_id and o.ended_at is not null
		where c.id = p_call and o.id <> p_call order by o.ended_at desc, o.id desc
		offset app.bound('calls') limit 100);
	if v_calls <> '{}' then
		perform app.call_remove(v_calls);
	end if;
end $$;

-- A batch of the calls that ended, and of who left, longer ago than they are kept.
create function app.sweep_calls(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_before timestamptz := now() - make_interval(secs => app.bound('call_kept'));
begin
	more := app.call_remove(array(
		select c.id from app.call c where c.state = 'ended' and c.ended_at < v_before order by c.ended_at limit 200)) > 0;
	delete from app.participant p where p.id in (
		select o.id from app.participant o where o.state = 'left' and o.left_at < v_before
		order by o.left_at limit 1000 for update skip locked);
	more := more or found;
end $$;

-- Ends a call whose resource is locked, and with it every leg. p_why: what pages that ring are told. p_cause and what follows:
-- how it ended for those who are in it; a code is that of who has not joined. p_legs: some may not have been hung up yet.
create function app.call_end(p_call bigint, p_prior bigint, p_why text default 'caller-gone', p_cause text default null,
	p_code int default null, p_reason text default null, p_legs bool default true) returns text[]
language plpgsql volatile as $$
declare
	v_before bigint[] := app.call_seers_before(p_call);
	v_prior bigint := p_prior;
	v_version bigint;
	v_part app.participant;
	v_bell text[] := case when p_legs then app.legs_hang_up(p_call, 0, 'hangup') end;
begin
	for v_part in
		select p.* from app.participant p where p.call_id = p_call and p.send_id is not null and p.state in ('calling', 'ringing')
	loop
		v_bell := v_bell || app.ring_over(v_part, p_why);
	end loop;
	update app.call c set state = 'ended', ended_at = now(), extra = '{}' where c.id = p_call and c.state <> 'ended';
	update app.participant p set state = 'left', left_at = now(), session = null, pending = null, extra = '{}', ring_until = null,
		cause = coalesce(p.cause, p_cause, case when p.state = 'joined' then 'hangup' else 'cancelled' end),
		code = case when p_code is null or p.state = 'joined' then p.code else p_code end,
		reason = case when p_code is null or p.state = 'joined' then p.reason else p_reason end
	where p.call_id = p_call and p.left_at is null;
	if app.is_watched('call', p_call) then -- who watches it sees how it ended, and then that it is gone
		v_version := app.version_of('call', p_call);
		perform app.log_change('call', p_call, v_version, p_prior, false, null, null);
		v_prior := v_version;
	end if;
	delete from app.call_seer s where s.call_id = p_call;
	perform app.call_make_way(p_call);
	return v_bell || app.publish_gone('call', p_call, v_prior, v_before);
end $$;

create function api.call_delete(p_who text, p_proof bytea, p_call bigint, p_if_match bigint)
returns table (bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.caller(p_who, p_proof);
	v_access record := app.call_access(v_caller, p_call);
	v_prior bigint;
begin
	if not v_access.owner then
		perform app.refuse(403, 'not-owner', 'Only the call''s owner may do this.');
	end if;
	v_prior := app.lock('call', p_call, p_if_match);
	perform app.call_access(v_caller, p_call);
	perform app.advance('call', p_call);
	return query select app.call_end(p_call, v_prior);
end $$;

-- An account joins one more call: RS409 where it is in enough of them. Whoever asks holds its profile, so that two at once do
-- not both find room.
create function app.refuse_more_joined(p_call bigint, p_account bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	if (select count(*) from app.participant p
		where p.account_id = p_account and p.call_id <> p_call and p.left_at is null and p.state = 'joined') >= app.bound('participations')
	then
		perform app.refuse(409, 'too-many-calls', format('You are in %s calls already.', app.bound('participations')));
	end if;
end $$;

-- Who joins is the caller: p_email must be theirs. Who is being called answers by that. Joining a scheduled call starts
-- it. Who is in it already has a new session, as with participant_put, and keeps the number. p_contact_n: leaves with that
-- contact; p_lifetime stream: with the last stream of the call. Of two joins the later one says which.
create function api.call_join(p_who text, p_proof bytea, p_call bigint, p_email text, p_session jsonb, p_extra jsonb,
	p_key text, p_print bytea, p_contact_n bigint default null, p_lifetime text default null)
returns table (n bigint, version bigint, doc text, bell text[], created bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := (app.owner(p_who, p_proof, p_email)).id;
	v_done jsonb := app.idem_begin(v_account, p_key, p_print);
	v_extra jsonb := app.participant_members(p_extra);
	v_prior bigint;
	v_part app.participant;
	v_call record;
begin
	if v_done is not null then
		return query select (v_done ->> 'n')::bigint, (v_done ->> 'version')::bigint, v_done ->> 'doc', null::text[],
			coalesce((v_done ->> 'created')::bool, true);
		return;
	end if;
	perform app.refuse_large_session(p_session);
	perform app.call_access(v_account, p_call);
	perform app.lock('profile', v_account, p_mine => true);
	v_prior := app.lock('call', p_call);
	perform app.caller_holds(v_account);
	perform app.refuse_disabled(v_account);
	perform app.call_access(v_account, p_call);
	perform app.refuse_more_joined(p_call, v_account);
	if p_contact_n is not null and not exists (select from app.login l
		where l.account_id = v_account and l.n = p_contact_n and l.expires_at > now())
	then
		perform app.refuse(400, 'invalid-member', format('`url` names contact %s, which is not there (any more); '
			'`/login/%s` without a number joins without one.', p_contact_n, app.email(v_account)), '/url');
	end if;
	version := app.advance('call', p_call);
	v_call := app.call_claim(p_call, v_account, p_session, v_extra);
	created := v_call.won;
	n := v_call.n;
	if n is null then
		select p.* into v_part from app.participant p
		where p.call_id = p_call and p.account_id = v_account and p.left_at is null and p.state = 'joined' and p.side = 'in';
		created := v_part.id is null;
		n := v_part.n;
		v_call.bell := case when not created then app.page_session(v_part, p_session, v_extra) end;
	end if;
	if n is null then
		perform app.refuse_third(p_call, v_account, p_session);
		if (select count(*) from app.participant p where p.call_id = p_call and p.left_at is null and p.state = 'joined')
			>= app.bound('call_inside')
		then
			perform app.refuse(409, 'call-full', format('The call has %s participants.', app.bound('call_inside')));
		end if;
		insert into app.participant (call_id, n, account_id, session, extra)
		values (p_call, app.take_n('call', p_call), v_account, p_session, v_extra)
		returning participant.* into v_part;
		n := v_part.n;
		-- Whoever was called for it before takes part without media until now.
		v_call.bell := case when (app.page_leg(v_part)).id is not null then app.page_session(v_part, p_session, v_extra) end;
		perform app.call_seers_set(p_call);
	end if;
	update app.participant p set contact_n = p_contact_n, lifetime = p_lifetime, bound_at = now()
	where p.call_id = p_call and p.n = call_join.n;
	update app.call c set state = 'active' where c.id = p_call and c.state = 'scheduled';
	doc := app.participant_doc(app.participant(p_call, n), app.email(v_account), true);
	bell := v_call.bell || app.publish('call', p_call, version, v_prior, array[v_account]);
	perform app.idem_end(v_account, p_key, p_print, jsonb_build_object('n', n, 'version', version, 'doc', doc,
		'created', created));
	return next;
end $$;

-- p_ended: also one that a call shows though it has ended.
create function app.participant(p_call bigint, p_n bigint, p_ended bool default false) returns app.participant
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_part app.participant;
begin
	select p.* into v_part from app.participant p
	where p.call_id = p_call and p.n = p_n and (p.left_at is null or p_ended and p.cause is not null);
	if v_part.id is null then
		perform app.refuse(404, 'participant-not-found', 'There is no such participant.');
	end if;
	return v_part;
end $$;

create function api.participant_get(p_who text, p_proof bytea, p_call bigint, p_n bigint)
returns table (version bigint, doc text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_access record := app.call_access(app.caller(p_who, p_proof), p_call);
	v_part app.participant := app.participant(p_call, p_n, true);
begin
	return query select r.version, app.participant_doc(v_part, app.email(v_part.account_id), v_access.inside)
		from app.resource r where r.kind = 'call' and r.id = p_call;
end $$;

-- A new session of a participant, by themselves. pending: a phone is offered it, and has not answered yet.
create function api.participant_put(p_who text, p_proof bytea, p_call bigint, p_n bigint, p_session jsonb,
	p_extra jsonb, p_if_match bigint)
returns table (version bigint, doc text, bell text[], pending bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.caller(p_who, p_proof);
	v_extra jsonb := app.participant_members(p_extra);
	v_prior bigint;
	v_version bigint;
	v_part app.participant;
	v_bell text[];
begin
	perform app.refuse_large_session(p_session);
	perform app.call_access(v_caller, p_call);
	v_prior := app.lock('call', p_call, p_if_match);
	perform app.call_access(v_caller, p_call);
	v_part := app.participant(p_call, p_n);
	if v_part.account_id <> v_caller then
		perform app.refuse(403, 'not-owner', 'Only the participant may do this.');
	end if;
	v_version := app.advance('call', p_call);
	v_bell := app.page_session(v_part, p_session, v_extra);
	v_part := app.participant(p_call, p_n);
	return query select v_version, app.participant_doc(v_part, app.email(v_caller), true),
		v_bell || app.publish('call', p_call, v_version, v_prior), v_part.pending is not null;
end $$;

-- Leaves: by the participant, or put out by the call's owner.
create function api.participant_delete(p_who text, p_proof bytea, p_call bigint, p_n bigint, p_if_match bigint)
returns table (version bigint, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.caller(p_who, p_proof);
	v_access record := app.call_access(v_caller, p_call);
	v_prior bigint := app.lock('call', p_call, p_if_match);
	v_part app.participant := app.participant(p_call, p_n);
begin
	if v_part.account_id <> v_caller and not v_access.owner then
		perform app.refuse(403, 'not-owner', 'Only the participant or the call''s owner may do this.');
	end if;
	return query select e.version, e.bell from app.participant_end(v_part, v_prior) e;
end $$;

-- An account ends: its calls end, and it leaves those of others. What has ended meanwhile is left as it is.
create function app.call_forget(p_call bigint, p_account bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_prior bigint;
	v_version bigint;
	v_before bigint[];
	v_owner bigint;
	v_alone bool;
	v_part app.participant;
	v_bell text[];
begin
	select r.version into v_prior from app.resource r where r.kind = 'call' and r.id = p_call for update;
	select c.owner_id, c.ends_alone and exists (
		select from app.participant p
		where p.call_id = p_call and p.account_id = p_account and p.side <> 'in' and p.left_at is null)
	into v_owner, v_alone from app.call c where c.id = p_call and c.state <> 'ended';
	if v_owner is null then
		return null;
	end if;
	v_version := app.advance('call', p_call);
	if v_owner = p_account or v_alone then
		return app.call_end(p_call, v_prior);
	end if;
	v_before := app.call_seers_before(p_call);
	for v_part in
		select p.* from app.participant p where p.call_id = p_call and p.account_id = p_account and p.left_at is null order by p.n
	loop
		v_bell := v_bell || app.participant_part(v_part);
	end loop;
	delete from app.participant p where p.call_id = p_call and p.account_id = p_account;
	delete from app.invitation i where i.call_id = p_call and i.account_id = p_account;
	perform app.call_seers_set(p_call);
	return v_bell || app.publish('call', p_call, v_version, v_prior, array[p_account], v_before);
end $$;

-- Takes an account that ends out of calls of others which nobody watches, and no phone is in, all at once. Which of p_calls, whose resources
-- are locked, are left for app.call_forget.
create function app.calls_leave(p_calls bigint[], p_account bigint) returns bigint[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_quiet bigint[];
begin
	if exists (select from app.watch w where w.kind = 'list' and w.id = app.list_id('call')) then
		return p_calls;
	end if;
	v_quiet := array(
		select c.id from app.call c
		where c.id = any (p_calls) and c.owner_id <> p_account and c.state <> 'ended' and not c.ends_alone
			and not exists (select from app.watch w where w.kind = 'call' and w.id = c.id)
			and not exists (select from app.leg l where l.call_id = c.id and l.ended_at is null));
	update app.resource r set version = nextval('app.version_seq') where r.kind = 'call' and r.id = any (v_quiet);
	delete from app.participant p where p.account_id = p_account and p.call_id = any (v_quiet);
	delete from app.invitation i where i.account_id = p_account and i.call_id = any (v_quiet);
	-- As call_seers_set would.
	delete from app.call_seer s where s.account_id = p_account and s.call_id = any (v_quiet);
	update app.call c set empty_since = now()
	where c.id = any (v_quiet) and c.empty_since is null
		and not exists (select from app.participant p where p.call_id = c.id and p.left_at is null);
	return array(select unnest(p_calls) except select unnest(v_quiet) order by 1);
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
