-- Deliveries: what an agent takes up next, whose turn it is, and for how long it has it.

-- Of one account's deliveries to one destination: claims the oldest p_most that nobody holds, nor their messages. What has
-- come to be over another agent's flow is handed to that agent. missed: something was held.
create function app.delivery_take(p_agent int, p_queue int, p_sender bigint, p_destination text, p_most bigint,
	p_lease_s int, out taken bigint[], out missed bool, out bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_others bigint[];
begin
	with picked as materialized (
		select d.id, d.login_id from app.delivery d
		cross join lateral (
			select from app.send s where s.id = d.send_id limit 1 for no key update skip locked) s
		where d.kind = 'contact' and d.state = 'queued' and d.agent_id = p_queue and d.sender_id = p_sender
			and d.destination = p_destination
		order by d.id limit p_most for update of d skip locked)
	select array_agg(p.id order by p.id) filter (where g.id is null),
		array_agg(p.id order by p.id) filter (where g.id is not null)
	into taken, v_others
	from picked p
	left join lateral (
		select g.id from app.login l join app.agent g on g.id = l.agent_id and g.id <> p_agent and g.dead_at is null
		where l.id = p.login_id limit 1) g on true;
	if v_others is not null then
		with moved as (
			update app.delivery d set agent_id = coalesce(l.agent_id, 0), destination = app.destination(l.*::app.login)
			from app.login l where d.id = any (v_others) and l.id = d.login_id returning l.agent_id)
		select array_agg(distinct app.job_bell(m.agent_id)) into bell from moved m;
	end if;
	if taken is not null then
		with sent as (
			update app.delivery d set state = 'sending', changed_at = now() where d.id = any (taken) returning d.id)
		insert into app.lease as t (delivery_id, agent_id, attempt, until, sender_id, destination)
		select s.id, p_agent, 1, now() + make_interval(secs => p_lease_s), p_sender, p_destination from sent s
		on conflict (delivery_id) do update set agent_id = excluded.agent_id, attempt = t.attempt + 1,
			until = excluded.until, sender_id = excluded.sender_id, destination = excluded.destination;
	end if;
	missed := coalesce(cardinality(taken), 0) + coalesce(cardinality(v_others), 0) < p_most and exists (
		select from app.delivery d
		where d.kind = 'contact' and d.state = 'queued' and d.agent_id = p_queue and d.sender_id = p_sender
			and d.destination = p_destination);
end $$;

-- One account's turn: claims p_most at most. It has no more than p_of_account under way, and a destination that has not
-- answered lately no more than p_of_destination. held: that kept something back; missed: somebody else did; seen: how many
-- destinations were looked at.
create function app.delivery_turn(p_agent int, p_queues int[], p_sender bigint, p_most bigint, p_lease_s int,
	p_answered text[], p_of_account bigint, p_of_destination bigint,
	out taken bigint[], out held bool, out missed bool, out seen int, out bell text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_left bigint := p_of_account - (
		select count(*) from app.lease t where t.agent_id = p_agent and t.sender_id = p_sender);
	v_silent bigint;
	v_room bigint;
	v_taken int;
	v_queue int;
	v_destination text;
	v_take record;
begin
	held := false;
	missed := false;
	seen := 0;
	taken := '{}';
	foreach v_queue in array p_queues loop
		v_destination := '';
		while v_left > 0 and cardinality(taken) < p_most loop
			select d.destination into v_destination from app.delivery d
			where d.kind = 'contact' and d.state = 'queued' and d.agent_id = v_queue and d.sender_id = p_sender
				and d.destination > v_destination
			order by d.destination limit 1;
			exit when not found;
			seen := seen + 1;
			v_room := least(v_left, p_most - cardinality(taken));
			v_silent := null;
			if v_destination <> all (p_answered) then
				v_silent := p_of_destination - (
					select count(*) from app.lease t where t.agent_id = p_agent and t.destination = v_destination);
				v_room := least(v_room, v_silent);
			end if;
			if v_room > 0 then
				v_take := app.delivery_take(p_agent, v_queue, p_sender, v_destination, v_room, p_lease_s);
				taken := taken || v_take.taken;
				v_taken := coalesce(cardinality(v_take.taken), 0);
				v_left := v_left - v_taken;
				v_silent := v_silent - v_taken;
				bell := bell || v_take.bell;
				missed := missed or v_take.missed;
			end if;
			held := held or coalesce(v_silent <= 0, false);
		end loop;
	end loop;
	held := held or v_left <= 0;
end $$;

-- Work for one agent: what goes over its own flows, over nobody's, or over a dead agent's. Accounts that send have it in
-- turn, a few deliveries each, beginning behind account p_after. p_answered: destinations that have answered lately.
-- p_lost: also what it has claimed itself without getting to know it (it renews the leases of all that it knows of). What
-- another transaction holds is skipped: no claim waits for anybody. (Where a row's writer ends at the very moment that it is
-- asked for, and the next has written it, PostgreSQL waits for that one all the same, who may be waiting for this claim: it
-- gives up then, 55P03, and is made again.) A last row without a delivery says that there is more:
-- kept back by a bound until something that is under way ends, or, with again, for the next claim, since this one has looked
-- at enough or has skipped something.
create function api.delivery_claim(p_agent int, p_limit int, p_lease_s int, p_after bigint default 0,
	p_answered text[] default '{}', p_lost bool default true)
returns table (delivery bigint, attempt int, send bigint, contact text, path text, flow text, owner int,
	sender text, recipient text, content_type text, body bytea, sent_at text, request_id text, secure bool,
	source text, bell text[], destination text, account bigint, again bool, sender_account bigint, dials bool, call_id text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set lock_timeout = '250ms' as $$
declare
	v_few constant int := 8;
	v_enough constant int := 512;
	v_seen int := 0;
	v_of_account bigint := app.bound('deliveries_account');
	v_of_destination bigint := app.bound('deliveries_destination');
	v_queues int[] := array[0, p_agent] || array(select g.id from app.agent g where g.dead_at is not null);
	v_deliveries bigint[] := '{}';
	v_account bigint;
	v_upto bigint;
	v_last bigint := p_after;
	v_before int;
	v_held bool := false;
	v_missed bool := false;
	v_turn record;
	v_bell text[];
begin
	if p_lost then
		v_deliveries := array(
			select d.id from app.lease t
			join app.delivery d on d.id = t.delivery_id
			cross join lateral (
				select from app.send s where s.id = d.send_id limit 1 for no key update skip locked) s
			where t.agent_id = p_agent and t.until < now() and d.state = 'sending'
			order by d.id limit p_limit for update of d, t skip locked);
		update app.lease t set attempt = t.attempt + 1, until = now() + make_interval(secs => p_lease_s)
		where t.delivery_id = any (v_deliveries);
	end if;
	-- A round from behind p_after to the last account, then from the first to p_after; again if that brought anything.
	loop
		v_before := cardinality(v_deliveries);
		for v_half in 1 .. 2 loop
			v_account := case v_half when 1 then p_after else -1 end;
			v_upto := case v_half when 1 then 9223372036854775807 else p_after end;
			while cardinality(v_deliveries) < p_limit and v_seen < v_enough loop
				select min(n.sender_id) into v_account
				from unnest(v_queues) q
				cross join lateral (
					select d.sender_id from app.delivery d
					where d.kind = 'contact' and d.state = 'queued' and d.agent_id = q and d.sender_id > v_account
						and d.sender_id <= v_upto
					order by d.sender_id limit 1) n;
				exit when v_account is null;
				v_last := v_account;
				v_turn := app.delivery_turn(p_agent, v_queues, v_account,
					least(v_few, p_limit - cardinality(v_deliveries)), p_lease_s, p_answered, v_of_account,
					v_of_destination);
				v_seen := v_seen + 1 + v_turn.seen;
				v_deliveries := v_deliveries || v_turn.taken;
				v_held := v_held or v_turn.held;
				v_missed := v_missed or v_turn.missed;
				v_bell := v_bell || v_turn.bell;
			end loop;
		end loop;
		exit when v_seen >= v_enough or cardinality(v_deliveries) in (v_before, p_limit);
	end loop;
	insert into app.attempt (delivery_id, attempt, agent_id, contact)
	select d.id, t.attempt, p_agent, coalesce(d.contact, '')
	from app.delivery d
	cross join lateral (select t.attempt from app.lease t where t.delivery_id = d.id limit 1) t
	where d.id = any (v_deliveries);
	v_bell := v_bell
		|| app.touch_sends(array(select d.send_id from app.delivery d where d.id = any (v_deliveries)));
	-- Each by its key: a plan that was made for empty tables must not read them whole later.
	return query
		select d.id, t.attempt, d.send_id, d.contact, l.path, l.flow, l.agent_id, s.sender, a.email,
			s.content_type, s.body, app.time_text(s.created_at), s.request_id, s.secure, l.source, v_bell,
			t.destination, v_last, false, t.sender_id, l.dials is not null,
			app.delivery_call_id(d.id, s.*::app.send, a.email)
		from app.delivery d
		cross join lateral (select t.* from app.lease t where t.delivery_id = d.id limit 1) t
		cross join lateral (select s.* from app.send s where s.id = d.send_id limit 1) s
		cross join lateral (select a.email from app.account a where a.id = d.account_id limit 1) a
		left join lateral (select l.* from app.login l where l.id = d.login_id limit 1) l on true
		where d.id = any (v_deliveries)
		order by array_position(v_deliveries, d.id);
	if v_held or v_missed or v_seen >= v_enough then
		bell := v_bell;
		account := v_last;
		again := v_missed or v_seen >= v_enough;
		return next;
	end if;
end $$;

create function api.delivery_renew(p_agent int, p_deliveries bigint[], p_lease_s int) returns table (renewed int)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_renewed int;
begin
	-- What is being settled at the moment needs none.
	update app.lease t set until = now() + make_interval(secs => p_lease_s)
	where t.delivery_id = any (array(
		select l.delivery_id from app.lease l
		where l.delivery_id = any (p_deliveries) and l.agent_id = p_agent
		order by l.delivery_id for update skip locked));
	get diagnostics v_renewed = row_count;
	return query select v_renewed;
end $$;

grant execute on function api.delivery_claim, api.delivery_renew to restsip_agent;
