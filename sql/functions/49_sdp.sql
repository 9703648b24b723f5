-- Session descriptions (RFC 8866), as text: what one says, and what is made of it for somebody else.

-- The SDP of a session. Null: it is another kind of session, as `rtsp://…`, or none.
create function app.session_sdp(p_session jsonb) returns text
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
	v_sdp text;
begin
	if p_session is null or jsonb_typeof(p_session) <> 'object' or not p_session ? 'sdp' then
		return null;
	end if;
	v_sdp := p_session ->> 'sdp';
	if jsonb_typeof(p_session -> 'sdp') <> 'string' or v_sdp !~ '^v=0\r?\n' or v_sdp !~ '\nm=\S+ \d+ \S+ ' then
		perform app.refuse(400, 'invalid-member', 'sdp is a whole session description, with its media and all candidates: '
			'a page waits until iceGatheringState is complete.', '/session/sdp');
	end if;
	return regexp_replace(rtrim(v_sdp, E'\r\n'), '\r?\n', E'\r\n', 'g') || E'\r\n';
end $$;

create function app.sdp_session(p_type text, p_sdp text) returns jsonb
language plpgsql immutable as $$
begin
	return case when p_sdp is not null then jsonb_build_object('type', p_type, 'sdp', p_sdp) end;
end $$;

-- Of WebRTC, or of phones; what cannot be told is null.
create function app.sdp_kind(p_sdp text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return case when p_sdp ~ 'UDP/TLS/RTP/SAVPF|\na=fingerprint:' then 'webrtc' when p_sdp ~ '\nm=\S+ \d+ RTP/' then 'rtp' end;
end $$;

-- What somebody without media says to an offer, or offers (p_offer null): nothing is sent either way.
create function app.sdp_inactive(p_offer text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
	c_head constant text := E'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n';
begin
	if p_offer is null then
		return c_head || E'm=audio 9 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=inactive\r\n';
	end if;
	-- Encrypted media need keys: they are off.
	return c_head || coalesce((
		select string_agg(regexp_replace(split_part(m.part, E'\n', 1), '^(m=\S+) \S+',
				'\1 ' || case when m.part ~ '^m=\S+ [1-9]\d*(/\d+)? RTP/AVPF? ' then '9' else '0' end)
			|| E'\r\n' || coalesce((
				select string_agg(a.line, E'\r\n' order by a.n) || E'\r\n'
				from regexp_split_to_table(m.part, '\n') with ordinality a (line, n) where a.line ~ '^a=(rtpmap|fmtp):'), '')
			|| E'a=inactive\r\n', '' order by m.n)
		from regexp_split_to_table(replace(p_offer, E'\r', ''), '\n(?=m=)') with ordinality m (part, n) where m.n > 1), '');
end $$;

-- p_sdp in a dialog where p_last was said before, by somebody else: its origin stays, one version on, and so do its media
-- (RFC 3264, section 8).
create function app.sdp_next(p_last text, p_sdp text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
	c_origin constant text := '\no=(\S+ \S+) (\d{1,20}) ([^\r\n]*)';
	v_last text[] := regexp_match(p_last, c_origin);
	v_media text[] := array(select m[1] from regexp_matches(p_last, '\n(m=\S+) \S+', 'g') m);
	v_more int := cardinality(v_media) - (select count(*) from regexp_matches(p_sdp, '\nm=', 'g'));
	v_sdp text := p_sdp;
begin
	if v_last is null then
		return p_sdp;
	end if;
	v_sdp := regexp_replace(p_sdp, '\no=[^\r\n]*', E'\no=' || replace(v_last[1], '\', '\\') || ' ' || v_last[2]::numeric + 1 || ' '
		|| replace(v_last[3], '\', '\\'));
	for i in 1 .. v_more loop
		v_sdp := v_sdp || v_media[cardinality(v_media) - v_more + i] || E' 0 RTP/AVP 0\r\n';
	end loop;
	return v_sdp;
end $$;

-- What a phone has refused is not what a refresh says: that is what it had, of p_session, as the next version.
create function app.sdp_kept(p_refused text, p_session jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return case when p_session ->> 'sdp' ~ '\nm=' then app.sdp_next(p_refused, p_session ->> 'sdp') else p_refused end;
end $$;

-- What a phone has answered a page, as its session. An answer says who begins DTLS (RFC 8842, section 5.3): of a phone that leaves that
-- open in one the role stays which it has, as p_had, its own session before, or p_page, that of the page, tells.
create function app.answer_session(p_sdp text, p_had jsonb, p_page jsonb) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return app.sdp_session('answer', regexp_replace(p_sdp, '\na=setup:actpass(?=\s)', E'\na=setup:'
		|| case when p_had ->> 'sdp' ~ '\na=setup:active\s' or p_page ->> 'sdp' ~ '\na=setup:passive\s' then 'active' else 'passive' end, 'g'));
end $$;

-- An answer has as many media as its offer (RFC 3264, section 6): what sdp_next has added to that is not told.
create function app.sdp_cut(p_offer text, p_sdp text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
	v_parts text[] := regexp_split_to_array(p_sdp, '\n(?=m=)');
	v_most bigint := 1 + (select count(*) from regexp_matches(p_offer, '\nm=', 'g'));
begin
	return case when p_offer is null or v_most >= cardinality(v_parts) then p_sdp
		else array_to_string(v_parts[1:v_most], E'\n') || E'\n' end;
end $$;

-- Whether an offer puts the other side on hold: nothing that is open in it goes both ways (RFC 3264, section 8.4).
create function app.sdp_holds(p_sdp text) returns bool
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
	c_way constant text := '\na=(sendrecv|sendonly|recvonly|inactive)\M';
	c_at constant text := '\nc=IN IP[46] ([^\s/]+)';
	v_parts text[] := regexp_split_to_array(replace(p_sdp, E'\r', ''), '\n(?=m=)');
	v_way text := coalesce(substring(v_parts[1] from c_way), 'sendrecv'); -- of the session
	v_at text := coalesce(substring(v_parts[1] from c_at), '');
begin
	return coalesce((
		select bool_and(coalesce(substring(p from c_way), v_way) in ('sendonly', 'inactive')
			or coalesce(substring(p from c_at), v_at) in ('0.0.0.0', '::'))
		from unnest(v_parts[2:]) p where p !~ '^m=\S+ 0[ /]'), false);
end $$;

-- The media of a session and how each is carried, in order. Two that offer to each other have each other's answer where these are
-- the same; but not in WebRTC, where an answer says who greets whom (RFC 5763, section 5).
create function app.sdp_media(p_sdp text) returns text[]
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return array(select m[1] || ' ' || m[2] from regexp_matches(p_sdp, '\nm=(\S+) \S+ (\S+)', 'g') m);
end $$;
