-- The database's clock is set back by an hour: nobody waits for anything longer than before. Each column that holds a time
-- stands here, by what becomes of it then.
begin;
select plan(8);
\o /dev/null
\ir setup.inc
select agent from api.agent_start('clock-test', 'b1') \gset
select process from api.stream_start('clock-test') \gset
\o

-- What is moved: where it counts, and how far ahead it may be at most.
create temp table moved (name text primary key, counts text, most interval);
insert into moved values
	('throttle.since', 'true', '0'), ('send_rate.since', 'true', '0'), ('send_rate.receipts_since', 'true', '0'), 
	('mail_turn.until', 'true', '1 day'),
	('signup.at', 'true', '0'), ('email_rest.deleted_at', 'true', '0'), ('ticket.expires_at', 'true', '60 s'),
	('lease.until', 'true', '30 s'), ('subscription.until', 'true', '30 s'), ('subscription.due_at', 'true', '1 min'),
	('login.expires_at', $$source = 'stream'$$, '30 s'), ('login.sweep_at', $$source = 'stream'$$, '30 s'),
	('watch.closed_at', 'true', '0'), ('contact_lost.at', 'true', '0'), ('delivery.changed_at', $$kind = 'stream' and state = 'queued'$$, '0'),
	('call.empty_since', 'true', '0'), ('participant.bound_at', 'lifetime is not null', '0'),
	('participant.ring_until', 'true', '60 s'), ('leg.ring_until', $$state = 'calling'$$, '180 s'),
	('leg.answering', 'true', '100 s'), ('leg.asking', 'true', '0'), ('leg.ending_at', 'true', '0'), ('leg.lost_at', 'true', '0'),
	('leg.asked_at', 'true', '0');
-- What is not, and why.
create temp table stays (name text, why text);
insert into stays
select t.name, s.why
from (values
	('it is only shown', 'account.created_at account.disabled_at agent.certificate_ends agent.started_at attempt.began_at attempt.ended_at
		call.created_at credential.created_at credential.used_at duty.failed_at epoch.since leg.made_at leg.ringing_at
		leg.answered_at leg_trace.base login.created_at message.created_at migration.applied_at operation.at participant.joined_at past_call.joined_at
		past_call.started_at
		publication.created_at session.created_at stream_process.started_at subscription.created_at subscription.notified_at'),
	('only its order counts', 'account_gone.at agent.dead_at stream_process.dead_at'),
	('a time of day that somebody was told, or has asked for', 'call.ring_at call.starts_at publication.expires_at send.due_at
		session.expires_at subscription.expires_at'),
	('what is over is kept for an hour longer', 'call.ended_at change.at change_log.at contact_gone.at idempotency.at
		known_source.at leg.ended_at list_change.at participant.left_at past_call.ended_at send.created_at'),
	('who reads it takes what is ahead for what is long past', 'agent.beat_at agent.free_since delivery.settled_at metric.at duty.next_at
		looked.at looked.since participant.rung_at stream_process.beat_at stream_process.free_since
		transfer.made_at')) s(why, names),
	regexp_split_to_table(s.names, '\s+') t(name);

select is_empty($$
	select c.relname || '.' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
	where c.relnamespace = 'app'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
		and a.atttypid in ('timestamptz'::regtype, 'timestamptz[]'::regtype)
	except (select name from moved union all select name from stays)
	$$, 'of each time it is known what becomes of it when the clock is set back');
select is_empty($$
	(select name from moved union all select name from stays) except
	select c.relname || '.' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
	where c.relnamespace = 'app'::regnamespace and a.atttypid in ('timestamptz'::regtype, 'timestamptz[]'::regtype)
	$$, 'and of none that is not there');

-- Something of each.
\o /dev/null
select api.login_register(null, pg_temp.proof('bob'), 'me', 'sip:b@192.0.2.1', 'sip:b@192.0.2.1', 7200, '{}', null);
select api.send_post(null, pg_temp.proof('alice'), 'bob@example.net', null, 'text/plain', 'x', true, null, null);
select api.delivery_claim(:agent, 10, 30);
select api.login_stream(null, pg_temp.proof('alice'), 'me', '{}');
select api.watch_open(:process, null, pg_temp.proof('alice'), null, 'login', 'me');
select api.send_post(null, pg_temp.proof('bob'), 'alice@example.net', null, 'text/plain', 'x', true, null, null);
select api.ticket_create(null, pg_temp.proof('alice'), sha256('ticket'));
select api.mail_post(null, null, 'alice@example.net', 'text', 'http://x', null, null, '{}', null, null, '192.0.2.7');
select id as call from api.call_create(null, pg_temp.proof('alice'), 's', null, true, null, '{}', null, null, null,
	'["bob@example.net"]') \gset
select api.call_create(null, pg_temp.proof('bob'), 'empty', null, true, null, '{}', null, null);
select id as own from api.call_create(null, pg_temp.proof('bob'), 'own', null, true, null, '{}', null, null) \gset
select api.call_join(null, pg_temp.proof('bob'), :own, 'me', null, '{}', null, null, null, 'stream');
select app.credential_put('bob@example.net', 'bob', 'example.net', 'MD5', md5('bob:example.net:pw'), '');
select api.sip_subscribe(:agent, (select id from app.credential where username = 'bob'), md5('bob:example.net:pw'), 'alice@example.net',
	'{"event": "presence", "call_id": "s", "remote_tag": "r", "local_tag": "l", "remote_cseq": 1, "local_uri": "sip:a@b",
	"remote_uri": "sip:c@d", "local_target": "sip:e@f", "remote_target": "sip:g@h", "flow": "udp:1.2.3.4:5"}', false, 3600);
select api.notify_claim(:agent, 'sip:x', 10, 30);
insert into app.throttle (key, failures, since) values ('ds:192.0.2.99', 3, now());
insert into app.signup (source, at) values ('192.0.2.99', array[now(), now() - interval '30 s', now() - interval '2 hours']);
insert into app.email_rest (email) values ('gone@example.net');
update app.watch set closed_at = now();
update app.send_rate set receipts_since = now();
insert into app.contact_lost (account_id, n, key) select l.account_id, l.n, l.key from app.login l limit 1;
update app.leg set answering = now() + interval '15 s', asking = now(), ending_at = now(), lost_at = now(), asked_at = now();
\o
create function pg_temp.ahead(p_moved moved) returns interval language plpgsql as $$
declare
	v_table text := split_part(p_moved.name, '.', 1);
	v_column text := split_part(p_moved.name, '.', 2);
	v_ahead interval;
begin
	execute format(case when p_moved.name = 'signup.at' then 'select max(t.at[1]) - now() from app.%1$I t where %3$s'
		else 'select max(t.%2$I) - now() from app.%1$I t where %3$s' end, v_table, v_column, p_moved.counts) into v_ahead;
	return v_ahead;
end $$;
select is_empty($$ select m.name, pg_temp.ahead(m) from moved m where (pg_temp.ahead(m) between '-1 s' and m.most) is not true $$,
	'there is one of each');

-- An hour back.
\o /dev/null
do $$
declare
	v_moved record;
begin
	for v_moved in select split_part(m.name, '.', 1) as table_, split_part(m.name, '.', 2) as column_ from moved m loop
		execute format(case when v_moved.table_ = 'signup' then 'update app.%1$I set %2$I = array(select t + interval ''1 hour'' from unnest(%2$I) t)'
			else 'update app.%1$I set %2$I = %2$I + interval ''1 hour''' end, v_moved.table_, v_moved.column_);
	end loop;
end $$;
select app.clock_was_set_back('1 hour');
\o
select is_empty($$ select m.name, pg_temp.ahead(m) from moved m where (pg_temp.ahead(m) between '-1 s' and m.most) is not true $$,
	'all of it is as it was');
select is((select array_agg(now() - t) from app.signup s, unnest(s.at) t where s.source = '192.0.2.99'),
	array[interval '0', interval '30 s', interval '2 hours'], 'and of several each');
select app.clock_was_set_back('1 hour') \g /dev/null
select is_empty($$ select m.name, pg_temp.ahead(m) from moved m
	where m.most between '10 s' and '10 min' and m.name <> 'subscription.due_at' and (pg_temp.ahead(m) between '0' and m.most) is not true $$,
	'what agents and phones were told since then is theirs for as long');
-- What is read as what is long past.
select inspect.set_bound('invites', 1) \g /dev/null
update app.participant set rung_at = now() + interval '1 hour' where rung_at is not null;
select lives_ok($$ select api.call_create(null, pg_temp.proof('alice'), 's', null, true, null, '{}', null, null, null,
	'["bob@example.net"]') $$, 'who has called before may call again');
update app.delivery set kind = 'stream', login_id = null, state = 'delivered', settled_at = now() + interval '1 hour'
where kind = 'contact' and login_id is not null;
select is_empty($$ select r.n from api.inbox_read((select id from app.account where email = 'bob@example.net'), 0, 10, 0) r
	join app.send s on s.n = r.n and s.call_id is null and s.account_id = (select id from app.account where email = 'bob@example.net') $$,
	'and what a stream had is shown to none that comes later');
select * from finish();
rollback;
