-- What was published with a credential ends with it.

alter table app.publication add column credential_id bigint;
comment on column app.publication.credential_id is
	'The credential that published or refreshed last, as in app.login; null: before this was kept.';
