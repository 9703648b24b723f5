-- How a call has ended, and who has ended it.

alter table app.call
	add column cause text,
	add column ended_by bigint,
	add constraint call_cause check (cause is null or state = 'ended');
comment on column app.call.cause is 'How it ended, in one word, as app.leg.cause; null: it has not, or did before that was kept.';
comment on column app.call.ended_by is 'The account that ended it; null: nobody did. No key: it may have gone.';
