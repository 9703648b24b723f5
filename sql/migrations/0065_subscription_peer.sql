-- Two phones behind two NATs may have one private contact: which of them has subscribed.
alter table app.subscription add column peer text;
comment on column app.subscription.peer is 'IP address that the last SUBSCRIBE came from; null: it came before that was kept.';
