-- Who holds up others.

create view inspect.transaction as
select t.pid, t.role, t.program, t.state, t.writes, t.began_at, extract(epoch from clock_timestamp() - t.began_at)::int as seconds
from app.transactions() t;
comment on view inspect.transaction is 'Transactions that run in this database, the oldest first; select pg_terminate_backend(pid) ends one.';
comment on column inspect.transaction.pid is 'The process of PostgreSQL; null where it is a prepared one, which rollback prepared ends.';
comment on column inspect.transaction.role is 'Whose it is.';
comment on column inspect.transaction.program is 'The name that its program has given; of a prepared one its own.';
comment on column inspect.transaction.state is 'What it does; idle in transaction: nothing.';
comment on column inspect.transaction.writes is 'It has written: streams of /login and /call, and busy lamps, wait for its end.';
comment on column inspect.transaction.began_at is 'When it began.';
comment on column inspect.transaction.seconds is 'How long ago that was.';
