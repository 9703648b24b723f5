-- From where an account has signed in lately: who comes from there is let in, however much others guess.

create table app.known_source (
	account_id bigint not null constraint known_source_account references app.account on delete cascade,
	source text not null constraint known_source_length check (length(source) between 1 and 64),
	at timestamptz not null default now(),
	constraint known_source_pkey primary key (account_id, source)
);
create index known_source_at on app.known_source (at);
comment on table app.known_source is
	'Where an account has given a right password or digest within a day; written at most once an hour.';
comment on column app.known_source.account_id is 'Whose password it was.';
comment on column app.known_source.source is 'An IPv4 address, or the /64 of an IPv6 one, as app.source() has it.';
comment on column app.known_source.at is 'When, to an hour.';

-- Its keys have other names now.
truncate app.throttle;
comment on column app.throttle.key is
	'Door (h: HTTP, d: SIP digests), then p: account and source, s: source, a: account, n: the one try a minute.';
comment on column app.throttle.failures is 'How many since then; of HTTP those too that are just being hashed.';
comment on column app.throttle.since is 'When its five minutes began; of n: the last try.';
