-- /metrics: the figures of workers that are there, and whether agents and stream processes are.
begin;
select plan(8);
create function pg_temp.figures(p_pid int) returns text language sql as $$
	select string_agg(figures, '' order by figures) from api.metrics('test', p_pid, 'x{pid="' || p_pid || E'"} 1\n')
	where figures not like 'restsip%' $$;

select is(pg_temp.figures(1), null, 'who is asked knows its own');
select is(pg_temp.figures(2), E'x{pid="1"} 1\n', 'and has left them for whoever is asked next');
update app.metric set at = now() - interval '11 s' where pid = 1 and host = 'test';
select is(pg_temp.figures(2), null, 'of one that says nothing any more, nothing is told');
update app.metric set at = now() + interval '1 hour' where pid = 1 and host = 'test';
select is(pg_temp.figures(2), null, 'nor of one from before the clock was set back');
select is((select count(*) from app.metric where host = 'test'), 1::bigint, 'which goes');
insert into app.agent (name, boot) values (E'a "b" \\c\nd', 'b1');
select is((select figures from api.metrics('test', 3, '') where figures ~ 'up.*"a '),
	E'restsip_process_up{program="restsip-agent",name="a \\"b\\" \\\\c\\nd"} 0', 'a name is written as a label is');
select api.agent_certificate(id, extract(epoch from now())::bigint + 90000) from app.agent where name ~ '^a "' \g /dev/null
select matches((select figures from api.metrics('test', 3, '') where figures ~ '^restsip_certificate'),
	'^restsip_certificate_seconds\{name="a .*"\} (90000|89999)$', 'when a certificate ends is told');
select api.agent_certificate(id, null) from app.agent where name ~ '^a "' \g /dev/null
select is((select count(*) from api.metrics('test', 3, '') where figures ~ '^restsip_certificate.*"a '), 0::bigint, 'where there is one');
select * from finish();
rollback;
