-- What a call writes again and again, it writes in place. PostgreSQL makes an entry in every index of a table for each new
-- version of a row, unless no column has changed that an index names, in its condition too. So the indexes of legs and of
-- participants name nothing that changes before their end. And a CHECK is read and made ready by each statement that writes
-- the table, a domain's once a session and where its column is written.

create domain app.line as text constraint line_is_one check (value !~ '[[:cntrl:]]');
comment on domain app.line is 'What is written into a SIP message as it is: one line.';
create domain app.line_uri as text constraint line_uri_is_one check (value !~ '[[:cntrl:]<>"]');
comment on domain app.line_uri is 'The same, in angle brackets.';
create domain app.leg_direction as text constraint leg_direction_is_one check (value in ('in', 'out'));
comment on domain app.leg_direction is 'in: a phone calls; out: it is called.';
create domain app.leg_state as text constraint leg_state_is_one
	check (value in ('calling', 'ringing', 'answered', 'up', 'ending', 'ended'));
comment on domain app.leg_state is 'How far a leg is.';
create domain app.leg_cause as text constraint leg_cause_is_one check (value in ('hangup', 'busy', 'declined', 'no-answer',
	'cancelled', 'unreachable', 'not-found', 'media', 'no-ack', 'expired', 'transferred', 'agent-lost'));
comment on domain app.leg_cause is 'How it ended, in one word.';
create domain app.participant_state as text constraint participant_state_is_one
	check (value in ('calling', 'ringing', 'joined', 'left'));
comment on domain app.participant_state is 'How far a participant is.';
create domain app.participant_side as text constraint participant_side_is_one check (value in ('in', 'caller', 'callee'));
comment on domain app.participant_side is 'Who came by REST, who calls by phone, who is called.';

-- All views are made anew after the migrations.
drop view if exists inspect.leg, inspect.participant, inspect.call cascade;

-- By whom it is asked for, and not by the state: that ended_at is null says as much (leg_ended).
drop index app.leg_account, app.leg_agent, app.leg_caller, app.leg_rings, app.leg_ending, app.leg_unacknowledged,
	app.leg_gone, app.leg_dialog, app.leg_by, app.leg_flow, app.leg_asked, app.leg_pressing;
alter table app.leg
	drop constraint leg_line,
	drop constraint leg_cause,
	drop constraint leg_state,
	drop constraint leg_direction,
	alter column direction type app.leg_direction,
	alter column state type app.leg_state,
	alter column cause type app.leg_cause,
	alter column sip_call_id type app.line,
	alter column local_tag type app.line,
	alter column remote_tag type app.line,
	alter column route type app.line,
	alter column flow type app.line,
	alter column path type app.line,
	alter column local_uri type app.line_uri,
	alter column remote_uri type app.line_uri,
	alter column local_target type app.line_uri,
	alter column remote_target type app.line_uri,
	alter column contact type app.line_uri,
	alter column asked_at set default now(),
	set (fillfactor = 40);
update app.leg l set asked_at = l.made_at where l.asked_at is null;
create index leg_account on app.leg (account_id) where account_id is not null;
create index leg_live on app.leg (agent_id, asked_at) where ended_at is null;
create index leg_by on app.leg (by_id) where by_id is not null and ended_at is null;
create index leg_flow on app.leg (flow) where flow is not null and ended_at is null;
create index leg_lost on app.leg (credential_id) where lost_at is not null and ended_at is null;
create index leg_pressing on app.leg (call_id, id) where pressing <> '{}' and ended_at is null;
create index leg_gone on app.leg (ended_at) where ended_at is not null;
comment on column app.leg.asked_at is
	'When its phone was last asked whether it is there, or an end was last ordered once more. From the first on: that it is made.';

drop index app.participant_inside, app.participant_account, app.participant_in, app.participant_gone, app.participant_bound,
	app.participant_bound_id, app.participant_caller;
alter table app.participant
	drop constraint participant_state,
	drop constraint participant_side,
	drop constraint participant_session,
	drop constraint participant_cause,
	drop constraint participant_pending,
	alter column state type app.participant_state,
	alter column side type app.participant_side,
	add constraint participant_bare check (left_at is null or session is null and pending is null),
	add constraint participant_cause check (left_at is not null or cause is null),
	set (fillfactor = 40);
create unique index participant_inside on app.participant (call_id, account_id, side) where left_at is null;
create index participant_account on app.participant (account_id, left_at);
create index participant_gone on app.participant (left_at) where left_at is not null;
create index participant_bound on app.participant (call_id)
	where (contact_n is not null or lifetime is not null) and left_at is null;
create index participant_bound_id on app.participant (id)
	where (contact_n is not null or lifetime is not null) and left_at is null;
create index participant_caller on app.participant (by_id) where by_id is not null and left_at is null;
