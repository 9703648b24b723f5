-- A lock alone does not say that its process is there: it stays while the server has not noticed the end of the
-- connection, and while the process hangs.

alter table app.agent add column beat_at timestamptz;
comment on column app.agent.beat_at is
	'When it last said that it is there, which it does every two seconds; null: not since it has started.';
alter table app.stream_process add column beat_at timestamptz, add column dead_at timestamptz;
comment on column app.stream_process.beat_at is 'As that of app.agent.';
comment on column app.stream_process.dead_at is 'When it was given up, or null.';

create unlogged table app.looked (
	one bool constraint looked_pkey primary key default true constraint looked_one check (one),
	at timestamptz not null
);
comment on table app.looked is 'When the janitor last looked who is there.';
