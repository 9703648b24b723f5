-- Where agents listen: no contact may be there.

alter table app.agent add column addresses text[] not null default '{}';
comment on column app.agent.addresses is 'All that it listens on, as host:port.';
