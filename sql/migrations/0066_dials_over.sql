-- A contact that another connection is opened to: over what, so that nothing here reads its URI for that.

drop view if exists inspect.login cascade; -- it is made anew after this
alter table app.login
	alter column dials drop default,
	alter column dials drop not null,
	alter column dials type text using case when dials then
		case when contact ~* '^sips:|;transport=tls(;|$)' then 'tls' else 'tcp' end end,
	add constraint login_dials check (dials in ('tcp', 'tls'));
comment on column app.login.dials is
	'Its connection came from where its contact is, and the phone listens there: without it, one of tcp or tls is opened to the contact.';
