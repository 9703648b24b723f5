-- A duty that goes through a table takes so many rows a turn, and a list of calls of one state reads those alone.

alter table app.duty add column place bigint not null default 0;
comment on column app.duty.place is 'Of one that goes through a table in parts: the id up to which it has come.';

create index participant_bound_id on app.participant (id)
	where (contact_n is not null or lifetime is not null) and state <> 'left';
create index call_open_state on app.call (state, id) where open and state <> 'ended';
