-- What an operator may do, in psql or by restsipctl: as role restsip_operator, which also reads the views of inspect. Each
-- of these writes down what it did (inspect.operation) and rings by itself, in its own transaction, for nobody rings after
-- it. 81_operator_account.sql has what is done to accounts.

-- An account is written down by its email as that stands in inspect.account, whatever was typed.
create function app.operated(p_what text, p_about text, p_detail text default null) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	insert into app.operation (role, program, what, about, detail)
	values (session_user, current_setting('application_name'), p_what,
		coalesce((select a.email from app.account a where a.email_key = app.email_key(p_about)), p_about), p_detail);
	delete from app.operation o where o.at < now() - make_interval(days => app.bound('operations_kept')::int);
end $$;

create function app.ring_now(p_bells text[]) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform pg_notify(split_part(b, '|', 1), substr(b, strpos(b, '|') + 1))
	from (select distinct b from unnest(p_bells) b where b is not null) u;
end $$;

-- select inspect.send('alice@example.net', 'hi'): a text message to a user from operator@ that user's domain. Gives
-- its number below /login/{email}.
create function inspect.send(p_to text, p_text text) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_put record;
begin
	v_put := app.send_put(app.target(null, p_to), null, 'operator@' || substring(p_to from '[^@]*$'), null,
		'text/plain; charset=utf-8', convert_to(p_text, 'UTF8'), true, null, null, null);
	perform app.operated('send', p_to, 'message ' || v_put.n);
	perform app.ring_now(v_put.bell);
	return v_put.n;
end $$;

comment on function inspect.send(text, text) is
	'Sends a text message to a user, as operator@ the user''s domain; gives its number below /login/{email}.';

-- select inspect.keep_history('2 hours'): how long a stream can be resumed from. Gives what it was.
create function inspect.keep_history(p_for interval) returns interval
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_was interval := app.history();
begin
	if p_for is null or p_for < interval '1 second' or p_for > interval '100 years' then
		perform app.refuse(400, 'invalid-parameter', 'History is kept for a second at least, and for a hundred years at most.');
	end if;
	update app.setting s set value = convert_to(p_for::text, 'UTF8') where s.name = 'history';
	perform app.operated('setting', 'history', format('%s, was %s', p_for, v_was)) where p_for <> v_was;
	return v_was;
end $$;

comment on function inspect.keep_history(interval) is
	'How long what happened to watched resources is kept for streams that come back; gives what it was.';

-- select inspect.set_setting('contacts', '64'), of inspect.setting; null: the default. Gives what it was. One door to
-- inspect.set_bound() and inspect.keep_history(), by text.
create function inspect.set_setting(p_name text, p_value text default null) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	if p_name = 'history' then
		begin
			return inspect.keep_history(coalesce(p_value, '1 hour')::interval);
		exception when invalid_datetime_format or datetime_field_overflow or interval_field_overflow then
			perform app.refuse(400, 'invalid-parameter', format('history is a time such as ''2 hours''; this is ''%s''.', p_value));
		end;
	end if;
	if not exists (select from app.setting s where s.name = p_name and s.amount is not null) then
		perform app.refuse(404, 'setting-not-found', format('There is no setting %s in the database; `restsipctl setting` lists them. '
			'What a program is told as it starts is in restsip.ini.', p_name));
	end if;
	if p_value !~ '^[0-9]{1,13}$' then
		perform app.refuse(400, 'invalid-parameter', (select format('%s is a number (%s); this is ''%s''.', s.name, s.unit, p_value)
			from app.setting s where s.name = p_name));
	end if;
	return inspect.set_bound(p_name, p_value::bigint);
end $$;

comment on function inspect.set_setting(text, text) is
	'Changes a setting of inspect.setting for every program; null: to its default. Gives what it was.';

grant execute on function inspect.send, inspect.keep_history, inspect.set_setting to restsip_operator;
