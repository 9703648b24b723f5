-- Wrong guesses, counted; lost in a crash, which only forgives.

create unlogged table app.throttle (
	key text constraint throttle_pkey primary key,
	failures int not null,
	since timestamptz not null
);
create index throttle_since on app.throttle (since);
comment on table app.throttle is 'Wrong passwords by account and by source within the last minutes.';
