-- The mailbox: what is left for a user, by anyone, for the user alone to read.

create function app.message_doc(p_email text, p_message app.message) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
	v_self text := '/user/' || app.url_segment(p_email) || '/messages/' || p_message.n;
begin
	return app.doc_close('{"id":' || p_message.n || ',"url":' || to_json(coalesce(p_message.url, v_self))
		|| ',"self":' || to_json(v_self) || ',"type":"' || p_message.type || '"'
		|| case when p_message.sender is null then '' else ',"from":' || to_json(p_message.sender) end
		|| case when p_message.content_type is null then ''
			else ',"content_type":' || to_json(p_message.content_type) || ',"size":' || p_message.size end
		|| ',"seen":' || p_message.seen
		|| ',"created_at":"' || app.time_text(p_message.created_at) || '"', p_message.extra);
end $$;

-- How many bytes that is, seen or not.
create function app.mail_written(p_email text, p_message app.message) returns int
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
	return octet_length(app.message_doc(p_email, p_message)) + p_message.seen::int;
end $$;

create function app.mail_reserved() returns text[]
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return array['id', 'url', 'self', 'type', 'from', 'content_type', 'size', 'created_at'];
end $$;

-- A message's own members; RS413 if they are more than one request can bring.
create function app.mail_extra(p_extra jsonb) returns jsonb
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
	if app.written(p_extra) > 65536 then
		perform app.refuse(413, 'document-too-large', 'A message''s own members are at most 64 KiB, written out.');
	end if;
	return p_extra - app.mail_reserved();
end $$;

-- Counts what comes into or leaves a mailbox, whose resource is locked; RS507 when that is too much. Who has not signed
-- in may fill a part of it only: the rest is for those who have.
create function app.mailbox_add(p_account bigint, p_anonymous bool, p_messages int, p_bytes bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_box app.mailbox;
	v_part numeric := app.bound('anonymous_mail_percent') / 100.0;
begin
	if p_messages = 0 and p_bytes = 0 then
		return;
	end if;
	insert into app.mailbox as b (account_id, messages, bytes, anonymous_messages, anonymous_bytes)
	values (p_account, p_messages, p_bytes, p_anonymous::int * p_messages, p_anonymous::int * p_bytes)
	on conflict (account_id) do update set messages = b.messages + p_messages, bytes = b.bytes + p_bytes,
		anonymous_messages = b.anonymous_messages + p_anonymous::int * p_messages,
		anonymous_bytes = b.anonymous_bytes + p_anonymous::int * p_bytes
	returning * into v_box;
	if p_messages > 0 and v_box.messages > app.bound('mailbox_messages')
		or p_bytes > 0 and v_box.bytes > app.bound('mailbox')
	then
		perform app.refuse(507, 'mailbox-full', 'The mailbox is full.');
	end if;
	if p_anonymous and (p_messages > 0 and v_box.anonymous_messages > app.bound('mailbox_messages') * v_part
		or p_messages > 0 and v_box.anonymous_bytes > app.bound('mailbox') * v_part)
	then
		perform app.refuse(507, 'mailbox-full', 'The mailbox takes no more from those who have not signed in.');
	end if;
end $$;

-- An anonymous message: RS429 when its source, or everybody together, has left as many as there may be. p_count: count
-- it. An hour, or a day, runs from its first message on.
create function app.mail_turn(p_account bigint, p_source text, p_count bool) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_turn record;
	v_used bigint;
	v_until timestamptz;
	v_most timestamptz;
begin
	for v_turn in
		select t.key, t.span, app.bound(t.bound) as bound from (values
			('m:' || p_account, interval '1 day', 'anonymous_mail_mailbox'),
			('s:' || p_source, interval '1 hour', 'anonymous_mail_source')) t (key, span, bound)
		where t.key is not null order by t.key
	loop
		if p_count then
			insert into app.mail_turn as t (key, used, until) values (v_turn.key, 1, now() + v_turn.span)
			on conflict (key) do update set
				used = case when t.until > now() then t.used + 1 else 1 end,
				until = case when t.until > now() then t.until else excluded.until end
			returning t.used, t.until into v_used, v_until;
		else
			select t.used + 1, t.until into v_used, v_until from app.mail_turn t
			where t.key = v_turn.key and t.until > now();
		end if;
		if v_used > v_turn.bound then
			v_most := greatest(v_most, v_until);
		end if;
	end loop;
	if v_most is not null then
		perform app.refuse_for(429, 'too-much-mail',
			'Without credentials, a source may leave so many messages an hour, and a mailbox takes so many a day.',
			extract(epoch from v_most - now()));
	end if;
end $$;

-- Leaves a message: p_url, or p_content of type p_content_type. Signed in: the sender is known; else at most 64 KiB.
-- p_key, p_print: an Idempotency-Key and what was asked under it, or null; p_source: where it comes from.
create function api.mail_post(p_who text, p_proof bytea, p_email text, p_type text, p_url text, p_content_type text,
	p_content bytea, p_extra jsonb, p_key text, p_print bytea, p_source text default null)
returns table (n bigint, email text, doc text, version bigint, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_caller bigint := app.caller_or_nobody(p_who, p_proof);
	v_account bigint;
	v_email text;
	v_source text := app.source(p_source);
	v_done jsonb;
	v_prior bigint;
	v_version bigint;
	v_message app.message;
begin
	if p_email = 'me' and v_caller is null then
		perform app.refuse(401, 'unauthorized', 'This needs credentials.');
	end if;
	v_account := app.target(v_caller, p_email);
	v_email := app.email(v_account);
	v_done := app.idem_begin(v_caller, p_key, p_print);
	if v_done is not null then
		return query select (v_done ->> 'n')::bigint, v_email, v_done ->> 'doc', (v_done ->> 'version')::bigint,
			null::text[];
		return;
	end if;
	if v_caller is null and octet_length(p_content) > 65536 then
		perform app.refuse(413, 'content-too-large', 'More than 64 KiB needs credentials.');
	end if;
	if v_caller is null then
		perform app.mail_turn(v_account, v_source, false);
	end if;
	v_prior := app.lock('mailbox', v_account, p_mine => v_account = v_caller);
	perform app.caller_holds(v_caller);
	perform app.refuse_for_disabled(v_account);
	v_message.account_id := v_account;
	v_message.n := app.take_n('mailbox', v_account);
	v_message.type := p_type;
	v_message.sender := app.email(v_caller);
	v_message.url := p_url;
	v_message.content := p_content;
	v_message.content_type := case when p_content is not null then p_content_type end;
	v_message.size := coalesce(octet_length(p_content), 0);
	v_message.seen := false;
	v_message.extra := app.mail_extra(coalesce(p_extra, '{}') - 'seen');
	v_message.created_at := now();
	v_message.written := app.mail_written(v_email, v_message);
	perform app.mailbox_add(v_account, v_caller is null, 1, v_message.size + v_message.written);
	if v_caller is null then
		perform app.mail_turn(v_account, v_source, true);
	end if;
	v_version := app.advance('mailbox', v_account);
	insert into app.message (account_id, n, type, sender, url, content_type, content, size, seen, extra, created_at, written)
	values (v_account, v_message.n, v_message.type, v_message.sender, v_message.url, v_message.content_type,
		v_message.content, v_message.size, false, v_message.extra, v_message.created_at, v_message.written);
	n := v_message.n;
	email := v_email;
	doc := app.message_doc(v_email, v_message);
	version := v_version;
	bell := app.publish('mailbox', v_account, v_version, v_prior,
		p_parts => app.mailbox_change(v_account, v_email, null, v_message));
	perform app.idem_end(v_caller, p_key, p_print,
		jsonb_build_object('n', n, 'doc', doc, 'version', version));
	return next;
end $$;

-- Messages of a mailbox, newest first, those below p_before: a page, see app.page_items.
create function app.mail_items(p_account bigint, p_email text, p_before bigint, p_limit int)
returns table (n bigint, doc text, fits bool)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
	set cursor_tuple_fraction = 1 set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
declare
	v_items refcursor;
begin
	open v_items for
		select m.n, app.message_doc(p_email, m.*::app.message) from app.message m
		where m.account_id = p_account and m.n < coalesce(p_before, 9223372036854775807)
		order by m.n desc limit app.page_limit(p_limit) + 1;
	return query select i.key::bigint, i.doc, i.fits from app.page_items(v_items, app.page_limit(p_limit)) i;
end $$;

create function api.mail_list(p_who text, p_proof bytea, p_email text, p_before bigint, p_limit int)
returns table (version bigint, n bigint, doc text, fits bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_owner record := app.owner(p_who, p_proof, p_email);
begin
	return query
		select r.version, m.n, m.doc, m.fits
		from app.resource r
		left join lateral app.mail_items(v_owner.id, v_owner.email, p_before, p_limit) m on true
		where r.kind = 'mailbox' and r.id = v_owner.id
		order by m.n desc;
end $$;

-- One message; its content from byte p_from on, p_length bytes (null: all), without it where p_length is 0.
create function api.mail_get(p_who text, p_proof bytea, p_email text, p_n bigint, p_from int, p_length int)
returns table (version bigint, doc text, content_type text, size int, content bytea)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_owner record := app.owner(p_who, p_proof, p_email);
	v_account bigint := v_owner.id;
	v_email text := v_owner.email;
begin
	return query
		select r.version, app.message_doc(v_email, m), m.content_type, m.size, case
			when m.content is null or p_length = 0 then null
			when p_length is null and coalesce(p_from, 0) = 0 then m.content
			when p_length is null then substring(m.content from p_from + 1)
			else substring(m.content from coalesce(p_from, 0) + 1 for p_length) end
		from app.message m join app.resource r on r.kind = 'mailbox' and r.id = v_account
		where m.account_id = v_account and m.n = p_n;
	if not found then
		perform app.refuse(404, 'message-not-found', 'There is no such message.');
	end if;
end $$;

-- p_extra is a merge patch; p_seen null: as it was.
create function api.mail_patch(p_who text, p_proof bytea, p_email text, p_n bigint, p_seen bool, p_extra jsonb,
	p_if_match bigint)
returns table (version bigint, doc text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_box record := app.owner_advance('mailbox', p_who, p_proof, p_email, p_if_match);
	v_extra jsonb := coalesce(p_extra, '{}') - app.mail_reserved() - 'seen';
	v_was app.message;
	v_now app.message;
begin
	select m.* into v_was from app.message m where m.account_id = v_box.id and m.n = p_n;
	if v_was.id is null then
		perform app.refuse(404, 'message-not-found', 'There is no such message.');
	end if;
	v_now := v_was;
	v_now.seen := coalesce(p_seen, v_was.seen);
	if v_extra = '{}' then -- members that stay are not written again, nor is the content
		update app.message m set seen = v_now.seen where m.id = v_was.id;
	else
		v_now.extra := app.mail_extra(app.merge_patch(v_was.extra, v_extra));
		v_now.written := app.mail_written(v_box.email, v_now);
		perform app.mailbox_add(v_box.id, v_was.sender is null, 0, v_now.written - v_was.written);
		update app.message m set seen = v_now.seen, extra = v_now.extra, written = v_now.written where m.id = v_was.id;
	end if;
	return query select v_box.version, app.message_doc(v_box.email, v_now),
		app.publish('mailbox', v_box.id, v_box.version, v_box.prior,
			p_parts => app.mailbox_change(v_box.id, v_box.email, v_was, v_now));
end $$;

create function api.mail_delete(p_who text, p_proof bytea, p_email text, p_n bigint, p_if_match bigint)
returns table (version bigint, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_box record := app.owner_advance('mailbox', p_who, p_proof, p_email, p_if_match);
	v_was app.message;
begin
	delete from app.message m where m.account_id = v_box.id and m.n = p_n returning m.* into v_was;
	if v_was.id is null then
		perform app.refuse(404, 'message-not-found', 'There is no such message.');
	end if;
	perform app.mailbox_add(v_box.id, v_was.sender is null, -1, - (v_was.size + v_was.written));
	return query select v_box.version, app.publish('mailbox', v_box.id, v_box.version, v_box.prior,
		p_parts => app.mailbox_change(v_box.id, v_box.email, v_was, null));
end $$;

-- Of messages, newest first, how many bytes each takes: which a stream shows, the newest hundred that fit into a document.
create function app.mailbox_shows(p_ns bigint[], p_written int[]) returns table (n bigint)
language plpgsql stable rows 100 set search_path = pg_catalog, pg_temp as $$
begin
	return query
		select o.n from (
			select u.n, row_number() over w as place, sum(u.written + 1) over w as bytes
			from unnest(p_ns, p_written) u (n, written) window w as (order by u.n desc)) o
		where o.place <= 100 and o.bytes < app.bound('document');
end $$;

-- The messages that a stream shows of a mailbox.
create function app.mailbox_newest(p_account bigint) returns table (n bigint, doc text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_email text := app.email(p_account);
	v_ns bigint[];
	v_written int[];
begin
	select array_agg(o.n), array_agg(o.written) into v_ns, v_written from (
		select m.n, m.written from app.message m where m.account_id = p_account order by m.n desc limit 100) o;
	return query
		select m.n, app.message_doc(v_email, m.*::app.message)
		from app.message m
		where m.account_id = p_account and m.n = any (array(select s.n from app.mailbox_shows(v_ns, v_written) s))
		order by m.n desc;
end $$;

create function app.mailbox_doc(p_account bigint) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return '[' || coalesce((select string_agg(m.doc, ',' order by m.n desc) from app.mailbox_newest(p_account) m), '')
		|| ']';
end $$;

-- How the change of one message (null: it was not, or is no more, there) has changed what a stream shows of the mailbox,
-- for the change log; null: nobody watches.
create function app.mailbox_change(p_account bigint, p_email text, p_was app.message, p_now app.message)
returns app.part_change[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_n bigint := coalesce(p_was.n, p_now.n);
	v_ns bigint[];
	v_written int[];
begin
	if not app.is_watched('mailbox', p_account) then
		return null;
	end if;
	-- Without that message: what was there before and is there now is the same.
	select array_agg(o.n), array_agg(o.written) into v_ns, v_written from (
		select m.n, m.written from app.message m
		where m.account_id = p_account and m.n <> v_n order by m.n desc limit 100) o;
	return array(
		select app.part_change(false, k.n,
			case when not k.was then null when k.n = v_n then app.message_doc(p_email, p_was) else (
				select app.message_doc(p_email, m) from app.message m where m.account_id = p_account and m.n = k.n) end,
			case when not k.now then null when k.n = v_n then app.message_doc(p_email, p_now) else (
				select app.message_doc(p_email, m) from app.message m where m.account_id = p_account and m.n = k.n) end)
		from (
			select coalesce(b.n, a.n) as n, b.n is not null as was, a.n is not null as now
			from app.mailbox_shows(case when p_was.n is null then v_ns else v_ns || v_n end,
				case when p_was.n is null then v_written else v_written || p_was.written end) b
			full join app.mailbox_shows(case when p_now.n is null then v_ns else v_ns || v_n end,
				case when p_now.n is null then v_written else v_written || p_now.written end) a on a.n = b.n) k
		where k.n = v_n or k.was <> k.now);
end $$;

-- application/simple-message-summary, RFC 3842: new and old messages of each kind; none of them is urgent.
create function app.mailbox_summary(p_account bigint) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return (select 'Messages-Waiting: ' || case when bool_or(k.new > 0) then 'yes' else 'no' end || E'\r\n'
			|| 'Message-Account: sip:' || app.email(p_account) || E'\r\n'
			|| string_agg(k.name || '-Message: ' || k.new || '/' || k.old || E' (0/0)\r\n', '' order by k.place)
				filter (where k.place = 1 or k.new + k.old > 0)
		from (
			select t.place, t.name, count(*) filter (where not m.seen) as new, count(*) filter (where m.seen) as old
			from (values (1, 'Voice'), (2, 'Video'), (3, 'Text')) t (place, name)
			left join app.message m on m.account_id = p_account and m.type = lower(t.name)
			group by t.place, t.name) k);
end $$;

grant execute on function api.mail_post, api.mail_list, api.mail_get, api.mail_patch, api.mail_delete to restsip_api;
