-- Lives of the database. A backup does not know what was given out after it: versions, which are ETags and places in
-- streams; numbers in URLs, which are also Call-IDs. So a database that finds itself in another place than it was written
-- in lets all of its counters jump. Each connection of a program asks first (api.schema_version), and so does sql/migrate.

-- What changes where a dump is loaded, a standby is promoted or an archive is replayed: the cluster, its timeline, the
-- database and the table. A copy of all files, such as a snapshot of a virtual machine, has none of these changed: that is
-- for inspect.restored() to say.
create function app.epoch_place() returns text
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
	return concat_ws('/', (select c.system_identifier from pg_control_system() c),
		left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
		(select d.oid from pg_database d where d.datname = current_database()), 'app.epoch'::regclass::oid);
end $$;

-- Begins a new life. What a counter has given out since the backup is taken to be less than it jumps by.
create function app.epoch_begin() returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_sequence record;
begin
	for v_sequence in
		select s.schemaname, s.sequencename, coalesce(s.last_value, s.start_value) as last
		from pg_sequences s where s.schemaname = 'app' and s.data_type = 'bigint'::regtype
	loop
		perform setval(format('%I.%I', v_sequence.schemaname, v_sequence.sequencename)::regclass, v_sequence.last
			+ case v_sequence.sequencename when 'version_seq' then 1000000000000 else 1000000000 end);
	end loop;
	-- Who watched is told anew. What the log of a list says is in numbers of another cluster's transactions.
	truncate app.watch, app.list_change, app.list_log;
	update app.epoch e set n = e.n + 1, place = app.epoch_place(), since = now();
	raise warning 'restsip: this database goes on from an earlier state of itself; its numbers have jumped';
end $$;

-- Looks whether this is another life than the last one.
create function app.epoch_settle() returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_place text;
begin
	if pg_is_in_recovery() then
		return; -- nothing is given out here
	end if;
	v_place := app.epoch_place();
	if v_place = (select e.place from app.epoch e) then
		return;
	end if;
	-- One does it; the others wait, and see that it is done.
	perform from app.epoch e for update;
	if (select e.place from app.epoch e) is null then
		update app.epoch e set place = v_place;
	elsif (select e.place from app.epoch e) <> v_place then
		perform app.epoch_begin();
	end if;
end $$;

-- For places in the log of a list: numbers of transactions, which begin anew in another cluster.
create function app.epoch_xid(p_xid xid8) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
	return p_xid::text::bigint + (select e.n from app.epoch e) * 10000000000000;
end $$;

-- What this database speaks. A program runs with its own number and the next, and refuses any other. It is the first that
-- a connection of a program asks.
create function api.schema_version() returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform app.epoch_settle();
	return app.schema_version();
end $$;

grant execute on function api.schema_version to restsip_api, restsip_stream, restsip_agent;

create function inspect.restored() returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform from app.epoch e for update;
	perform app.epoch_begin();
end $$;

comment on function inspect.restored() is
	'To be said, before the programs run, where this database was put back in a way that it cannot see: as a copy of all files.';
grant execute on function inspect.restored to restsip_operator;
