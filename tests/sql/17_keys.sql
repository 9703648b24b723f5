-- What goes takes along what names it without looking through tables: each foreign key's action finds its rows by an index.
begin;
select plan(15);
-- Tables are small here: from now on they are read whole only where there is no other way.
set local enable_seqscan = off;
discard plans;
\o /dev/null
\ir setup.inc
select agent from api.agent_start('keys-test', 'b1') \gset
\o

select is_empty($$
	select k.conrelid::regclass || ' ' || k.conname from pg_constraint k
	where k.contype = 'f' and not exists (
		select from pg_index i
		where i.indrelid = k.conrelid and i.indisvalid
			-- its first columns are the key's
			and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey
			and (i.indpred is null or cardinality(k.conkey) = 1 and pg_get_expr(i.indpred, i.indrelid) = '(' || (
				select a.attname from pg_attribute a where a.attrelid = k.conrelid and a.attnum = k.conkey[1]) || ' IS NOT NULL)'))
	$$, 'every foreign key has an index that its action can use');

-- PostgreSQL writes a row in place (HOT) where no index, and no index's condition, names a column that has changed.
select is_empty($$
	select d.objid::regclass, a.attname
	from pg_depend d join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
	where d.classid = 'pg_class'::regclass and d.objid in (select indexrelid from pg_index)
		and (d.refobjid = 'app.leg'::regclass and a.attname in ('state', 'code', 'reason', 'cause', 'remote_tag', 'remote_target',
				'local_target', 'route', 'peer', 'local_sdp', 'remote_sdp', 'kept', 'last_word', 'last_word_to', 'takes_info', 'local_cseq',
				'remote_cseq', 'ringing_at', 'answered_at', 'answering', 'ending_at')
			or d.refobjid = 'app.participant'::regclass and a.attname in ('state', 'code', 'reason', 'session', 'pending', 'hold',
				'web', 'joined_at'))
	$$, 'what each step of a call changes is named by no index, until the leg or the participant ends');

-- How often a statement reads a whole table, where it could do otherwise at all.
create function pg_temp.scans(p_sql text) returns text language plpgsql as $$
declare
	v_before jsonb;
begin
	v_before := (select jsonb_object_agg(t.relname, t.seq_scan) from pg_stat_xact_user_tables t where t.schemaname = 'app');
	execute p_sql;
	return (select string_agg(t.relname, ' ' order by t.relname) from pg_stat_xact_user_tables t
		where t.schemaname = 'app' and t.seq_scan > (v_before ->> t.relname)::bigint and t.relname in ('account', 'account_gone',
			'attempt', 'call', 'call_seer', 'change', 'change_log', 'contact_gone', 'contact_lost', 'credential', 'delivery', 'email_rest', 'idempotency', 'invitation',
			'known_source', 'lease', 'leg', 'leg_job', 'login', 'mailbox', 'message', 'participant', 'publication', 'resource', 'send',
			'send_rate', 'session', 'shown', 'signup', 'subscription', 'throttle', 'ticket', 'watch'));
end $$;
create function pg_temp.fill() returns void language plpgsql as $$
declare
	v_call bigint;
begin
	perform api.login_register(null, pg_temp.proof('alice'), 'me', 'sip:a@192.0.2.' || i, 'sip:a@192.0.2.' || i, 600, '{}', null)
	from generate_series(1, 3) i;
	perform api.send_post(null, pg_temp.proof('bob'), 'alice@example.net', null, 'text/plain', 'x', true, null, null),
		api.send_post(null, pg_temp.proof('alice'), 'bob@example.net', null, 'text/plain', 'x', true, null, null)
	from generate_series(1, 5);
	perform api.delivery_settle((select id from app.agent where name = 'keys-test'), c.delivery, c.attempt, 200, 'OK')
	from api.delivery_claim((select id from app.agent where name = 'keys-test'), 6, 30) c where c.delivery is not null;
	perform api.mail_post(null, pg_temp.proof('bob'), 'alice@example.net', 'text', 'http://x', null, null, '{}', null, null);
	v_call := (select id from api.call_create(null, pg_temp.proof('alice'), 's', null, false, '["bob@example.net"]', '{}', null, null));
	perform api.call_join(null, pg_temp.proof('bob'), v_call, 'me', null, '{}', null, null);
end $$;
select pg_temp.fill() \g /dev/null
select id as alice from app.account where email = 'alice@example.net' \gset

select is(pg_temp.scans($$ select * from api.login_delete(null, pg_temp.proof('alice'), 'me', 1, null) $$), null,
	'a binding goes without reading whole tables');
select is((select count(*)::int from app.delivery d where d.state = 'delivered' and d.login_id is not null
	and not exists (select from app.login l where l.id = d.login_id)), 5, 'nor is what has arrived there written again');
select is((select count(*)::int from app.delivery d where d.state = 'queued' and d.kind = 'contact' and not exists (
	select from app.login l where l.id = d.login_id)), 0, 'nothing that waits names a binding that is gone');
select is(pg_temp.scans($$ select pg_temp.do_duties() $$), null, 'nor does the janitor read them');
-- All that was sent to her arrives, but for what a phone is just being sent of the last message.
select api.delivery_settle(:agent, c.delivery, c.attempt, 200, 'OK')
from api.delivery_claim(:agent, 20, 30) c join app.delivery d on d.id = c.delivery
where d.send_id <> (select max(s.id) from app.send s where s.account_id = :alice) \g /dev/null
select is(pg_temp.scans($$ select * from api.user_delete('alice@example.net',
	(select convert_to(password_hash, 'UTF8') from app.account where email = 'alice@example.net'), 'me', null) $$), null,
	'an account goes without reading whole tables');
select is((select count(*)::int from app.delivery d where d.account_id = :alice and d.state in ('queued', 'sending', 'stored')), 0,
	'nothing is on its way to it any more');
select is((select count(*)::int from app.send s where s.account_id = :alice), 4, 'what was settled is left, to be swept');
select is((select app.version_of('send', s.id) from app.send s where s.account_id = :alice limit 1), null, 'but not to be seen');
select is(pg_temp.scans($$ select pg_temp.do_duties() $$), null, 'it is swept without reading whole tables');
select is((select count(*)::int from app.delivery d left join app.send s on s.id = d.send_id
	left join app.account a on a.id = s.account_id where a.id is null or d.account_id <> a.id), 0,
	'with what was sent to it');
select is_empty($$ select from app.account_gone $$, 'and that is all of it');
select is((select count(*)::int from app.send), 5, 'and without what it has sent to others');
select is_empty($$ select from app.lease t where not exists (select from app.delivery d where d.id = t.delivery_id) $$,
	'and no lease is left');

select * from finish();
rollback;
