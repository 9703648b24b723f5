-- Until when the certificates of agents are good.

alter table app.agent add column certificate_ends timestamptz;
comment on column app.agent.certificate_ends is 'When the certificate ends that it shows over TLS; null: it has none.';
