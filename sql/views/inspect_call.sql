-- Calls and mail, for people.

create view inspect.call as
select c.id, a.email as owner, c.subject, c.state, c.open, c.starts_at, c.created_at, c.ended_at,
	(select count(*) from app.participant p where p.call_id = c.id and p.state = 'joined') as participants,
	c.empty_since, (select count(*) from app.invitation i where i.call_id = c.id) as invited, r.version, c.extra, c.cause,
	b.email as ended_by, c.invite, c.ring_at, c.dials
from app.call c
join app.account a on a.id = c.owner_id
left join app.account b on b.id = c.ended_by
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
comment on column inspect.call.empty_since is 'Since when nobody has been in it, or null: it ends after the bound call_empty.';
comment on column inspect.call.invited is 'How many were invited.';
comment on column inspect.call.version is 'Its version: the ETag.';
comment on column inspect.call.extra is 'Further members that its owner gave.';
comment on column inspect.call.cause is 'How it ended, as in inspect.leg; expired: nobody was in it for long.';
comment on column inspect.call.ended_by is 'Who ended it; null: nobody did, as where no phone answered.';
comment on column inspect.call.invite is 'Who is still to be rung.';
comment on column inspect.call.ring_at is 'When.';
comment on column inspect.call.dials is 'Once the owner''s own phone has answered (ring_at: infinity).';

create view inspect.participant as
select p.call_id as call, p.n, a.email, p.side, p.state, p.contact_n as contact, p.lifetime, p.joined_at, p.left_at,
	p.session is not null as has_session, p.web, b.email as called_by, p.ring_until, p.cause
from app.participant p
join app.account a on a.id = p.account_id
left join app.account b on b.id = p.by_id;
comment on view inspect.participant is 'Who is in a call, or was; without their sessions, which hold addresses and keys.';
comment on column inspect.participant.call is 'The call: /call/{call}.';
comment on column inspect.participant.n is 'The participant''s number: /call/{call}/{n}.';
comment on column inspect.participant.email is 'Who it is.';
comment on column inspect.participant.side is 'in: came by REST. caller: by phone. callee: was called, at phones and pages.';
comment on column inspect.participant.state is 'calling, ringing, joined or left.';
comment on column inspect.participant.contact is 'It leaves with that contact, /login/{email}/{contact}; null: none.';
comment on column inspect.participant.lifetime is 'stream: it leaves after its last stream of the call; null: by itself.';
comment on column inspect.participant.joined_at is 'When they joined.';
comment on column inspect.participant.left_at is 'When they left.';
comment on column inspect.participant.has_session is 'They gave session information.';
comment on column inspect.participant.web is 'callee: a page has answered, or only pages ring.';
comment on column inspect.participant.called_by is 'callee: who has had them called.';
comment on column inspect.participant.ring_until is 'callee of a page: when ringing ends.';
comment on column inspect.participant.cause is 'callee: how the call to it ended, as in inspect.leg.';

create view inspect.leg_trace as
select l.call_id as call, t.leg_id as leg, t.base + (m.value ->> 'ms')::bigint * interval '1 ms' as at, (m.value ->> 'out')::bool as out,
	m.value ->> 'peer' as peer, m.value ->> 'start' as start, m.value -> 'headers' as headers
from app.leg_trace t
join app.leg l on l.id = t.leg_id
cross join lateral json_array_elements(t.said::json) m;
comment on view inspect.leg_trace is 'What has passed between agents and phones in calls: GET /call/{call}/trace.';
comment on column inspect.leg_trace.call is 'The call: /call/{call}.';
comment on column inspect.leg_trace.leg is 'The phone: inspect.leg.';
comment on column inspect.leg_trace.at is 'When.';
comment on column inspect.leg_trace.out is 'The agent has sent it; else the phone.';
comment on column inspect.leg_trace.peer is 'Where the phone was: transport, address and port.';
comment on column inspect.leg_trace.start is 'The first line.';
comment on column inspect.leg_trace.headers is 'A few of its headers.';

create view inspect.past_call as
select a.email, c.n, c.type, c.other, c.call_id as call, c.started_at, c.joined_at, c.ended_at, c.cause, c.ended_by
from app.past_call c
left join app.account a on a.id = c.account_id;
comment on view inspect.past_call is 'Calls that accounts have had, also after those are gone: /user/{email}/calls.';
comment on column inspect.past_call.email is 'Whose past it is; null: the account has ended, and this goes soon.';
comment on column inspect.past_call.n is 'Its number; rises with time.';
comment on column inspect.past_call.type is 'made, received or missed.';
comment on column inspect.past_call.other is 'Who was at the other end, as they were called then.';
comment on column inspect.past_call.call is 'The call: /call/{call}, while that is kept.';
comment on column inspect.past_call.started_at is 'When it began to ring.';
comment on column inspect.past_call.joined_at is 'When it was answered; null: it was not.';
comment on column inspect.past_call.ended_at is 'When it ended.';
comment on column inspect.past_call.cause is 'How it ended, as in inspect.leg.';
comment on column inspect.past_call.ended_by is 'Who ended it; null: nobody did.';

create view inspect.transfer as
select t.call_id as call, b.n as by, k.n as kept, o.n as comes, t.state, t.cseq, t.made_at
from app.transfer t
left join app.participant b on b.id = t.by_id
left join app.participant k on k.id = t.kept_id
left join app.participant o on o.id = t.to_id;
comment on view inspect.transfer is 'Calls in which one hands the other on, and the two do not talk yet.';
comment on column inspect.transfer.call is 'The call: /call/{call}.';
comment on column inspect.transfer.by is 'The participant who has asked for it; null: who is kept dials, by REST.';
comment on column inspect.transfer.kept is 'The participant who stays.';
comment on column inspect.transfer.comes is 'The participant who comes.';
comment on column inspect.transfer.state is 'ringing: who comes has not answered. asking: who stays is asked to change over. undone: it has failed meanwhile.';
comment on column inspect.transfer.cseq is 'The CSeq of the REFER; null: by REST.';
comment on column inspect.transfer.made_at is 'When it was asked for.';

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

create view inspect.leg as
select l.id, l.call_id as call, p.n as participant, a.email, l.direction, l.state, l.contact, g.name as agent,
	l.sip_call_id, l.code, l.reason, l.cause, l.made_at, l.ringing_at, l.answered_at, l.ended_at, l.asking as offered_at,
	l.answering as answers_until, l.takes_info, cardinality(l.pressing) as keys, nullif(l.session_s, 0) as session_s,
	case when l.session_s > 0 then case when l.session_ours then 'agent' else 'phone' end end as refresher,
	l.relay
from app.leg l
left join app.participant p on p.id = l.participant_id
left join app.account a on a.id = coalesce(l.account_id, p.account_id)
left join app.agent g on g.id = l.agent_id;
comment on view inspect.leg is 'Phones in calls: a SIP dialog each, those that have ended too.';
comment on column inspect.leg.id is 'Its number.';
comment on column inspect.leg.call is 'The call: /call/{call}; null: that is forgotten already.';
comment on column inspect.leg.participant is 'Whose it is: /call/{call}/{participant}.';
comment on column inspect.leg.email is 'Whose phone it is.';
comment on column inspect.leg.direction is 'in: the phone calls. out: it is called.';
comment on column inspect.leg.state is 'calling, ringing, answered (the ACK is awaited), up, ending, ended.';
comment on column inspect.leg.contact is 'out: where it is called.';
comment on column inspect.leg.agent is 'The restsip-agent that has it.';
comment on column inspect.leg.sip_call_id is 'Its Call-ID, by which a capture is found.';
comment on column inspect.leg.code is 'The SIP code that it ended with; null: none.';
comment on column inspect.leg.reason is 'The phrase of that.';
comment on column inspect.leg.cause is 'How it ended, in a word: hangup, busy, declined, no-answer, cancelled, unreachable, not-found, media, no-ack, expired, agent-lost, transferred.';
comment on column inspect.leg.made_at is 'When its INVITE came, or was to be sent.';
comment on column inspect.leg.ringing_at is 'When it rang.';
comment on column inspect.leg.answered_at is 'When it was answered.';
comment on column inspect.leg.ended_at is 'When it ended.';
comment on column inspect.leg.offered_at is 'Since when an offer of the other side waits for the phone''s answer; null: none does.';
comment on column inspect.leg.answers_until is 'Until when the phone''s own offer waits for an answer; null: none does.';
comment on column inspect.leg.takes_info is 'Whether the phone allows INFO; null: it has not said.';
comment on column inspect.leg.session_s is 'For how long its session is good unless it is refreshed, in s; null: its phone knows no session timers.';
comment on column inspect.leg.refresher is 'Who refreshes it: phone or agent.';
comment on column inspect.leg.relay is 'The media relay between the phone and its call, of another kind of media; null: none.';
comment on column inspect.leg.keys is 'How many SENDs of keys it has not heard all of yet.';
