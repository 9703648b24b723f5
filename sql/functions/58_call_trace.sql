-- The ladder of a call: what has passed between us and its phones, for its owner.

-- Agents tell it for many legs together. Nobody waits for it, and it may get lost. p_now: the agent's clock, in ms; p_items:
-- [{"leg","said":[{"ms","out","peer","start","headers"}]}].
create function api.leg_traced(p_agent int, p_now bigint, p_items json) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	set local synchronous_commit = off;
	-- Who removes legs is not waited for.
	insert into app.leg_trace (leg_id, base, said)
	select l.id, clock_timestamp() - p_now * interval '1 ms', i.value ->> 'said'
	from json_array_elements(p_items) i cross join lateral (
		select g.id from app.leg g where g.id = (i.value ->> 'leg')::bigint and g.agent_id = p_agent
		for key share skip locked) l;
end $$;

create function app.leg_said(p_leg bigint) returns table (nth bigint, at timestamptz, ours bool, peer text, start text, headers json)
language plpgsql stable as $$
begin
	return query
		select row_number() over (order by t.n, m.place), t.base + (m.value ->> 'ms')::bigint * interval '1 ms',
			(m.value ->> 'out')::bool, m.value ->> 'peer', m.value ->> 'start', m.value -> 'headers'
		from app.leg_trace t cross join json_array_elements(t.said::json) with ordinality m (value, place)
		where t.leg_id = p_leg order by 1;
end $$;

-- The phones of a call, with a place of their own each: who calls from the left, who is called to the right.
create function app.call_legs(p_call bigint)
returns table (id bigint, n bigint, email text, direction text, agent text, state text, code int, cause text, place bigint)
language plpgsql stable as $$
begin
	return query
		select l.id, p.n, a.email, l.direction::text, g.name, l.state::text, l.code, l.cause::text,
			row_number() over (order by l.direction, l.id)
		from app.leg l left join app.participant p on p.id = l.participant_id
		left join app.account a on a.id = coalesce(l.account_id, p.account_id) left join app.agent g on g.id = l.agent_id
		where l.call_id = p_call;
end $$;

create function app.call_trace_doc(p_call bigint) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return '{"call":"/call/' || p_call || '","legs":[' || coalesce((
		select string_agg('{"participant":' || coalesce('"/call/' || p_call || '/' || l.n || '"', 'null')
				|| coalesce(',"email":' || to_json(l.email), '') || ',"direction":"' || l.direction || '"'
				|| coalesce(',"agent":' || to_json(l.agent), '') || ',"state":"' || l.state || '"'
				|| coalesce(',"code":' || l.code, '') || coalesce(',"cause":"' || l.cause || '"', '')
				|| ',"messages":[' || coalesce((
					select string_agg('{"at":"' || app.time_text(s.at) || '","out":' || s.ours || ',"peer":' || to_json(s.peer)
						|| ',"start":' || to_json(s.start) || ',"headers":' || s.headers || '}', ',' order by s.nth)
					from app.leg_said(l.id) s), '') || ']}', ',' order by l.place)
		from app.call_legs(p_call) l), '') || ']}';
end $$;

-- One message in a few words: the method, or a code with the method that it answers.
create function app.said_short(p_start text, p_headers json) returns text
language plpgsql immutable as $$
begin
	return left(case when p_start like 'SIP/2.0 %'
		then substr(p_start, 9) || coalesce(' (' || split_part(p_headers ->> 'CSeq', ' ', 2) || ')', '')
		else split_part(p_start, ' ', 1) end, 60);
end $$;

-- For people who read it in a terminal.
create function app.call_trace_text(p_call bigint) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return '/call/' || p_call || E'\n' || coalesce((
		select string_agg(format(E'phone %s: %s %s at %s, %s%s\n', l.place, coalesce(l.email, '?'),
			case l.direction when 'in' then 'calls' else 'is called' end, coalesce(l.agent, '?'), l.state,
			coalesce(' ' || l.code, '') || coalesce(' ' || l.cause, '')), '' order by l.place)
		from app.call_legs(p_call) l), '') || E'\n' || coalesce((
		select string_agg(format(E'%s  phone %s %s restsip  %s%s\n', app.time_text(s.at), l.place,
			case when s.ours then '<--' else '-->' end, s.start, coalesce('  Reason: ' || (s.headers ->> 'Reason'), '')), ''
			order by s.at, l.place, s.nth)
		from app.call_legs(p_call) l cross join app.leg_said(l.id) s), '');
end $$;

-- The same for eyes: a line down for each phone and for us, an arrow for each message. Nothing in it runs.
create function app.call_trace_svg(p_call bigint) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
	c_left constant int := 120; -- of the times
	c_wide constant int := 230;
	c_high constant int := 24;
	c_top constant int := 70;
	c_most constant int := 1000; -- arrows
	v_in int := (select count(*) from app.call_legs(p_call) l where l.direction = 'in');
	v_legs int := (select count(*) from app.call_legs(p_call) l);
	v_us int := c_left + v_in * c_wide + c_wide / 2;
	v_width int := c_left + (v_legs + 1) * c_wide;
	v_arrows xml;
	v_columns xml;
	v_rows int;
begin
	with said as (
		select row_number() over (order by s.at, l.place, s.nth) as line, s.at, s.ours, l.place, s.start, s.headers,
			c_left + (l.place - case when l.place <= v_in then 1 else 0 end) * c_wide + c_wide / 2 as x
		from app.call_legs(p_call) l cross join app.leg_said(l.id) s order by s.at, l.place, s.nth limit c_most),
	arrow as (
		select s.*, c_top + s.line * c_high as y, case when s.ours then v_us else s.x end as from_x,
			case when s.ours then s.x else v_us end as to_x
		from said s)
	select xmlagg(xmlelement(name g,
			xmlelement(name title, app.xml_text(a.start)),
			xmlelement(name text, xmlattributes(8 as x, a.y as y, 'time' as class), to_char(a.at at time zone 'UTC', 'HH24:MI:SS.MS')),
			xmlelement(name path, xmlattributes('arrow' as class, format('M%s %s H%s m%s -4 l%s 4 l%s 4', a.from_x, a.y, a.to_x,
				case when a.to_x > a.from_x then -8 else 8 end, case when a.to_x > a.from_x then 8 else -8 end,
				case when a.to_x > a.from_x then -8 else 8 end) as d)),
			xmlelement(name text, xmlattributes((a.from_x + a.to_x) / 2 as x, a.y - 5 as y, 'said' as class),
				app.xml_text(app.said_short(a.start, a.headers)))) order by a.line), count(*)
	into v_arrows, v_rows from arrow a;
	select xmlagg(xmlelement(name g,
			xmlelement(name text, xmlattributes(c.x as x, 30 as y, 'who' as class), app.xml_text(c.who)),
			xmlelement(name text, xmlattributes(c.x as x, 48 as y, 'said' as class), app.xml_text(c.how)),
			xmlelement(name path, xmlattributes('life' as class, format('M%s 56 V%s', c.x, c_top + (v_rows + 1) * c_high) as d))))
	into v_columns
	from (
		select c_left + (l.place - case when l.place <= v_in then 1 else 0 end) * c_wide + c_wide / 2 as x,
			left(coalesce(l.email, '?'), 32) as who, concat_ws(' ', l.state, l.code, l.cause) as how
		from app.call_legs(p_call) l
		union all select v_us, 'restsip', '/call/' || p_call) c;
	return '<?xml version="1.0" encoding="UTF-8"?>' || E'\n' || xmlelement(name svg, xmlattributes('http://www.w3.org/2000/svg' as xmlns,
			v_width as width, c_top + (v_rows + 2) * c_high as height),
		xmlelement(name style, 'text{font:12px sans-serif}.who{font-weight:bold}.who,.said{text-anchor:middle}'
			'.time{fill:#666}path{fill:none;stroke:#333}.life{stroke:#bbb}'),
		xmlelement(name rect, xmlattributes('100%' as width, '100%' as height, '#fff' as fill)), v_columns, v_arrows)::text;
end $$;

-- p_type: the media type. Its owner alone, while the call is kept.
create function api.call_trace(p_who text, p_proof bytea, p_call bigint, p_type text) returns table (version bigint, doc text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.caller(p_who, p_proof);
begin
	if not exists (select from app.call c where c.id = p_call and c.owner_id = v_caller) then
		perform app.call_access(v_caller, p_call);
		perform app.refuse(403, 'not-owner', 'Only the call''s owner may do this.');
	end if;
	return query select r.version, case p_type when 'text/plain' then app.call_trace_text(p_call)
			when 'image/svg+xml' then app.call_trace_svg(p_call) else app.call_trace_doc(p_call) end
		from app.resource r where r.kind = 'call' and r.id = p_call;
end $$;

grant execute on function api.leg_traced to restsip_agent;
grant execute on function api.call_trace to restsip_api;
