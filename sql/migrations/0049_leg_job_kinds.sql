-- What agents are ordered to do with legs, for phones and for pages, whichever migration came first.

alter table app.leg_job
	drop constraint leg_job_kind,
	add constraint leg_job_kind check (kind in (
		'invite', 'progress', 'answer', 'fail', 'cancel', 'bye', 'left', 'offer', 'accept'));
