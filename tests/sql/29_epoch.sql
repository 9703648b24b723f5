-- A database that was put back gives nothing out again: its counters jump when it finds itself in another place.
begin;
select plan(14);
\o /dev/null
\ir setup.inc
select agent from api.agent_start('epoch-test', 'b1', '192.0.2.89:5060') \gset
select process from api.stream_start('epoch-test') \gset
select id from api.watch_open(:process, null, pg_temp.proof('alice'), null, 'login', 'me') \gset
insert into app.list_change (xid, list, key) values (1, 'login', 'alice@example.net');
create temp table was as select app.xid() as xid, (select e.n from app.epoch e) as epoch,
	(select r.version from app.resource r where r.kind = 'login' and r.id = :id) as version,
	(select s.last_value from pg_sequences s where s.sequencename = 'send_id_seq') as send,
	(select s.last_value from pg_sequences s where s.sequencename = 'agent_id_seq') as agent;
\o
create function pg_temp.inbox() returns text language sql as $$
	select r.next_n / 1000000000 || ', ' || r.next_inbox / 1000000000 from app.resource r join app.account a on a.id = r.id
	where r.kind = 'login' and a.email = 'alice@example.net' $$;
create function pg_temp.here() returns text language sql as $$ select
	case when e.n = w.epoch then 'the same life' when e.n = w.epoch + 1 then 'a new life' else 'a third' end
	from app.epoch e, was w $$;

select is(api.schema_version(), app.schema_version(), 'a connection asks for the schema version');
select is(pg_temp.here(), 'the same life', 'which is no new life');
update app.epoch set place = null;
select is((select pg_temp.here() from api.schema_version()), 'the same life', 'nor where the place was not known');
update app.epoch set place = 'elsewhere';
select is((select pg_temp.here() from api.schema_version()), 'a new life', 'but another place is');
select is((select e.place from app.epoch e), app.epoch_place(), 'which it knows from then on');
select is((select pg_temp.here() from api.schema_version()), 'a new life', 'and that once');
select cmp_ok(nextval('app.version_seq'), '>', (select w.version + 1000000000000 from was w), 'versions jump');
select cmp_ok((select s.last_value from pg_sequences s where s.sequencename = 'send_id_seq'), '>=',
	(select coalesce(w.send, 0) + 1000000000 from was w), 'what identifies a send jumps');
select is((select s.last_value from pg_sequences s where s.sequencename = 'agent_id_seq'), (select w.agent from was w),
	'what is seen by nobody does not');
select cmp_ok(app.xid(), '>', (select w.xid + 9000000000000 from was w), 'places in the log of a list jump');
select is_empty('select from app.watch', 'nobody watches any more');
select is_empty('select from app.list_change', 'and the logs of the lists begin anew');
\o /dev/null
select n from api.send_post(null, pg_temp.proof('bob'), 'alice@example.net', null, 'text/plain', 'x', true, null, null) \gset
\o
select is(pg_temp.inbox(), (select e.n || ', ' || e.n from app.epoch e), 'a message''s number, and its place in the inbox, jump');
\o /dev/null
select inspect.restored();
\o
select is(pg_temp.here(), 'a third', 'who restores a copy of the files says so');

select * from finish();
rollback;
