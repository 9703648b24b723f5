-- What ends together is settled together, each as if it were alone.
begin;
select plan(9);
\o /dev/null
\ir setup.inc
select * from api.agent_start('test:1', 'boot1') \gset
select * from api.login_register(null, pg_temp.proof('alice'), 'me', 'sip:a@192.0.2.1', 'sip:a@192.0.2.1', null, '{}', null);
select * from api.login_register(null, pg_temp.proof('bob'), 'me', 'sip:b@192.0.2.2', 'sip:b@192.0.2.2', null, '{}', null);
create temp table ids as select :agent as agent;
\o
create function pg_temp.send(p_to text) returns text language sql as $$
	select status from api.send_post(null, pg_temp.proof('alice'), p_to || '@example.net', null, 'text/plain', 'x', true,
		null, 'rid') $$;
-- The deliveries of a claim, in order, as items with these codes (0: none).
create function pg_temp.items(p_codes int[]) returns jsonb language sql as $$
	select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('i', c.place - 1, 'delivery', c.delivery, 'attempt', c.attempt,
		'code', nullif(p_codes[c.place], 0), 'reason', 'why')))
	from (select d.delivery, d.attempt, row_number() over (order by d.delivery) as place
		from api.delivery_claim((select agent from ids), 10, 30) d where d.delivery is not null) c $$;
create function pg_temp.settle(p_items jsonb) returns text language sql as $$
	select string_agg(s.i || ' ' || coalesce(s.state, 'gone'), ', ' order by s.i)
	from api.delivery_settle_many((select agent from ids), p_items) s $$;
create function pg_temp.states(p_to text) returns text language sql as $$
	select string_agg(d.state || coalesce(':' || d.code, ''), ' ' order by d.id)
	from app.delivery d join app.account a on a.id = d.account_id where a.email = p_to || '@example.net' $$;

select pg_temp.send(who) from unnest(array['bob', 'alice', 'bob', 'alice']) who \g /dev/null
select pg_temp.items('{200, 486, 480, 0}') as items \gset
select is(pg_temp.settle(:'items'), '0 delivered, 1 failed, 2 stored, 3 queued', 'each has its own end');
select is(pg_temp.states('bob'), 'delivered:200 stored:480', 'bob''s');
select is(pg_temp.states('alice'), 'failed:486 queued', 'alice''s');
select is((select count(*) from app.lease where agent_id is not null), 0::bigint, 'nothing is claimed any more');
select is(pg_temp.settle(:'items'), '0 delivered, 1 failed, 2 stored, 3 queued', 'who is late changes nothing');
select is(pg_temp.settle('[{"i": 0, "delivery": 123456789, "attempt": 1, "code": 200, "reason": ""}]'), '0 gone',
	'what is gone is dealt with');

-- What is stored follows what is delivered, as it does alone.
select pg_temp.send('bob') \g /dev/null
select is(pg_temp.settle(pg_temp.items('{200, 200}')), '0 delivered, 1 delivered', 'alice''s again, and bob''s');
select is(pg_temp.states('bob'), 'delivered:200 queued delivered:200', 'what was stored is on its way');
select is((select array_agg(x.i) from api.notify_settle_many(:agent,
	'[{"i": 0, "subscription": 1, "cseq": 1, "code": 200}, {"i": 1, "subscription": 2, "cseq": 1}]') x), '{0,1}',
	'NOTIFYs of subscriptions that are gone');
select * from finish();
rollback;
