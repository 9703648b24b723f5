-- An operator can disable an account, and what operators do is written down.

alter table app.account add column disabled_at timestamptz;
comment on column app.account.disabled_at is
	'Since when an operator has disabled it (functions/25_disabled.sql); null: it works.';

create table app.operation (
	id bigint generated always as identity constraint operation_pkey primary key,
	at timestamptz not null default now(),
	role text not null,
	program text not null,
	what text not null,
	about text not null,
	detail text
);
create index operation_at on app.operation (at);
comment on table app.operation is 'What operators have done: written by each function of schema inspect that changes something.';
comment on column app.operation.role is 'The role that was connected.';
comment on column app.operation.program is 'What that connection called itself: restsipctl adds who ran it.';
comment on column app.operation.what is 'What was done, as restsipctl names it.';
comment on column app.operation.about is 'To what: an email, a source, a setting.';
comment on column app.operation.detail is 'Which of it, or how; never a secret.';
