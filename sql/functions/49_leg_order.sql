-- What an agent is to do with its legs.

-- What is to be done with a leg, as one of the bells of who says so. What the agent that asks is to do itself is the order,
-- which app.leg_take gives it in the same answer; another finds it as a row, and is rung. p_agent 0: nobody asks.
create function app.leg_order(p_leg app.leg, p_agent int, p_kind text, p_code int default null,
	p_reason text default null, p_cause text default null, p_sdp text default null, p_number bigint default null)
returns text[]
language plpgsql volatile as $$
declare
	v_job app.leg_job;
begin
	if p_kind in ('fail', 'cancel', 'bye') then
		-- what is left is another agent's; whose phone waits for an answer gets it all the same
		delete from app.leg_job j where j.leg_id = p_leg.id and j.kind not in ('left', 'informed', 'notify');
	end if;
	if p_leg.agent_id = p_agent then
		v_job.leg_id := p_leg.id;
		v_job.kind := p_kind;
		v_job.code := p_code;
		v_job.reason := p_reason;
		v_job.cause := p_cause;
		v_job.sdp := p_sdp;
		v_job.number := p_number;
		return array['order|' || v_job::text];
	end if;
	insert into app.leg_job (leg_id, agent_id, kind, code, reason, cause, sdp, number)
	values (p_leg.id, p_leg.agent_id, p_kind, p_code, p_reason, p_cause, p_sdp, p_number);
	return array['restsip_job_' || p_leg.agent_id || '|call'];
end $$;

-- The orders among bells, for who does not take them now: they wait for the agent's next claim. The other bells.
create function app.leg_orders_keep(p_agent int, p_bell text[]) returns text[]
language plpgsql volatile as $$
declare
	v_one text;
	v_job app.leg_job;
	v_bell text[];
begin
	foreach v_one in array coalesce(p_bell, '{}') loop
		if v_one not like 'order|%' then
			v_bell := v_bell || v_one;
			continue;
		end if;
		v_job := substr(v_one, 7)::app.leg_job;
		insert into app.leg_job (leg_id, agent_id, kind, code, reason, cause, sdp, number)
		values (v_job.leg_id, p_agent, v_job.kind, v_job.code, v_job.reason, v_job.cause, v_job.sdp, v_job.number);
	end loop;
	return v_bell;
end $$;

-- The orders that an answer brings its agent, behind what p_first says. Those that others have caused are brought by claims alone, of which an agent
-- has one at a time: it has several connections, and would read them in any order.
create function app.leg_take(p_agent int, p_first app.leg_work, p_bell text[], p_claims bool default false) returns setof app.leg_work
language plpgsql volatile as $$
declare
	v_one text;
	v_bell text[];
	v_jobs app.leg_job[];
begin
	foreach v_one in array coalesce(p_bell, '{}') loop
		if v_one like 'order|%' then
			v_jobs := v_jobs || substr(v_one, 7)::app.leg_job;
		else
			v_bell := v_bell || v_one;
		end if;
	end loop;
	p_first.bell := v_bell;
	return next p_first;
	if p_claims then
		with due as materialized (
			select j.id from app.leg_job j where j.agent_id = p_agent order by j.id limit 256 for update skip locked),
		taken as (
			delete from app.leg_job j using due where j.id = due.id returning j.*)
		select array_agg(t.*::app.leg_job order by t.id) || v_jobs into v_jobs from taken t;
	end if;
	if v_jobs is null and p_agent <> 0 then -- of agent 0 there are none: it makes the plans of a new connection
		return;
	end if;
	return query
		select t.kind, l.id, l.call_id, case t.kind when 'answer' then (
				select o.id from app.leg o
				where o.call_id = l.call_id and o.agent_id = l.agent_id and o.direction <> l.direction
					and o.state in ('answered', 'up') order by o.id limit 1)
				when 'pair' then app.leg_peer(l.*::app.leg) end,
			t.code, t.reason, t.cause, case t.kind when 'invite' then coalesce(t.sdp, (
				select i.remote_sdp from app.leg i where i.call_id = l.call_id and i.direction = 'in' limit 1))
				else t.sdp end, l.contact::text, l.path::text, l.flow::text, l.rest, l.secure,
			l.sip_call_id::text, l.local_tag::text, l.local_uri::text, l.remote_uri::text,
			case when t.kind = 'invite' then (
				select a.profile ->> 'name' from app.account a
				where a.email = substr(l.local_uri, 5) and jsonb_typeof(a.profile -> 'name') = 'string') end,
			l.hops, greatest(extract(epoch from l.ring_until - now())::int, 1), coalesce(l.by_id, (
				select c.owner_id from app.call c where c.id = l.call_id)),
			null::text[], case t.kind when 'pair' then app.leg_is_apart(l.*::app.leg)::int
				when 'invite' then app.leg_relay_number(l.*::app.leg, coalesce(t.sdp, (
					select i.remote_sdp from app.leg i where i.call_id = l.call_id and i.direction = 'in' limit 1)))
				else t.number end
		-- by its key, however many the planner thinks there are
		from unnest(v_jobs) with ordinality t cross join lateral (select g.* from app.leg g where g.id = t.leg_id offset 0) l
		order by t.ordinality;
end $$;
