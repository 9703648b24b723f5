-- What anybody can make the database keep, send or wait for: rows of app.setting, and the only place of their defaults.
-- select inspect.set_bound('contacts', 64) changes one for every program at once; without a number it is the default
-- again. A default that changes here changes what holds, unless somebody has changed that. inspect.bound shows them all.

-- The largest number that a bound may be. Of a time it is a hundred years: what is further away is no date.
create function app.bound_most(p_unit text) returns bigint
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return case p_unit when 'days' then 36500 when 'seconds' then 36500 * 86400::bigint else 1000000000000 end;
end $$;

insert into app.setting as s (name, amount, standard, unit, what)
select d.name, d.amount, d.amount, d.unit, d.what
from (values
	('anonymous_mail_mailbox', 200, 'a day', 'messages that a mailbox takes from who is not signed in'),
	('anonymous_mail_percent', 25, 'percent', 'of a mailbox that such messages may fill'),
	('anonymous_mail_source', 20, 'an hour', 'messages that one source may leave without signing in'),
	('call_children_left', 100, 'participants', 'that a call still shows after they have left'),
	('call_empty', 86400, 'seconds', 'until a call ends that nobody is in'),
	('call_inside', 100, 'participants', 'in a call at once'),
	('call_invited', 200, 'accounts', 'invited to a call'),
	('call_kept', 86400, 'seconds', 'that an ended call, or who has left, is kept'),
	('call_members', 16384, 'bytes', 'of a call''s own members, written out'),
	('call_stream', 30, 'seconds', 'until who joined with lifetime stream leaves, after the last stream of the call'),
	('calls', 1000, 'calls', 'of an owner that are live or scheduled'),
	('calls_open', 100, 'calls', 'of an owner, among those, that are open'),
	('calls_sip', 50, 'calls', 'at once that an account''s phones have made, or its pages to phones'),
	('change_log', 1048576, 'bytes', 'of changes of one resource that are kept'),
	('contact', 4096, 'bytes', 'of one contact: URI, Path, Call-ID, instance'),
	('contacts', 32, 'contacts', 'of an account'),
	('credentials', 32, 'credentials', 'of an account'),
	('deliveries_account', 64, 'deliveries', 'of a sender that an agent has under way'),
	('deliveries_contact', 128, 'deliveries', 'that wait for one contact; what comes then waits for the account'),
	('deliveries_destination', 8, 'deliveries', 'to a destination that has not answered lately'),
	('deliveries_first', 16, 'deliveries', 'of what waits that a contact gets when it registers; the rest once it answers'),
	('dialogs', 32, 'phones', 'in calls that a document about an account''s calls shows; those that talk come first'),
	('document', 1048576, 'bytes', 'of any one document'),
	('email_rest', 30, 'days', 'until the email of a deleted account may sign up again'),
	('idempotency', 33554432, 'bytes', 'of results kept under an account''s Idempotency-Keys; the oldest make way'),
	('invites', 10, 'a second', 'calls that an account''s phones make, or its pages to phones'),
	('known_sources', 64, 'sources', 'of an account that are known: it signed in from there within a day'),
	('legs', 200, 'phones', 'at once in calls that an account has made'),
	('list_log', 67108864, 'bytes', 'of changes of a list that are kept'),
	('login_members', 4096, 'bytes', 'of a login''s own members, written out'),
	('mailbox', 67108864, 'bytes', 'of a mailbox: contents, URLs and members'),
	('mailbox_messages', 10000, 'messages', 'in a mailbox'),
	('notifies_account', 64, 'NOTIFYs', 'to an account''s phones that an agent has under way'),
	('notifies_destination', 8, 'NOTIFYs', 'of an account to one phone that an agent has under way'),
	('notify_pause', 1000, 'milliseconds', 'between two NOTIFYs of a subscription'),
	('operations_kept', 365, 'days', 'that is kept what operators have done (inspect.operation)'),
	('participations', 1000, 'calls', 'at once that an account may join'),
	('page', 1048576, 'bytes', 'of a page of a list'),
	('past_calls', 1000, 'calls', 'of an account that are kept once they have ended, in GET /user/{email}/calls'),
	('past_calls_kept', 90, 'days', 'that they are kept'),
	('participant_members', 4096, 'bytes', 'of a participant''s own members, written out'),
	('profile', 65536, 'bytes', 'of a profile, written out'),
	('publications', 16, 'publications', 'of an account'),
	('send_kept', 30, 'days', 'that a sent message is kept'),
	('sender_kept', 10000, 'messages', 'of one sender that are kept once they have arrived or failed'),
	('sender_kept_bytes', 67108864, 'bytes', 'of one sender that are kept once they have arrived or failed'),
	('sender_stored', 100, 'messages', 'of one sender that wait for one account'),
	('sender_stored_bytes', 2097152, 'bytes', 'of one sender that wait for one account'),
	('sends', 600, 'a minute', 'messages that an account sends'),
	('sends_contacts', 2400, 'a minute', 'contacts that the messages of an account go to'),
	('sends_scheduled', 100, 'messages', 'of a sender that are due later'),
	('sends_stored', 1000, 'messages', 'that wait for an account'),
	('sends_stored_bytes', 16777216, 'bytes', 'that wait for an account'),
	('session', 49152, 'bytes', 'of a participant''s session, written out'),
	('sessions', 100, 'sessions', 'of an account; the oldest makes way'),
	('signups_day', 50, 'a day', 'accounts that one source may make'),
	('signups_minute', 5, 'a minute', 'accounts that one source may make'),
	('subscriptions', 256, 'subscriptions', 'of an account'),
	('tickets', 20, 'tickets', 'of an account'),
	('wrong_passwords', 50, 'in 5 minutes', 'of one account from one source'),
	('wrong_passwords_account', 300, 'in 5 minutes', 'of one account over HTTP, from everywhere'),
	('wrong_passwords_source', 300, 'in 5 minutes', 'from one source, of all accounts')
) d (name, amount, unit, what)
on conflict (name) do update set
	amount = case when s.amount = s.standard then excluded.amount else least(s.amount, app.bound_most(excluded.unit)) end,
	standard = excluded.standard, unit = excluded.unit, what = excluded.what;

-- What holds now. An unknown name is a mistake of ours, and says so.
create function app.bound(p_name text) returns bigint
language plpgsql stable as $$
declare
	v_amount bigint;
begin
	select s.amount into strict v_amount from app.setting s where s.name = p_name;
	return v_amount;
end $$;

-- How many bytes a value takes as an answer writes it. jsonb writes numbers in full: 1e131071 has 131,072.
create function app.written(p_value jsonb) returns bigint
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
	return octet_length(p_value::text);
end $$;

-- RS413 where members take more room than bound p_name, written out. Points at the largest of them.
create function app.refuse_large(p_name text, p_members jsonb, p_what text) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
	v_most bigint;
	v_pointer text;
begin
	if p_members is null or p_members = '{}' then
		return;
	end if;
	v_most := app.bound(p_name);
	if app.written(p_members) <= v_most then
		return;
	end if;
	select '/' || replace(replace(e.key, '~', '~0'), '/', '~1') into v_pointer
	from jsonb_each(p_members) e order by app.written(e.value) desc, e.key limit 1;
	perform app.refuse(413, 'document-too-large', format('%s have at most %s bytes, written out.', p_what, v_most),
		case when octet_length(v_pointer) <= 512 then v_pointer else '' end);
end $$;

-- select inspect.set_bound('contacts', 64): for every program, from now on. Null: the default. Gives what it was.
create function inspect.set_bound(p_name text, p_amount bigint default null) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
	v_was bigint;
	v_most bigint;
begin
	select s.amount, app.bound_most(s.unit) into v_was, v_most
	from app.setting s where s.name = p_name and s.amount is not null for update;
	if v_was is null then
		perform app.refuse(404, 'bound-not-found', 'There is no such bound: see inspect.bound.');
	end if;
	if p_amount < 0 or p_amount > v_most then
		perform app.refuse(400, 'invalid-parameter', format('This bound is a number from 0 to %s.', v_most));
	end if;
	update app.setting s set amount = coalesce(p_amount, s.standard) where s.name = p_name;
	perform app.operated('setting', p_name, format('%s, was %s', app.bound(p_name), v_was)) where app.bound(p_name) <> v_was;
	if p_name = 'document' then -- so mailboxes show other messages than those that are logged
		delete from app.change_log l where l.kind = 'mailbox';
	end if;
	return v_was;
end $$;
comment on function inspect.set_bound(text, bigint) is
	'Changes a bound of inspect.bound for every program; without a number to its default. Gives what it was.';
grant execute on function inspect.set_bound to restsip_operator;
