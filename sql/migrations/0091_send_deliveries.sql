-- What an account's messages become is counted beside them: one to a recipient of many contacts costs as much as many do.

alter table app.send_rate add column deliveries bigint not null default 0;
comment on column app.send_rate.deliveries is 'To contacts, that the messages of its present minute became.';
