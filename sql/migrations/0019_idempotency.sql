-- What is kept under an account's Idempotency-Keys has a bound.

alter table app.idempotency
	add column place bigint not null default 0;
comment on column app.idempotency.place is 'The size of all results of the account before this one, with those that are gone.';
create index idempotency_place on app.idempotency (account_id, place);

create unlogged table app.idempotency_log (
	account_id bigint constraint idempotency_log_pkey primary key
		constraint idempotency_log_account references app.account on delete cascade,
	written bigint not null
) with (fillfactor = 50);
comment on table app.idempotency_log is
	'How much an account has had kept under its Idempotency-Keys, ever. Lost in a crash, which only forgives.';
