-- The lists /login and /call as streams; access that is looked at again; how long history is kept.

alter type app.resource_kind add value 'list';
alter type app.resource_kind add value 'session';

comment on table app.setting is
	'What must be the same for every program: secrets, made once, and how long history is kept.';
insert into app.setting (name, value) values ('history', convert_to('1 hour', 'UTF8'));

alter table app.account add column access bigint not null default 0;
comment on column app.account.access is 'Goes up when a session or the password ends: what is open is looked at again.';

alter table app.change add column recheck bigint[];
comment on column app.change.recheck is
	'Accounts for which this change may end or widen what they see of the resource; 0: anybody; null: nobody.';

alter table app.watch
	add column fence bigint,
	add column since bigint;
comment on column app.watch.kind is
	'list: id 1 is /login and 2 is /call; session: id is an account that has open streams.';
comment on column app.watch.fence is
	'Of a list: a transaction that began after this row was there. Those before it may not have seen the row.';
comment on column app.watch.since is 'Of a list: app.list_change has whatever transactions from this one on did.';

create unlogged table app.list_change (
	n bigint generated always as identity constraint list_change_pkey primary key,
	xid bigint not null,
	list text not null constraint list_change_list check (list in ('call', 'login')),
	key text not null,
	doc text,
	seen_by bigint[],
	was_seen_by bigint[],
	at timestamptz not null default now()
);
create index list_change_window on app.list_change (list, xid);
create index list_change_key on app.list_change (list, key, n);
create index list_change_at on app.list_change (at);
comment on table app.list_change is
	'What happened to the items of a watched list. One item''s rows are numbered in the order of their commits.';
comment on column app.list_change.xid is 'The transaction, as pg_current_xact_id() gives it.';
comment on column app.list_change.key is 'The item''s id: an email, a call''s id.';
comment on column app.list_change.doc is 'The item as the list shows it; null: it is not there any more.';
comment on column app.list_change.seen_by is 'Accounts that see it from then on; null: all.';
comment on column app.list_change.was_seen_by is 'Accounts that saw it until then; null: all.';
