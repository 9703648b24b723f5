-- Lives of this database: what was given out after a backup is not given out again once that has been restored.

create table app.epoch (
	one bool constraint epoch_pkey primary key default true constraint epoch_one check (one),
	n bigint not null default 0,
	floor bigint not null generated always as (n * 1000000000) stored,
	place text,
	since timestamptz not null default now()
);
comment on table app.epoch is 'One row: how often this database has begun anew from an earlier state of itself.';
comment on column app.epoch.n is 'How often.';
comment on column app.epoch.floor is 'Numbers below a resource, and in its inbox, go on above this one.';
comment on column app.epoch.place is
	'Where it lives: app.epoch_place(). Another one than the present: it was restored. Null: not known yet.';
comment on column app.epoch.since is 'When this life began.';
insert into app.epoch default values;
