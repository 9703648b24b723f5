-- Logins and calls in the forms other than JSON. Whoever shows one, at either door, gets it here.

-- Text for XML 1.0, which has no place for most control characters, not even escaped. Attributes need it too: those that
-- people have a say in.
create function app.xml_text(p_text text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return regexp_replace(p_text, '[\x01-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]', '', 'g');
end $$;

-- Presence of a contact that no one has set is open: it is registered.
create function app.login_basic(p_extra jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return case when p_extra #>> '{presence,basic}' = 'closed' then 'closed' else 'open' end;
end $$;

-- application/reginfo+xml, RFC 3680: the full state under the given version. p_gone: how contacts have ended after that
-- one, for who has not been told yet; null: not at all.
create function app.login_reginfo(p_account bigint, p_version bigint, p_gone bigint default null) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_contacts xml;
	v_gone xml;
	-- A parameter of a letter is an element: where all of them are too much for a document, they are left out.
	v_with_params bool := (select coalesce(sum(octet_length(l.params)), 0) < app.bound('document') / 32
		from app.login l where l.account_id = p_account);
begin
	select xmlagg(xmlelement(name contact, xmlattributes('c' || g.n as id, 'terminated' as state, g.event as event),
			xmlelement(name uri, app.xml_text(g.contact))) order by g.id)
	into v_gone
	from app.contact_gone g where g.account_id = p_account and g.id > p_gone;
	select xmlagg(xmlelement(name contact, xmlattributes('c' || l.n as id, 'active' as state, 'registered' as event,
			greatest(ceil(extract(epoch from l.expires_at - now()))::int, 0) as expires,
			trim_scale(l.q)::text as q, app.xml_text(l.call_id) as callid, l.cseq as cseq),
			xmlelement(name uri, app.xml_text(l.contact)),
			case when l.name is not null then xmlelement(name "display-name", app.xml_text(l.name)) end,
			(select xmlagg(xmlelement(name "unknown-param", xmlattributes(app.xml_text(p.name) as name), app.xml_text(p.value)))
			from app.contact_params(l.params) p where v_with_params)) order by l.n)
	into v_contacts
	from app.login l where l.account_id = p_account and l.expires_at > now() and l.contact is not null;
	return '<?xml version="1.0" encoding="UTF-8"?>' || E'\n' || xmlelement(name reginfo,
		xmlattributes('urn:ietf:params:xml:ns:reginfo' as xmlns, p_version as version, 'full' as state),
		xmlelement(name registration, xmlattributes(app.xml_text('sip:' || app.email(p_account)) as aor, 'a' || p_account as id,
			case when v_contacts is not null then 'active' when v_gone is not null then 'terminated' else 'init' end
				as state), v_contacts, v_gone))::text;
end $$;

-- XML of other namespaces that a contact's presence has in a place. The programs have read and written it themselves; what
-- one of an earlier version has let in there is none.
create function app.presence_xml(p_presence jsonb, p_place text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
	v_xml text := p_presence #>> array['xml', p_place];
begin
	return case when v_xml !~ '<[!?]' and xml_is_well_formed_content(v_xml) then v_xml end;
end $$;

-- A word of a list of a contact's presence as an element (RFC 4480, RFC 4589); null for what is none.
create function app.presence_word(p_list text, p_word text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return case
		when p_word like 'other:%' then xmlelement(name "rpid:other", app.xml_text(substr(p_word, 7)))::text
		when p_word = 'other' or p_list <> 'place_type' and p_word ~ '^[a-z_-]+$' then '<rpid:' || p_word || '/>'
		when p_word ~ '^[a-z_-]+$' then '<lt:' || p_word || '/>' end;
end $$;

-- What the contacts of an account say together of its owner, by where it stands in the document: each thing once, in the
-- order of the contacts.
create function app.login_said(p_account bigint) returns table (place text, content text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return query
		with said as materialized (
			select l.n, l.extra -> 'presence' as presence from app.login l
			where l.account_id = p_account and l.expires_at > now()),
		part as (
			select p.place, app.presence_word(p.place, w.word) as content, array[s.n, w.i] as at
			from said s cross join (values ('activities'), ('mood'), ('place_type')) p(place)
			cross join lateral jsonb_array_elements_text(
				case when jsonb_typeof(s.presence -> p.place) = 'array' then s.presence -> p.place else '[]' end)
				with ordinality w(word, i)
			union all
			select p.place, app.presence_xml(s.presence, p.place), array[s.n, 100]
			from said s cross join (values ('activities'), ('mood'), ('place_type'), ('person'), ('presence')) p(place)
			union all
			select 'note', xmlelement(name "dm:note", app.xml_text(s.presence ->> 'note'))::text, array[s.n]
			from said s where s.presence ->> 'note' <> '')
		select u.place, string_agg(u.content, '' order by u.at)
		from (select p.place, p.content, min(p.at) as at from part p group by 1, 2) u
		group by u.place;
end $$;

-- The person of a presence document (RFC 4479), if anything is said of it, and what stands beside it.
create function app.login_person(p_account bigint, out person xml, out beside xml)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_said jsonb := (select jsonb_object_agg(s.place, s.content) from app.login_said(p_account) s);
	v_person text;
begin
	v_person := concat('<rpid:activities>' || (v_said ->> 'activities') || '</rpid:activities>',
		'<rpid:mood>' || (v_said ->> 'mood') || '</rpid:mood>',
		'<rpid:place-type>' || (v_said ->> 'place_type') || '</rpid:place-type>', v_said ->> 'person');
	if v_person <> '' then
		person := ('<dm:person xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid"'
			|| ' xmlns:lt="urn:ietf:params:xml:ns:location-type" id="person">' || v_person || coalesce(v_said ->> 'note', '')
			|| '</dm:person>')::xml;
	end if;
	beside := (v_said ->> 'presence')::xml;
end $$;

-- application/pidf+xml, RFC 3863: a tuple a contact, with what that contact alone says; one that is closed where there is
-- none; and one person, of whom all contacts speak.
create function app.login_pidf(p_account bigint) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_tuples xml;
	v_rich record;
	v_is_rich bool;
	v_fits bool;
begin
	-- A byte becomes five at most (&amp;), of XML that is kept one; a note stands there twice. Where all that is too much,
	-- only basic is told.
	select coalesce(bool_or(l.extra ? 'presence'), false), coalesce(sum(1000 + 5 * octet_length(coalesce(l.contact, ''))
		+ 5 * octet_length(coalesce(l.extra #>> '{presence,note}', ''))
		+ 5 * octet_length(coalesce((l.extra -> 'presence')::text, ''))
		- 4 * octet_length(coalesce(l.extra #>> '{presence,xml}', ''))), 0) < app.bound('document')
	into v_is_rich, v_fits
	from app.login l where l.account_id = p_account;
	select xmlagg(xmlelement(name tuple, xmlattributes('c' || l.n as id),
			xmlelement(name status, xmlelement(name basic, app.login_basic(l.extra)),
				case when v_fits then app.presence_xml(l.extra -> 'presence', 'status')::xml end),
			case when v_fits then app.presence_xml(l.extra -> 'presence', 'tuple')::xml end,
			case when l.contact is not null then xmlelement(name contact,
				xmlattributes(trim_scale(l.q)::text as priority), app.xml_text(l.contact)) end,
			case when v_fits and l.extra #>> '{presence,note}' is not null then
				xmlelement(name note, app.xml_text(l.extra #>> '{presence,note}')) end,
			xmlelement(name "timestamp", app.time_text(l.created_at))) order by l.n)
	into v_tuples
	from app.login l where l.account_id = p_account and l.expires_at > now();
	select p.* into v_rich from app.login_person(p_account) p where v_is_rich and v_fits;
	return '<?xml version="1.0" encoding="UTF-8"?>' || E'\n' || xmlelement(name presence,
		xmlattributes('urn:ietf:params:xml:ns:pidf' as xmlns, app.xml_text('sip:' || app.email(p_account)) as entity),
		coalesce(v_tuples, xmlelement(name tuple, xmlattributes('none' as id),
			xmlelement(name status, xmlelement(name basic, 'closed')))), v_rich.person, v_rich.beside)::text;
end $$;

-- application/conference-info+xml, RFC 4575. Sessions have no place in it.
create function app.call_info(p_call bigint, p_version bigint) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_users xml;
	v_count bigint;
begin
	select xmlagg(u.x order by u.email), sum(u.parts) into v_users, v_count
	from (
		select a.email, count(*) as parts, xmlelement(name "user",
			xmlattributes(app.xml_text('sip:' || a.email) as entity, 'full' as state),
			xmlagg(xmlelement(name endpoint, xmlattributes('/call/' || p.call_id || '/' || p.n as entity),
				xmlelement(name status, 'connected')) order by p.n)) as x
		from app.participant p join app.account a on a.id = p.account_id
		where p.call_id = p_call and p.state = 'joined' group by a.email) u;
	return (select '<?xml version="1.0" encoding="UTF-8"?>' || E'\n' || xmlelement(name "conference-info",
		xmlattributes('urn:ietf:params:xml:ns:conference-info' as xmlns,
			'sip:' || c.id || '@' || substring(app.email(c.owner_id) from '[^@]*$') as entity,
			'full' as state, p_version as version),
		xmlelement(name "conference-description",
			case when c.subject is not null then xmlelement(name subject, app.xml_text(c.subject)) end),
		xmlelement(name "conference-state", xmlelement(name "user-count", coalesce(v_count, 0)),
			xmlelement(name active, c.state = 'active')),
		xmlelement(name users, v_users))::text
	from app.call c where c.id = p_call);
end $$;

-- A login in a form: text, uri-list, reginfo or pidf.
create function api.login_get_as(p_who text, p_proof bytea, p_email text, p_form text)
returns table (email text, version bigint, settled bool, doc text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_account bigint := app.target(app.caller(p_who, p_proof), p_email);
	v_eol text := case p_form when 'uri-list' then E'\r\n' else E'\n' end;
begin
	return query
		select app.email(v_account), r.version, not exists (
			select from app.login l where l.account_id = v_account and l.expires_at <= now()),
		case p_form
			when 'reginfo' then app.login_reginfo(v_account, r.version)
			when 'pidf' then app.login_pidf(v_account)
			else coalesce((select string_agg(l.contact || v_eol, '' order by l.n) from app.login l
				where l.account_id = v_account and l.expires_at > now() and l.contact is not null), '') end
		from app.resource r where r.kind = 'login' and r.id = v_account;
end $$;

create function api.call_get_as(p_who text, p_proof bytea, p_call bigint) returns table (version bigint, doc text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_access record := app.call_access(app.caller(p_who, p_proof), p_call);
begin
	return query select r.version, app.call_info(p_call, r.version)
		from app.resource r where r.kind = 'call' and r.id = p_call;
end $$;

grant execute on function api.login_get_as, api.call_get_as to restsip_api;
