-- Receipts that move nothing have a minute of their own, a participant whose contact was lost has time to come back, and in
-- how many calls an account is can be counted.

alter table app.send_rate add column receipts int not null default 0, add column receipts_since timestamptz;
comment on column app.send_rate.receipts is 'Receipts of the account that moved no message, since their present minute began.';
comment on column app.send_rate.receipts_since is 'When that was.';

create index participant_in on app.participant (account_id) where state = 'joined';

create table app.contact_lost (
	account_id bigint not null constraint contact_lost_account references app.account on delete cascade,
	n bigint not null,
	key text not null,
	instance text,
	at timestamptz not null default now(),
	constraint contact_lost_pkey primary key (account_id, n)
);
create index contact_lost_at on app.contact_lost (at);
comment on table app.contact_lost is 'Contacts that somebody is in a call with, whose connection has gone: who comes back in time is in it still.';
comment on column app.contact_lost.n is 'Its number: it was /login/{email}/{n}.';
comment on column app.contact_lost.key is 'What its URI is known by, whatever its spelling.';
comment on column app.contact_lost.instance is 'Its device (+sip.instance), if it named one.';
comment on column app.contact_lost.at is 'When.';
