-- A refresh of a binding changes no indexed column: the janitor looks at sweep_at, which follows expires_at lazily.

alter table app.login add column sweep_at timestamptz;
update app.login set sweep_at = expires_at;
alter table app.login alter column sweep_at set not null,
	add constraint login_sweep check (sweep_at <= expires_at);
drop index app.login_expires;
create index login_sweep on app.login (sweep_at);
comment on column app.login.sweep_at is 'When the janitor looks at it next; never after expires_at.';
