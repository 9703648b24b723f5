-- Calls of phones: every SIP dialog of a call is a row, a leg.

alter table app.call add column ends_alone bool not null default false;
comment on column app.call.ends_alone is 'A phone has made it: it ends when one of its two sides has gone.';

alter table app.participant
	drop constraint participant_state,
	drop constraint participant_session,
	alter column joined_at drop not null,
	add column side text not null default 'in' constraint participant_side check (side in ('in', 'caller', 'callee')),
	add column code int,
	add column reason text,
	add column hold bool not null default false,
	add constraint participant_state check (state in ('calling', 'ringing', 'joined', 'left')),
	add constraint participant_session check (state <> 'left' or session is null),
	add constraint participant_joined check (state <> 'joined' or joined_at is not null);
comment on column app.participant.side is
	'in: came by REST. caller, callee: by phone; whoever calls his own AOR is both.';
comment on column app.participant.code is 'The last SIP code that its phones gave; null: none so far.';
comment on column app.participant.reason is 'Its phrase.';
comment on column app.participant.hold is 'Its phone has put the other side on hold.';
drop index app.participant_inside;
create unique index participant_inside on app.participant (call_id, account_id, side) where state <> 'left';

create table app.leg (
	id bigint generated always as identity constraint leg_pkey primary key,
	call_id bigint constraint leg_call references app.call on delete set null,
	participant_id bigint constraint leg_participant references app.participant on delete set null,
	account_id bigint constraint leg_account references app.account on delete set null,
	agent_id int not null,
	direction text not null constraint leg_direction check (direction in ('in', 'out')),
	state text not null constraint leg_state check (state in ('calling', 'ringing', 'answered', 'up', 'ending', 'ended')),
	contact text,
	path text,
	flow text,
	rest bool not null default false,
	secure bool not null default false,
	peer text,
	sip_call_id text not null,
	local_tag text not null,
	remote_tag text,
	local_uri text not null,
	remote_uri text not null,
	local_target text,
	remote_target text,
	route text,
	local_cseq bigint not null default 1,
	remote_cseq bigint,
	invite_cseq bigint not null default 1,
	local_sdp text,
	remote_sdp text,
	hops int not null default 70 constraint leg_hops check (hops between 0 and 255),
	ring_until timestamptz,
	code int,
	reason text,
	cause text constraint leg_cause check (cause in ('hangup', 'busy', 'declined', 'no-answer', 'cancelled',
		'unreachable', 'not-found', 'media', 'no-ack', 'expired', 'transferred', 'agent-lost')),
	made_at timestamptz not null default now(),
	ringing_at timestamptz,
	answered_at timestamptz,
	ending_at timestamptz,
	ended_at timestamptz,
	constraint leg_ended check ((ended_at is not null) = (state = 'ended')),
	constraint leg_up check (state not in ('answered', 'up') or answered_at is not null),
	constraint leg_line check (sip_call_id !~ '[[:cntrl:]]' and local_tag !~ '[[:cntrl:]]' and remote_tag !~ '[[:cntrl:]]'
		and local_uri !~ '[[:cntrl:]<>"]' and remote_uri !~ '[[:cntrl:]<>"]' and local_target !~ '[[:cntrl:]<>"]'
		and remote_target !~ '[[:cntrl:]<>"]' and route !~ '[[:cntrl:]]' and flow !~ '[[:cntrl:]]'
		and contact !~ '[[:cntrl:]<>"]' and path !~ '[[:cntrl:]]')
) with (fillfactor = 60);
create index leg_call on app.leg (call_id);
create index leg_participant on app.leg (participant_id);
create index leg_account on app.leg (account_id, made_at);
create index leg_agent on app.leg (agent_id) where state <> 'ended';
create index leg_caller on app.leg (account_id) where direction = 'in' and state <> 'ended';
create index leg_rings on app.leg (ring_until) where direction = 'in' and state in ('calling', 'ringing');
create index leg_ending on app.leg (ending_at) where state = 'ending';
create index leg_unacknowledged on app.leg (answered_at) where state = 'answered';
create index leg_gone on app.leg (ended_at) where state = 'ended';
create unique index leg_dialog on app.leg (sip_call_id, remote_tag) where direction = 'in' and state <> 'ended';
comment on table app.leg is 'SIP dialogs of calls (RFC 3261, section 12): from the INVITE on. in: a phone calls; out: it is called.';
comment on column app.leg.account_id is 'in: who calls. Null of others, who are the participant''s.';
comment on column app.leg.agent_id is 'Whose transactions it is in: that agent alone does something with it.';
comment on column app.leg.ending_at is 'When it was last ordered to end.';
comment on column app.leg.peer is 'The IP address that its phone has spoken from.';
comment on column app.leg.contact is 'out: the contact that is called. path, flow, rest, secure: how it is reached.';
comment on column app.leg.cause is 'How it ended, in one word; written once.';

create table app.leg_job (
	id bigint generated always as identity constraint leg_job_pkey primary key,
	leg_id bigint not null constraint leg_job_leg references app.leg on delete cascade,
	agent_id int not null,
	kind text not null constraint leg_job_kind check (kind in ('invite', 'progress', 'answer', 'fail', 'cancel', 'bye')),
	code int,
	reason text,
	cause text,
	sdp text
);
create index leg_job_leg on app.leg_job (leg_id);
create index leg_job_agent on app.leg_job (agent_id, id);
comment on table app.leg_job is 'What an agent is to do with a leg. A wish: done twice, it does nothing.';
comment on column app.leg_job.cause is 'Of a Reason header (RFC 3326).';

-- What an agent is to do, as each function that changes a call returns it; its first row says what that function did.
create type app.leg_work as (
	kind text, leg bigint, call bigint, peer bigint, code int, reason text, cause text, sdp text,
	contact text, path text, flow text, rest bool, secure bool, sip_call_id text, local_tag text, local_uri text,
	remote_uri text, name text, hops int, ring_s int, account bigint, bell text[]
);
comment on type app.leg_work is 'One row of what an agent is to do with its legs (functions/49_leg.sql).';
