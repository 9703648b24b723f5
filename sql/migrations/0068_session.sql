-- Until when the session of a leg is good (RFC 4028), and who refreshes it: a successor goes on with that.

alter table app.leg
	add column session_s int,
	add column session_ours bool not null default false,
	add column takes_update bool not null default false,
	add column left_s int;
comment on column app.leg.session_s is 'For how long its session is good, unless it is refreshed; null or 0: its phone knows nothing of that.';
comment on column app.leg.session_ours is 'We refresh it, and not its phone.';
comment on column app.leg.takes_update is 'Its phone has said that it takes UPDATE.';
comment on column app.leg.left_s is
	'Its connection has gone: from then (lost_at) on, its session is good for so long, or its phone is not asked. Null: it has not.';
