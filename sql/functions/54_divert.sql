-- Who is called by phone may send the call on (3xx): to accounts here alone, and one time.

-- A phone has answered an INVITE with the addresses of others: their phones ring in its place. They are branches of who was
-- called; the account that answers takes that place. The call is locked. p_to: emails, with blanks between them; p_sdp: what REST
-- has offered.
create function app.leg_divert(p_leg app.leg, p_agent int, p_to text, p_sdp text) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	c_accounts constant int := 4;
	c_legs constant int := 32; -- of a call, whatever became of them
	v_part app.participant := app.leg_participant(p_leg);
	v_account bigint;
	v_room int;
	v_bell text[];
begin
	-- One that was sent on itself is not again: so it ends, wherever accounts send to each other. Nor is who dials: their own phone is first.
	if p_leg.account_id is not null or v_part.side <> 'callee' or coalesce(v_part.state, '') not in ('calling', 'ringing')
		or p_leg.hops < 1 or p_leg.ring_until <= now()
	then
		return null;
	end if;
	for v_account in
		select a.id from app.account a
		where a.email_key = any (array(select app.email_key(e) from unnest(string_to_array(p_to, ' ')) e where e <> '' limit c_accounts))
			and a.disabled_at is null and a.id <> p_leg.by_id
			and not exists (select from app.participant p where p.call_id = p_leg.call_id and p.account_id = a.id and p.left_at is null)
			and not exists (select from app.leg l where l.call_id = p_leg.call_id and l.account_id = a.id)
		order by a.id
	loop
		v_room := least(c_legs - (select count(*) from app.leg l where l.call_id = p_leg.call_id),
			app.bound('legs') - (select count(*) from app.leg l where l.by_id = p_leg.by_id and l.ended_at is null));
		exit when v_room <= 0;
		v_bell := v_bell || (app.legs_ring(p_leg.call_id, p_agent, v_account, v_part.id, p_leg.local_uri, p_leg.hops - 1,
			ceil(extract(epoch from p_leg.ring_until - now()))::int, p_leg.secure, null, p_leg.by_id, p_sdp,
			p_most => v_room, p_instead => true)).bell;
	end loop;
	return v_bell;
end $$;

-- Whoever has answered a call that was sent on is in it in the place of who was called.
create function app.divert_answered(p_leg app.leg) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_was app.participant := app.leg_participant(p_leg);
begin
	-- The other phones stay whose they are.
	update app.leg l set account_id = v_was.account_id
	where l.participant_id = p_leg.participant_id and l.account_id is null;
	update app.participant p set account_id = p_leg.account_id
	where p.id = p_leg.participant_id and p_leg.account_id is not null and not exists (
		select from app.participant o
		where o.call_id = p.call_id and o.account_id = p_leg.account_id and o.side = p.side and o.left_at is null);
	return case when found then app.past_call_sent_on(v_was) end;
end $$;
