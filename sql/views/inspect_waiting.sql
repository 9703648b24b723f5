-- What waits for whom.

create view inspect.waiting as
select a.email as recipient, s.sender, count(*) as messages, sum(octet_length(s.body)) as bytes,
	min(s.created_at) as since
from app.send s
join app.account a on a.id = s.account_id
where s.waits
group by a.email, s.sender;
comment on view inspect.waiting is 'Messages that are due and that nobody has yet, by recipient and sender: what has bounds.';
comment on column inspect.waiting.recipient is 'Who they are for.';
comment on column inspect.waiting.sender is 'Who sent them.';
comment on column inspect.waiting.messages is 'How many.';
comment on column inspect.waiting.bytes is 'Of their bodies.';
comment on column inspect.waiting.since is 'When the oldest was sent.';
