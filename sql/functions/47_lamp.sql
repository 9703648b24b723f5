-- Lamps: what a phone is told of the calls of an account (dialog, RFC 4235), and of who is in a call (conference, RFC 4575). They
-- are subscriptions as any others, of 47_subscription.sql; here is what is theirs: how a change of a call comes to them, and the
-- document of an account's phones.
--
-- Calls change all the time, many in one transaction, and those of an account at once in many. Were subscriptions marked as due by
-- who changes a call, each would wait for others' locks in no order. So a row is added (app.lamp_news), which locks nothing, and
-- the next claim of NOTIFYs marks what is due. Nothing is written where nobody watches.

-- Whether phones watch a call (conference), or the calls of an account (dialog).
create function app.is_lamp(p_event text, p_about bigint) returns bool
language plpgsql stable as $$
begin
	return exists (select from app.subscription s
		where s.event in ('conference', 'dialog') and coalesce(s.about_call, s.account_id) = p_about and s.event = p_event);
end $$;

-- Whether there are any at all, found by the index whatever the statistics say: they would have it that some of many subscriptions
-- are met with soon.
create function app.has_lamps() returns bool
language plpgsql stable as $$
begin
	return (select s.event from app.subscription s where s.event in ('conference', 'dialog')
		order by coalesce(s.about_call, s.account_id), s.event limit 1) is not null;
end $$;

-- Calls have changed, or what these accounts have in calls: who watches them by phone is to hear of it. Must not run in the
-- statement that has changed them.
create function app.lamps_tell(p_calls bigint[], p_accounts bigint[] default '{}') returns text[]
language plpgsql volatile as $$
begin
	if not app.has_lamps() then
		return null;
	end if;
	insert into app.lamp_news (event, about)
	select n.event, n.about
	from (
		select 'conference' as event, c.id as about from unnest(p_calls) c (id)
		union select 'dialog', a.id from unnest(p_accounts) a (id)
		union
		select 'dialog', coalesce(l.account_id, p.account_id)
		from unnest(p_calls) c (id)
		cross join lateral (
			select g.account_id, g.participant_id from app.leg g
			where g.call_id = c.id and (g.ended_at is null or g.ended_at >= now()) offset 0) l
		left join app.participant p on p.id = l.participant_id) n
	where app.is_lamp(n.event, n.about);
	return case when found then array[app.notify_bell(null)] end;
end $$;

-- The same of the calls that legs are in.
create function app.legs_tell(p_legs bigint[]) returns text[]
language plpgsql volatile as $$
begin
	if not app.has_lamps() then
		return null;
	end if;
	return app.lamps_tell(array(
		select distinct l.call_id
		from unnest(p_legs) u (id) cross join lateral (select g.call_id from app.leg g where g.id = u.id offset 0) l));
end $$;

-- What has changed of calls makes subscriptions due: the first step of a claim, before it has locked anything. It locks in order: what
-- they are about, then the subscriptions. A writer may have several of the former, in any order (app.notify_due): so this waits for
-- one alone, while it has none, and leaves what it cannot have at once to the next claim. News that another claim is at are that one's.
create function app.lamps_due() returns void
language plpgsql volatile as $$
declare
	v_news bigint[];
	v_abouts bigint[];
	v_subs bigint[];
begin
	if not exists (select from app.lamp_news) then
		return;
	end if;
	v_news := array(select n.id from app.lamp_news n order by n.id limit 500 for update skip locked);
	perform app.notify_lock(n.about) from app.lamp_news n where n.id = v_news[1];
	v_abouts := array(
		select d.about from (select distinct n.about from app.lamp_news n where n.id = any (v_news)) d
		where app.notify_try_lock_alone(d.about));
	if exists (select from app.lamp_news n where n.id = any (v_news) and n.about <> all (v_abouts)) then
		perform app.ring_now(array[app.notify_bell(null)]);
	end if;
	v_news := array(select n.id from app.lamp_news n where n.id = any (v_news) and n.about = any (v_abouts));
	v_subs := array(
		select s.id
		from (select distinct n.event, n.about from app.lamp_news n where n.id = any (v_news)) n
		join app.subscription s on s.event in ('conference', 'dialog') and s.event = n.event
			and coalesce(s.about_call, s.account_id) = n.about);
	perform from app.subscription s where s.id = any (v_subs) order by s.id for update;
	update app.subscription s set due = true, due_at = app.notify_from(s.due_at)
	where s.id = any (v_subs) and s.ended is null and not s.due;
	delete from app.lamp_news n where n.id = any (v_news);
end $$;

-- Whether transactions that run may not know of a subscription to dialog. Unlike other resources, what an account has in calls has
-- no row that they would have locked: so it is looked at again until they have ended.
create function app.is_fenced(p_sub app.subscription) returns bool
language plpgsql volatile as $$
begin
	return p_sub.event = 'dialog' and (p_sub.fence is null or app.xmin() < p_sub.fence);
end $$;

-- The legs of an account that go on, those that talk first, then those that ring.
create function app.dialog_legs(p_account bigint) returns bigint[]
language plpgsql volatile as $$
begin
	return array(
		select l.id
		from (
			select l.id, l.state from app.participant p join app.leg l on l.participant_id = p.id
			where p.account_id = p_account and p.left_at is null and l.ended_at is null
				and coalesce(l.account_id, p_account) = p_account
			union
			select l.id, l.state from app.leg l
			where l.account_id = p_account and l.direction = 'out' and l.ended_at is null) l
		where l.state <> 'ending'
		order by l.state not in ('answered', 'up'), l.state <> 'ringing', l.id limit app.bound('dialogs'));
end $$;

-- application/dialog-info+xml, RFC 4235: the full state, of p_legs, and of those of p_told that have ended. Everybody sees that
-- phones ring or talk, and who has called; with whom, only the account itself and who may see the call; what names a dialog to
-- others, only the account itself.
create function app.dialog_info(p_account bigint, p_watcher bigint, p_version bigint, p_legs bigint[], p_told bigint[]) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_email text := app.email(p_account);
	v_dialogs xml;
begin
	select xmlagg(xmlelement(name dialog, xmlattributes('d' || d.id as id,
				case when d.is_named then app.xml_text(d.sip_call_id) end as "call-id",
				case when d.is_named then app.xml_text(d.remote_tag) end as "local-tag",
				case when d.is_named then app.xml_text(d.local_tag) end as "remote-tag",
				case d.direction when 'in' then 'initiator' else 'recipient' end as direction),
			xmlelement(name state, d.said),
			case when d.sees then xmlelement(name local, xmlelement(name identity, app.xml_text('sip:' || v_email))) end,
			case when d.sees and o.email is not null then xmlelement(name remote, xmlelement(name identity,
				xmlattributes(app.xml_text(o.name) as display), app.xml_text('sip:' || o.email))) end) order by d.id)
	into v_dialogs
	from (
		select l.*, case when l.state in ('ending', 'ended') then 'terminated' when l.state in ('answered', 'up') then 'confirmed'
				when l.state = 'ringing' then 'early' else 'trying' end as said,
			p_watcher = p_account or (app.call_sight(p_watcher, l.call_id)).sees as sees,
			p_watcher = p_account and octet_length(concat(l.sip_call_id, l.local_tag, l.remote_tag)) <= 2048 as is_named
		from (select distinct i as id from unnest(p_legs || p_told) i) u
		cross join lateral (select g.* from app.leg g where g.id = u.id offset 0) l
		where l.id = any (p_legs) or l.state in ('ending', 'ended')) d
	left join lateral (
		select a.email, case jsonb_typeof(a.profile -> 'name') when 'string' then left(a.profile ->> 'name', 128) end as name
		from app.participant p join app.account a on a.id = p.account_id
		where d.sees and p.call_id = d.call_id and p.id <> d.participant_id
		order by p.id = d.other_id desc nulls last, p.left_at is null desc, p.state = 'joined' desc, p.n limit 1) o on true;
	return '<?xml version="1.0" encoding="UTF-8"?>' || E'\n' || xmlelement(name "dialog-info",
		xmlattributes('urn:ietf:params:xml:ns:dialog-info' as xmlns, p_version as version, 'full' as state,
			app.xml_text('sip:' || v_email) as entity), v_dialogs)::text;
end $$;
