-- SIP's event notification (RFC 6665) and event state publication (RFC 3903).

create table app.subscription (
	id bigint generated always as identity constraint subscription_pkey primary key,
	account_id bigint constraint subscription_account references app.account on delete set null,
	watcher_id bigint not null constraint subscription_watcher references app.account on delete cascade,
	kind app.resource_kind not null constraint subscription_kind check (kind in ('login', 'mailbox')),
	event text not null,
	event_id text,
	call_id text not null,
	local_tag text not null,
	remote_tag text not null,
	local_uri text not null,
	remote_uri text not null,
	local_target text not null,
	remote_target text not null,
	route text,
	flow text,
	agent_id int,
	first_cseq bigint not null,
	remote_cseq bigint not null,
	local_cseq bigint not null default 0,
	documents int not null default 0,
	expires_at timestamptz not null,
	ended text constraint subscription_reason check (ended in ('timeout', 'noresource', 'deactivated')),
	due bool not null default true,
	due_at timestamptz not null default now(),
	until timestamptz,
	sum bytea,
	version bigint,
	notified_at timestamptz,
	code int,
	created_at timestamptz not null default now(),
	constraint subscription_event check (event in ('presence', 'reg') and kind = 'login'
		or event = 'message-summary' and kind = 'mailbox'),
	constraint subscription_line check (call_id !~ '[[:cntrl:]]' and event_id !~ '[[:cntrl:]]'
		and local_tag !~ '[[:cntrl:]]' and remote_tag !~ '[[:cntrl:]]' and local_uri !~ '[[:cntrl:]<>"]'
		and remote_uri !~ '[[:cntrl:]<>"]' and local_target !~ '[[:cntrl:]<>"]'
		and remote_target !~ '[[:cntrl:]<>"]' and route !~ '[[:cntrl:]]' and flow !~ '[[:cntrl:]]')
) with (fillfactor = 60);
create index subscription_dialog on app.subscription (call_id, remote_tag);
create index subscription_resource on app.subscription (account_id, kind);
create index subscription_watcher on app.subscription (watcher_id);
create index subscription_due on app.subscription (agent_id) where due or until is not null;
create index subscription_expires on app.subscription (expires_at);
create index subscription_flow on app.subscription (agent_id, flow) where flow is not null;
comment on table app.subscription is
	'SIP subscriptions: what a NOTIFY needs of the dialog, and whether one is due. agent_id null: any agent''s.';
comment on column app.subscription.ended is 'Reason of its last NOTIFY, after which it is gone; null: it goes on.';
comment on column app.subscription.due is 'A NOTIFY is to be sent, not before due_at.';
comment on column app.subscription.until is 'Until when the agent has said that it is at a NOTIFY; null: none is under way.';
comment on column app.subscription.sum is 'SHA-256 of the document that was last sent; null: the next is sent in any case.';
comment on column app.subscription.documents is 'How many documents were sent: reginfo counts them (RFC 3680, section 5.2).';

create table app.publication (
	id bigint generated always as identity constraint publication_pkey primary key,
	account_id bigint not null constraint publication_account references app.account on delete cascade,
	etag text not null constraint publication_etag_key unique,
	login_id bigint constraint publication_login references app.login on delete set null,
	presence jsonb not null constraint publication_presence check (jsonb_typeof(presence) = 'object'),
	contact_key text,
	call_id text not null,
	cseq bigint not null,
	expires_s int not null constraint publication_expires_s check (expires_s > 0),
	expires_at timestamptz not null,
	created_at timestamptz not null default now()
) with (fillfactor = 70);
create index publication_account on app.publication (account_id);
create index publication_login on app.publication (login_id) where login_id is not null;
create index publication_expires on app.publication (expires_at);
comment on table app.publication is
	'Presence that phones have published: the contact that shows it, and until when.';
comment on column app.publication.contact_key is 'Comparison key of the contact that the document names, if it names one.';

alter table app.login drop constraint login_source;
alter table app.login add constraint login_source check (source in ('rest', 'sip', 'stream', 'upstream', 'publish'));
alter table app.login drop constraint login_contact;
alter table app.login add constraint login_contact check ((contact is null) = (source in ('stream', 'publish'))
	and (contact is null) = (key is null));
