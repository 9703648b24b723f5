-- Who is in a call and not there any more leaves it, and a call that nobody is in ends.

-- What a participant's contact, whose connection had gone, has become: the same URI or device, under another number.
create function app.contact_come_back(p_part app.participant) returns bigint
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
	return (
		select max(l.n) from app.contact_lost c join app.login l on l.account_id = c.account_id
			and (app.uri_key(l.key) = app.uri_key(c.key) or l.instance = c.instance) and l.expires_at > now()
		where c.account_id = p_part.account_id and c.n = p_part.contact_n);
end $$;

-- Whether a participant has gone without a word: its contact is no more, or it has had no stream of the call for as long as
-- it has to come back, as it has where its contact's connection was lost. A watch that has closed stays as a row for longer
-- than that. Also where it has come back as another contact.
create function app.participant_is_absent(p_part app.participant, p_since timestamptz, p_streams_known bool) returns bool
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
	set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
	v_lost_at timestamptz;
begin
	if p_part.contact_n is not null then
		if exists (select from app.login l where l.account_id = p_part.account_id and l.n = p_part.contact_n) then
			return false;
		end if;
		select c.at into v_lost_at from app.contact_lost c where c.account_id = p_part.account_id and c.n = p_part.contact_n;
		return v_lost_at is null or p_streams_known and v_lost_at <= p_since or app.contact_come_back(p_part) is not null;
	end if;
	return p_streams_known and p_part.lifetime is not null and p_part.bound_at <= p_since and not exists (
		select from app.watch w where w.kind = 'participant' and w.id = p_part.id
			and (w.closed_at is null or w.closed_at > p_since));
end $$;

-- Takes those out of a call, whose resource is locked; null where all are there. Who has come back as another contact is in
-- it with that.
create function app.call_leave_absent(p_call bigint, p_prior bigint, p_since timestamptz, p_streams_known bool) returns text[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
	set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
	v_part app.participant;
	v_contact bigint;
	v_version bigint;
	v_left record;
	v_bell text[];
begin
	for v_part in
		select p.* from app.participant p
		where (p.contact_n is not null or p.lifetime is not null) and p.left_at is null and p.call_id = p_call order by p.n
	loop
		continue when not app.participant_is_absent(v_part, p_since, p_streams_known);
		v_contact := app.contact_come_back(v_part);
		if v_contact is not null then
			v_version := app.advance('call', p_call);
			update app.participant p set contact_n = v_contact where p.id = v_part.id;
			v_bell := v_bell || coalesce(app.publish('call', p_call, v_version, p_prior), '{}');
			p_prior := v_version;
			continue;
		end if;
		v_left := app.participant_end(v_part, p_prior);
		p_prior := v_left.version;
		v_bell := v_bell || coalesce(v_left.bell, '{}');
	end loop;
	return v_bell;
end $$;

-- So many participants a turn, beginning where the turn before has ended: with few of them each is looked at every time.
-- While the janitor was away nobody could come back, so that it must have looked all the time.
create function app.leave_absent(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
	set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
	v_max constant int := 2000;
	v_end timestamptz := app.turn_end();
	v_back interval := make_interval(secs => app.bound('call_stream'));
	v_since timestamptz := now() - v_back;
	v_streams_known bool := app.has_looked_for(v_back);
	v_place bigint := (select d.place from app.duty d where d.name = 'leave_absent');
	v_seen int := 0;
	v_part app.participant;
	v_calls bigint[] := '{}';
	v_turn record;
	v_bell text[];
begin
	more := false;
	for v_part in
		select p.* from app.participant p
		where (p.contact_n is not null or p.lifetime is not null) and p.left_at is null and p.id > v_place
		order by p.id limit v_max
	loop
		v_seen := v_seen + 1;
		v_place := v_part.id;
		if app.participant_is_absent(v_part, v_since, v_streams_known) then
			v_calls := v_calls || v_part.call_id;
		end if;
		exit when cardinality(v_calls) >= 200 or clock_timestamp() > v_end;
	end loop;
	if v_seen < v_max and cardinality(v_calls) < 200 and clock_timestamp() <= v_end then
		v_place := 0;
	end if;
	update app.duty d set place = v_place where d.name = 'leave_absent' and d.place <> v_place;
	more := v_place <> 0; -- the next part at once: 31 s are for all of them
	v_end := greatest(v_end, clock_timestamp() + interval '20 ms');
	for v_turn in select * from app.turn_lock('call', array(select distinct c from unnest(v_calls) c), '-infinity') loop
		-- The others have their turn when they are come by again.
		exit when clock_timestamp() > v_end;
		begin
			v_bell := app.call_leave_absent(v_turn.id, v_turn.prior, v_since, v_streams_known);
			bell := bell || v_bell;
			more := more or v_bell is not null;
		exception when others then
			perform app.duty_failed('leave_absent', sqlstate, sqlerrm);
		end;
	end loop;
end $$;

-- Active calls that nobody has been in for long; of those that were scheduled, since they began.
create function app.end_empty_calls(out bell text[], out more bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_before timestamptz := now() - make_interval(secs => app.bound('call_empty'));
	v_end timestamptz;
	v_calls bigint[];
	v_turn record;
begin
	more := false;
	-- After a step of the clock, or an outage, people have time to come back.
	if not app.has_looked_for(least(interval '5 min', make_interval(secs => app.bound('call_empty')))) then
		return;
	end if;
	v_calls := array(
		select c.id from app.call c
		where c.empty_since is not null and c.state = 'active' and greatest(c.empty_since, c.starts_at) <= v_before
		order by greatest(c.empty_since, c.starts_at) limit 100);
	for v_turn in select * from app.turn_lock('call', v_calls, '-infinity') loop
		v_end := coalesce(v_end, app.turn_end());
		exit when clock_timestamp() > v_end;
		continue when not exists (
			select from app.call c where c.id = v_turn.id and c.empty_since is not null and c.state = 'active'
				and greatest(c.empty_since, c.starts_at) <= v_before);
		begin
			perform app.advance('call', v_turn.id);
			bell := bell || app.call_end(v_turn.id, v_turn.prior, p_cause => 'expired');
			more := true;
		exception when others then
			perform app.duty_failed('end_empty_calls', sqlstate, sqlerrm);
		end;
	end loop;
end $$;

grant execute on function api.call_create, api.call_list, api.call_get, api.call_patch, api.call_delete, api.call_join,
	api.participant_get, api.participant_put, api.participant_delete to restsip_api;
