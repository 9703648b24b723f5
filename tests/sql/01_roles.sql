-- Who may do what: programs execute their own functions and read no table; PUBLIC may do nothing.
begin;
select plan(29);

select is_empty($$
	select r.rolname, c.oid::regclass
	from pg_class c, pg_roles r
	where c.relnamespace = 'app'::regnamespace and c.relkind in ('r', 'S', 'v', 'm', 'p')
		and r.rolname in ('restsip_api', 'restsip_stream', 'restsip_agent', 'restsip_inspect', 'restsip_operator')
		and (c.relkind <> 'S' and has_table_privilege(r.oid, c.oid, 'select, insert, update, delete, truncate')
			or c.relkind = 'S' and has_sequence_privilege(r.oid, c.oid, 'usage, select, update'))
	$$, 'no program''s role has any privilege on any table or sequence of app');

select is_empty($$
	select r.rolname, c.oid::regclass
	from pg_class c, pg_roles r
	where c.relnamespace = 'inspect'::regnamespace
		and r.rolname in ('restsip_api', 'restsip_stream', 'restsip_agent')
		and has_table_privilege(r.oid, c.oid, 'select')
	$$, 'no program''s role reads the views for people');

select is_empty($$
	select r.rolname from pg_roles r
	where r.rolname in ('restsip_api', 'restsip_stream', 'restsip_agent', 'restsip_operator')
		and not coalesce(r.rolconfig @> array['log_parameter_max_length=0', 'log_parameter_max_length_on_error=0'], false)
	$$, 'what a program gives beside a statement is in no log');

select is_empty($$
	select p.oid::regprocedure from pg_proc p
	where p.pronamespace in ('app'::regnamespace, 'api'::regnamespace, 'inspect'::regnamespace)
		and has_function_privilege('public', p.oid, 'execute')
	$$, 'PUBLIC executes nothing');

select is_empty($$
	select r.rolname, p.oid::regprocedure from pg_proc p, pg_roles r
	where p.pronamespace = 'app'::regnamespace
		and r.rolname in ('restsip_api', 'restsip_stream', 'restsip_agent')
		and has_function_privilege(r.oid, p.oid, 'execute')
	$$, 'the programs execute nothing of app');

select is_empty($$
	select p.oid::regprocedure from pg_proc p
	where p.pronamespace in ('api'::regnamespace, 'inspect'::regnamespace) and not p.prosecdef
	$$, 'all functions that are called from outside are security definer');

select is_empty($$
	select p.oid::regprocedure from pg_proc p
	where p.pronamespace in ('app'::regnamespace, 'api'::regnamespace, 'inspect'::regnamespace)
		and (p.prosecdef or p.pronamespace <> 'app'::regnamespace)
		and not coalesce(p.proconfig @> array['search_path=pg_catalog, pg_temp'], false)
	$$, 'every function that may be called from outside, or with more rights, sets its search_path');

-- A volatile function looks anew at each statement: a document would be newer than the version beside it.
select is_empty($$
	select p.oid::regprocedure from pg_proc p
	where p.pronamespace = 'app'::regnamespace and p.provolatile = 'v'
		and p.proname ~ '(_doc|_info|_pidf|_reginfo|_items|_summary|_head|_status|^render|^parts)$'
	$$, 'what makes documents sees one moment, that of the query that asks for it');

select is_empty($$
	select p.oid::regprocedure from pg_proc p
	where p.pronamespace in ('app'::regnamespace, 'api'::regnamespace, 'inspect'::regnamespace)
		and p.proowner <> 'restsip_owner'::regrole
	$$, 'every function is restsip_owner''s');

select is_empty($$
	select p.oid::regprocedure from pg_proc p
	where p.pronamespace = 'api'::regnamespace
		and not exists (select from pg_roles r
			where r.rolname in ('restsip_api', 'restsip_stream', 'restsip_agent')
				and has_function_privilege(r.oid, p.oid, 'execute'))
	$$, 'every function of api is some program''s');

select is_empty($$
	select c.oid::regclass from pg_class c
	where c.relnamespace in ('app'::regnamespace, 'inspect'::regnamespace) and c.relkind in ('r', 'v')
		and obj_description(c.oid, 'pg_class') is null
	$$, 'every table and view has a comment');

select is_empty($$
	select a.attrelid::regclass, a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
	where c.relnamespace = 'inspect'::regnamespace and a.attnum > 0 and col_description(c.oid, a.attnum) is null
	$$, 'every column of every view has a comment');

select is((select rolsuper or rolcreaterole or rolcreatedb or rolbypassrls from pg_roles
	where rolname = 'restsip_owner'), false, 'the owner is an ordinary role');

select is_empty($$
	select r.rolname from pg_roles r
	where r.rolname in ('restsip_api', 'restsip_stream', 'restsip_agent', 'restsip_inspect', 'restsip_operator')
		and (has_database_privilege(r.oid, current_database(), 'temporary, create')
			or has_schema_privilege(r.oid, 'public', 'create'))
	$$, 'nobody but the owner makes objects, temporary ones included');

-- Whoever could make them gets nothing by it: a type of ours would see each value that a function casts to it.
do $$ begin execute format('grant temporary on database %I to restsip_api', current_database()); end $$;
create temporary table seen (value pg_catalog.text);
grant all on seen to public;
select from api.user_create('temp@example.net', '$y$j9T$salt$secret', null);
set local role restsip_api;
create function pg_temp.see(p pg_catalog.text) returns bool language plpgsql as
	'begin insert into pg_temp.seen values (p); return true; end';
create domain pg_temp.text as pg_catalog.text check (pg_temp.see(value));
select api.password_setting('temp@example.net', null) = '$y$j9T$salt' as asked \gset
reset role;
select count(*) as seen from pg_temp.seen \gset
drop domain pg_temp.text cascade;
select ok(:'asked', 'asked for by the role of a worker');
select is(:seen, 0, 'a type in pg_temp sees nothing of what functions do');

set local role restsip_inspect;
select throws_ok('select inspect.send(''alice@example.net'', ''hi'')', '42501', null,
	'who only inspects cannot send');

reset role;

-- Who inspects sees every view, and so does the operator.
create function pg_temp.views() returns text[] language sql as $$
	select array_agg(c.oid::regclass::text) from pg_class c
	where c.relnamespace = 'inspect'::regnamespace and c.relkind = 'v'
$$;
select pg_temp.views() as views \gset
create function pg_temp.see_all(p_views text[]) returns void language plpgsql as $$
declare
	v text;
begin
	foreach v in array p_views loop
		execute format('select * from %s', v);
	end loop;
end $$;
set local role restsip_inspect;
select lives_ok(format('select pg_temp.see_all(%L)', :'views'), 'who inspects sees every view');
set local role restsip_operator;
select lives_ok(format('select pg_temp.see_all(%L)', :'views'), 'so does the operator');
reset role;

-- What one role holds stops nobody else.
select is_empty($$
	select r.rolname, p.oid::regprocedure from pg_roles r cross join pg_proc p
	where r.rolname in ('restsip_api', 'restsip_stream', 'restsip_agent', 'restsip_inspect', 'restsip_operator')
		and p.proname ~ '^pg_(try_)?advisory_' and has_function_privilege(r.oid, p.oid, 'execute')
	$$, 'no role but the owner takes an advisory lock by itself');
set local role restsip_inspect;
select throws_ok('select pg_advisory_lock(29287, 0)', '42501', null, 'who only inspects least of all');
select throws_ok('select lo_from_bytea(0, ''x'')', '42501', null, 'or fills the disk with large objects');
reset role;
select is_empty($$
	select r.rolname, p.oid::regprocedure from pg_roles r cross join pg_proc p
	where r.rolname in ('restsip_api', 'restsip_stream', 'restsip_agent', 'restsip_inspect', 'restsip_operator')
		and p.proname ~ '^(lo_(creat|from|import|open|put)|lowrite)'
		and has_function_privilege(r.oid, p.oid, 'execute') and p.pronamespace = 'pg_catalog'::regnamespace
	$$, 'no role keeps large objects');
select is_empty($$
	select r.rolname from pg_roles r
	where r.rolname in ('restsip_api', 'restsip_stream', 'restsip_agent', 'restsip_inspect', 'restsip_operator')
		and not 'idle_in_transaction_session_timeout=60s' = any (r.rolconfig)
	$$, 'whoever leaves a transaction open is ended');

-- A duty of the janitor that fails stops no other.
create or replace function app.expire_publications(out bell text[], out more bool) language plpgsql as
	'begin more := 1 / 0; end';
select lives_ok('select api.janitor(0) from generate_series(1, 50)', 'a duty of the janitor fails');
select cmp_ok((select d.failures::int from app.duty d where d.name = 'expire_publications'), '>=', 1, 'which is noted');
select ok((select d.failure like '22012 %' from app.duty d where d.name = 'expire_publications'), 'with its reason');
select is((select count(*)::int from app.duty d where d.failures > 0), 1, 'and no other fails for it');
select is((select count(*)::int from app.duty d where d.next_at < now()), 0, 'each has had its turn');
select * from finish();
rollback;
