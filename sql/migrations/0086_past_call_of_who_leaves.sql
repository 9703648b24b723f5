-- Each who leaves a call has their past call of it then, though it goes on for others.

alter table app.participant
	add column past_made bool not null default false,
	add column past_with text;
comment on column app.participant.past_made is 'callee: who has had them called has the past call of that, or is to have none.';
comment on column app.participant.past_with is 'callee: the email of who is in the call with them, where that is not who has had them called.';
