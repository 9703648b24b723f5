-- What the change log and mailboxes hold.

create view inspect.change_log as
select l.kind::text as kind, case when l.kind in ('call', 'send') then l.id::text else a.email end as resource,
	c.changes, c.bytes, l.version, l.gone, l.at as changed_at
from app.change_log l
left join app.account a on a.id = l.id and l.kind not in ('call', 'send')
cross join lateral (
	select count(*) as changes, coalesce(sum(c.size), 0) as bytes
	from app.change c where c.kind = l.kind and c.id = l.id) c;
comment on view inspect.change_log is 'What is logged of resources that are, or were a while ago, watched.';
comment on column inspect.change_log.kind is 'Of the resource: login, mailbox, profile, call, send.';
comment on column inspect.change_log.resource is 'Whose it is, or its id.';
comment on column inspect.change_log.changes is 'How many changes a stream can be resumed over.';
comment on column inspect.change_log.bytes is 'What they count for: at most the bound change_log.';
comment on column inspect.change_log.version is 'The version after the last of them.';
comment on column inspect.change_log.gone is 'The last was the end of the resource.';
comment on column inspect.change_log.changed_at is 'When that was.';

create view inspect.mailbox as
select a.email as owner, b.messages, b.bytes, b.anonymous_messages, b.anonymous_bytes
from app.mailbox b join app.account a on a.id = b.account_id;
comment on view inspect.mailbox is 'How full mailboxes are.';
comment on column inspect.mailbox.owner is 'Whose it is.';
comment on column inspect.mailbox.messages is 'At most the bound mailbox_messages.';
comment on column inspect.mailbox.bytes is 'Of contents, URLs and members: at most the bound mailbox.';
comment on column inspect.mailbox.anonymous_messages is 'Those that were left without credentials.';
comment on column inspect.mailbox.anonymous_bytes is 'What these take.';
