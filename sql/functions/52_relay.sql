-- Media relays. A leg that has one is to its call what the other side is: all SDP that is kept of it (but for own_said and
-- own_heard), and all that others are told, is in their kind. Its agent translates at the leg's border, with the relay; which leg
-- needs that is said here.

create function app.agent_relays(p_agent int) returns bool
language plpgsql stable as $$
begin
	return coalesce((select g.relays from app.agent g where g.id = p_agent and g.dead_at is null), false);
end $$;

-- Whether a phone that is called is to be offered something in another kind than it is in: it speaks what its contact spoke last,
-- else plain RTP.
create function app.leg_needs_relay(p_leg app.leg, p_sdp text) returns bool
language plpgsql stable as $$
begin
	return app.agent_relays(p_leg.agent_id) and app.sdp_kind(p_sdp) <> coalesce(p_leg.spoke, 'rtp');
end $$;

-- The same for its agent: 1; of one that is to offer by itself, for a transfer, what kind its offer is to be told in: 2, WebRTC, 3, plain RTP.
create function app.leg_relay_number(p_leg app.leg, p_sdp text) returns int
language plpgsql stable as $$
begin
	if coalesce(p_sdp, '') <> '' then
		return case when app.leg_needs_relay(p_leg, p_sdp) then 1 end;
	end if;
	return (
		select case app.sdp_kind(p.session ->> 'sdp') when 'webrtc' then 2 when 'rtp' then 3 end
		from app.transfer t join app.participant p on p.id = t.kept_id
		where t.call_id = p_leg.call_id and t.to_id = p_leg.participant_id and app.agent_relays(p_leg.agent_id));
end $$;

-- What of a leg its agent says to a relay. p_item: of its dialog, or news.
create function app.leg_relayed(p_leg bigint, p_item jsonb) returns void
language plpgsql volatile as $$
begin
	update app.leg l set relay = nullif(p_item ->> 'relay', ''), own_said = nullif(p_item ->> 'own_said', ''),
		own_heard = nullif(p_item ->> 'own_heard', '')
	where l.id = p_leg and l.ended_at is null;
end $$;

-- The phone of a contact has spoken a kind of media. Nobody is waited for: the next call finds it out once more.
create function app.contact_spoke(p_account bigint, p_contact text, p_kind text) returns void
language plpgsql volatile as $$
begin
	if p_kind is null or p_contact is null then
		return;
	end if;
	update app.login l set spoke = p_kind
	where l.id in (
		select o.id from app.login o
		where o.account_id = p_account and o.contact = p_contact and coalesce(o.spoke, 'rtp') <> p_kind
		for update skip locked);
end $$;

-- What the pages were offered that a phone's call rings, where its kind is not theirs.
create function app.caller_shown(p_caller app.leg) returns text
language plpgsql volatile as $$
begin
	return case when p_caller.relay is null then p_caller.remote_sdp
		else (app.leg_participant(p_caller)).session ->> 'sdp' end;
end $$;

-- A phone, or a page without media, has answered: what was made for pages is of no use.
create function app.caller_unshown(p_caller app.leg) returns void
language plpgsql volatile as $$
begin
	if p_caller.relay is not null then
		update app.leg l set relay = null where l.id = p_caller.id;
		update app.participant p set session = app.sdp_session('offer', p_caller.remote_sdp)
		where p.id = p_caller.participant_id;
	end if;
end $$;
