-- Whom a scheduled call rings when it starts.

alter table app.call
	add column invite jsonb,
	add column ring_at timestamptz,
	add constraint call_ring check ((ring_at is null) = (invite is null) and (invite is null or state <> 'ended'));
comment on column app.call.invite is 'Emails of those who are still to be rung; null: nobody is.';
comment on column app.call.ring_at is 'When they are due: at its start, or since they could not be rung then.';
create index call_ring_due on app.call (ring_at) where ring_at is not null;
