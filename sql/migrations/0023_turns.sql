-- Each duty of the janitor has turns of its own: when it is due next stands in its row, which is locked for its turn. The
-- rows themselves are made by functions/70_janitor.sql.

delete from app.duty where name in ('turn', 'sweep');
alter table app.duty
	add column pause interval not null default '1 s',
	add column next_at timestamptz not null default '-infinity';
comment on table app.duty is 'What the janitor does: when next, and how it failed last. A row is locked for a turn of it.';
comment on column app.duty.name is 'A function of app.';
comment on column app.duty.pause is 'From a turn that found nothing to do to the next; after others it is due again at once.';
comment on column app.duty.next_at is 'When it is due; who has been due longest is done first.';

-- What a dead agent leaves is taken from it a few at a time.
drop index app.subscription_flow;
create index subscription_agent on app.subscription (agent_id);
