-- Logins that live with the streams of one session, not with those of its account's other pages.

alter type app.resource_kind add value 'bearer';

alter table app.session add column id bigint generated always as identity;
comment on column app.session.id is 'What its watches and logins know it by.';

alter table app.login add column session_id bigint;
create index login_session on app.login (session_id) where session_id is not null;
comment on column app.login.session_id is 'Of one that lives with streams: the session whose streams those are, which may have ended; null: any of the account. '
	'No foreign key: it ends a moment after.';
