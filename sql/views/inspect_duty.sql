-- What the janitor does.

create view inspect.duty as
select d.name, d.failures, d.failed_at, d.failure from app.duty d where d.name <> 'turn';
comment on view inspect.duty is 'Duties of the janitor that have failed, each by itself: it goes on with the others.';
comment on column inspect.duty.name is 'What it was to do.';
comment on column inspect.duty.failures is 'How often that has failed.';
comment on column inspect.duty.failed_at is 'When it failed last.';
comment on column inspect.duty.failure is 'An SQLSTATE and its message.';
