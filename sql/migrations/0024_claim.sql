-- What has been claimed, and by what it may be overtaken.

alter table app.subscription add column claimed_after bigint;
comment on column app.subscription.claimed_after is
	'CSeq of the last SUBSCRIBE when the NOTIFY under way was claimed: a later one is not undone by its failure.';

alter table app.send add column taken bool not null default false;
comment on column app.send.taken is 'A stream has read it, to show it, before anybody else had it: it is taken back no more.';
