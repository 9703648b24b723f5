-- What has become of a phone's ring is told to who reads its SEND, also where the call has gone with its owner's account.

alter table app.ring_news
	alter column call_id drop not null,
	add constraint ring_news_call check (call_id is not null or delivery_id is not null);
comment on column app.ring_news.call_id is 'Null of a phone''s news: the call has gone with the account of who called.';
