-- What was sent to an account that has ended, and is settled, goes a batch at a time: there may be a million of it, and an
-- end is one transaction, which many wait for.

alter table app.send drop constraint send_account;
comment on column app.send.account_id is 'The recipient; once that has ended it is in app.account_gone until this is removed.';

create table app.account_gone (
	account_id bigint constraint account_gone_pkey primary key,
	at timestamptz not null default now()
);
create index account_gone_at on app.account_gone (at);
comment on table app.account_gone is 'Accounts that have ended, to which messages had been sent that are not removed yet.';
comment on column app.account_gone.account_id is 'Its number, which no other account gets.';
comment on column app.account_gone.at is 'When it ended.';
