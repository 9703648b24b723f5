-- What an operator may do in psql.

-- select inspect.send('alice@example.net', 'hi'): a text message to a user from operator@ that user's domain. Gives
-- its number below /login/{email}. It rings in its own transaction, for psql would not ring after it.
create function inspect.send(p_to text, p_text text) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_put record;
begin
	v_put := app.send_put(app.target(null, p_to), null, 'operator@' || substring(p_to from '[^@]*$'), null,
		'text/plain; charset=utf-8', convert_to(p_text, 'UTF8'), true, null, null, null);
	perform pg_notify(split_part(b, '|', 1), substr(b, strpos(b, '|') + 1)) from unnest(v_put.bell) b;
	return v_put.n;
end $$;

comment on function inspect.send(text, text) is
	'Sends a text message to a user, as operator@ the user''s domain; gives its number below /login/{email}.';
grant execute on function inspect.send to restsip_operator;

-- select inspect.keep_history('2 hours'): how long a stream can be resumed from. Gives what it was.
create function inspect.keep_history(p_for interval) returns interval
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_was interval := app.history();
begin
	if p_for is null or p_for < interval '1 second' then
		perform app.refuse(400, 'invalid-parameter', 'History is kept for a second at least.');
	end if;
	update app.setting s set value = convert_to(p_for::text, 'UTF8') where s.name = 'history';
	return v_was;
end $$;

comment on function inspect.keep_history(interval) is
	'How long what happened to watched resources is kept for streams that come back; gives what it was.';
grant execute on function inspect.keep_history to restsip_operator;
