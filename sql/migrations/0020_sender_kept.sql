-- What one account has sent is kept within bounds, also once it has arrived.

alter table app.send_rate add column total bigint not null default 0;
comment on column app.send_rate.total is 'All messages of the account since the row is there.';
comment on column app.send_rate.sends is 'Those since its present minute began.';
create index send_of on app.send (sender_id, id);
