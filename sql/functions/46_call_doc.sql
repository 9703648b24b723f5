-- How a call and who is in it are shown.

-- A participant up to its session, and from there on.
create function app.participant_head(p_part app.participant, p_email text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
	return '{"id":' || p_part.n || ',"url":"/call/' || p_part.call_id || '/' || p_part.n || '"'
		|| ',"email":' || to_json(p_email)
		|| ',"login":' || to_json('/login/' || app.url_segment(p_email) || coalesce('/' || p_part.contact_n, ''))
		|| case when p_part.side = 'in' or p_part.web then '' else ',"via":"sip"' end
		|| coalesce(',"lifetime":"' || p_part.lifetime || '"', '')
		|| ',"state":"' || case when p_part.state = 'left' then 'ended' else p_part.state end || '"'
		|| case when p_part.code is null then ''
			else ',"sip":{"code":' || p_part.code || ',"reason":' || to_json(coalesce(p_part.reason, '')) || '}' end;
end $$;

create function app.participant_tail(p_part app.participant) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
	return app.doc_close(case when p_part.hold then ',"hold":true' else '' end
		|| case when p_part.pending is null then '' else ',"pending":true' end
		|| coalesce(',"joined_at":"' || app.time_text(p_part.joined_at) || '"', '')
		|| case when p_part.state <> 'left' then '' else ',"ended_at":"' || app.time_text(p_part.left_at)
			|| '","ended":{"cause":"' || coalesce(p_part.cause, 'hangup') || '"}' end, p_part.extra);
end $$;

create function app.participant_doc(p_part app.participant, p_email text, p_session bool) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
	return app.participant_head(p_part, p_email)
		|| case when p_session and p_part.session is not null then ',"session":' || p_part.session::text else '' end
		|| app.participant_tail(p_part);
end $$;

-- A call without its closing brace and its children.
create function app.call_head(p_call app.call) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return '{"id":"' || p_call.id || '","url":"/call/' || p_call.id || '"'
		|| case when p_call.subject is null then '' else ',"subject":' || to_json(p_call.subject) end
		|| ',"owner":' || to_json(app.email(p_call.owner_id))
		|| ',"state":"' || p_call.state || '","open":' || p_call.open
		|| ',"created_at":"' || app.time_text(p_call.created_at) || '"'
		|| case when p_call.starts_at is null then '' else ',"starts_at":"' || app.time_text(p_call.starts_at) || '"' end
		|| case when p_call.ended_at is null then '' else ',"ended_at":"' || app.time_text(p_call.ended_at) || '"' end
		|| case when p_call.cause is null then '' else ',"ended":{' || coalesce((
			select '"by":' || to_json(a.email) || ',' from app.account a where a.id = p_call.ended_by), '')
			|| '"cause":"' || p_call.cause || '"}' end
		|| coalesce((
			select ',"invited":[' || string_agg(to_json(a.email)::text, ',' order by a.email) || ']'
			from app.invitation i join app.account a on a.id = i.account_id where i.call_id = p_call.id), '')
		|| coalesce(',"invite":' || p_call.invite::text, '');
end $$;

-- The children of a call, which together may take p_most bytes. Who has left is one still where somebody called them, so that
-- it is seen what became of that, and once the call has ended. p_session: for a participant or somebody invited; it holds
-- addresses and keys. Where not all sessions fit, the longest are left out, and say so: /call/{id}/{n} has them.
create function app.call_children(p_call bigint, p_session bool, p_most bigint) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	c_key constant text := ',"session":';
	c_truncated constant text := ',"truncated":true';
begin
	return (
		with child as materialized (
			select p.n, p.session, p.session_size as size, app.participant_head(p.*::app.participant, a.email) as head,
				app.participant_tail(p.*::app.participant) as tail
			from app.participant p join app.account a on a.id = p.account_id
			where p.call_id = p_call and (p.left_at is null or p.cause is not null
				or exists (select from app.call c where c.id = p_call and c.state = 'ended'))),
		bare as (
			select coalesce(sum(octet_length(c.head) + octet_length(c.tail) + 1), 1) - 1 as size,
				count(*) filter (where c.size > 0) as sessions
			from child c),
		-- From the shortest on: what those up to one take, and the remarks in the place of all others.
		rising as (
			select c.n, row_number() over w as place, sum(c.size + length(c_key)) over w as sizes
			from child c where p_session and c.size > 0
			window w as (order by c.size, c.n)),
		shown as (
			select coalesce(max(r.place), 0) as places
			from rising r, bare b
			where b.size + r.sizes + length(c_truncated) * (b.sessions - r.place) <= p_most)
		select coalesce(string_agg(c.head || case when r.n is null then ''
				when r.place <= s.places then c_key || c.session::text
				else c_truncated end || c.tail, ',' order by c.n), '')
		from child c left join rising r on r.n = c.n cross join shown s);
end $$;

-- p_session: with sessions.
create function app.call_doc(p_call bigint, p_session bool) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_head text;
	v_tail text;
begin
	select app.call_head(c.*::app.call) || ',"children":[', app.doc_close(']', c.extra) into v_head, v_tail
	from app.call c where c.id = p_call;
	return v_head || app.call_children(p_call, p_session,
		app.bound('document') - octet_length(v_head) - octet_length(v_tail)) || v_tail;
end $$;
