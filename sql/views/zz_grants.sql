-- A view's reader needs EXECUTE on the functions in it, though not on what they read.
grant execute on function app.history, app.lock_is_held, app.is_fresh, app.is_alive, app.send_status, app.transactions
	to restsip_inspect;
grant select on all tables in schema inspect to restsip_inspect;
