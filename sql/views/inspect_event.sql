-- Subscriptions and publications of phones, for people.

create view inspect.subscription as
select coalesce(a.email, '/call/' || s.about_call) as resource, w.email as watcher, s.event, s.event_id, s.expires_at,
	greatest(ceil(extract(epoch from s.expires_at - now()))::int, 0) as left_s, s.ended, s.due, s.until, s.version,
	s.documents, s.notified_at, s.code, g.name as agent, s.flow, s.remote_target, s.route, s.call_id, s.local_cseq,
	s.remote_cseq, s.created_at
from app.subscription s
join app.account w on w.id = s.watcher_id
left join app.account a on a.id = s.account_id
left join app.agent g on g.id = s.agent_id;
comment on view inspect.subscription is 'Subscriptions of phones (RFC 6665).';
comment on column inspect.subscription.resource is 'Whose presence, registrations, calls or mailbox, or which call; null: the account is gone.';
comment on column inspect.subscription.watcher is 'Who subscribes.';
comment on column inspect.subscription.event is 'presence, reg, dialog, message-summary or conference.';
comment on column inspect.subscription.event_id is 'The id that the phone gave to tell subscriptions of one dialog apart.';
comment on column inspect.subscription.expires_at is 'When it lapses unless it is refreshed.';
comment on column inspect.subscription.left_s is 'Seconds until then.';
comment on column inspect.subscription.ended is 'The reason that its last NOTIFY gives, which is on its way; null: it goes on.';
comment on column inspect.subscription.due is 'A NOTIFY waits to be sent.';
comment on column inspect.subscription.until is 'A NOTIFY is under way; until when the agent has said so.';
comment on column inspect.subscription.version is 'The resource''s version at the latest NOTIFY.';
comment on column inspect.subscription.documents is 'How many NOTIFYs there were.';
comment on column inspect.subscription.notified_at is 'When the phone last took one.';
comment on column inspect.subscription.code is 'The phone''s latest answer to one.';
comment on column inspect.subscription.agent is 'The agent that has the dialog.';
comment on column inspect.subscription.flow is 'The flow that a NOTIFY goes over; null: to the phone''s contact.';
comment on column inspect.subscription.remote_target is 'The phone''s contact.';
comment on column inspect.subscription.route is 'Route to it (RFC 3261, section 12.1.1).';
comment on column inspect.subscription.call_id is 'Call-ID of the dialog.';
comment on column inspect.subscription.local_cseq is 'CSeq of the latest NOTIFY.';
comment on column inspect.subscription.remote_cseq is 'CSeq of the latest SUBSCRIBE.';
comment on column inspect.subscription.created_at is 'When it began.';

create view inspect.publication as
select a.email, p.etag, l.n, p.presence, p.expires_at,
	greatest(ceil(extract(epoch from p.expires_at - now()))::int, 0) as left_s, p.call_id, p.cseq, p.created_at
from app.publication p
join app.account a on a.id = p.account_id
left join app.login l on l.id = p.login_id;
comment on view inspect.publication is 'Presence that phones have published (RFC 3903).';
comment on column inspect.publication.email is 'Whose presence it is.';
comment on column inspect.publication.etag is 'Its entity tag: what SIP-If-Match must name.';
comment on column inspect.publication.n is 'The contact that shows it: /login/{email}/{n}; null: that contact is gone.';
comment on column inspect.publication.presence is 'What is kept of the document.';
comment on column inspect.publication.expires_at is 'When it lapses unless it is refreshed.';
comment on column inspect.publication.left_s is 'Seconds until then.';
comment on column inspect.publication.call_id is 'Call-ID of the latest PUBLISH.';
comment on column inspect.publication.cseq is 'CSeq of the latest PUBLISH.';
comment on column inspect.publication.created_at is 'When it was first published.';

create view inspect.contact_gone as
select a.email, g.n, g.contact, g.event, g.at
from app.contact_gone g
join app.account a on a.id = g.account_id;
comment on view inspect.contact_gone is 'How contacts ended of which subscribers to reg are told; kept for an hour.';
comment on column inspect.contact_gone.email is 'Whose contact it was.';
comment on column inspect.contact_gone.n is 'Its number: it was /login/{email}/{n}.';
comment on column inspect.contact_gone.contact is 'Its URI.';
comment on column inspect.contact_gone.event is
	'unregistered by itself, expired, deactivated (its flow ended, or an operator ended it), or rejected (its credential ended).';
comment on column inspect.contact_gone.at is 'When.';
