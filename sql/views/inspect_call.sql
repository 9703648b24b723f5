-- Calls and mail, for people.

create view inspect.call as
select c.id, a.email as owner, c.subject, c.state, c.open, c.starts_at, c.created_at, c.ended_at,
	(select count(*) from app.participant p where p.call_id = c.id and p.state = 'joined') as participants,
	(select count(*) from app.invitation i where i.call_id = c.id) as invited, r.version, c.extra
from app.call c
join app.account a on a.id = c.owner_id
left join app.resource r on r.kind = 'call' and r.id = c.id;
comment on view inspect.call is 'Calls, those that have ended too.';
comment on column inspect.call.id is 'Its number: /call/{id}.';
comment on column inspect.call.owner is 'Who made it.';
comment on column inspect.call.subject is 'What it is about.';
comment on column inspect.call.state is 'scheduled, active or ended.';
comment on column inspect.call.open is 'Anyone signed in sees it and may join.';
comment on column inspect.call.starts_at is 'When it is to start, if it was scheduled.';
comment on column inspect.call.created_at is 'When it was made.';
comment on column inspect.call.ended_at is 'When it ended.';
comment on column inspect.call.participants is 'How many are in it now.';
comment on column inspect.call.invited is 'How many were invited.';
comment on column inspect.call.version is 'Its version: the ETag.';
comment on column inspect.call.extra is 'Further members that its owner gave.';

create view inspect.participant as
select p.call_id as call, p.n, a.email, p.state, p.joined_at, p.left_at, p.session is not null as has_session
from app.participant p
join app.account a on a.id = p.account_id;
comment on view inspect.participant is 'Who is in a call, or was; without their sessions, which hold addresses and keys.';
comment on column inspect.participant.call is 'The call: /call/{call}.';
comment on column inspect.participant.n is 'The participant''s number: /call/{call}/{n}.';
comment on column inspect.participant.email is 'Who it is.';
comment on column inspect.participant.state is 'joined or left.';
comment on column inspect.participant.joined_at is 'When they joined.';
comment on column inspect.participant.left_at is 'When they left.';
comment on column inspect.participant.has_session is 'They gave session information.';

create view inspect.message as
select a.email as owner, m.n, m.type, m.sender, m.url is not null as by_url, m.content_type, m.size, m.seen, m.created_at
from app.message m
join app.account a on a.id = m.account_id;
comment on view inspect.message is 'The mailboxes, without what is in the messages.';
comment on column inspect.message.owner is 'Whose mailbox.';
comment on column inspect.message.n is 'The message''s number: /user/{owner}/messages/{n}.';
comment on column inspect.message.type is 'voice, video or text.';
comment on column inspect.message.sender is 'Who left it, if they were signed in.';
comment on column inspect.message.by_url is 'It is elsewhere, only its URL is here.';
comment on column inspect.message.content_type is 'The media type of what was left.';
comment on column inspect.message.size is 'Its size in bytes.';
comment on column inspect.message.seen is 'The owner has seen it.';
comment on column inspect.message.created_at is 'When it was left.';
