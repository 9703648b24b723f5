-- What of a change may be shown to whom it does not concern.

alter table app.change add column public_doc text;
comment on column app.change.public_doc is
	'The resource as those see it who are outside (a call''s sessions, a profile''s private part); null: the same.';
