-- The janitor's turn is a row, which only its function can lock: whoever may take an advisory lock could keep it.

create table app.duty (
	name text constraint duty_pkey primary key,
	failures bigint not null default 0,
	failed_at timestamptz,
	failure text,
	constraint duty_failed check ((failures = 0) = (failed_at is null) and (failed_at is null) = (failure is null))
);
comment on table app.duty is
	'What the janitor does, and how it failed last. Whoever has the row `turn` locked is at it.';
comment on column app.duty.name is 'A function of app; `turn`: none.';
comment on column app.duty.failures is 'How often it has failed.';
comment on column app.duty.failed_at is 'When it failed last; null: never.';
comment on column app.duty.failure is 'How: an SQLSTATE and its message.';
insert into app.duty (name) values ('turn');
