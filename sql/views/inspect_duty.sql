-- What the janitor does.

create view inspect.duty as
select d.name, d.next_at, d.failures, d.failed_at, d.failure from app.duty d;
comment on view inspect.duty is 'What the janitor does: when next, and how it failed. Each duty fails by itself: the others go on.';
comment on column inspect.duty.name is 'What it does.';
comment on column inspect.duty.next_at is 'When it is due; who has been due longest is done first.';
comment on column inspect.duty.failures is 'How often that has failed.';
comment on column inspect.duty.failed_at is 'When it failed last; null: never.';
comment on column inspect.duty.failure is 'An SQLSTATE and its message.';
