-- Calls outlive the process that has them: what another one needs to go on with a leg, or to end it.

alter table app.leg
	add column credential_id bigint,
	add column last_word text,
	add column last_word_to text,
	add column lost_at timestamptz,
	add column asked_at timestamptz;
comment on column app.leg.credential_id is
	'Of its phone: whose connection has gone comes back over another, and is found by this. Null: REST made the contact.';
comment on column app.leg.last_word is
	'What ends its INVITE where the process that had it is no more: in: an answer, out: a CANCEL. Null: the end of the connection does.';
comment on column app.leg.last_word_to is 'Where that goes: host:port, over UDP.';
comment on column app.leg.lost_at is 'Since when it is known that its connection has gone. Null: it is not.';
comment on column app.leg.asked_at is 'When its phone, in a call that is up, was last asked whether it is there.';
comment on column app.leg.agent_id is 'Whose it is: that agent alone does something with it. Of one that is no more another takes it over.';

alter table app.leg_job
	drop constraint leg_job_kind,
	add constraint leg_job_kind check (kind in ('invite', 'progress', 'answer', 'fail', 'cancel', 'bye', 'left'));

create index leg_call_id on app.leg (sip_call_id);
create index leg_flow on app.leg (flow) where state <> 'ended' and flow is not null;
create index leg_asked on app.leg (agent_id, asked_at) where state = 'up';
