-- A message may be known to be displayed, and by the id that its sender has given it.

alter table app.delivery
	drop constraint delivery_state,
	drop constraint delivery_settled,
	add constraint delivery_state check (
		state in ('queued', 'sending', 'delivered', 'displayed', 'accepted', 'failed', 'cancelled', 'stored')),
	add constraint delivery_settled check
		((settled_at is not null) = (state in ('delivered', 'displayed', 'accepted', 'failed', 'cancelled')));

alter table app.send add column message_id text;
create index send_message_id on app.send (account_id, message_id) where message_id is not null;
comment on column app.send.message_id is 'The imdn.Message-ID of its message/cpim (RFC 5438), by which receipts name it; null: none.';
