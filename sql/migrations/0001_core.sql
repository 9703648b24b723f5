-- Accounts, credentials, sessions, resource versions, logins, sends, deliveries, processes.

create table app.setting (
	name text constraint setting_pkey primary key,
	value bytea not null
);
comment on table app.setting is 'Secrets of this database, made once: what must be the same for every program.';
insert into app.setting (name, value) values ('fake_salt_key', sha256(convert_to(
	gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));

create table app.account (
	id bigint generated always as identity constraint account_pkey primary key,
	email text not null constraint account_email_key unique
		constraint account_email_form check (email ~ '^[^@[:space:][:cntrl:]]+@[^@[:space:][:cntrl:]A-Z]+$'
			and octet_length(email) <= 254),
	password_hash text not null,
	profile jsonb not null default '{}'
		constraint account_profile_object check (jsonb_typeof(profile) = 'object'),
	created_at timestamptz not null default now()
);
comment on table app.account is 'One row a user: the email is the SIP address-of-record.';

create table app.credential (
	id bigint generated always as identity constraint credential_pkey primary key,
	account_id bigint not null constraint credential_account references app.account on delete cascade,
	n bigint not null,
	username text not null,
	realm text not null,
	algorithm text not null constraint credential_algorithm check (algorithm in ('MD5', 'SHA-256')),
	ha1 text not null constraint credential_ha1 check (ha1 ~ '^[0-9a-f]+$'
		and length(ha1) = case algorithm when 'MD5' then 32 else 64 end),
	label text not null default '',
	created_at timestamptz not null default now(),
	used_at timestamptz,
	constraint credential_n_key unique (account_id, n),
	constraint credential_username_key unique (realm, username)
);
comment on table app.credential is 'A SIP device''s digest credential (RFC 7616): HA1, never the password.';

create table app.session (
	token bytea constraint session_pkey primary key constraint session_token check (octet_length(token) = 32),
	account_id bigint not null constraint session_account references app.account on delete cascade,
	created_at timestamptz not null default now(),
	expires_at timestamptz not null
);
create index session_account on app.session (account_id);
create index session_expires on app.session (expires_at);
comment on table app.session is 'SHA-256 of each bearer token, and whose it is.';

create table app.ticket (
	ticket bytea constraint ticket_pkey primary key constraint ticket_size check (octet_length(ticket) = 32),
	account_id bigint not null constraint ticket_account references app.account on delete cascade,
	session_token bytea,
	expires_at timestamptz not null
);
comment on table app.ticket is 'SHA-256 of each one-use ticket that opens a stream in the place of a header.';

create type app.resource_kind as enum ('call', 'login', 'mailbox', 'profile', 'send');
create sequence app.version_seq;
comment on sequence app.version_seq is
	'Versions of all resources: a new incarnation always starts above any old one.';

create table app.resource (
	kind app.resource_kind not null,
	id bigint not null,
	version bigint not null default nextval('app.version_seq'),
	next_n bigint not null default 1,
	next_inbox bigint not null default 1,
	constraint resource_pkey primary key (kind, id)
) with (fillfactor = 70);
comment on table app.resource is 'The row that is locked: one for each resource that has a version (its ETag).';

create table app.change (
	kind app.resource_kind not null,
	id bigint not null,
	version bigint not null,
	prior bigint not null,
	doc text,
	at timestamptz not null default now(),
	constraint change_pkey primary key (kind, id, version)
);
create index change_at on app.change (at);
comment on table app.change is
	'What a watched resource looked like at each version, for resume; doc is null where it was deleted.';

create table app.agent (
	id int generated always as identity constraint agent_pkey primary key,
	name text not null constraint agent_name_key unique,
	boot text not null,
	started_at timestamptz not null default now(),
	free_since timestamptz,
	dead_at timestamptz
);
comment on table app.agent is 'SIP agents, by the address that they listen on. Alive: holds its advisory lock.';

create table app.stream_process (
	id int generated always as identity constraint stream_process_pkey primary key,
	name text not null constraint stream_process_name_key unique,
	started_at timestamptz not null default now(),
	free_since timestamptz
);
comment on table app.stream_process is 'Processes that hold open streams. Alive: holds its advisory lock.';

create unlogged table app.watch (
	kind app.resource_kind not null,
	id bigint not null,
	process_id int not null,
	owner bool not null default false,
	closed_at timestamptz,
	constraint watch_pkey primary key (kind, id, process_id)
);
comment on table app.watch is
	'Which resources have open streams, by stream process; kept for a minute after the last has closed.';

create table app.login (
	id bigint generated always as identity constraint login_pkey primary key,
	account_id bigint not null constraint login_account references app.account on delete cascade,
	n bigint not null,
	key text,
	contact text,
	source text not null constraint login_source check (source in ('rest', 'sip', 'stream', 'upstream')),
	expires_s int not null constraint login_expires_s check (expires_s > 0),
	expires_at timestamptz not null,
	q numeric(4, 3) constraint login_q check (q between 0 and 1),
	call_id text,
	cseq bigint,
	instance text,
	reg_id bigint,
	path text,
	flow text,
	agent_id int,
	user_agent text,
	extra jsonb not null default '{}' constraint login_extra_object check (jsonb_typeof(extra) = 'object'),
	doc text not null,
	created_at timestamptz not null default now(),
	constraint login_n_key unique (account_id, n),
	constraint login_contact_key unique (account_id, key),
	constraint login_contact check ((contact is null) = (source = 'stream')
		and (contact is null) = (key is null)),
	constraint login_line check (contact !~ '[[:cntrl:]<>"]' and path !~ '[[:cntrl:]]' and flow !~ '[[:cntrl:]]')
) with (fillfactor = 70);
create index login_expires on app.login (expires_at);
create index login_flow on app.login (agent_id, flow) where agent_id is not null;
comment on table app.login is 'Bindings (RFC 3261, section 10): where an account can be reached, and until when.';

create table app.send (
	id bigint generated always as identity constraint send_pkey primary key,
	account_id bigint not null constraint send_account references app.account on delete cascade,
	n bigint not null,
	sender_id bigint constraint send_sender references app.account on delete set null,
	sender text not null,
	target_n bigint,
	content_type text not null constraint send_content_type check (content_type !~ '[[:cntrl:]]'),
	body bytea not null constraint send_body check (octet_length(body) <= 65536),
	origin text,
	origin_agent_id int,
	request_id text,
	created_at timestamptz not null default now(),
	due_at timestamptz,
	inbox bigint,
	version bigint not null default nextval('app.version_seq'),
	constraint send_n_key unique (account_id, n),
	constraint send_inbox_key unique (account_id, inbox),
	constraint send_due check (due_at is not null or inbox is not null)
) with (fillfactor = 80);
create unique index send_origin on app.send (origin) where origin is not null;
create index send_due on app.send (due_at) where inbox is null;
comment on table app.send is 'Each SEND and MESSAGE; inbox numbers what is due in the order in which the recipient gets it.';

create table app.delivery (
	id bigint generated always as identity constraint delivery_pkey primary key,
	send_id bigint not null constraint delivery_send references app.send on delete cascade,
	account_id bigint not null constraint delivery_account references app.account on delete cascade,
	kind text not null constraint delivery_kind check (kind in ('contact', 'stream', 'offline')),
	login_id bigint constraint delivery_login references app.login on delete set null,
	contact text,
	state text not null constraint delivery_state check (
		state in ('queued', 'sending', 'delivered', 'accepted', 'failed', 'cancelled', 'stored')),
	code int,
	reason text,
	changed_at timestamptz not null default now(),
	settled_at timestamptz,
	constraint delivery_settled check
		((settled_at is not null) = (state in ('delivered', 'accepted', 'failed', 'cancelled'))),
	constraint delivery_sending check (state <> 'sending' or kind = 'contact'),
	constraint delivery_stored check (state <> 'stored' or kind = 'offline')
) with (fillfactor = 70);
create index delivery_send on app.delivery (send_id);
create index delivery_queued on app.delivery (id) where kind = 'contact' and state = 'queued';
create index delivery_waiting on app.delivery (account_id, id) where state in ('stored', 'queued') and kind <> 'contact';
create index delivery_stream on app.delivery (changed_at) where kind = 'stream' and state = 'queued';
create index delivery_login on app.delivery (login_id) where state in ('queued', 'sending');
comment on table app.delivery is
	'One row for each recipient of a send: each contact, all streams of an account as one, or nobody yet (offline).';

create table app.lease (
	delivery_id bigint constraint lease_pkey primary key
		constraint lease_delivery references app.delivery on delete cascade,
	agent_id int,
	attempt int not null,
	until timestamptz
) with (fillfactor = 50);
create index lease_agent on app.lease (agent_id) where agent_id is not null;
comment on table app.lease is 'Which agent works on a delivery, and the how many-th attempt it is.';

create type app.login_result as (n bigint, email text, created bool, expires int, expires_at text, version bigint,
	doc text, bell text[]);
comment on type app.login_result is 'A row of what api.login_register_many answers.';
