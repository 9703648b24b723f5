-- A binding over TCP or TLS that is no flow of RFC 5626 outlives its connection, where another can be opened to its contact.

alter table app.login add column dials bool not null default false;
comment on column app.login.dials is
	'Its connection came from where its contact is, and the phone listens there: without it, one is opened to the contact.';
