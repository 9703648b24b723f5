-- The database's clock is set back, and whether somebody has looked all the time: what has lapsed meanwhile is judged by that.

-- Whatever somebody waits for is waited for no longer than before. What has been lies in the past again; what ends after so
-- many seconds ends no later than so many seconds from now on. What ends at a time of day, as it was asked for or said, ends
-- then: contacts, sessions, calls and messages that are to start. tests/sql/15_clock.sql has each column.
create function app.clock_was_set_back(p_by interval) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	raise warning 'the clock was set back by %', p_by;
	-- What is counted for a while. What was counted in this very second is not any more.
	update app.throttle t set since = t.since - p_by where t.since > now() - interval '5 minutes';
	update app.send_rate r set since = r.since - p_by where r.since > now() - interval '1 minute';
	update app.send_rate r set receipts_since = r.receipts_since - p_by where r.receipts_since > now() - interval '1 minute';
	update app.mail_turn t set until = t.until - p_by where t.until > now();
	update app.signup s set at = array(select t - p_by from unnest(s.at) with ordinality u(t, i) order by i)
	where s.at[1] > now() - interval '1 day';
	update app.email_rest r set deleted_at = r.deleted_at - p_by where r.deleted_at > now();
	update app.ticket t set expires_at = t.expires_at - p_by where t.expires_at > now() + interval '60 s';
	-- What agents have in hand, or are to send.
	update app.lease t set until = t.until - p_by where t.until > now() + interval '30 s';
	update app.subscription s set until = s.until - p_by where s.until > now() + interval '30 s';
	update app.subscription s set due_at = s.due_at - p_by where s.due_at > now();
	-- Who is there, and what waits for them.
	update app.login l set expires_at = now() + interval '30 s', sweep_at = now() + interval '30 s'
	where l.source = 'stream' and l.sweep_at > now() + interval '30 s';
	update app.watch w set closed_at = now() where w.closed_at > now();
	update app.contact_lost c set at = now() where c.at > now();
	update app.delivery d set changed_at = d.changed_at - p_by
	where d.kind = 'stream' and d.state = 'queued' and d.changed_at > now();
	-- Calls.
	update app.call c set empty_since = c.empty_since - p_by where c.empty_since > now();
	update app.participant p set bound_at = now()
	where p.bound_at > now() and (p.contact_n is not null or p.lifetime is not null) and p.left_at is null;
	update app.participant p set ring_until = p.ring_until - p_by where p.ring_until > now() + interval '60 s';
	update app.leg l set
		ring_until = l.ring_until - case when l.ring_until > now() + interval '180 s' then p_by else interval '0' end,
		answering = l.answering - case when l.answering > now() + interval '100 s' then p_by else interval '0' end,
		asking = l.asking - case when l.asking > now() then p_by else interval '0' end,
		ending_at = l.ending_at - case when l.ending_at > now() then p_by else interval '0' end,
		lost_at = l.lost_at - case when l.lost_at > now() then p_by else interval '0' end,
		asked_at = l.asked_at - case when l.asked_at > now() then p_by else interval '0' end
	where l.state <> 'ended' and greatest(l.ring_until, l.answering, l.asking, l.ending_at, l.lost_at, l.asked_at) > now();
end $$;

-- How far apart two looks may be: a turn may take 10 s, another process's lock and the pause between come on top.
create function app.look_gap() returns interval language sql immutable as $$ select interval '15 s' $$;

-- Whether the janitor has looked who is there a moment ago. If not, the database was away, or its clock has been set: then
-- nobody can have been seen.
create function app.has_just_looked() returns bool
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_now timestamptz := clock_timestamp();
	v_looked timestamptz := (select l.at from app.looked l);
	v_just bool := coalesce(v_looked between v_now - app.look_gap() and v_now, false);
begin
	insert into app.looked as l (at, since) values (v_now, v_now)
	on conflict (one) do update set at = v_now, since = case when v_just then coalesce(l.since, v_now) else v_now end;
	if v_looked > v_now + interval '1 s' then
		perform app.clock_was_set_back(v_looked - v_now);
	end if;
	return v_just;
end $$;

-- Whether it has looked for so long without a gap, and goes on.
create function app.has_looked_for(p_time interval) returns bool
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
	select exists (select from app.looked k where k.since <= now() - p_time
		and k.at between clock_timestamp() - app.look_gap() and clock_timestamp());
$$;
