-- The roles. Passwords and pg_hba are the operator's; a role that exists is left as it is.
do $$
declare
	v_role text;
begin
	foreach v_role in array array['restsip_owner', 'restsip_api', 'restsip_stream', 'restsip_agent',
		'restsip_inspect', 'restsip_operator']
	loop
		if not exists (select from pg_roles where rolname = v_role) then
			execute format('create role %I login', v_role);
		end if;
	end loop;
end $$;
grant restsip_inspect to restsip_operator;

-- What the programs ask is found by key, in tables of any size: a plan made while a table was small must not read it
-- whole, and one plan serves all values.
do $$
declare
	v_role text;
begin
	foreach v_role in array array['restsip_api', 'restsip_stream', 'restsip_agent']
	loop
		execute format('alter role %I set enable_seqscan = off', v_role);
		execute format('alter role %I set enable_bitmapscan = off', v_role);
		execute format('alter role %I set plan_cache_mode = force_generic_plan', v_role);
	end loop;
	-- To compile one of our statements takes seconds, and to run it milliseconds.
	foreach v_role in array array['restsip_api', 'restsip_stream', 'restsip_agent', 'restsip_inspect', 'restsip_operator',
		'restsip_owner']
	loop
		execute format('alter role %I set jit = off', v_role);
	end loop;
end $$;

-- What is given beside a statement may be the password of a SIP credential: no log of PostgreSQL's shows it, whatever else
-- it is told to log.
do $$
declare
	v_role text;
begin
	foreach v_role in array array['restsip_api', 'restsip_stream', 'restsip_agent', 'restsip_operator']
	loop
		execute format('alter role %I set log_parameter_max_length = 0', v_role);
		execute format('alter role %I set log_parameter_max_length_on_error = 0', v_role);
	end loop;
end $$;

-- A refusal is none of the errors that PostgreSQL's log is read for: app.refuse says so while it raises one.
grant set on parameter log_min_messages to restsip_owner;

-- A transaction that is left open holds up others; no program leaves one open. The owner ends the sessions of who has set
-- that back: a member of a role may.
do $$
declare
	v_role text;
begin
	foreach v_role in array array['restsip_api', 'restsip_stream', 'restsip_agent', 'restsip_inspect', 'restsip_operator']
	loop
		execute format('alter role %I set idle_in_transaction_session_timeout = %L', v_role, '60s');
		execute format('grant %I to restsip_owner', v_role);
	end loop;
end $$;

-- The lists are read below the oldest transaction of this database (app.xmin): the owner has to see of others' which those are.
grant pg_read_all_stats to restsip_owner;

-- Locks by number mean that a process is there, or that somebody is at an account: nobody takes one but our functions.
do $$
declare
	v_function regprocedure;
begin
	for v_function in
		select p.oid from pg_proc p
		where p.pronamespace = 'pg_catalog'::regnamespace and p.proname ~ '^pg_(try_)?advisory_'
	loop
		execute format('revoke execute on function %s from public', v_function);
		execute format('grant execute on function %s to restsip_owner', v_function);
	end loop;
end $$;

-- Nor does anybody keep large objects, which have no bound and no table of ours.
do $$
declare
	v_function regprocedure;
begin
	for v_function in
		select p.oid from pg_proc p
		where p.pronamespace = 'pg_catalog'::regnamespace
			and p.proname in ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_open', 'lo_put', 'lowrite')
	loop
		execute format('revoke execute on function %s from public', v_function);
	end loop;
end $$;

-- Nobody needs temporary objects, and a type or table of that kind could stand in the way of a function's own.
do $$
begin
	execute format('revoke temporary, create on database %I from public', current_database());
end $$;
revoke create on schema public from public;

create schema if not exists app authorization restsip_owner;
create schema if not exists api authorization restsip_owner;
create schema if not exists inspect authorization restsip_owner;

alter default privileges for role restsip_owner revoke execute on functions from public;

grant usage on schema api to restsip_api, restsip_stream, restsip_agent;
grant usage on schema inspect to restsip_inspect, restsip_operator;
