-- Pages in calls with phones: who is rung at both, and offers between them.

alter table app.participant
	add column web bool not null default false,
	add column by_id bigint,
	add column rung_at timestamptz,
	add column ring_until timestamptz,
	add column send_id bigint,
	add column cause text,
	add column pending jsonb,
	add constraint participant_cause check (cause is null or state = 'left'),
	add constraint participant_pending check (state <> 'left' or pending is null);
comment on column app.participant.web is 'Who was called, and has joined by REST.';
comment on column app.participant.by_id is 'Who has had this account called; null: nobody has.';
comment on column app.participant.rung_at is 'When that was.';
comment on column app.participant.ring_until is 'Called by REST: when it is over without an answer. Null: a phone that calls knows when.';
comment on column app.participant.send_id is 'The invitation that rings at its pages; null: only phones ring.';
comment on column app.participant.cause is 'How the call to it ended, in one word; null: it was not called.';
comment on column app.participant.pending is 'A session that its peer''s phone has been offered and has not answered yet.';
create index participant_caller on app.participant (by_id) where by_id is not null and state <> 'left';
create index participant_rung on app.participant (by_id, rung_at) where by_id is not null;
create index participant_rings on app.participant (ring_until) where ring_until is not null;

alter table app.leg
	add column by_id bigint,
	add column delivery_id bigint,
	add column asking timestamptz,
	add column answering timestamptz,
	add column kept jsonb;
comment on column app.leg.by_id is 'Who has caused it: who calls.';
comment on column app.leg.delivery_id is 'out, of a SEND: where its sender reads what becomes of it.';
comment on column app.leg.asking is 'Since when a page''s offer waits for the phone''s answer.';
comment on column app.leg.answering is 'Until when the phone''s offer waits for the page''s answer.';
comment on column app.leg.kept is 'The phone''s session before that offer: it comes back where that is refused.';
create index leg_by on app.leg (by_id) where by_id is not null and state <> 'ended';
drop index app.leg_rings;
create index leg_rings on app.leg (ring_until) where state in ('calling', 'ringing');

alter table app.send add column call_id bigint;
comment on column app.send.call_id is 'The call that it is a command about: for pages, and no phone''s.';

create table app.ring_news (
	id bigint generated always as identity constraint ring_news_pkey primary key,
	account_id bigint not null,
	send_id bigint not null,
	delivery_id bigint,
	state text,
	code int,
	reason text,
	why text,
	call_id bigint not null
);
create index ring_news_account on app.ring_news (account_id);
comment on table app.ring_news is
	'What has become of a ring, for the pages that ring and for who reads its SEND: told in a transaction of its own, for '
	'logins are locked behind calls.';
comment on column app.ring_news.account_id is 'Who was called.';
comment on column app.ring_news.send_id is 'The invitation.';
comment on column app.ring_news.delivery_id is 'One phone''s news; null: the ring is over.';
comment on column app.ring_news.why is 'For the pages that ring; null: they know.';
