-- Calls and their participants, the mailbox, idempotency keys.

create table app.call (
	id bigint generated always as identity (start with 101) constraint call_pkey primary key,
	owner_id bigint not null constraint call_owner references app.account on delete cascade,
	subject text,
	state text not null default 'active' constraint call_state check (state in ('scheduled', 'active', 'ended')),
	open bool not null default true,
	starts_at timestamptz,
	extra jsonb not null default '{}' constraint call_extra_object check (jsonb_typeof(extra) = 'object'),
	created_at timestamptz not null default now(),
	ended_at timestamptz,
	constraint call_ended check ((ended_at is not null) = (state = 'ended')),
	constraint call_scheduled check (state <> 'scheduled' or starts_at is not null)
) with (fillfactor = 80);
create index call_owner on app.call (owner_id) where state <> 'ended';
create index call_live on app.call (id) where state <> 'ended';
create index call_due on app.call (starts_at) where state = 'scheduled';
comment on table app.call is 'Calls: conferences that are scheduled, active or ended.';

create table app.invitation (
	call_id bigint not null constraint invitation_call references app.call on delete cascade,
	account_id bigint not null constraint invitation_account references app.account on delete cascade,
	constraint invitation_pkey primary key (call_id, account_id)
);
create index invitation_account on app.invitation (account_id);
comment on table app.invitation is 'Who may see and join a call besides its owner and its participants.';

create table app.participant (
	id bigint generated always as identity constraint participant_pkey primary key,
	call_id bigint not null constraint participant_call references app.call on delete cascade,
	n bigint not null,
	account_id bigint not null constraint participant_account references app.account on delete cascade,
	state text not null default 'joined' constraint participant_state check (state in ('joined', 'left')),
	session jsonb,
	extra jsonb not null default '{}' constraint participant_extra_object check (jsonb_typeof(extra) = 'object'),
	joined_at timestamptz not null default now(),
	left_at timestamptz,
	constraint participant_n_key unique (call_id, n),
	constraint participant_left check ((left_at is not null) = (state = 'left'))
) with (fillfactor = 80);
create index participant_account on app.participant (account_id) where state = 'joined';
comment on table app.participant is 'Who is in a call, or was: a web client whose session the server does not read, or a SIP leg.';

create table app.message (
	id bigint generated always as identity constraint message_pkey primary key,
	account_id bigint not null constraint message_account references app.account on delete cascade,
	n bigint not null,
	type text not null constraint message_type check (type in ('voice', 'video', 'text')),
	sender text,
	url text,
	content_type text constraint message_content_type check (content_type !~ '[[:cntrl:]]'),
	content bytea,
	size int not null,
	seen bool not null default false,
	extra jsonb not null default '{}' constraint message_extra_object check (jsonb_typeof(extra) = 'object'),
	created_at timestamptz not null default now(),
	constraint message_n_key unique (account_id, n),
	constraint message_what check ((url is null) = (content is not null)
		and (content is null) = (content_type is null))
);
alter table app.message alter column content set storage external;
create index message_size on app.message (account_id) include (size);
comment on table app.message is 'The mailbox: voice, video and text messages, by URL or with their content.';

create table app.idempotency (
	account_id bigint not null,
	key text not null constraint idempotency_key_size check (octet_length(key) between 1 and 255),
	print bytea not null,
	result jsonb not null,
	at timestamptz not null default now(),
	constraint idempotency_pkey primary key (account_id, key)
);
create index idempotency_at on app.idempotency (at);
comment on table app.idempotency is 'What a request with an Idempotency-Key came to, for a day; account 0: nobody.';
