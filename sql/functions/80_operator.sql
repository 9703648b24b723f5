-- What an operator may do in psql.

-- select inspect.send('alice@example.net', 'hi'): a text message to a user from operator@ that user's domain. Gives
-- its number below /login/{email}. It rings in its own transaction, for psql would not ring after it.
create function inspect.send(p_to text, p_text text) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog as $$
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
