-- What phones and their users in the field send and want to be told.

alter table app.credential add column ha1_email text constraint credential_ha1_email check (ha1_email ~ '^[0-9a-f]+$'
	and length(ha1_email) = length(ha1));
comment on column app.credential.ha1_email is
	'HA1 with username@realm in the place of the username, which is what people type; null: made before this was kept.';

create table app.contact_gone (
	id bigint generated always as identity,
	account_id bigint not null constraint contact_gone_account references app.account on delete cascade,
	n bigint not null,
	contact text not null,
	event text not null constraint contact_gone_event
		check (event in ('unregistered', 'expired', 'deactivated', 'rejected')),
	at timestamptz not null default now(),
	constraint contact_gone_pkey primary key (account_id, id)
);
create index contact_gone_at on app.contact_gone (at);
comment on table app.contact_gone is
	'Contacts that ended while somebody subscribed to reg: each subscriber is told once how (RFC 3680, section 5.3).';

alter table app.subscription add column gone_told bigint, add column gone_claimed bigint;
comment on column app.subscription.gone_told is
	'Of reg: the last app.contact_gone that the subscriber has been told of, or that was there before it subscribed.';
comment on column app.subscription.gone_claimed is 'The last one in the NOTIFY under way.';
