-- Calls: who is in them, who may see them. A call is its participants.

create function app.participant_doc(p_part app.participant, p_email text, p_session bool) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
	return app.doc_close('{"id":' || p_part.n || ',"url":"/call/' || p_part.call_id || '/' || p_part.n || '"'
		|| ',"email":' || to_json(p_email) || ',"login":' || to_json('/login/' || app.url_segment(p_email))
		|| ',"state":"' || p_part.state || '"'
		|| case when p_session and p_part.session is not null then ',"session":' || p_part.session::text else '' end
		|| ',"joined_at":"' || app.time_text(p_part.joined_at) || '"', p_part.extra);
end $$;

-- A call without its closing brace and its children.
create function app.call_head(p_call app.call) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return '{"id":"' || p_call.id || '","url":"/call/' || p_call.id || '"'
		|| case when p_call.subject is null then '' else ',"subject":' || to_json(p_call.subject) end
		|| ',"owner":' || to_json(app.email(p_call.owner_id))
		|| ',"state":"' || p_call.state || '","open":' || p_call.open
		|| ',"created_at":"' || app.time_text(p_call.created_at) || '"'
		|| case when p_call.starts_at is null then '' else ',"starts_at":"' || app.time_text(p_call.starts_at) || '"' end
		|| case when p_call.ended_at is null then '' else ',"ended_at":"' || app.time_text(p_call.ended_at) || '"' end
		|| coalesce((
			select ',"invited":[' || string_agg(to_json(a.email)::text, ',' order by a.email) || ']'
			from app.invitation i join app.account a on a.id = i.account_id where i.call_id = p_call.id), '');
end $$;

-- p_session: for a participant or somebody invited; it holds addresses and keys.
create function app.call_doc(p_call bigint, p_session bool) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return (select app.doc_close(app.call_head(c.*::app.call) || ',"children":[' || coalesce((
			select string_agg(app.participant_doc(p.*::app.participant, a.email, p_session), ',' order by p.n)
			from app.participant p join app.account a on a.id = p.account_id
			where p.call_id = c.id and p.state = 'joined'), '') || ']', c.extra)
		from app.call c where c.id = p_call);
end $$;

-- What an account is to a live call: owner, inside (participant or invited: sees sessions), sees it at all. RS404 to
-- whom it does not concern.
create function app.call_access(p_account bigint, p_call bigint, out owner bool, out inside bool, out open bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
	select c.owner_id = p_account, c.open,
		exists (select from app.participant p
			where p.call_id = c.id and p.account_id = p_account and p.state = 'joined')
		or exists (select from app.invitation i where i.call_id = c.id and i.account_id = p_account)
	into owner, open, inside
	from app.call c where c.id = p_call and c.state <> 'ended';
	if owner is null or not (owner or open or inside) then
		perform app.refuse(404, 'call-not-found', 'There is no such call.');
	end if;
end $$;

create function app.call_invite(p_call bigint, p_invited jsonb) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_unknown text;
begin
	if jsonb_typeof(p_invited) <> 'array' or jsonb_array_length(p_invited) > 1000 then
		perform app.refuse(400, 'invalid-member', 'invited is an array of at most 1000 emails.', '/invited');
	end if;
	select '/invited/' || e.n - 1 into v_unknown
	from jsonb_array_elements(p_invited) with ordinality e (value, n)
	where jsonb_typeof(e.value) <> 'string' or not exists (
		select from app.account a where a.email = e.value #>> '{}')
	order by e.n limit 1;
	if v_unknown is not null then
		perform app.refuse(400, 'invalid-member', 'There is no such user.', v_unknown);
	end if;
	delete from app.invitation i where i.call_id = p_call;
	insert into app.invitation (call_id, account_id)
	select distinct p_call, a.id from jsonb_array_elements_text(p_invited) e join app.account a on a.email = e;
end $$;

create function app.call_reserved() returns text[]
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return array['id', 'url', 'subject', 'owner', 'state', 'open', 'created_at', 'starts_at', 'ended_at', 'invited',
		'children'];
end $$;

create function api.call_create(p_who text, p_proof bytea, p_subject text, p_starts_at timestamptz, p_open bool,
	p_invited jsonb, p_extra jsonb, p_key text, p_print bytea)
returns table (id bigint, doc text, version bigint, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_caller bigint := app.caller(p_who, p_proof);
	v_done jsonb := app.idem_begin(v_caller, p_key, p_print);
	c_max_calls constant int := 1000;
begin
	if v_done is not null then
		return query select (v_done ->> 'id')::bigint, v_done ->> 'doc', (v_done ->> 'version')::bigint, null::text[];
		return;
	end if;
	if (select count(*) from app.call c where c.owner_id = v_caller and c.state <> 'ended') >= c_max_calls then
		perform app.refuse(409, 'too-many-calls', 'You have 1000 calls already.');
	end if;
	insert into app.call (owner_id, subject, state, open, starts_at, extra)
	values (v_caller, p_subject, case when p_starts_at > now() then 'scheduled' else 'active' end,
		coalesce(p_open, true), p_starts_at, coalesce(p_extra, '{}') - app.call_reserved())
	returning app.call.id into id;
	insert into app.resource (kind, id) values ('call', id) returning app.resource.version into version;
	if p_invited is not null then
		perform app.call_invite(id, p_invited);
	end if;
	doc := app.call_doc(id, true);
	bell := app.publish('call', id, version, version);
	perform app.idem_end(v_caller, p_key, p_print, jsonb_build_object('id', id, 'doc', doc, 'version', version));
	return next;
end $$;

-- A call as /call shows it.
create function app.call_item_doc(p_call app.call) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return app.doc_close(app.call_head(p_call) || ',"participants":' || (
		select count(*) from app.participant p where p.call_id = p_call.id and p.state = 'joined'), p_call.extra);
end $$;

-- Live calls that an account may see, by id.
create function app.call_items(p_account bigint, p_after bigint, p_limit int) returns table (id bigint, doc text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
	return query
		select c.id, app.call_item_doc(c.*::app.call)
		from app.call c
		where c.state <> 'ended' and c.id > coalesce(p_after, 0) and (c.open or c.owner_id = p_account
			or exists (select from app.participant p
				where p.call_id = c.id and p.account_id = p_account and p.state = 'joined')
			or exists (select from app.invitation i where i.call_id = c.id and i.account_id = p_account))
		order by c.id limit least(greatest(coalesce(p_limit, 100), 1), 1000);
end $$;

create function api.call_list(p_who text, p_proof bytea, p_after bigint, p_limit int)
returns table (id bigint, doc text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return query select i.id, i.doc from app.call_items(app.caller(p_who, p_proof), p_after, p_limit) i;
end $$;

create function api.call_get(p_who text, p_proof bytea, p_call bigint)
returns table (version bigint, inside bool, doc text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_access record := app.call_access(app.caller(p_who, p_proof), p_call);
begin
	return query select r.version, v_access.inside, app.call_doc(p_call, v_access.inside)
		from app.resource r where r.kind = 'call' and r.id = p_call;
end $$;

-- p_set: which of the typed members are given (null then means: take away); p_extra is a merge patch.
create function api.call_patch(p_who text, p_proof bytea, p_call bigint, p_set text[], p_subject text,
	p_starts_at timestamptz, p_open bool, p_invited jsonb, p_extra jsonb, p_if_match bigint)
returns table (version bigint, doc text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_access record := app.call_access(app.caller(p_who, p_proof), p_call);
	v_prior bigint;
	v_version bigint;
	v_before bigint[];
begin
	if not v_access.owner then
		perform app.refuse(403, 'not-owner', 'Only the call''s owner may do this.');
	end if;
	v_prior := app.lock('call', p_call, p_if_match);
	perform app.call_access(app.caller(p_who, p_proof), p_call);
	v_before := app.call_seers_before(p_call);
	v_version := app.advance('call', p_call);
	update app.call c set
		subject = case when 'subject' = any (p_set) then p_subject else c.subject end,
		open = case when 'open' = any (p_set) then coalesce(p_open, true) else c.open end,
		starts_at = case when 'starts_at' = any (p_set) then p_starts_at else c.starts_at end,
		state = case when 'starts_at' <> all (p_set) then c.state
			when p_starts_at > now() then 'scheduled' else 'active' end,
		extra = app.merge_patch(c.extra, coalesce(p_extra, '{}') - app.call_reserved())
	where c.id = p_call;
	if 'invited' = any (p_set) then
		perform app.call_invite(p_call, coalesce(p_invited, '[]'));
	end if;
	return query select v_version, app.call_doc(p_call, v_access.inside), app.publish('call', p_call, v_version, v_prior,
		case when p_set && array['open', 'invited'] then array[0::bigint] end, v_before);
end $$;

-- Ends a call whose resource is locked, and with it every leg.
create function app.call_end(p_call bigint, p_prior bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_before bigint[] := app.call_seers_before(p_call);
begin
	update app.call c set state = 'ended', ended_at = now() where c.id = p_call and c.state <> 'ended';
	update app.participant p set state = 'left', left_at = now() where p.call_id = p_call and p.state = 'joined';
	return app.publish_gone('call', p_call, p_prior, v_before);
end $$;

create function api.call_delete(p_who text, p_proof bytea, p_call bigint, p_if_match bigint)
returns table (bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
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

-- Who joins is the caller: p_email must be theirs. Joining a scheduled call starts it.
create function api.call_join(p_who text, p_proof bytea, p_call bigint, p_email text, p_session jsonb, p_extra jsonb,
	p_key text, p_print bytea)
returns table (n bigint, version bigint, doc text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_account bigint := (app.owner(p_who, p_proof, p_email)).id;
	v_done jsonb := app.idem_begin(v_account, p_key, p_print);
	v_prior bigint;
	v_part app.participant;
	c_max_participants constant int := 1000;
begin
	if v_done is not null then
		return query select (v_done ->> 'n')::bigint, (v_done ->> 'version')::bigint, v_done ->> 'doc', null::text[];
		return;
	end if;
	perform app.call_access(v_account, p_call);
	v_prior := app.lock('call', p_call);
	perform app.call_access(v_account, p_call);
	if (select count(*) from app.participant p where p.call_id = p_call and p.state = 'joined') >= c_max_participants
	then
		perform app.refuse(409, 'call-full', 'The call has 1000 participants.');
	end if;
	version := app.advance('call', p_call);
	insert into app.participant (call_id, n, account_id, session, extra)
	values (p_call, app.take_n('call', p_call), v_account, p_session, coalesce(p_extra, '{}')
		- array['id', 'url', 'email', 'login', 'state', 'session', 'joined_at'])
	returning * into v_part;
	update app.call c set state = 'active' where c.id = p_call and c.state = 'scheduled';
	n := v_part.n;
	doc := app.participant_doc(v_part, app.email(v_account), true);
	bell := app.publish('call', p_call, version, v_prior, array[v_account]);
	perform app.idem_end(v_account, p_key, p_print, jsonb_build_object('n', n, 'version', version, 'doc', doc));
	return next;
end $$;

create function app.participant(p_call bigint, p_n bigint) returns app.participant
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_part app.participant;
begin
	select p.* into v_part from app.participant p where p.call_id = p_call and p.n = p_n and p.state = 'joined';
	if v_part.id is null then
		perform app.refuse(404, 'participant-not-found', 'There is no such participant.');
	end if;
	return v_part;
end $$;

create function api.participant_get(p_who text, p_proof bytea, p_call bigint, p_n bigint)
returns table (version bigint, doc text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_access record := app.call_access(app.caller(p_who, p_proof), p_call);
	v_part app.participant := app.participant(p_call, p_n);
begin
	return query select r.version, app.participant_doc(v_part, app.email(v_part.account_id), v_access.inside)
		from app.resource r where r.kind = 'call' and r.id = p_call;
end $$;

-- A new session of a participant, by themselves.
create function api.participant_put(p_who text, p_proof bytea, p_call bigint, p_n bigint, p_session jsonb,
	p_extra jsonb, p_if_match bigint)
returns table (version bigint, doc text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_caller bigint := app.caller(p_who, p_proof);
	v_prior bigint;
	v_version bigint;
	v_part app.participant;
begin
	perform app.call_access(v_caller, p_call);
	v_prior := app.lock('call', p_call, p_if_match);
	perform app.call_access(v_caller, p_call);
	v_part := app.participant(p_call, p_n);
	if v_part.account_id <> v_caller then
		perform app.refuse(403, 'not-owner', 'Only the participant may do this.');
	end if;
	v_version := app.advance('call', p_call);
	update app.participant p set session = p_session, extra = coalesce(p_extra, '{}')
		- array['id', 'url', 'email', 'login', 'state', 'session', 'joined_at']
	where p.id = v_part.id returning * into v_part;
	return query select v_version, app.participant_doc(v_part, app.email(v_caller), true),
		app.publish('call', p_call, v_version, v_prior);
end $$;

-- Leaves: by the participant, or put out by the call's owner.
create function api.participant_delete(p_who text, p_proof bytea, p_call bigint, p_n bigint, p_if_match bigint)
returns table (version bigint, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_caller bigint := app.caller(p_who, p_proof);
	v_access record := app.call_access(v_caller, p_call);
	v_prior bigint := app.lock('call', p_call, p_if_match);
	v_version bigint;
	v_part app.participant := app.participant(p_call, p_n);
	v_before bigint[];
begin
	if v_part.account_id <> v_caller and not v_access.owner then
		perform app.refuse(403, 'not-owner', 'Only the participant or the call''s owner may do this.');
	end if;
	v_before := app.call_seers_before(p_call);
	v_version := app.advance('call', p_call);
	update app.participant p set state = 'left', left_at = now() where p.id = v_part.id;
	return query select v_version, app.publish('call', p_call, v_version, v_prior, array[v_part.account_id], v_before);
end $$;

-- An account ends: its calls end, and it leaves those of others.
create function app.call_forget(p_call bigint, p_account bigint) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_prior bigint := app.lock('call', p_call);
	v_version bigint := app.advance('call', p_call);
	v_before bigint[] := app.call_seers_before(p_call);
begin
	if exists (select from app.call c where c.id = p_call and c.owner_id = p_account) then
		return app.call_end(p_call, v_prior);
	end if;
	delete from app.participant p where p.call_id = p_call and p.account_id = p_account;
	delete from app.invitation i where i.call_id = p_call and i.account_id = p_account;
	return app.publish('call', p_call, v_version, v_prior, array[p_account], v_before);
end $$;

-- Scheduled calls whose time has come.
create function app.start_due_calls() returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_call bigint;
	v_prior bigint;
	v_version bigint;
	v_bell text[];
begin
	for v_call in
		select c.id from app.call c where c.state = 'scheduled' and c.starts_at <= now() order by c.id limit 200
	loop
		v_prior := app.lock('call', v_call);
		update app.call c set state = 'active' where c.id = v_call and c.state = 'scheduled' and c.starts_at <= now();
		continue when not found;
		v_version := app.advance('call', v_call);
		v_bell := v_bell || app.publish('call', v_call, v_version, v_prior);
	end loop;
	return v_bell;
end $$;

grant execute on function api.call_create, api.call_list, api.call_get, api.call_patch, api.call_delete, api.call_join,
	api.participant_get, api.participant_put, api.participant_delete to restsip_api;
