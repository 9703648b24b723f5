-- Idempotency-Key: the same key gives the same result, in the transaction of the work itself.

-- The result of an earlier request under this key, or null: then do the work and call idem_end. RS422 where another
-- request stands under the key, RS409 while one is under way.
create function app.idem_begin(p_account bigint, p_key text, p_print bytea) returns jsonb
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_print bytea;
	v_result jsonb;
begin
	if p_key is null then
		return null;
	end if;
	if octet_length(p_key) not between 1 and 255 then
		perform app.refuse(400, 'invalid-header', 'An Idempotency-Key has 1 to 255 characters.');
	end if;
	if not pg_try_advisory_xact_lock(hashtextextended(p_key, coalesce(p_account, 0))) then
		perform app.refuse(409, 'idempotency-in-progress', 'The first request with this key is still under way.');
	end if;
	select i.print, i.result into v_print, v_result
	from app.idempotency i where i.account_id = coalesce(p_account, 0) and i.key = p_key;
	if v_print <> p_print then
		perform app.refuse(422, 'idempotency-key-reused', 'This key was used for another request.');
	end if;
	return v_result;
end $$;

-- Keeps the result. An account has so many bytes of them, and the oldest make way: a key is meant for the next minutes. Its
-- row of the log is locked last, and until the commit.
create function app.idem_end(p_account bigint, p_key text, p_print bytea, p_result jsonb) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_size int := 256 + octet_length(p_key) + octet_length(p_result::text);
	v_written bigint := v_size;
	v_bound bigint;
begin
	if p_key is null then
		return;
	end if;
	if p_account is not null then
		insert into app.idempotency_log as l (account_id, written)
		values (p_account, v_size)
		on conflict (account_id) do update set written = l.written + excluded.written returning l.written into v_written;
	end if;
	insert into app.idempotency (account_id, key, print, result, place)
	values (coalesce(p_account, 0), p_key, p_print, p_result, v_written - v_size);
	v_bound := app.bound('idempotency');
	if p_account is not null and v_written > v_bound then
		delete from app.idempotency i where i.account_id = p_account and i.place < v_written - v_bound;
	end if;
end $$;
