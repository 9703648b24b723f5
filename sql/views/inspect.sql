-- What people read.

create view inspect.account as
select a.email, a.created_at,
	(select count(*) from app.login l where l.account_id = a.id and l.expires_at > now()) as contacts,
	(select count(*) from app.credential c where c.account_id = a.id) as credentials,
	(select count(*) from app.session s where s.account_id = a.id and s.expires_at > now()) as sessions,
	a.disabled_at, a.profile ->> 'name' as name, a.email_key
from app.account a;
comment on view inspect.account is 'Accounts.';
comment on column inspect.account.email is 'The email, which is the SIP address-of-record.';
comment on column inspect.account.created_at is 'When the account was made.';
comment on column inspect.account.contacts is 'How many contacts are registered now.';
comment on column inspect.account.credentials is 'How many SIP devices have a digest credential.';
comment on column inspect.account.sessions is 'How many bearer tokens are valid now.';
comment on column inspect.account.disabled_at is 'Since when an operator has disabled it; null: it works.';
comment on column inspect.account.name is 'What its profile calls it.';
comment on column inspect.account.email_key is 'What the email is known by, whatever its case.';

create view inspect.login as
select a.email, l.n, l.contact, l.source, l.expires_s as expires, l.expires_at,
	ceil(extract(epoch from l.expires_at - now()))::int as left_s, l.q, l.user_agent, l.path, l.flow,
	g.name as agent, l.call_id, l.cseq, l.extra, l.created_at,
	(select c.n from app.credential c where c.id = l.credential_id) as credential, l.dials, l.session_id as session
from app.login l
join app.account a on a.id = l.account_id
left join app.agent g on g.id = l.agent_id
where l.expires_at > now();
comment on view inspect.login is 'Contacts that are registered now, by whichever door.';
comment on column inspect.login.email is 'Whose contact it is.';
comment on column inspect.login.n is 'Its number: /login/{email}/{n}.';
comment on column inspect.login.contact is 'The SIP URI; null for a login that lives with a stream or is a publication.';
comment on column inspect.login.source is 'How it came: rest, sip, stream, publish or upstream.';
comment on column inspect.login.expires is 'The granted lifetime in seconds.';
comment on column inspect.login.expires_at is 'When it lapses unless it is refreshed.';
comment on column inspect.login.left_s is 'Seconds until then.';
comment on column inspect.login.q is 'Preference among the contacts, from 0 to 1 (RFC 3261, section 20.10).';
comment on column inspect.login.user_agent is 'What the phone calls itself.';
comment on column inspect.login.path is 'Route to the contact (RFC 3327).';
comment on column inspect.login.flow is 'The flow that it registered over: transport and remote address, or connection.';
comment on column inspect.login.agent is 'The agent that has this flow.';
comment on column inspect.login.call_id is 'Call-ID of the latest REGISTER.';
comment on column inspect.login.cseq is 'CSeq of the latest REGISTER.';
comment on column inspect.login.extra is 'Further members that a web client gave.';
comment on column inspect.login.created_at is 'When it was first registered.';
comment on column inspect.login.credential is 'Of a phone: the credential, /user/{email}/credential/{n}.';
comment on column inspect.login.session is 'Of one that lives with streams: the number of the session (bearer token) whose they are; null: any of the account''s.';
comment on column inspect.login.dials is 'It outlives its connection: another is opened to the contact, over tcp or tls. Null: it does not.';

create view inspect.send as
select a.email as recipient, s.n, s.sender, app.send_status(s.id) as status, s.content_type,
	octet_length(s.body) as size, s.created_at, s.due_at, s.inbox,
	(select count(*) from app.delivery d where d.send_id = s.id) as recipients, s.request_id
from app.send s
join app.account a on a.id = s.account_id;
comment on view inspect.send is 'Messages sent by SEND or MESSAGE, without their bodies.';
comment on column inspect.send.recipient is 'Who it is for.';
comment on column inspect.send.n is 'Its number: /login/{recipient}/{n}.';
comment on column inspect.send.sender is 'Who sent it.';
comment on column inspect.send.status is 'The best that any recipient came to, or what is still under way.';
comment on column inspect.send.content_type is 'Its media type, as it was given.';
comment on column inspect.send.size is 'Size of the body in bytes.';
comment on column inspect.send.created_at is 'When it was accepted.';
comment on column inspect.send.due_at is 'When it is to be sent, if it was scheduled.';
comment on column inspect.send.inbox is 'Its place among all that the recipient gets; null until it is due.';
comment on column inspect.send.recipients is 'How many deliveries it has.';
comment on column inspect.send.request_id is 'The request that made it, as in the logs.';

create view inspect.delivery as
select a.email as recipient, s.n, d.kind, d.contact, d.state, d.code, d.reason, t.attempt, g.name as agent,
	t.until as lease_until, d.changed_at, d.settled_at
from app.delivery d
join app.send s on s.id = d.send_id
join app.account a on a.id = d.account_id
left join app.lease t on t.delivery_id = d.id
left join app.agent g on g.id = t.agent_id;
comment on view inspect.delivery is 'What became of each message at each of its recipients.';
comment on column inspect.delivery.recipient is 'Who the message is for.';
comment on column inspect.delivery.n is 'The message''s number: /login/{recipient}/{n}.';
comment on column inspect.delivery.kind is 'contact, stream (all open streams as one) or offline (nobody yet).';
comment on column inspect.delivery.contact is 'The SIP URI that it went to.';
comment on column inspect.delivery.state is 'queued, sending, delivered, displayed, accepted, failed, cancelled or stored.';
comment on column inspect.delivery.code is 'The SIP status code that decided it.';
comment on column inspect.delivery.reason is 'The reason phrase with it.';
comment on column inspect.delivery.attempt is 'How often an agent has claimed it.';
comment on column inspect.delivery.agent is 'The agent that works on it now.';
comment on column inspect.delivery.lease_until is 'Until when that agent has said that it does.';
comment on column inspect.delivery.changed_at is 'When the state last changed.';
comment on column inspect.delivery.settled_at is 'When it was delivered, displayed, failed or was cancelled.';

create view inspect.attempt as
select a.email as recipient, s.n, t.contact, t.attempt, g.name as agent, t.began_at, t.ended_at, t.code, t.reason
from app.attempt t
join app.delivery d on d.id = t.delivery_id
join app.send s on s.id = d.send_id
join app.account a on a.id = d.account_id
left join app.agent g on g.id = t.agent_id;
comment on view inspect.attempt is 'Each time that an agent took a delivery up.';
comment on column inspect.attempt.recipient is 'Who the message is for.';
comment on column inspect.attempt.n is 'The message''s number: /login/{recipient}/{n}.';
comment on column inspect.attempt.contact is 'The SIP URI that it went to.';
comment on column inspect.attempt.attempt is 'The how many-th attempt it was.';
comment on column inspect.attempt.agent is 'The agent that made it.';
comment on column inspect.attempt.began_at is 'When the agent took it up.';
comment on column inspect.attempt.ended_at is 'When that agent was done with it; null: not yet, or it died.';
comment on column inspect.attempt.code is 'The SIP status code; null: it never left.';
comment on column inspect.attempt.reason is 'The reason phrase with it.';

create view inspect.agent as
select g.name, g.id, app.is_alive(29285, g.id, g.beat_at) as alive, g.started_at, g.beat_at, g.free_since, g.dead_at, g.certificate_ends,
	(select count(*) from app.login l where l.agent_id = g.id and l.expires_at > now()) as contacts,
	(select count(*) from app.lease t where t.agent_id = g.id) as sending
from app.agent g;
comment on view inspect.agent is 'SIP agents.';
comment on column inspect.agent.name is 'The address that it listens on.';
comment on column inspect.agent.id is 'Its number, as in its NOTIFY channel.';
comment on column inspect.agent.alive is 'It is connected to the database, and has just said so.';
comment on column inspect.agent.started_at is 'When it last connected.';
comment on column inspect.agent.beat_at is 'When it last said that it is there, or null: not since then.';
comment on column inspect.agent.free_since is 'Since when it has not been seen, or null.';
comment on column inspect.agent.dead_at is 'When it was given up and its work handed on, or null.';
comment on column inspect.agent.certificate_ends is 'When the certificate ends that it shows over TLS, or null: it has none.';
comment on column inspect.agent.contacts is 'Contacts whose flow it has.';
comment on column inspect.agent.sending is 'Deliveries that it works on.';

create view inspect.stream as
select p.name, app.is_alive(29286, p.id, p.beat_at) as alive, p.started_at, p.beat_at, p.free_since,
	(select count(*) from app.watch w where w.process_id = p.id and w.closed_at is null
		and w.kind::text not in ('session', 'participant')) as watched
from app.stream_process p;
comment on view inspect.stream is 'Processes that hold open streams.';
comment on column inspect.stream.name is 'Its name.';
comment on column inspect.stream.alive is 'It is connected to the database, and has just said so.';
comment on column inspect.stream.started_at is 'When it last connected.';
comment on column inspect.stream.beat_at is 'When it last said that it is there, or null: not since then.';
comment on column inspect.stream.free_since is 'Since when it has not been seen, or null.';
comment on column inspect.stream.watched is 'How many resources have open streams there.';
