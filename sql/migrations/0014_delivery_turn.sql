-- Deliveries are claimed in turn, account by account, and what waits for an account has bounds.

alter table app.delivery
	add column sender_id bigint not null default 0,
	add column agent_id int not null default 0,
	add column destination text not null default '?';
comment on column app.delivery.sender_id is 'To a contact: the account that sends, whose turn it is; 0: an operator.';
comment on column app.delivery.agent_id is 'To a contact: whose flow it goes over; 0: any agent may send it.';
comment on column app.delivery.destination is 'To a contact: transport, host and port, or the connection, that it goes to.';
update app.delivery d set sender_id = coalesce(s.sender_id, 0), agent_id = coalesce(l.agent_id, 0),
	destination = left(coalesce(l.flow, l.contact), 200)
from app.send s, app.login l
where d.kind = 'contact' and d.state in ('queued', 'sending') and s.id = d.send_id and l.id = d.login_id;
drop index app.delivery_queued;
create index delivery_turn on app.delivery (agent_id, sender_id, destination, id)
	where kind = 'contact' and state = 'queued';

alter table app.lease
	add column sender_id bigint not null default 0,
	add column destination text not null default '?';
comment on column app.lease.sender_id is 'The account that sends.';
comment on column app.lease.destination is 'Where it is sent to.';
update app.lease t set sender_id = d.sender_id, destination = d.destination
from app.delivery d where d.id = t.delivery_id and t.agent_id is not null;
drop index app.lease_agent;
create index lease_sender on app.lease (agent_id, sender_id) where agent_id is not null;
create index lease_destination on app.lease (agent_id, destination) where agent_id is not null;

alter table app.send add column waits bool not null default false;
comment on column app.send.waits is 'It is due, nobody has it yet, and somebody may still get it.';
update app.send s set waits = true
where s.inbox is not null
	and exists (select from app.delivery d where d.send_id = s.id and d.state in ('queued', 'sending', 'stored'))
	and not exists (select from app.delivery d where d.send_id = s.id and d.state in ('delivered', 'accepted'));
create index send_waiting on app.send (account_id) where waits;
drop index app.send_due;
create index send_due on app.send (due_at, id) where inbox is null;
create index send_scheduled on app.send (sender_id) where inbox is null;
create index send_kept on app.send (coalesce(due_at, created_at));

create unlogged table app.send_rate (
	account_id bigint constraint send_rate_pkey primary key
		constraint send_rate_account references app.account on delete cascade,
	since timestamptz not null,
	sends int not null
) with (fillfactor = 50);
comment on table app.send_rate is 'How many messages an account has sent since its present minute began.';
