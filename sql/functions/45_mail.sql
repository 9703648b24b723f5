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

-- Leaves a message: p_url, or p_content of type p_content_type. Signed in: the sender is known; else at most 64 KiB.
-- p_key, p_print: an Idempotency-Key and what was asked under it, or null.
create function api.mail_post(p_who text, p_proof bytea, p_email text, p_type text, p_url text, p_content_type text,
	p_content bytea, p_extra jsonb, p_key text, p_print bytea)
returns table (n bigint, email text, doc text, version bigint, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_caller bigint := app.caller_or_nobody(p_who, p_proof);
	v_account bigint;
	v_email text;
	v_done jsonb;
	v_prior bigint;
	v_version bigint;
	v_message app.message;
	c_quota constant bigint := 67108864;
	c_max_messages constant int := 10000;
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
	v_prior := app.lock('mailbox', v_account);
	if (select coalesce(sum(m.size), 0) + coalesce(octet_length(p_content), 0) > c_quota
			or count(*) >= c_max_messages
		from app.message m where m.account_id = v_account)
	then
		perform app.refuse(507, 'mailbox-full', 'The mailbox is full.');
	end if;
	v_version := app.advance('mailbox', v_account);
	insert into app.message (account_id, n, type, sender, url, content_type, content, size, extra)
	values (v_account, app.take_n('mailbox', v_account), p_type, app.email(v_caller), p_url,
		case when p_content is not null then p_content_type end, p_content,
		coalesce(octet_length(p_content), 0),
		coalesce(p_extra, '{}') - array['id', 'url', 'self', 'type', 'from', 'content_type', 'size', 'seen', 'created_at'])
	returning * into v_message;
	n := v_message.n;
	email := v_email;
	doc := app.message_doc(v_email, v_message);
	version := v_version;
	bell := app.publish('mailbox', v_account, v_version, v_prior);
	perform app.idem_end(v_caller, p_key, p_print,
		jsonb_build_object('n', n, 'doc', doc, 'version', version));
	return next;
end $$;

-- Newest first, those below p_before.
create function api.mail_list(p_who text, p_proof bytea, p_email text, p_before bigint, p_limit int)
returns table (version bigint, n bigint, doc text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_owner record := app.owner(p_who, p_proof, p_email);
	v_account bigint := v_owner.id;
	v_email text := v_owner.email;
begin
	return query
		select r.version, m.n, case when m.n is not null then app.message_doc(v_email, m.*::app.message) end
		from app.resource r
		left join lateral (
			select o.* from app.message o
			where o.account_id = v_account and (p_before is null or o.n < p_before)
			order by o.n desc limit least(greatest(coalesce(p_limit, 100), 1), 1000)) m on true
		where r.kind = 'mailbox' and r.id = v_account
		order by m.n desc;
end $$;

-- One message; its content from byte p_from on, p_length bytes (null: all), without it where p_length is 0.
create function api.mail_get(p_who text, p_proof bytea, p_email text, p_n bigint, p_from int, p_length int)
returns table (version bigint, doc text, content_type text, size int, content bytea)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
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
#variable_conflict use_column
declare
	v_box record := app.owner_advance('mailbox', p_who, p_proof, p_email, p_if_match);
	v_message app.message;
begin
	update app.message m set seen = coalesce(p_seen, m.seen),
		extra = app.merge_patch(m.extra, coalesce(p_extra, '{}')
			- array['id', 'url', 'self', 'type', 'from', 'content_type', 'size', 'created_at'])
	where m.account_id = v_box.id and m.n = p_n returning * into v_message;
	if v_message.id is null then
		perform app.refuse(404, 'message-not-found', 'There is no such message.');
	end if;
	return query select v_box.version, app.message_doc(v_box.email, v_message),
		app.publish('mailbox', v_box.id, v_box.version, v_box.prior);
end $$;

create function api.mail_delete(p_who text, p_proof bytea, p_email text, p_n bigint, p_if_match bigint)
returns table (version bigint, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
	v_box record := app.owner_advance('mailbox', p_who, p_proof, p_email, p_if_match);
begin
	delete from app.message m where m.account_id = v_box.id and m.n = p_n;
	if not found then
		perform app.refuse(404, 'message-not-found', 'There is no such message.');
	end if;
	return query select v_box.version, app.publish('mailbox', v_box.id, v_box.version, v_box.prior);
end $$;

-- A mailbox as a stream shows it: its newest hundred messages.
create function app.mailbox_doc(p_account bigint) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	return '[' || coalesce((
		select string_agg(app.message_doc(app.email(p_account), m.*::app.message), ',' order by m.n desc)
		from (select o.* from app.message o where o.account_id = p_account order by o.n desc limit 100) m), '') || ']';
end $$;

-- application/simple-message-summary, RFC 3842: new and old messages of each kind; none of them is urgent.
create function app.mailbox_summary(p_account bigint) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
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
