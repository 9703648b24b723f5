-- Deliveries are claimed in turn; what waits for an account, and what an account sends, has bounds.
begin;
select plan(85);
\o /dev/null
\ir setup.inc
select * from api.agent_start('test:1', 'boot1') \gset
select * from api.agent_start('test:2', 'boot2') \gset two_
select * from api.stream_start('test') \gset
select * from api.credential_create('bob@example.net', '$y$j9T$bbbbbbbbbbbbbbbbbbbbb.$bobhash', 'me', 'desk', null, 'pw');
\o
create function pg_temp.id(p_who text) returns bigint language sql as $$
	select id from app.account where email = p_who || '@example.net' $$;
create function pg_temp.login(p_who text, p_contact text, p_flow text, p_agent int) returns void language plpgsql as $$
declare
	v_n bigint;
begin
	select n into v_n from api.login_register(null, pg_temp.proof(p_who), 'me', p_contact, p_contact, null, '{}', null);
	update app.login set flow = p_flow, agent_id = p_agent where account_id = pg_temp.id(p_who) and n = v_n;
	update app.delivery d set agent_id = p_agent, destination = p_flow
	from app.login l where l.account_id = pg_temp.id(p_who) and l.n = v_n and d.login_id = l.id;
end $$;
create function pg_temp.send(p_from text, p_to text, p_body bytea default 'x', p_at timestamptz default null)
returns text language sql as $$
	select status from api.send_post(null, pg_temp.proof(p_from), p_to || '@example.net', null, 'text/plain', p_body, true,
		p_at, 'rid') $$;
create function pg_temp.send_many(p_from text, p_to text, p_count int) returns void language sql as $$
	select pg_temp.send(p_from, p_to) from generate_series(1, p_count) $$;
-- Who sent what is claimed, and a last "held" where a bound keeps something back.
create function pg_temp.claim(p_agent text, p_limit int, p_after text default null, p_answered text[] default '{}')
returns text language sql as $$
	select string_agg(case when delivery is null then 'held' else split_part(sender, '@', 1) end, ' ' order by place)
	from (select *, row_number() over () as place from api.delivery_claim((select id from app.agent where name = p_agent),
		p_limit, 30, coalesce(pg_temp.id(p_after), 0), p_answered)) c $$;
create function pg_temp.count(p_text text, p_word text) returns int language sql as $$
	select count(*)::int from string_to_table(p_text, ' ') w where w = p_word $$;
create function pg_temp.settle(p_code int, p_destination text default null) returns text language sql as $$
	select s.state
	from (select d.id from app.delivery d where d.state = 'sending' and (p_destination is null
		or d.destination = p_destination) order by d.id limit 1) d
	join app.lease t on t.delivery_id = d.id
	cross join lateral api.delivery_settle(t.agent_id, d.id, t.attempt, p_code, 'why') s $$;
create function pg_temp.settle_all(p_code int) returns bigint language sql as $$
	select count(s.state) from app.lease t join app.agent g on g.id = t.agent_id
	cross join lateral api.delivery_settle(g.id, t.delivery_id, t.attempt, p_code, 'why') s
	where t.agent_id is not null $$;
create function pg_temp.states(p_to text) returns text language sql as $$
	select string_agg(c, ' ' order by c) from (
		select d.state || ':' || count(*) as c from app.delivery d where d.account_id = pg_temp.id(p_to) group by d.state) s $$;
create function pg_temp.is_bound(p_name text, p_amount bigint) returns void language sql as $$
	select inspect.set_bound(p_name, p_amount) $$;

-- Where something goes.
\o /dev/null
select pg_temp.is_bound(name, 1000000) from unnest(array['sends', 'sender_stored', 'sends_stored']) name;
\o
select pg_temp.login('alice', 'sip:a@192.0.2.1:5070', 'udp:192.0.2.1:5070', :agent) \g /dev/null
select is((select app.destination(l.*::app.login) from app.login l), 'udp:192.0.2.1:5070', 'a flow is a destination');
update app.login set flow = null;
select is((select app.destination(l.*::app.login) from app.login l), 'rest udp:192.0.2.1:5070', 'a contact: its host and port');
update app.login set key = 'sip:a@example.net;transport=tcp ;x=1';
select is((select app.destination(l.*::app.login) from app.login l), 'rest tcp:example.net:5060', 'transport, and the usual port');
update app.login set key = 'sips:a@[2001:db8::1]';
select is((select app.destination(l.*::app.login) from app.login l), 'rest tls:[2001:db8::1]:5061', 'sips: is TLS');
update app.login set path = '<sip:proxy.example.net:5080;transport=udp;lr>, <sip:other.example.net>';
select is((select app.destination(l.*::app.login) from app.login l), 'rest udp:proxy.example.net:5080', 'with a path, its first');
update app.login set source = 'sip';
select is((select app.destination(l.*::app.login) from app.login l), 'sip udp:proxy.example.net:5080', 'a phone''s is another''s');
update app.login set source = 'rest';

-- In turn
update app.login set path = null, key = contact, flow = 'udp:192.0.2.1:5070';
\o /dev/null
select pg_temp.send_many('alice', 'alice', 100);
select pg_temp.send_many('bob', 'alice', 20);
\o
select is(pg_temp.claim('test:2', 64), null, 'what goes over another agent''s flow is not claimed');
select is(pg_temp.claim('test:1', 12, null, '{udp:192.0.2.1:5070}'),
	'alice alice alice alice alice alice alice alice bob bob bob bob', 'a few of the first account, then of the next');
select is(pg_temp.claim('test:1', 12, 'alice', '{udp:192.0.2.1:5070}'),
	'bob bob bob bob bob bob bob bob alice alice alice alice', 'and on behind the one that was last');
select is(pg_temp.claim('test:1', 64, 'bob', '{udp:192.0.2.1:5070}'),
	repeat('alice ', 8) || repeat('bob ', 8) || rtrim(repeat('alice ', 44)) || ' held',
	'who has less to send is done first; an account has 64 under way at most');
select is((select count(*)::int from app.lease where agent_id = :agent and sender_id = pg_temp.id('alice')), 64, 'just 64');
select is(pg_temp.claim('test:1', 64, null, '{udp:192.0.2.1:5070}'), 'held', 'more wait until something ends');
\o /dev/null
select pg_temp.send('bob', 'alice');
\o
select is(pg_temp.claim('test:1', 64, null, '{udp:192.0.2.1:5070}'), 'bob held', 'others pass meanwhile');
select is(pg_temp.settle(200), 'delivered', 'one ends');
select is(pg_temp.claim('test:1', 64, null, '{udp:192.0.2.1:5070}'), 'alice held', 'and one more is claimed');
\o /dev/null
select pg_temp.settle_all(200);
delete from app.send;
\o

-- A destination that has not answered lately
\o /dev/null
select pg_temp.login('bob', 'sip:b@192.0.2.2', 'udp:192.0.2.2:5060', :agent);
select pg_temp.send_many('alice', 'alice', 10);
\o
select is(pg_temp.claim('test:1', 64), rtrim(repeat('alice ', 8)) || ' held', 'eight are under way to a destination');
\o /dev/null
select pg_temp.send('bob', 'alice');
select pg_temp.send('alice', 'bob');
\o
select is(pg_temp.claim('test:1', 64), 'alice held', 'another account''s to it wait too; what goes elsewhere passes');
select is(pg_temp.settle(null, 'udp:192.0.2.1:5070'), 'queued', 'one never left');
select is(pg_temp.claim('test:1', 64), 'alice held', 'and is claimed again');
select is(pg_temp.count(pg_temp.claim('test:1', 64, null, '{udp:192.0.2.1:5070}'), 'alice'), 2,
	'where it has answered lately all pass');
\o /dev/null
select pg_temp.settle_all(200);
delete from app.send;
\o

-- Contacts that strangers have made at the address of a phone
\o /dev/null
select from api.login_register(null, pg_temp.proof('bob'), 'me', 'sip:x@192.0.2.1:5070', 'sip:x@192.0.2.1:5070', null, '{}', null);
delete from app.login where account_id = pg_temp.id('bob') and flow is not null;
select pg_temp.send_many('bob', 'bob', 20);
\o
select is(pg_temp.claim('test:1', 64), rtrim(repeat('bob ', 8)) || ' held', 'eight are under way to all of them');
select pg_temp.send_many('alice', 'alice', 10) \g /dev/null
select is(pg_temp.count(pg_temp.claim('test:1', 64), 'alice'), 8, 'and they take none of the phone''s eight');
\o /dev/null
select pg_temp.settle_all(200);
delete from app.send;
delete from app.login where account_id = pg_temp.id('bob');
select pg_temp.login('bob', 'sip:b@192.0.2.2', 'udp:192.0.2.2:5060', :agent);
\o

-- A binding that has moved to another agent
\o /dev/null
select pg_temp.send('bob', 'alice');
update app.login set agent_id = :two_agent where account_id = pg_temp.id('alice');
\o
select is(pg_temp.claim('test:1', 10), null, 'what has come to be over another agent''s flow is handed to it');
select is(pg_temp.claim('test:2', 10), 'bob', 'which claims it');
\o /dev/null
select pg_temp.settle_all(null);
update app.agent set dead_at = now() where id = :two_agent;
\o
select is(pg_temp.claim('test:1', 10), 'bob', 'an agent that was given up is stood in for');
\o /dev/null
select pg_temp.settle_all(200);
update app.agent set dead_at = null where id = :two_agent;
update app.login set agent_id = :agent;
delete from app.send;
\o

-- A contact that does not keep up
\o /dev/null
select pg_temp.is_bound('deliveries_contact', 4);
select pg_temp.send_many('bob', 'alice', 4);
\o
select is(pg_temp.states('alice'), 'queued:4', 'as many wait for a contact as may');
select is(pg_temp.send('bob', 'alice'), 'stored', 'the next waits for the account');
select is(pg_temp.send('bob', 'alice'), 'stored', 'and one more');
select is(pg_temp.states('alice'), 'queued:4 stored:2', 'as one row each');
\o /dev/null
select pg_temp.claim('test:1', 10);
\o
select is(pg_temp.settle(200), 'delivered', 'the contact answers');
select is(pg_temp.states('alice'), 'delivered:1 sending:3 stored:2', 'but has half of it before it yet');
select is(pg_temp.settle(486), 'failed', 'and again, whatever it says');
select is(pg_temp.states('alice'), 'delivered:1 failed:1 queued:2 sending:2', 'then it gets what waited');
\o /dev/null
select pg_temp.login('alice', 'sip:a@192.0.2.3:5070', 'udp:192.0.2.3:5070', :agent);
select pg_temp.send('bob', 'alice');
\o
select is(pg_temp.states('alice'), 'delivered:1 failed:2 queued:3 sending:2',
	'what another contact takes has failed at the one that is full');
select is((select code from app.delivery where state = 'failed' and settled_at is not null and reason like 'Too much%'), 480,
	'with 480');
\o /dev/null
select pg_temp.settle_all(200);
select pg_temp.is_bound('deliveries_contact', null);
delete from app.send;
\o

-- A phone that registers and does not answer
\o /dev/null
delete from app.login where account_id = pg_temp.id('alice');
select pg_temp.is_bound('deliveries_first', 3);
select pg_temp.send_many('bob', 'alice', 10);
select pg_temp.login('alice', 'sip:a@192.0.2.1:5070', 'udp:192.0.2.1:5070', :agent);
\o
select is(pg_temp.states('alice'), 'queued:3 stored:7', 'gets a few of what waits');
\o /dev/null
select pg_temp.claim('test:1', 10), pg_temp.settle_all(408);
update app.delivery set changed_at = changed_at - interval '1 s' where code is null;
\o
select is(pg_temp.states('alice'), 'stored:10', 'they wait again');
select pg_temp.login('alice', 'sip:a@192.0.2.1:5070', 'udp:192.0.2.1:5070', :agent) \g /dev/null
select is(pg_temp.states('alice'), 'queued:3 stored:7', 'the next time too');
select is((select array_agg(d.code is null and place > 3 order by place) from (
	select d.*, row_number() over (order by d.id) as place from app.delivery d where account_id = pg_temp.id('alice')) d
	where state = 'queued'), array[true, true, true], 'it is others');
select pg_temp.claim('test:1', 1), pg_temp.settle(200) \g /dev/null
select is(pg_temp.states('alice'), 'delivered:1 queued:9', 'who answers gets them all');
\o /dev/null
select pg_temp.is_bound('deliveries_first', null);
delete from app.send;
\o

-- What no datagram holds
\o /dev/null
delete from app.login where account_id = pg_temp.id('alice');
select pg_temp.login('alice', 'sip:a@192.0.2.1:5070', 'udp:192.0.2.1:5070', :agent);
\o
select throws_ok($$ select pg_temp.send('bob', 'alice', convert_to(repeat('x', 65500), 'UTF8')) $$, 'RS413',
	'content-too-large', 'for a contact that has only UDP it is refused at once');
select is((select count(*) from app.send), 0::bigint, 'and nothing of it is kept');
select is(pg_temp.send('bob', 'alice', convert_to(repeat('x', 64000), 'UTF8')), 'queued', 'a datagram that is almost full');
\o /dev/null
delete from app.send;
select pg_temp.login('alice', 'sip:a@192.0.2.4', 'tcp:boot1:1', :agent);
\o
select is(pg_temp.send('bob', 'alice', convert_to(repeat('x', 65500), 'UTF8')), 'queued', 'another contact takes it');
select is(pg_temp.states('alice'), 'failed:1 queued:1', 'it has failed at that of UDP');
\o /dev/null
delete from app.send;
delete from app.login where account_id = pg_temp.id('alice');
select pg_temp.send('bob', 'alice', convert_to(repeat('x', 65500), 'UTF8'));
select pg_temp.send('bob', 'alice');
select pg_temp.login('alice', 'sip:a@192.0.2.1:5070;transport=udp', 'udp:192.0.2.1:5070', :agent);
\o
select is(pg_temp.states('alice'), 'queued:1 stored:1', 'what was stored is not tried over UDP, and not lost');

-- What waits for an account
\o /dev/null
delete from app.send;
delete from app.login where account_id = pg_temp.id('alice');
select pg_temp.is_bound('sender_stored', 3);
select pg_temp.is_bound('sends_stored', 5);
select pg_temp.send_many('bob', 'alice', 2);
\o
select is(pg_temp.send('bob', 'alice'), 'stored', 'the last that one sender may have waiting');
select throws_ok($$ select pg_temp.send('bob', 'alice') $$, 'RS507', 'too-much-waiting', 'one more');
select throws_ok($$ select send from api.digest_credential('bob', 'example.net') d, lateral api.sip_message(
	(select id from app.agent where name = 'test:1'), d.credential, d.ha1, 'alice@example.net', 'text/plain', 'x', 'o1', 'r') $$,
	'RS507', 'too-much-waiting', 'by SIP''s door too');
select is(pg_temp.send('alice', 'alice'), 'stored', 'another sender''s is taken');
select is(pg_temp.send('bob', 'bob'), 'queued', 'and for another account');
\o /dev/null
select pg_temp.send('alice', 'alice');
\o
select throws_ok($$ select pg_temp.send('alice', 'alice') $$, 'RS507', 'too-much-waiting', 'all that an account may have');
\o /dev/null
select pg_temp.login('alice', 'sip:a@192.0.2.1:5070', 'udp:192.0.2.1:5070', :agent);
\o
select throws_ok($$ select pg_temp.send('alice', 'alice') $$, 'RS507', 'too-much-waiting',
	'what is still tried counts as well: it would be stored');
\o /dev/null
select pg_temp.claim('test:1', 10);
\o
select is(pg_temp.settle(200, 'udp:192.0.2.1:5070'), 'delivered', 'one is delivered');
select is(pg_temp.send('alice', 'alice'), 'queued', 'and makes room');
\o /dev/null
delete from app.send;
delete from app.login;
select pg_temp.is_bound('sender_stored', null);
select pg_temp.is_bound('sends_stored', null);
select pg_temp.is_bound('sender_stored_bytes', 100);
select pg_temp.is_bound('sends_stored_bytes', 150);
select pg_temp.send('bob', 'alice', '0123456789');
\o
select is(pg_temp.send('bob', 'alice', repeat('x', 90)::bytea), 'stored', 'all the bytes that one sender may have waiting');
select throws_ok($$ select pg_temp.send('bob', 'alice', 'x') $$, 'RS507', 'too-much-waiting', 'one more');
select is(pg_temp.send('alice', 'alice', repeat('x', 50)::bytea), 'stored', 'all that an account may have');
select throws_ok($$ select pg_temp.send('alice', 'alice', 'x') $$, 'RS507', 'too-much-waiting', 'one more');
\o /dev/null
select pg_temp.is_bound('sender_stored_bytes', null);
select pg_temp.is_bound('sends_stored_bytes', null);
delete from app.send;
delete from app.send_rate;

-- What an account sends
select pg_temp.is_bound('sends', 3);
select pg_temp.send_many('bob', 'alice', 2);
\o
select is(pg_temp.send('bob', 'alice'), 'stored', 'the last of a minute');
select throws_ok($$ select pg_temp.send('bob', 'alice') $$, 'RS429', 'too-many-sends', 'one more');
create function pg_temp.retry_s() returns text language plpgsql as $$
declare
	v_column text;
begin
	perform pg_temp.send('bob', 'alice');
	return 'sent';
exception when sqlstate 'RS429' then
	get stacked diagnostics v_column = column_name;
	return v_column;
end $$;
select is(pg_temp.retry_s(), '60', 'it says when to come again');
select is(pg_temp.send('alice', 'bob'), 'stored', 'others are served');
update app.send_rate set since = now() - interval '1 minute';
select is(pg_temp.send('bob', 'alice'), 'stored', 'and it is true');
\o /dev/null
select pg_temp.is_bound('sends', null);
delete from app.send;
delete from app.send_rate;
select pg_temp.is_bound('sends_contacts', 3);
select api.login_register(null, pg_temp.proof('alice'), 'me', c, c, 600, '{}', null)
from unnest(array['sip:a1@192.0.2.1', 'sip:a2@192.0.2.1']) c;
select pg_temp.send('bob', 'alice');
\o
select is(pg_temp.send('bob', 'alice'), 'queued', 'the one that reaches as many contacts as a minute''s go to');
select throws_ok($$ select pg_temp.send('bob', 'alice') $$, 'RS429', 'too-many-sends', 'one more');
select is(pg_temp.retry_s(), '60', 'it says when to come again');
select is(pg_temp.send('alice', 'bob'), 'stored', 'others are served');
update app.send_rate set since = now() - interval '1 minute';
select is(pg_temp.send('bob', 'alice'), 'queued', 'and it is true');
select is(pg_temp.send('bob', 'alice', 'later', now() + interval '1 hour'), 'queued', 'what is due later goes to as many');
select throws_ok($$ select pg_temp.send('bob', 'alice', 'later', now() + interval '1 hour') $$, 'RS429', 'too-many-sends', 'and counts now');
\o /dev/null
select pg_temp.is_bound('sends_contacts', null);
delete from app.send where due_at is not null;
select api.login_delete(null, pg_temp.proof('alice'), 'me', l.n, null) from app.login l where l.contact like 'sip:a_@192.0.2.1';
delete from app.send;
select pg_temp.is_bound('sends_scheduled', 2);
select pg_temp.send('bob', 'alice', 'b1', now() + interval '1 hour');
\o
select is(pg_temp.send('bob', 'alice', 'b2', now() + interval '30 days'), 'queued', 'the last that may be due later');
select throws_ok($$ select pg_temp.send('bob', 'alice', 'b3', now() + interval '1 hour') $$, 'RS409', 'too-many-scheduled',
	'one more');
select throws_ok($$ select pg_temp.send('alice', 'alice', 'x', now() + interval '30 days 1 s') $$, 'RS400',
	'invalid-parameter', 'nothing is due after the time that it is kept for');
\o /dev/null
select pg_temp.send('alice', 'alice', 'a1', now() + interval '2 hours');
select pg_temp.send('alice', 'alice', 'a2', now() + interval '1 hour');
update app.send set due_at = now() - (case convert_from(body, 'UTF8') when 'b1' then interval '4 s' when 'b2' then interval '3 s'
	when 'a1' then interval '2 s' else interval '1 s' end);
do $$
begin
	for i in 1 .. 20 loop -- a turn that was too short for all four, on a busy machine, has not been
		begin
			perform pg_temp.do_duties();
			exit when not exists (select from app.send where inbox is null);
			raise sqlstate 'ZZ000';
		exception when sqlstate 'ZZ000' then
			null;
		end;
	end loop;
end $$;
\o
select is((select string_agg(convert_from(body, 'UTF8'), ' ' order by inbox) from app.send), 'b1 a1 b2 a2',
	'they are started in the order of their time, one of each sender before the second of any');

-- How long they are kept
update app.send set created_at = now() - interval '31 days', due_at = case when sender_id = pg_temp.id('alice') then now() end;
\o /dev/null
select pg_temp.do_duties();
\o
select is((select string_agg(convert_from(body, 'UTF8'), ' ' order by inbox) from app.send), 'a1 a2',
	'a month after it was sent, or due, it is gone');
select is((select count(*) from app.delivery), 2::bigint, 'with its deliveries');

-- What was scheduled waits within the same bounds as what is sent now.
\o /dev/null
delete from app.login;
delete from app.watch;
delete from app.send;
select pg_temp.is_bound('sends_scheduled', 100);
select pg_temp.is_bound('sender_stored', 3);
select pg_temp.send('bob', 'alice', convert_to('s' || i, 'UTF8'), now() + interval '1 hour') from generate_series(1, 5) i;
update app.send set due_at = now() - interval '1 s';
select pg_temp.do_duties();
\o
select is(pg_temp.states('alice'), 'failed:2 stored:3', 'no more of them wait than may');
select is((select count(*) filter (where s.waits) || ' ' || count(*) filter (where s.inbox is not null) from app.send s), '3 5',
	'the others are over');
select throws_ok($$ select pg_temp.send('bob', 'alice') $$, 'RS507', 'too-much-waiting', 'and nothing else comes in behind them');

-- What was claimed and is gone since
select is((select count(*) from api.delivery_settle(:agent, 0, 1, 480, 'why')), 0::bigint,
	'who settles what is gone changes nothing, and is not refused');
select is((select count(*) from api.delivery_settle(:agent, 0, 1, null, '')), 0::bigint, 'nor who gives it back');

-- What has arrived is kept within bounds of its sender.
\o /dev/null
delete from app.send;
delete from app.send_rate;
select pg_temp.is_bound('sender_stored', 1000000);
select pg_temp.is_bound('sends', 1000000);
select pg_temp.is_bound('sender_kept', 40);
select pg_temp.is_bound('sender_kept_bytes', 1000);
select pg_temp.send('bob', 'alice', 'waits'), pg_temp.send('bob', 'alice', 'later', now() + interval '1 hour');
select pg_temp.send('bob', 'alice', 'x') from generate_series(1, 497);
update app.delivery d set state = 'delivered', settled_at = now() from app.send s where s.id = d.send_id and s.body = 'x';
update app.send set waits = false where body = 'x';
\o
select is((select count(*) from app.send), 499::bigint, 'at first all is kept');
select pg_temp.send('bob', 'alice', 'y') \g /dev/null
select is((select string_agg(b || c, ' ' order by b) from (
	select convert_from(body, 'UTF8') as b, count(*) as c from app.send group by 1) o), 'later1 waits1 x40 y1',
	'what still waits stays, of the others the latest');
\o /dev/null
update app.send set body = convert_to(repeat('x', 100), 'UTF8') where body = 'x';
select app.sender_trim(pg_temp.id('bob'));
\o
select is((select count(*) from app.send where body like 'x%'), 10::bigint, 'as many as have the bytes');

select * from finish();
rollback;
