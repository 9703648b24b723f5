-- Keys that REST has pressed at phones.

alter table app.leg_job
	drop constraint leg_job_kind,
	add constraint leg_job_kind check (kind in ('invite', 'progress', 'answer', 'fail', 'cancel', 'bye', 'left', 'offer', 'accept',
		'refuse', 'info', 'informed', 'dtmf'));
comment on column app.leg_job.number is
	'info, informed: its number at the agent that waits for its answer. dtmf: the delivery that waits for its outcome.';

alter table app.leg
	add column takes_info bool,
	add column pressing bigint[] not null default '{}';
comment on column app.leg.takes_info is 'Whether its phone allows INFO; null: it has not said.';
comment on column app.leg.pressing is 'Deliveries of keys that its phone has not heard all of yet.';
comment on column app.leg.account_id is
	'in: who calls. out: to whom who was called has sent the call on (3xx). Null of others, who are the participant''s.';
