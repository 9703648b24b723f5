-- Who guesses passwords, and who is let in whatever others guess.

create view inspect.guess as
select case left(t.key, 1) when 'h' then 'http' else 'sip' end as door,
	case substr(t.key, 2, 1) when 'p' then 'account and source' when 's' then 'source' when 'a' then 'account'
		else 'a try a minute' end as counts,
	substr(t.key, 4) as who, t.failures, t.since
from app.throttle t;
comment on view inspect.guess is 'Wrong passwords and digests within the last five minutes.';
comment on column inspect.guess.door is 'http or sip.';
comment on column inspect.guess.counts is 'What is counted: account and source, source, account, or when a new source had its try.';
comment on column inspect.guess.who is 'The source, the account, or both with a colon between.';
comment on column inspect.guess.failures is 'How many.';
comment on column inspect.guess.since is 'From when on.';

create view inspect.known_source as
select a.email, k.source, k.at
from app.known_source k join app.account a on a.id = k.account_id
where k.at > now() - interval '1 day';
comment on view inspect.known_source is 'From where accounts have signed in within a day: from there they are let in first.';
comment on column inspect.known_source.email is 'The account.';
comment on column inspect.known_source.source is 'An IPv4 address, or the /64 of an IPv6 one.';
comment on column inspect.known_source.at is 'When, to an hour.';
