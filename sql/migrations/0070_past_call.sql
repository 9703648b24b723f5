-- What calls an account has had, kept for it beyond the calls themselves.

alter type app.resource_kind add value 'calls';

create domain app.past_call_type as text constraint past_call_type_is_one check (value in ('made', 'received', 'missed'));
comment on domain app.past_call_type is 'What a call was to an account.';

-- Rows are only added, and removed: so two indexes, and no key of an account, whose end would wait for who adds.
create table app.past_call (
	n bigint generated always as identity constraint past_call_pkey primary key,
	account_id bigint not null,
	call_id bigint not null,
	type app.past_call_type not null,
	other text,
	started_at timestamptz not null,
	joined_at timestamptz,
	ended_at timestamptz not null default now(),
	cause app.leg_cause not null,
	ended_by text
);
comment on table app.past_call is 'Calls that have ended: a row for who called, and one for who was called.';
comment on column app.past_call.n is 'Rises with time, all accounts together.';
comment on column app.past_call.account_id is 'Whose past it is. No key: the rows of one that has gone are swept.';
comment on column app.past_call.call_id is 'The call, which may have gone.';
comment on column app.past_call.type is 'What it was to them: made, received, or missed.';
comment on column app.past_call.other is 'The email of who was at the other end, as it was then; null: that account had gone already.';
comment on column app.past_call.started_at is 'When it began to ring.';
comment on column app.past_call.joined_at is 'When it was answered; null: it was not.';
comment on column app.past_call.ended_at is 'When it ended.';
comment on column app.past_call.cause is 'How, in one word, as app.leg.cause.';
comment on column app.past_call.ended_by is 'The email of who ended it; null: nobody did.';
create index past_call_of on app.past_call (account_id, n);

create table app.past_calls (
	account_id bigint constraint past_calls_pkey primary key
		constraint past_calls_account references app.account on delete cascade,
	version bigint not null default nextval('app.version_seq')
);
comment on table app.past_calls is
	'From where the version of an account''s past calls counts: each of them that is there adds one.';
comment on column app.past_calls.version is 'Grows by more than there were, where some are removed.';
insert into app.past_calls (account_id) select a.id from app.account a;
