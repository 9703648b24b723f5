-- What a phone says of its contact, beyond what the registrar acts on.

alter table app.login add column name text, add column params text;
comment on column app.login.name is 'The display name of the Contact.';
comment on column app.login.params is
	'Parameters of the Contact that the registrar does not act on, as they came: features (RFC 3840) and others.';
