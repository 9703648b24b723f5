-- The change log: that every version is made again exactly, that it is small, and what it has room for.
begin;
select plan(22);
\o /dev/null
\ir setup.inc
select process from api.stream_start('change-test') \gset
create temp table ids as select :process as process, null::bigint as call;
create temp table seen (kind text, id bigint, version bigint, inside bool, doc text);
\o
create function pg_temp.watch(p_who text, p_kind text, p_key text) returns bigint language sql as $$
	select id from api.watch_open((select process from ids), null, pg_temp.proof(p_who), null, p_kind, p_key) $$;
create function pg_temp.id(p_who text) returns bigint language sql as $$
	select a.id from app.account a where a.email = p_who || '@example.net' $$;
create function pg_temp.log_bytes(p_kind text, p_id bigint) returns bigint language sql as $$
	select coalesce(sum(c.size), 0) from app.change c where c.kind = p_kind::app.resource_kind and c.id = p_id $$;

-- Remembers what the resource is after a write.
create function pg_temp.remember(p_kind text, p_id bigint, p_version bigint) returns void language sql as $$
	insert into seen select p_kind, p_id, p_version, i, app.render(p_kind::app.resource_kind, p_id, i)
	from unnest('{t,f}'::bool[]) i $$;

-- How many versions are not made again as they were, or not in order, from each version on, in pages.
create function pg_temp.wrong(p_kind text, p_id bigint) returns int language plpgsql as $$
declare
	v_at bigint;
	v_inside bool;
	v_row record;
	v_want bigint[];
	v_wrong int := 0;
	v_read int := 0;
begin
	foreach v_inside in array '{t,f}'::bool[] loop
		select array_agg(s.version order by s.version) into v_want from seen s
		where s.kind = p_kind and s.id = p_id and s.inside = v_inside;
		v_at := v_want[1];
		while v_at < v_want[cardinality(v_want)] loop
			for v_row in
				select w.*, s.doc::jsonb as want, row_number() over (order by w.version) as place
				from api.watch_read(p_kind, p_id, v_at, false, v_inside, null, true, 7) w
				left join seen s on s.kind = p_kind and s.id = p_id and s.version = w.version and s.inside = v_inside
				order by w.version
			loop
				v_read := v_read + (v_row.place > 1)::int;
				if v_row.want is distinct from v_row.doc::jsonb
					or v_row.place = 1 and v_row.version <> v_at
					or v_row.place > 1 and v_row.prior is distinct from v_at
				then
					v_wrong := v_wrong + 1;
				end if;
				v_at := v_row.version;
			end loop;
		end loop;
	end loop;
	return case when v_read = 2 * (cardinality(v_want) - 1) then v_wrong else -1 end;
end $$;

-- Contacts come, go, are refreshed and lapse.
select pg_temp.watch('bob', 'login', 'alice@example.net') as login \gset
do $$
declare
	v_account bigint := pg_temp.id('alice');
	v_version bigint;
	v_k int;
begin
	perform setseed(0.1);
	for i in 1..60 loop
		v_k := 1 + floor(random() * 8);
		v_version := null;
		if random() < 0.7 then
			select version into v_version from api.login_register(null, pg_temp.proof('alice'), 'me',
				'sip:a@192.0.2.' || v_k, 'k' || v_k, null, jsonb_build_object('é', repeat('ü', (random() * 50)::int)), null);
		elsif random() < 0.5 then
			update app.login set expires_at = now(), sweep_at = now() where account_id = v_account and contact = 'sip:a@192.0.2.' || v_k;
			continue;
		else
			select d.version into v_version from app.login l,
				api.login_delete(null, pg_temp.proof('alice'), 'me', l.n, null) d
			where l.account_id = v_account and l.expires_at > now() limit 1;
			continue when v_version is null;
		end if;
		perform pg_temp.remember('login', v_account, v_version);
	end loop;
end $$;
select is(pg_temp.wrong('login', :login), 0, 'every version of a login is made again');

-- Messages come, go and change; a stream shows the newest that fit.
select inspect.set_bound('document', 5000), inspect.set_bound('anonymous_mail_source', 1000) \g /dev/null
select pg_temp.watch('alice', 'mailbox', 'me') as box \gset
do $$
declare
	v_account bigint := pg_temp.id('alice');
	v_version bigint;
	v_n bigint;
begin
	perform setseed(0.2);
	for i in 1..120 loop
		select m.n into v_n from app.message m where m.account_id = v_account order by random() limit 1;
		if v_n is null or random() < 0.5 then
			select version into v_version from api.mail_post(null, null, 'alice@example.net', 'text', 'rtsp://x/' || i, null,
				null, jsonb_build_object('pad', repeat('ü', (random() * 200)::int)), null, null, '192.0.2.1');
		elsif random() < 0.4 then
			select version into v_version from api.mail_delete(null, pg_temp.proof('alice'), 'me', v_n, null);
		elsif random() < 0.5 then
			select version into v_version from api.mail_patch(null, pg_temp.proof('alice'), 'me', v_n, random() < 0.5, '{}', null);
		else
			select version into v_version from api.mail_patch(null, pg_temp.proof('alice'), 'me', v_n, null,
				jsonb_build_object('pad', repeat('x', (random() * 2000)::int)), null);
		end if;
		perform pg_temp.remember('mailbox', v_account, v_version);
	end loop;
end $$;
select is(pg_temp.wrong('mailbox', :box), 0, 'every version of a mailbox');
select cmp_ok((select max(octet_length(doc)) from seen where kind = 'mailbox'), '<=', 5000, 'none larger than a document');
select inspect.set_bound('document') \g /dev/null
do $$
declare
	v_account bigint := pg_temp.id('alice');
	v_version bigint;
begin
	delete from seen where kind = 'mailbox';
	for i in 1..130 loop
		select version into v_version from api.mail_post(null, null, 'alice@example.net', 'text', 'rtsp://x/' || i, null,
			null, '{}', null, null, '192.0.2.1');
		perform pg_temp.remember('mailbox', v_account, v_version);
	end loop;
	for i in 1..20 loop
		select d.version into v_version from (
				select m.n from app.message m where m.account_id = v_account order by m.n desc offset 3 limit 1) m,
			api.mail_delete(null, pg_temp.proof('alice'), 'me', m.n, null) d;
		perform pg_temp.remember('mailbox', v_account, v_version);
	end loop;
end $$;
select is(pg_temp.wrong('mailbox', :box), 0, 'nor is one wrong where there are more than a hundred');

-- Participants join, change and leave; who is outside sees another document.
update ids set call = (select id from api.call_create(null, pg_temp.proof('alice'), 's', null, null, null, '{}', null, null));
select call from ids \gset
select pg_temp.watch('alice', 'call', :'call') \g /dev/null
do $$
declare
	v_call bigint := (select call from ids);
	v_version bigint;
	v_n bigint;
begin
	perform setseed(0.3);
	for i in 1..40 loop
		select p.n into v_n from app.participant p where p.call_id = v_call and p.state = 'joined';
		if random() < 0.2 then
			select version into v_version from api.call_patch(null, pg_temp.proof('alice'), v_call, '{subject}', 's' || i, null,
				null, null, '{}', null);
		elsif v_n is null then
			select version into v_version from api.call_join(null, pg_temp.proof('bob'), v_call, 'me',
				to_jsonb(repeat('secret', (random() * 100)::int)), '{"a": 1}', null, null);
		elsif random() < 0.7 then
			select version into v_version from api.participant_put(null, pg_temp.proof('bob'), v_call, v_n,
				to_jsonb(repeat('secret', (random() * 100)::int)), '{"a": 2}', null);
		else
			select version into v_version from api.participant_delete(null, pg_temp.proof('bob'), v_call, v_n, null);
		end if;
		perform pg_temp.remember('call', v_call, v_version);
	end loop;
end $$;
select is(pg_temp.wrong('call', :call), 0, 'every version of a call, as two sorts of people see it');
select is_empty(format('select from app.shown where kind = ''call'' and id = %s and public and doc ~ ''secret''', :call),
	'nobody outside is shown a session');

-- What it costs
select n as large from api.mail_post(null, pg_temp.proof('alice'), 'me', 'text', 'rtsp://x', null, null,
	jsonb_build_object('pad', repeat('x', 60000)), null, null) \gset
select pg_temp.log_bytes('mailbox', :box) as bytes0 \gset
select version as seen_at from api.mail_patch(null, pg_temp.proof('alice'), 'me', :large, true, '{}', null) \gset
select cmp_ok(pg_temp.log_bytes('mailbox', :box) - :bytes0, '<', 400::bigint, 'a small change is small in the log');
select is((select octet_length(was) from app.change c, unnest(c.parts) where kind = 'mailbox' and version = :seen_at), 4,
	'just what was there before');

-- What it has room for
select version as p0 from api.watch_read('profile', pg_temp.watch('alice', 'profile', 'me'), null, true) \gset
create function pg_temp.profile(p_k int) returns bigint language sql as $$
	select version from api.user_put(null, pg_temp.proof('alice'), 'me', jsonb_build_object('k', p_k, 'pad',
		(select string_agg(md5((p_k * 1000 + i)::text), '') from generate_series(1, 100) i)), false, null, null) $$;
select max(pg_temp.profile(k)) from generate_series(1, 40) k \g /dev/null
select cmp_ok(pg_temp.log_bytes('profile', pg_temp.id('alice')), '<', 1048576::bigint, 'forty changes are all there');
select is((select count(*) from api.watch_read('profile', pg_temp.id('alice'), :p0, false)), 40::bigint,
	'and are read from the first one on');
select inspect.set_bound('change_log', 100000) \g /dev/null
select pg_temp.profile(41) as p41 \gset
select cmp_ok(pg_temp.log_bytes('profile', pg_temp.id('alice')), '<=', 100000::bigint, 'no more than there is room for');
select cmp_ok(pg_temp.log_bytes('profile', pg_temp.id('alice')), '>', 80000::bigint, 'and hardly less');
select results_eq(format('select version, prior, (doc::jsonb ->> ''k'')::int
	from api.watch_read(''profile'', pg_temp.id(''alice''), %s, false, p_base => true)', :p0),
	format('values (%s::bigint, null::bigint, 41)', :p41), 'who comes from before that gets the state');
select (select min(version) from app.change where kind = 'profile') as p_first \gset
select results_eq(format('select (doc::jsonb ->> ''k'')::int from api.watch_read(''profile'', pg_temp.id(''alice''), %s,
	false, p_base => true)', :p_first),
	'select generate_series(42 - count(*)::int, 41) from app.change where kind = ''profile''',
	'who comes from later gets each version');
select inspect.set_bound('change_log', 0) \g /dev/null
select pg_temp.profile(42) as p42 \gset
select is_empty('select from app.change where kind = ''profile''', 'without room nothing is kept');
select results_eq(format('select version, prior from api.watch_read(''profile'', pg_temp.id(''alice''), %s, false)', :p41),
	format('values (%s::bigint, null::bigint)', :p42), 'everybody gets the state');
select inspect.set_bound('change_log') \g /dev/null

-- A long way, in pages
select pg_temp.profile(43) as p43 \gset
select max(pg_temp.profile(k)) from generate_series(44, 99) k \g /dev/null
select results_eq(format('select count(*), bool_and(more) from api.watch_read(''profile'', pg_temp.id(''alice''), %s, false,
	p_limit => 10)', :p43), 'values (10::bigint, true)', 'there is more than a page');
select results_eq(format('select (doc::jsonb ->> ''k'')::int, more from api.watch_read(''profile'', pg_temp.id(''alice''), %s,
	false, p_limit => 0)', :p43), 'values (99, false)', 'or the last alone');
select results_eq(format('select (doc::jsonb ->> ''k'')::int from api.watch_read(''profile'', pg_temp.id(''alice''), %s,
	false, p_base => true, p_limit => 0)', :p43), 'values (43), (99)', 'with what a difference starts from');

-- Nobody watches any more
select pg_temp.profile(100) as p100 \gset
update app.watch set closed_at = now() - interval '2 minutes' where kind = 'profile';
select pg_temp.profile(101) as p101 \gset
select is((select max(version) from app.change where kind = 'profile'), :p100::bigint, 'whose watcher has gone is not logged');
select results_eq(format('select version, prior from api.watch_read(''profile'', pg_temp.id(''alice''), %s, false)', :p100),
	format('values (%s::bigint, null::bigint)', :p101), 'who comes back gets the state');
select app.sweep_changes(now() + interval '1 s') \g /dev/null
select is((select count(*) from app.change) + (select count(*) from app.change_log) + (select count(*) from app.shown),
	0::bigint, 'and what is old goes');

select * from finish();
rollback;
