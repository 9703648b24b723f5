-- INFO within a call, where the other end is not in the same agent: a key that was pressed, as a rule.

-- A phone says something, under a number of its agent's. Kind of the first row: informed (code), or nothing: wait for that
-- order. p_package: of Info-Package (RFC 6086).
create function api.leg_info(p_agent int, p_leg bigint, p_number bigint, p_type text, p_package text, p_body text)
returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_leg app.leg;
	v_far app.leg;
	v_first app.leg_work;
	v_bell text[];
begin
	perform app.leg_lock_calls(array[p_leg]);
	select l.* into v_leg from app.leg l where l.id = p_leg and l.agent_id = p_agent and l.state in ('answered', 'up');
	v_far := app.leg_far(v_leg);
	if v_far.id is not null then
		v_bell := app.leg_order(v_far, p_agent, 'info', null, p_type, p_package, p_body, p_number);
	else
		v_first.kind := 'informed';
		v_first.leg := p_leg;
		v_first.number := p_number;
		v_first.code := 480;
	end if;
	return query select * from app.leg_take(p_agent, v_first, v_bell);
end $$;

-- What a phone has said to it.
create function api.leg_informed(p_agent int, p_leg bigint, p_number bigint, p_code int) returns setof app.leg_work
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_leg app.leg;
	v_far app.leg;
begin
	perform app.leg_lock_calls(array[p_leg]);
	select l.* into v_leg from app.leg l where l.id = p_leg and l.agent_id = p_agent;
	v_far := app.leg_far(v_leg);
	return query select * from app.leg_take(p_agent, null, case when v_far.id is not null then
		app.leg_order(v_far, p_agent, 'informed', p_code, p_number => p_number) end);
end $$;

grant execute on function api.leg_info, api.leg_informed to restsip_agent;
