-- REST connects its owner's phone with somebody.

alter table app.call
	add column dials bool not null default false,
	add constraint call_dials check (not dials or invite is not null);
comment on column app.call.dials is
	'The one whom invite names is rung when the owner''s own phone, which is in the call, has answered. ring_at: infinity until then.';

-- Nobody hands who is kept on: they are dialled with who comes.
alter table app.transfer alter column by_id drop not null;
comment on column app.transfer.by_id is
	'The participant that asks for it; null: REST has who is kept, its owner, and who comes dialled (app.call.dials).';
