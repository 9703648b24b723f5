-- Plain calls, many at a time: one phone has called another, and nobody else is in it, is rung, or looks on. That is nearly
-- every call. Agents tell of many at once; of those that are plain each step is one statement here, for all of them. What each step
-- means is said by app.leg_heard, api.sip_invite, api.leg_answered and app.leg_ended, for any call: change those and this together.
-- What is not plain, or has members that are not known here, is left to them.

-- Of calls whose resources are locked those that are plain. place: of its resource, which stays where it is while it is locked; to look
-- it up by its kind and number again, a plan of when there were few goes through all calls.
create function app.plain_calls(p_calls bigint[])
returns table (call bigint, caller bigint, callee bigint, caller_agent int, callee_agent int, caller_state text, callee_state text,
	caller_part bigint, callee_part bigint, caller_is text, callee_is text, callee_code int, offered bool, place tid)
language plpgsql volatile as $$
begin
	if exists (select from app.watch w where w.kind = 'list' and w.id = app.list_id('call')) then
		return;
	end if;
	return query
		select u.id, l.caller, l.callee, l.caller_agent, l.callee_agent, l.caller_state, l.callee_state,
			p.caller, p.callee, p.caller_state, p.callee_state, p.callee_code, l.offered, r.place
		from unnest(p_calls) u (id)
		cross join lateral (select o.ctid as place from app.resource o where o.kind = 'call' and o.id = u.id offset 0) r
		cross join lateral (select from app.call o where o.id = u.id and o.ends_alone and o.state <> 'ended' offset 0) c
		cross join lateral (
			select count(*) as n, bool_and(o.ended_at is null and o.delivery_id is null and o.pressing = '{}' and o.other_id is null and o.relay is null
					and (o.direction = 'in' or o.account_id is null)) as is_plain,
				max(o.id) filter (where o.direction = 'in') as caller,
				max(o.id) filter (where o.direction = 'out') as callee,
				max(o.agent_id) filter (where o.direction = 'in') as caller_agent,
				max(o.agent_id) filter (where o.direction = 'out') as callee_agent,
				max(o.state) filter (where o.direction = 'in') as caller_state,
				max(o.state) filter (where o.direction = 'out') as callee_state,
				bool_or(o.direction = 'in' and o.remote_sdp is not null) as offered
			from app.leg o where o.call_id = u.id) l
		cross join lateral (
			select count(*) as n, bool_and(o.left_at is null and o.send_id is null and not o.web) as is_plain,
				max(o.id) filter (where o.side = 'caller') as caller,
				max(o.id) filter (where o.side = 'callee') as callee,
				max(o.state) filter (where o.side = 'caller') as caller_state,
				max(o.state) filter (where o.side = 'callee') as callee_state,
				max(o.code) filter (where o.side = 'callee') as callee_code
			from app.participant o where o.call_id = u.id) p
		where l.n = 2 and l.is_plain and l.caller is not null and l.callee is not null
			and p.n = 2 and p.is_plain and p.caller is not null and p.callee is not null
			and not exists (select from app.watch w where w.kind = 'call' and w.id = u.id);
end $$;

-- ---- a phone calls ----

-- {"i", "credential", "ha1", "aor", "leg", "sdp"?, "ring_s"?}, the rest as of api.sip_invite. Done here: of each caller one, to an
-- account whose phones alone are there. Rows of the items done, in order: made, and the orders; in a last row, with
-- i = -1, the bells of other agents.
create function api.sip_invite_many(p_agent int, p_items jsonb)
returns table (i int, kind text, leg bigint, call bigint, account bigint, ring_s int, contact text, path text, flow text, rest bool,
	secure bool, sip_call_id text, local_tag text, local_uri text, remote_uri text, name text, hops int, sdp text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
	set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
	set plan_cache_mode = force_generic_plan as $$
declare
	c_known constant text[] := array['call_id', 'local_tag', 'remote_tag', 'local_uri', 'remote_uri', 'local_target', 'remote_target',
		'route', 'local_cseq', 'remote_cseq', 'flow', 'peer', 'takes_info', 'hops', 'last_word', 'last_word_to', 'session_s', 'session_ours',
		'takes_update'];
	c_calls constant bigint := app.bound('calls_sip');
	c_legs constant bigint := app.bound('legs');
	c_invites constant bigint := app.bound('invites');
	c_relays constant bool := app.agent_relays(p_agent);
	v_items int[];
	v_callers bigint[];
	v_callees bigint[];
	v_unused bigint[];
begin
	-- Callers, then who is called; who must be waited for is left out.
	with item as materialized (
		select distinct on (c.account_id) t.i, c.account_id as caller, a.id as callee, c.id as credential, c.used_at
		from jsonb_to_recordset(p_items) as t(i int, credential bigint, ha1 text, aor text)
		join app.credential c on c.id = t.credential and t.ha1 in (c.ha1, c.ha1_email)
		join app.account a on a.email_key = app.email_key(t.aor) and a.id <> c.account_id
		order by c.account_id, t.i)
	select array_agg(m.i), array_agg(m.caller), array_agg(m.callee),
		array_agg(m.credential) filter (where m.used_at is null or m.used_at < now() - interval '1 hour')
	into v_items, v_callers, v_callees, v_unused
	from item m
	cross join lateral (
		select r.id from app.resource r where r.kind = 'profile' and r.id = m.caller for update skip locked) k;
	v_callees := array(
		select case when k.id is not null then u.id end
		from unnest(v_callees) with ordinality u (id, n)
		left join lateral (
			select r.id from app.resource r where r.kind = 'login' and r.id = u.id for update skip locked) k on true
		order by u.n);

	return query
		-- by itself, or what follows is asked of every pair of them
		with asked as materialized (
			select t.*, m.caller, m.callee
			from jsonb_to_recordset(p_items) as t(i int, credential bigint, leg jsonb, sdp text, ring_s int)
			join unnest(v_items, v_callers, v_callees) as m(i, caller, callee) on m.i = t.i),
		usual as materialized (
			select t.i, t.credential, t.leg, t.sdp, least(coalesce(t.ring_s, 60), 180) as ring_s, t.caller, t.callee,
				a.email as caller_email, case jsonb_typeof(a.profile -> 'name') when 'string' then a.profile ->> 'name' end as name,
				b.email as callee_email, greatest(1, (select e.floor from app.epoch e)) as n,
				nextval('app.call_id_seq') as call_id, nextval('app.leg_id_seq') as leg_id,
				nextval('app.participant_id_seq') as from_id, nextval('app.participant_id_seq') as to_id
			from asked t
			cross join lateral (
				select o.email, o.profile from app.account o
				where o.id = t.caller and o.disabled_at is null and exists (
					select from app.credential c where c.id = t.credential) offset 0) a
			cross join lateral (
				select o.email from app.account o where o.id = t.callee and o.disabled_at is null offset 0) b
			where t.leg - c_known = '{}'
				and concat_ws('', t.leg ->> 'call_id', t.leg ->> 'remote_tag', t.leg ->> 'local_uri', t.leg ->> 'remote_uri',
					t.leg ->> 'remote_target') !~ '[[:cntrl:]<>"]'
				and length(concat(t.leg ->> 'call_id', t.leg ->> 'remote_tag')) <= 1024
				and not exists (
					select from (
						-- this alone, or a plan of when there were few goes through all that are live
						select o.remote_tag, o.direction, o.ended_at from app.leg o where o.sip_call_id = t.leg ->> 'call_id' offset 0) d
					where d.remote_tag = t.leg ->> 'remote_tag' and d.direction = 'in' and d.ended_at is null)
				and (select count(*) from app.participant o where o.by_id = t.caller and o.left_at is null) < c_calls
				and (select count(*) from app.leg o where o.by_id = t.caller and o.ended_at is null) < c_legs
				and (select count(*) from app.participant o
					where o.by_id = t.caller and o.rung_at between clock_timestamp() - interval '1 s' and clock_timestamp()) < c_invites
				and not app.has_page(t.callee)
				-- whose kinds differ, a relay is between them
				and not (c_relays and exists (
					select from app.login o
					where o.account_id = t.callee and o.expires_at > now() and o.contact is not null
						and coalesce(o.spoke, 'rtp') <> app.sdp_kind(t.sdp)))
				and not exists (select from app.watch w where w.kind = 'list' and w.id = app.list_id('call'))),
		phone as materialized (
			select u.i, u.call_id, u.to_id, u.caller, u.caller_email, u.callee_email, u.name, u.ring_s, (u.leg ->> 'hops')::int as hops,
				u.sdp, l.contact, l.path, l.flow, l.source = 'rest' as rest, l.credential_id,
				coalesce((select g.id from app.agent g where g.id = l.agent_id and g.dead_at is null), p_agent) as agent_id,
				nextval('app.leg_id_seq') as leg_id, gen_random_uuid() || '@restsip' as sip_call_id,
				replace(left(gen_random_uuid()::text, 18), '-', '') as local_tag
			from usual u
			cross join lateral (
				select g.* from app.login g
				where g.account_id = u.callee and g.expires_at > now() and g.contact is not null
					and app.is_devices_latest(g.*::app.login)
				order by g.q desc nulls last, g.n limit 31) l),
		rung as materialized (
			select u.* from usual u where exists (select from phone p where p.i = u.i)),
		made_call as (
			insert into app.call (id, owner_id, open, ends_alone) overriding system value
			select r.call_id, r.caller, false, true from rung r),
		made_resource as (
			insert into app.resource (kind, id, next_n) select 'call', r.call_id, r.n + 2 from rung r),
		made_part as (
			insert into app.participant (id, call_id, n, account_id, side, state, session, joined_at, by_id, rung_at)
				overriding system value
			select case s.side when 'caller' then r.from_id else r.to_id end, r.call_id,
				r.n + (s.side = 'callee')::int, case s.side when 'caller' then r.caller else r.callee end, s.side, 'calling',
				case when s.side = 'caller' and r.sdp is not null then jsonb_build_object('type', 'offer', 'sdp', r.sdp) end, null,
				case s.side when 'callee' then r.caller end, case s.side when 'callee' then clock_timestamp() end
			from rung r cross join (values ('caller'), ('callee')) s (side)),
		made_caller as (
			insert into app.leg (id, call_id, participant_id, account_id, credential_id, agent_id, direction, state, flow, peer,
				sip_call_id, local_tag, remote_tag, local_uri, remote_uri, local_target, remote_target, route, remote_cseq,
				invite_cseq, last_word, last_word_to, remote_sdp, ring_until, by_id, takes_info, session_s, session_ours,
				takes_update) overriding system value
			select r.leg_id, r.call_id, r.from_id, r.caller, r.credential, p_agent, 'in', 'calling', d.flow, d.peer, d.call_id,
				d.local_tag, d.remote_tag, d.local_uri, d.remote_uri, d.local_target, d.remote_target, d.route, d.remote_cseq,
				d.remote_cseq, d.last_word, d.last_word_to, r.sdp, now() + make_interval(secs => r.ring_s), r.caller, d.takes_info,
				d.session_s, coalesce(d.session_ours, false), coalesce(d.takes_update, false)
			from rung r
			cross join lateral jsonb_to_record(r.leg) as d(flow text, peer text, call_id text, local_tag text, remote_tag text,
				local_uri text, remote_uri text, local_target text, remote_target text, route text, remote_cseq bigint,
				last_word text, last_word_to text, takes_info bool, session_s int, session_ours bool, takes_update bool)),
		made_callee as (
			insert into app.leg (id, call_id, participant_id, credential_id, agent_id, direction, state, contact, path, flow, rest,
				sip_call_id, local_tag, local_uri, remote_uri, hops, ring_until, by_id) overriding system value
			select p.leg_id, p.call_id, p.to_id, p.credential_id, p.agent_id, 'out', 'calling', p.contact, p.path, p.flow, p.rest,
				p.sip_call_id, p.local_tag, 'sip:' || p.caller_email, 'sip:' || p.callee_email, p.hops,
				now() + make_interval(secs => p.ring_s), p.caller
			from phone p),
		made_job as (
			insert into app.leg_job (leg_id, agent_id, kind)
			select p.leg_id, p.agent_id, 'invite' from phone p where p.agent_id <> p_agent),
		made_seer as (
			insert into app.call_seer (call_id, account_id, inside)
			select r.call_id, s.account_id, true
			from rung r cross join lateral (values (r.caller), (r.callee)) s (account_id)),
		said as (
			select r.i, 'made'::text as kind, r.leg_id as leg, r.call_id as call, r.caller as account, r.ring_s, null::text as contact,
				null::text as path, null::text as flow, null::bool as rest, null::bool as secure, null::text as sip_call_id,
				null::text as local_tag, null::text as local_uri, null::text as remote_uri, null::text as name, null::int as hops,
				null::text as sdp, null::text[] as bell
			from rung r
			union all
			select p.i, 'invite', p.leg_id, p.call_id, p.caller, greatest(p.ring_s, 1), p.contact, p.path, p.flow, p.rest, false,
				p.sip_call_id, p.local_tag, 'sip:' || p.caller_email, 'sip:' || p.callee_email, p.name, p.hops, p.sdp, null
			from phone p where p.agent_id = p_agent
			union all
			select -1, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
				array_agg(distinct 'restsip_job_' || p.agent_id || '|call')
			from phone p where p.agent_id <> p_agent having count(*) > 0)
		select s.* from said s order by s.i < 0, s.i, s.leg;

	if v_unused is not null then
		update app.credential c set used_at = now() where c.id in (
			select o.id from app.credential o where o.id = any (v_unused) for update skip locked);
	end if;
	bell := app.lamps_tell('{}', v_callers || v_callees);
	if bell is not null then
		i := -1;
		return next;
	end if;
end $$;

-- ---- it rings ----

-- News of a plain call's phone: it rings. Each row is an item that is done, by its number from 0 on, with the order for the caller.
create function app.plain_rings(p_agent int, p_items jsonb, p_legs bigint[])
returns table (i int, caller bigint, call bigint, code int, reason text, bell text[])
language plpgsql volatile set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
	set plan_cache_mode = force_generic_plan as $$
declare
	c_known constant text[] := array['leg', 'state', 'code', 'reason', 'last_word', 'last_word_to', 'sdp'];
begin
	return query
		with item as materialized (
			select (e.n - 1)::int as i, t.*
			from jsonb_array_elements(p_items) with ordinality e (value, n)
			cross join lateral jsonb_to_record(e.value) as t(leg bigint, state text, code int, reason text, last_word text,
				last_word_to text, sdp text)
			where t.state = 'ringing' and e.value - c_known = '{}'),
		usual as materialized (
			select p.*, t.i, t.code, t.reason, t.last_word, t.last_word_to, t.sdp
			from app.plain_calls(array(
				select distinct l.call_id
				from item m cross join lateral (select g.call_id from app.leg g where g.id = m.leg offset 0) l)) p
			join item t on t.leg = p.callee
			where p.callee_agent = p_agent and p.callee_state in ('calling', 'ringing') and p.caller_state in ('calling', 'ringing')
				and p.callee_is in ('calling', 'ringing') and (p.callee_is, p.callee_code) is distinct from ('ringing', t.code)
				-- of a leg that has other news too, each is taken in its turn
				and (select count(*) from unnest(p_legs) u (id) where u.id = p.callee) = 1),
		callee as (
			update app.leg l set state = 'ringing', ringing_at = coalesce(l.ringing_at, now()),
				last_word = coalesce(u.last_word, l.last_word), last_word_to = coalesce(u.last_word_to, l.last_word_to)
			from usual u where l.id = any (array(select o.callee from usual o)) and l.id = u.callee),
		caller as (
			update app.leg l set state = 'ringing', ringing_at = coalesce(l.ringing_at, now())
			from usual u
			where l.id = any (array(select o.caller from usual o)) and l.id = u.caller and l.state <> 'ringing'),
		part as (
			update app.participant p set state = 'ringing', code = u.code, reason = u.reason
			from usual u where p.id = any (array(select o.callee_part from usual o)) and p.id = u.callee_part),
		version as (
			update app.resource r set version = nextval('app.version_seq')
			from usual u where r.ctid = any (array(select o.place from usual o)) and r.id = u.call),
		job as (
			insert into app.leg_job (leg_id, agent_id, kind, code, reason, sdp)
			select u.caller, u.caller_agent, 'progress', u.code, u.reason, u.sdp from usual u where u.caller_agent <> p_agent)
		select u.i, case when u.caller_agent = p_agent then u.caller end, u.call, u.code, u.reason,
			case when u.caller_agent <> p_agent then array['restsip_job_' || u.caller_agent || '|call'] end
		from usual u order by u.i;
end $$;

-- ---- it answers ----

-- {"i", "leg", "dialog", "sdp"?}, as of api.leg_answered. Done here: plain calls where the caller has offered, and nobody holds the call. Rows
-- of the items done, in order: won, and the order for the caller; or bells, with i = -1, where he is at another agent.
create function api.leg_answered_many(p_agent int, p_items jsonb)
returns table (i int, kind text, leg bigint, call bigint, peer bigint, sdp text, bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
	set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
	set plan_cache_mode = force_generic_plan as $$
declare
	c_known constant text[] := array['call_id', 'local_tag', 'remote_tag', 'local_uri', 'remote_uri', 'local_target', 'remote_target',
		'route', 'local_cseq', 'remote_cseq', 'peer', 'takes_info', 'session_s', 'session_ours', 'takes_update'];
	v_calls bigint[];
begin
	v_calls := array(
		select r.id
		from (
			select distinct l.call_id
			from jsonb_to_recordset(p_items) as t(leg bigint)
			cross join lateral (select g.call_id from app.leg g where g.id = t.leg offset 0) l order by 1) c
		cross join lateral (
			select o.id from app.resource o where o.kind = 'call' and o.id = c.call_id for update skip locked) r);
	return query
		with usual as materialized (
			select distinct on (p.callee) p.*, t.i, d.*, t.sdp
			from app.plain_calls(v_calls) p
			join jsonb_to_recordset(p_items) as t(i int, leg bigint, dialog jsonb, sdp text) on t.leg = p.callee
			cross join lateral jsonb_to_record(t.dialog) as d(remote_tag text, remote_target text, route text, local_target text,
				peer text, takes_info bool, session_s int, session_ours bool, takes_update bool)
			where t.dialog - c_known = '{}' and p.offered and p.callee_agent = p_agent
				and p.callee_state in ('calling', 'ringing') and p.caller_state in ('calling', 'ringing')
				and p.callee_is in ('calling', 'ringing')
			order by p.callee, t.i),
		callee as (
			update app.leg l set state = 'up', answered_at = now(), remote_tag = u.remote_tag, remote_target = u.remote_target,
				route = u.route, local_target = u.local_target, peer = u.peer, remote_sdp = u.sdp, last_word = null,
				last_word_to = null, takes_info = u.takes_info, session_s = u.session_s,
				session_ours = coalesce(u.session_ours, false), takes_update = coalesce(u.takes_update, false)
			from usual u where l.id = any (array(select o.callee from usual o)) and l.id = u.callee),
		caller as (
			update app.leg l set state = 'answered', answered_at = now(), local_sdp = u.sdp
			from usual u where l.id = any (array(select o.caller from usual o)) and l.id = u.caller),
		part as (
			update app.participant p set state = 'joined', joined_at = now(), code = 200, reason = 'OK', ring_until = null,
				session = case when p.side = 'caller' then p.session
					when u.sdp is not null then jsonb_build_object('type', 'answer', 'sdp', u.sdp) end
			from usual u
			where p.id = any (array(select unnest(array[o.caller_part, o.callee_part]) from usual o))
				and p.id in (u.caller_part, u.callee_part)),
		version as (
			update app.resource r set version = nextval('app.version_seq')
			from usual u where r.ctid = any (array(select o.place from usual o)) and r.id = u.call),
		job as (
			insert into app.leg_job (leg_id, agent_id, kind, sdp)
			select u.caller, u.caller_agent, 'answer', u.sdp from usual u where u.caller_agent <> p_agent),
		said as (
			select u.i, 'won'::text as kind, u.callee as leg, u.call, case when u.caller_agent = p_agent then u.caller end as peer,
				null::text as sdp, null::text[] as bell, 0 as place
			from usual u
			union all
			select u.i, 'answer', u.caller, u.call, u.callee, u.sdp, null, 1 from usual u where u.caller_agent = p_agent
			union all
			select -1, null, null, null, null, null, array_agg(distinct 'restsip_job_' || u.caller_agent || '|call'), 2
			from usual u where u.caller_agent <> p_agent having count(*) > 0)
		select s.i, s.kind, s.leg, s.call, s.peer, s.sdp, s.bell from said s order by s.i < 0, s.i, s.place;
	bell := app.lamps_tell(v_calls);
	if bell is not null then
		i := -1;
		return next;
	end if;
end $$;

-- ---- it ends ----

-- Who talks in a plain call hangs up, or has heard that the other did, whose call is over. Gives the items that are done, by their
-- number from 0 on. The calls' resources are locked.
create function app.plain_ends(p_agent int, p_items jsonb, p_legs bigint[], out done int[], out bell text[])
language plpgsql volatile set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
	set plan_cache_mode = force_generic_plan as $$
declare
	c_known constant text[] := array['leg', 'call_id', 'local_tag', 'remote_tag', 'code', 'reason', 'cause', 'header', 'peer'];
	v_calls bigint[];
	v_others int[];
	v_heard int[];
begin
	with item as materialized (
		select (e.n - 1)::int as i, e.id as leg, e.value ->> 'cause' as said, (e.value ->> 'code')::int as code,
			e.value ->> 'reason' as reason, e.value ->> 'header' as header, (e.value ->> 'peer')::bigint as peer
		from rows from (jsonb_array_elements(p_items), unnest(p_legs)) with ordinality e (value, id, n)
		where e.value - c_known = '{}'),
	usual as materialized (
		select distinct on (p.call) p.*, t.*, o.is_caller,
			case when o.is_caller then p.callee else p.caller end as other,
			case when o.is_caller then p.callee_agent else p.caller_agent end as other_agent,
			coalesce(t.said, case when t.code is null then 'hangup' else app.leg_cause(t.code) end) as cause
		from app.plain_calls(array(
			select distinct l.call_id
			from item m cross join lateral (select g.call_id from app.leg g where g.id = m.leg offset 0) l)) p
		join item t on t.leg in (p.caller, p.callee)
		cross join lateral (select t.leg = p.caller as is_caller) o
		where p.caller_state in ('answered', 'up') and p.callee_state in ('answered', 'up')
			and p.caller_is = 'joined' and p.callee_is = 'joined'
			and (case when o.is_caller then p.caller_agent else p.callee_agent end) = p_agent
			-- its agent hangs up on the other side by itself, or another agent is told to
			and case when p.caller_agent = p.callee_agent
				then t.peer is not distinct from case when o.is_caller then p.callee else p.caller end
				else t.peer is null end
		order by p.call, t.i),
	one as (
		update app.leg l set state = 'ended', ended_at = now(), code = coalesce(l.code, u.code),
			reason = coalesce(l.reason, u.reason), cause = coalesce(l.cause, u.cause), local_sdp = null, remote_sdp = null,
			kept = null, last_word = null
		from usual u where l.id = any (array(select o.leg from usual o)) and l.id = u.leg),
	other as (
		update app.leg l set state = 'ending', ending_at = now(),
			cause = coalesce(l.cause, case when u.other_agent = p_agent then u.said else u.cause end)
		from usual u where l.id = any (array(select o.other from usual o)) and l.id = u.other),
	stale as (
		delete from app.leg_job j
		where j.leg_id = any (array(select o.other from usual o where o.other_agent <> p_agent)) and j.kind not in ('left', 'informed')),
	job as (
		insert into app.leg_job (leg_id, agent_id, kind, cause)
		select u.other, u.other_agent, 'bye', u.header from usual u where u.other_agent <> p_agent),
	ended_call as (
		update app.call c set state = 'ended', ended_at = now(), extra = '{}', invite = null, ring_at = null, cause = u.cause,
			ended_by = case when u.cause in ('hangup', 'cancelled', 'busy', 'declined') then (
				select p.account_id from app.participant p
				where p.id = case when u.is_caller then u.caller_part else u.callee_part end) end
		from usual u where c.id = any (array(select o.call from usual o)) and c.id = u.call
		returning c.id),
	part as (
		update app.participant p set state = 'left', left_at = now(), session = null, pending = null, extra = '{}',
			ring_until = null, cause = coalesce(p.cause, u.cause)
		from usual u
		where p.id = any (array(select unnest(array[o.caller_part, o.callee_part]) from usual o))
			and p.id in (u.caller_part, u.callee_part)),
	version as (
		update app.resource r set version = nextval('app.version_seq')
		from usual u where r.ctid = any (array(select o.place from usual o)) and r.id = u.call),
	seer as (
		delete from app.call_seer s where s.call_id = any (array(select o.call from usual o)))
	select array_agg(u.i), (select array_agg(o.id) from ended_call o), array_agg(distinct u.other_agent) filter (where u.other_agent <> p_agent)
	into done, v_calls, v_others
	from usual u;
	select array_agg('restsip_job_' || o || '|call') into bell from unnest(v_others) o;
	if v_calls is not null then
		bell := bell || app.past_calls_add(v_calls);
	end if;
	-- Of an owner's ended calls the oldest go.
	perform app.call_make_way(c) from unnest(v_calls) c;

	with item as materialized (
		select distinct on (e.id) (e.n - 1)::int as i, e.id as leg, e.value ->> 'cause' as said, (e.value ->> 'code')::int as code,
			e.value ->> 'reason' as reason
		from rows from (jsonb_array_elements(p_items), unnest(p_legs)) with ordinality e (value, id, n)
		where e.value - c_known = '{}' and (e.n - 1)::int <> all (coalesce(done, '{}')) and e.id is not null
		order by e.id, e.n),
	heard as (
		update app.leg l set state = 'ended', ended_at = now(), code = coalesce(l.code, t.code),
			reason = coalesce(l.reason, t.reason), local_sdp = null, remote_sdp = null, kept = null,
			own_said = null, own_heard = null, cause = coalesce(l.cause, app.end_cause(coalesce(t.said, case when t.code is null then 'hangup'
				else app.leg_cause(t.code) end), l.answered_at is not null)),
			last_word = case when l.answered_at is null then l.last_word end
		from item t
		where l.id = any (array(select o.leg from item o)) and l.id = t.leg and l.agent_id = p_agent and l.state = 'ending'
			and l.delivery_id is null and l.pressing = '{}'
			and not exists (select from app.call c where c.id = l.call_id and c.state <> 'ended')
		returning t.i)
	select array_agg(h.i) into v_heard from heard h;
	done := coalesce(done, '{}') || coalesce(v_heard, '{}');
end $$;

grant execute on function api.sip_invite_many, api.leg_answered_many to restsip_agent;
