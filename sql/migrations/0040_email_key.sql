-- An email is one account, however its local part is written.

-- Where two differ by case only, nobody can say for the people which one is to keep the name.
do $$
declare
	v_alike text;
begin
	select string_agg(l.emails, '; ') into v_alike from (
		select string_agg(a.email, ', ' order by a.id) as emails
		from app.account a group by lower(a.email collate "C") having count(*) > 1
		order by lower(a.email collate "C") limit 20) l;
	if v_alike is not null then
		raise exception using message = 'accounts whose emails differ by case only: ' || v_alike,
			detail = 'From this version on, emails are compared without case: those would be one account.',
			hint = 'Rename all but one of each, then run sql/migrate again. How: psql -X -v old=Alice@example.net '
				|| '-v new=alice-2@example.net -f sql/rename CONNINFO; the file says what that means for the user.';
	end if;
end $$;

alter table app.account add column email_key text collate "C" not null
	generated always as (lower(email collate "C")) stored
	constraint account_email_caseless unique;
comment on column app.account.email_key is
	'What the account is found by: its email, whose case is as it was signed up with, in lower case.';

-- Of two emails that rest and differ by case only, the one that was deleted last.
delete from app.email_rest r using app.email_rest o
where lower(o.email collate "C") = lower(r.email collate "C") and (o.deleted_at, o.email) > (r.deleted_at, r.email);
update app.email_rest r set email = lower(r.email collate "C") where r.email <> lower(r.email collate "C");
