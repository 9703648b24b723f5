-- Two phones of a call at two agents: what one asks of the other goes through the database, as it does with a page.

alter table app.leg_job
	drop constraint leg_job_kind,
	add constraint leg_job_kind check (kind in (
		'invite', 'progress', 'answer', 'fail', 'cancel', 'bye', 'left', 'offer', 'accept', 'refuse', 'info', 'informed')),
	add column number bigint;
comment on column app.leg_job.number is 'Of an INFO: its number at the agent that waits for its answer.';

alter type app.leg_work add attribute number bigint;
comment on column app.leg.asking is 'Since when an offer of a page, or of a phone at another agent, waits for the phone''s answer.';
comment on column app.leg.answering is
	'Until when the phone''s offer waits for the answer of a page, or of a phone at another agent.';
comment on column app.participant.pending is 'A session that the peer''s phone has been offered and has not answered yet.';
