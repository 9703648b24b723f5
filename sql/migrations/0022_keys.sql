-- A binding or an account goes without reading or writing what has long been settled: ids are never given twice, so what
-- names one that is gone needs no end of its own. Deliveries of an account end with its messages.

alter table app.delivery drop constraint delivery_login, drop constraint delivery_account;
alter table app.send drop constraint send_sender;
comment on column app.delivery.login_id is
	'To a contact: its binding. Null once that is gone, unless the delivery had ended before.';
comment on column app.delivery.account_id is 'The recipient, as its message has it.';
comment on column app.send.sender_id is 'The account that sent it, which may be gone; null: an operator.';
