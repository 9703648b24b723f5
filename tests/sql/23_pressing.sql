-- Keys that REST has pressed: whoever was to press them may go, and they have an outcome all the same.
begin;
select plan(9);
\o /dev/null
\ir setup.inc
select agent from api.agent_start('test:1', 'boot1') \gset
select agent as other from api.agent_start('test:2', 'boot2') \gset
select app.credential_put('alice@example.net', 'alice', 'example.net', 'MD5', md5('alice:example.net:pw'), '');
select inspect.set_bound('invites', 1000);
select api.login_register(null, pg_temp.proof('bob'), 'me', 'sip:b@192.0.2.1', 'sip:b@192.0.2.1', null, '{}', null);
select api.sip_invite(:agent, (select id from app.credential where username = 'alice'), md5('alice:example.net:pw'),
	'bob@example.net', '{"call_id": "c1", "local_tag": "l", "remote_tag": "r", "local_uri": "sip:bob@example.net", "remote_uri":
	"sip:alice@example.net", "local_target": "sip:127.0.0.1", "remote_target": "sip:a@192.0.2.9", "remote_cseq": 1, "hops": 69}',
	'offer', null, 60, false);
select max(id) as leg, max(call_id) as call from app.leg \gset
select api.leg_answered(:agent, :leg, '{"remote_tag": "t", "remote_target": "sip:b@192.0.2.1", "peer": "192.0.2.1"}', 'answer');
delete from app.leg_job;
\o
create function pg_temp.press(p_call bigint) returns bigint language plpgsql as $$
declare
	v_send bigint;
begin
	perform api.send_post(null, pg_temp.proof('alice'), 'bob@example.net', null, 'text/plain', 'x', false, null, null);
	v_send := (select max(s.id) from app.send s);
	perform app.keys_press(p_call, (select id from app.account where email = 'bob@example.net'), v_send, '12');
	return (select max(d.id) from app.delivery d where d.send_id = v_send);
end $$;
create function pg_temp.outcome(p_delivery bigint) returns text language plpgsql as $$
begin
	perform app.rings_tell();
	return (select d.state || coalesce(' ' || d.code, '') from app.delivery d where d.id = p_delivery);
end $$;

-- Another process of its agent.
select pg_temp.press(:call) as taken \gset
select api.leg_claim(:agent) \g /dev/null
select pg_temp.press(:call) as waits \gset
select app.bury_legs(:agent), app.legs_left(:agent) \g /dev/null
select is(pg_temp.outcome(:taken), 'failed 480', 'keys that were taken end with their process');
select is(pg_temp.outcome(:waits), 'sending', 'others are pressed by the next');
select is((select pressing from app.leg where id = :leg), array[:waits]::bigint[], 'and wait for what becomes of them');
select api.leg_claim(:agent) \g /dev/null

-- Another agent, to which its phone has moved.
update app.leg set agent_id = :other where id = :leg;
select api.leg_informed(:agent, :leg, :waits, 480) \g /dev/null
select is(pg_temp.outcome(:waits), 'failed 480', 'who had the order says so, though its phone is elsewhere by then');
update app.leg set agent_id = :agent where id = :leg;
select pg_temp.press(:call) as taken \gset
select api.leg_claim(:agent) \g /dev/null
select l.state as loaded from app.leg o, lateral api.leg_load(:other, null, o.sip_call_id, o.local_tag, o.remote_tag, '192.0.2.1') l
where o.id = :leg \gset
select is(pg_temp.outcome(:taken), 'failed 480', 'so do keys that the one before was pressing');

-- Its connection to us broke with the order.
select pg_temp.press(:call) as taken \gset
select api.leg_claim(:other) \g /dev/null
select app.expire_legs() \g /dev/null
select is(pg_temp.outcome(:taken), 'sending', 'a phone has time to hear them');
update app.delivery set changed_at = now() - interval '6 min' where id = :taken;
select app.expire_legs() \g /dev/null
select is(pg_temp.outcome(:taken), 'failed 480', 'but not for ever');
select is((select pressing from app.leg where id = :leg), '{}', 'and no more keys are held up');
select is((select count(*)::int from app.leg_job j where j.kind = 'dtmf'), 0, 'nor pressed later');

select * from finish();
rollback;
