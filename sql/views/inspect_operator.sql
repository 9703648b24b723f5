-- For operators: credentials, what can be set, and what operators have done.

create view inspect.credential as
select a.email, c.n, c.username, c.realm, c.algorithm, c.label, c.created_at, c.used_at,
	(select count(*) from app.login l where l.credential_id = c.id and l.account_id = c.account_id and l.expires_at > now())
		as contacts
from app.credential c join app.account a on a.id = c.account_id;
comment on view inspect.credential is 'SIP credentials, without what could be used as one.';
comment on column inspect.credential.email is 'Whose it is.';
comment on column inspect.credential.n is 'Its number: /user/{email}/credential/{n}.';
comment on column inspect.credential.username is 'What the phone signs in as.';
comment on column inspect.credential.realm is 'The domain that it signs in at.';
comment on column inspect.credential.algorithm is 'Of its digests: MD5 or SHA-256.';
comment on column inspect.credential.label is 'What its owner calls it.';
comment on column inspect.credential.created_at is 'When it was made.';
comment on column inspect.credential.used_at is 'When it was last right, to an hour; null: never.';
comment on column inspect.credential.contacts is 'How many contacts it has registered now.';

create view inspect.setting as
select s.name, s.amount::text as value, s.standard::text as standard, s.unit, s.what
from app.setting s where s.amount is not null
union all
select 'history', app.history()::text, interval '1 hour'::text, 'hours:minutes:seconds',
	'that what happened to watched resources is kept for streams that come back';
comment on view inspect.setting is 'What the database holds all programs to: inspect.set_setting() changes it.';
comment on column inspect.setting.name is 'Its name, for inspect.set_setting().';
comment on column inspect.setting.value is 'What holds now.';
comment on column inspect.setting.standard is 'The default.';
comment on column inspect.setting.unit is 'What it counts.';
comment on column inspect.setting.what is 'Of what, in words.';

create view inspect.operation as
select o.at, o.role, o.program, o.what, o.about, o.detail from app.operation o;
comment on view inspect.operation is 'What operators have done, by restsipctl or psql.';
comment on column inspect.operation.at is 'When.';
comment on column inspect.operation.role is 'The database role that did it.';
comment on column inspect.operation.program is 'What it was done with; restsipctl adds who ran it.';
comment on column inspect.operation.what is 'What was done.';
comment on column inspect.operation.about is 'To what: an email, a source, a setting.';
comment on column inspect.operation.detail is 'Which of it, or how.';
