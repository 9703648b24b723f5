-- The change log: what has become of watched resources, for those who are told differences, or come back.
--
-- A document is made of parts: the contacts of a login, the messages of a mailbox, the participants of a call; part 0 is
-- what is not one of these. A row keeps how the parts that a change has touched are made those before it. The last state
-- is in app.shown (of a mailbox: in its messages), and those before it are made of it, row by row. Who writes a resource
-- has its row locked and changes its version in the same transaction, so the rows of one resource are a chain. Where it
-- is broken (nobody was watching) the log begins anew.

-- What is there was rendered by the functions of then.
delete from app.change;
delete from app.change_log;
delete from app.shown;

-- Whether to log it. A watch that nobody has any more ends by itself, even where no janitor removes it.
create function app.is_watched(p_kind app.resource_kind, p_id bigint) returns bool
language plpgsql volatile as $$
begin
	return exists (select from app.watch w where w.kind = p_kind and w.id = p_id
		and (w.closed_at is null or w.closed_at > now() - interval '1 minute'));
end $$;

-- The parts of what a resource shows now. public: as those see it who are outside, where that is another document.
create function app.parts(p_kind app.resource_kind, p_id bigint) returns table (public bool, key bigint, doc text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_public bool;
	v_doc json;
begin
	if p_kind = 'login' then
		return query select false, l.n, l.doc from app.login l where l.account_id = p_id and l.expires_at > now();
		return;
	end if;
	foreach v_public in array case when p_kind in ('call', 'profile') then '{f,t}' else '{f}' end::bool[] loop
		v_doc := app.render(p_kind, p_id, not v_public, p_last => true);
		if p_kind <> 'call' then
			return query select v_public, 0::bigint, v_doc::text where v_doc is not null;
			continue;
		end if;
		return query
			select v_public, 0::bigint, '{' || string_agg(to_json(m.key) || ':' || m.value, ',') || '}'
			from json_each(v_doc) m where m.key <> 'children' having count(*) > 0
			union all
			select v_public, (c.value ->> 'id')::bigint, c.value::text
			from json_array_elements(v_doc -> 'children') c;
	end loop;
end $$;

-- A document of its parts, or part p_n alone.
create function app.compose(p_kind app.resource_kind, p_keys bigint[], p_docs text[], p_n bigint) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
	v_items text;
	v_head text;
begin
	if p_n is not null then
		return p_docs[array_position(p_keys, p_n)];
	end if;
	if p_kind in ('login', 'mailbox', 'call') then
		select string_agg(u.doc, ',' order by case p_kind when 'mailbox' then - u.key else u.key end)
		into v_items from unnest(p_keys, p_docs) u (key, doc) where u.key > 0;
	end if;
	if p_kind in ('login', 'mailbox') then
		return '[' || coalesce(v_items, '') || ']';
	end if;
	v_head := p_docs[array_position(p_keys, 0)];
	if p_kind = 'call' then
		return left(v_head, -1) || ',"children":[' || coalesce(v_items, '') || ']}';
	end if;
	return v_head;
end $$;

-- How p_now is made p_was. Null: not there.
create function app.part_change(p_public bool, p_key bigint, p_was text, p_now text) returns app.part_change
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
	v_was bytea := convert_to(p_was, 'UTF8');
	v_now bytea := convert_to(p_now, 'UTF8');
	v_was_len int := octet_length(v_was);
	v_now_len int := octet_length(v_now);
	v_skip int := 0;
	v_keep int := 0;
	v_most int := least(v_was_len, v_now_len);
	v_half int;
begin
	if v_was is null or v_now is null then
		return row(p_public, p_key, 0, 0, v_now_len, v_was);
	end if;
	while v_skip < v_most loop -- what both begin with, by halves
		v_half := (v_skip + v_most + 1) / 2;
		if substring(v_was from v_skip + 1 for v_half - v_skip) = substring(v_now from v_skip + 1 for v_half - v_skip)
		then
			v_skip := v_half;
		else
			v_most := v_half - 1;
		end if;
	end loop;
	v_most := least(v_was_len, v_now_len) - v_skip;
	while v_keep < v_most loop -- and end with
		v_half := (v_keep + v_most + 1) / 2;
		if substring(v_was from v_was_len - v_half + 1 for v_half - v_keep)
			= substring(v_now from v_now_len - v_half + 1 for v_half - v_keep)
		then
			v_keep := v_half;
		else
			v_most := v_half - 1;
		end if;
	end loop;
	return row(p_public, p_key, v_skip, v_keep, v_now_len,
		substring(v_was from v_skip + 1 for v_was_len - v_skip - v_keep));
end $$;

-- The part before that change.
create function app.part_before(p_change app.part_change, p_now text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
	v_now bytea := convert_to(p_now, 'UTF8');
begin
	if p_change.was is null or v_now is null then
		return convert_from(p_change.was, 'UTF8');
	end if;
	return convert_from(substring(v_now for p_change.skip) || p_change.was
		|| substring(v_now from octet_length(v_now) - p_change.keep + 1), 'UTF8');
end $$;

-- Brings app.shown up to what the resource shows now. Gives how what it has changed is made what it was.
create function app.show(p_kind app.resource_kind, p_id bigint) returns app.part_change[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_public bool;
	v_key bigint;
	v_was text;
	v_now text;
	v_parts app.part_change[] := '{}';
begin
	for v_public, v_key, v_was, v_now in
		select public, key, o.doc, n.doc
		from (select s.public, s.key, s.doc from app.shown s where s.kind = p_kind and s.id = p_id) o
		full join app.parts(p_kind, p_id) n using (public, key)
		where o.doc is distinct from n.doc
	loop
		v_parts := v_parts || app.part_change(v_public, v_key, v_was, v_now);
		if v_now is null then
			delete from app.shown s where s.kind = p_kind and s.id = p_id and s.public = v_public and s.key = v_key;
		else
			insert into app.shown as s (kind, id, public, key, doc) values (p_kind, p_id, v_public, v_key, v_now)
			on conflict (kind, id, public, key) do update set doc = excluded.doc;
		end if;
	end loop;
	return v_parts;
end $$;

-- Logs a change of a resource, which is locked. p_parts: of a mailbox, for which app.shown has nothing; null: not known.
-- What is more than the bound goes, oldest first, an eighth of it at a time.
create function app.log_change(p_kind app.resource_kind, p_id bigint, p_version bigint, p_prior bigint, p_gone bool,
	p_recheck bigint[], p_parts app.part_change[]) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_log app.change_log;
	v_parts app.part_change[] := p_parts;
	v_size int;
	v_bound bigint := app.bound('change_log');
begin
	-- Waits for the janitor, where it is just removing the log.
	select l.* into v_log from app.change_log l where l.kind = p_kind and l.id = p_id for update;
	if p_kind <> 'mailbox' and not p_gone then
		v_parts := app.show(p_kind, p_id);
	end if;
	if v_log.version is distinct from p_prior or v_log.gone or v_parts is null and not p_gone then
		delete from app.change c where c.kind = p_kind and c.id = p_id;
		v_parts := null;
		v_log.trimmed := v_log.written;
	end if;
	v_size := 256 + coalesce((select sum(32 + coalesce(octet_length(u.was), 0)) from unnest(v_parts) u), 0);
	v_log.written := coalesce(v_log.written, 0) + v_size;
	insert into app.change (kind, id, version, prior, gone, parts, recheck, size, upto)
	values (p_kind, p_id, p_version, p_prior, p_gone, coalesce(v_parts, '{}'), p_recheck, v_size, v_log.written);
	if v_log.written - coalesce(v_log.trimmed, 0) > v_bound then
		v_log.trimmed := v_log.written - (v_bound - v_bound / 8);
		delete from app.change c where c.kind = p_kind and c.id = p_id and c.upto - c.size < v_log.trimmed;
	end if;
	insert into app.change_log as l (kind, id, version, gone, written, trimmed, at)
	values (p_kind, p_id, p_version, p_gone, v_log.written, coalesce(v_log.trimmed, 0), now())
	on conflict (kind, id) do update set version = excluded.version, gone = excluded.gone,
		written = excluded.written, trimmed = excluded.trimmed, at = excluded.at;
end $$;

create function app.version_of(p_kind app.resource_kind, p_id bigint) returns bigint
language plpgsql stable as $$
begin
	if p_kind = 'send' then
		return (select s.version from app.send s where s.id = p_id and exists (
			select from app.account a where a.id = s.account_id));
	end if;
	if p_kind = 'calls' then
		return app.past_calls_version(p_id);
	end if;
	return (select r.version from app.resource r where r.kind = p_kind and r.id = p_id);
end $$;

-- What reads the log is stable: it has to see all of it as of one moment.

-- The parts as of the log's end.
create function app.logged_parts(p_kind app.resource_kind, p_id bigint, p_public bool, p_n bigint,
	out keys bigint[], out docs text[])
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	if p_kind = 'mailbox' then
		select array_agg(m.n), array_agg(m.doc) into keys, docs from app.mailbox_newest(p_id) m;
	else
		select array_agg(s.key), array_agg(s.doc) into keys, docs from app.shown s
		where s.kind = p_kind and s.id = p_id and s.public = p_public and (p_n is null or s.key = p_n);
	end if;
	keys := coalesce(keys, '{}');
	docs := coalesce(docs, '{}');
end $$;

-- The document where the log has its version, or null.
create function app.logged_doc(p_kind app.resource_kind, p_id bigint, p_version bigint, p_public bool, p_n bigint)
returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_now record;
begin
	if p_version is distinct from app.version_of(p_kind, p_id) or not exists (
		select from app.change_log l where l.kind = p_kind and l.id = p_id and l.version = p_version and not l.gone)
	then
		return null;
	end if;
	v_now := app.logged_parts(p_kind, p_id, p_public, p_n);
	return app.compose(p_kind, v_now.keys, v_now.docs, p_n);
end $$;

-- Changes after p_since, oldest first, as api.watch_read() gives them; none where the log does not reach back to it.
-- p_limit: null: all; 0: the last alone (and, p_base, what it starts from), with whatever rechecks lie between. There are
-- no more than 512 KiB in an answer (`more`: ask for the rest). Where they are told whole and are large, the last is enough.
create function app.changes_since(p_kind app.resource_kind, p_id bigint, p_since bigint, p_public bool, p_n bigint,
	p_base bool, p_limit int)
returns table (version bigint, prior bigint, doc text, recheck bigint[], more bool)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
	c_bytes constant bigint := 524288; -- more than an open stream takes at once
	c_work constant bigint := 16777216; -- bytes to be made again, step by step
	c_whole constant bigint := 1048576;
	v_log app.change_log;
	v_reach record;
	v_keys bigint[];
	v_parts text[];
	v_row record;
	v_part app.part_change;
	v_at int;
	v_doc text;
	v_last bool;
	v_versions bigint[] := '{}'; -- newest first
	v_priors bigint[] := '{}';
	v_docs text[] := '{}';
	v_rechecks text[] := '{}';
	v_most bigint;
begin
	select l.* into v_log from app.change_log l where l.kind = p_kind and l.id = p_id;
	if v_log.version is null or not v_log.gone and v_log.version is distinct from app.version_of(p_kind, p_id) then
		return;
	end if;
	-- A mailbox that has gone has taken its messages along.
	v_last := p_limit is not distinct from 0 and not p_base or v_log.gone and p_kind = 'mailbox';
	select l.keys, l.docs into v_keys, v_parts from app.logged_parts(p_kind, p_id, p_public, p_n) l;
	-- How large each version was follows from what has been added since.
	select count(*) as rows, bool_and(o.follows) as whole, max(o.version) as last,
		count(*) filter (where o.bytes <= c_bytes) as fit, sum(o.work) as work
	into v_reach
	from (
		select s.version, s.follows, s.work, sum(s.size) over (order by s.version) as bytes
		from (
			select d.version, d.follows, d.work, (select sum(octet_length(p)) from unnest(v_parts) p)
				- coalesce(sum(d.added) over (order by d.version desc rows between unbounded preceding and 1 preceding), 0)
				as size
			from (
				select c.version, coalesce(c.prior = lag(c.version) over (order by c.version),
						c.version = p_since or c.prior = p_since and not p_base) as follows,
					(select sum(coalesce(p.size, 0) - p.skip - p.keep - coalesce(octet_length(p.was), 0))
						from unnest(c.parts) p where p.public = p_public and (p_n is null or p.key = p_n)) as added,
					(select sum(p.size) from unnest(c.parts) p) as work
				from app.change c where c.kind = p_kind and c.id = p_id and c.version >= p_since) d) s
		where s.version > p_since or p_base) o;
	if v_reach.whole is not true or v_reach.last <> v_log.version or v_reach.rows = 0 then
		return;
	end if;
	if v_reach.work > c_work and p_base then
		return; -- the state costs less
	end if;
	v_last := v_last or coalesce(v_reach.work > c_work, false);
	v_most := least(v_reach.rows, greatest(v_reach.fit, 2));
	if p_limit > 0 then
		v_most := least(v_most, p_limit);
	end if;
	for v_row in
		select c.version, c.prior, c.gone, c.parts, row_number() over (order by c.version) as place,
			case when p_limit is distinct from 0 then c.recheck
				else array(select distinct a from app.change o cross join unnest(o.recheck) a
					where o.kind = p_kind and o.id = p_id and o.version > p_since and o.version <= c.version) end as recheck
		from app.change c
		where c.kind = p_kind and c.id = p_id and (c.version > p_since or p_base and c.version = p_since)
		order by c.version desc
	loop
		if v_row.place = v_reach.rows and (v_last or not p_base) then
			v_doc := case when not v_row.gone then app.compose(p_kind, v_keys, v_parts, p_n) end;
			if v_last or v_reach.rows > 1 and v_reach.rows * octet_length(v_doc) > c_whole then
				return query select v_row.version, v_row.prior, v_doc, array(
					select distinct a from app.change c cross join unnest(c.recheck) a
					where c.kind = p_kind and c.id = p_id and c.version > p_since), false;
				return;
			end if;
		end if;
		if v_row.place <= v_most and p_limit is distinct from 0 or p_limit = 0 and v_row.place in (1, v_reach.rows) then
			v_doc := case when not v_row.gone then app.compose(p_kind, v_keys, v_parts, p_n) end;
			v_versions := v_versions || v_row.version;
			v_priors := v_priors || v_row.prior;
			v_docs := v_docs || v_doc;
			v_rechecks := v_rechecks || v_row.recheck::text;
		end if;
		foreach v_part in array v_row.parts loop
			continue when v_part.public <> p_public or v_part.key <> p_n;
			v_at := array_position(v_keys, v_part.key);
			if v_at is null then
				v_keys := v_keys || v_part.key;
				v_parts := v_parts || null::text;
				v_at := cardinality(v_keys);
			end if;
			if octet_length(v_parts[v_at]) is distinct from v_part.size then
				raise warning 'restsip: the change log of % % does not fit', p_kind, p_id;
				return; -- then the state will do
			end if;
			v_parts[v_at] := app.part_before(v_part, v_parts[v_at]);
		end loop;
	end loop;
	return query
		select o.version, o.prior, o.doc, o.recheck::bigint[], p_limit is distinct from 0 and v_reach.rows > v_most
		from unnest(v_versions, v_priors, v_docs, v_rechecks) o (version, prior, doc, recheck)
		order by o.version;
end $$;
