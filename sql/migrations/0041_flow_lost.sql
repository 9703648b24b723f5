-- A subscription outlives its connection, and goes on over the next one of its phone.

alter table app.subscription add column lost text;
comment on column app.subscription.lost is
	'The connection that it was made over, which has gone: it goes on over the next one that its phone registers over, or ends in '
	'its time. Null: nothing is known to be wrong.';
