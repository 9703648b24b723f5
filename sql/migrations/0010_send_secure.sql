-- What was sent to a sips: URI never goes out in clear.

alter table app.send add column secure bool not null default false;
comment on column app.send.secure is 'Sent to a sips: URI: phones get it over TLS or not at all.';
