-- What a credential has made ends with it; a deleted account's email rests; sign-ups are counted by their source.

alter table app.login add column credential_id bigint;
comment on column app.login.credential_id is
	'The credential that registered it last, which may be gone by now (no foreign key: a REGISTER is to stay cheap).';

alter table app.subscription add column credential_id bigint,
	drop constraint subscription_reason,
	add constraint subscription_reason check (ended in ('timeout', 'noresource', 'deactivated', 'rejected'));
comment on column app.subscription.credential_id is 'The credential that subscribed or refreshed last, as in app.login.';

create table app.email_rest (
	email text constraint email_rest_pkey primary key,
	deleted_at timestamptz not null default now()
);
create index email_rest_deleted on app.email_rest (deleted_at);
comment on table app.email_rest is
	'Emails of deleted accounts, which nobody else gets for a while: mail and calls for who had it would reach them.';

create table app.signup (
	source text constraint signup_pkey primary key,
	at timestamptz[] not null
);
create index signup_at on app.signup ((at[1]));
comment on table app.signup is 'When each source has made accounts within a day, the latest first.';

create index ticket_account on app.ticket (account_id);
create index ticket_expires on app.ticket (expires_at);
