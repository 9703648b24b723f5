-- The change log keeps what a change has changed; mailboxes are counted. What was logged until now goes: whoever comes
-- back begins with a state.

drop table app.change;

create type app.part_change as (public bool, key bigint, skip int, keep int, size int, was bytea);
comment on type app.part_change is
	'How a part of a document is made the one before it: of its `size` bytes (null: it is not there) the first `skip` and '
	'the last `keep` stay, `was` comes between; was null: it was not there.';

create table app.change (
	kind app.resource_kind not null,
	id bigint not null,
	version bigint not null,
	prior bigint not null,
	gone bool not null default false,
	parts app.part_change[] not null,
	recheck bigint[],
	size int not null,
	upto bigint not null,
	at timestamptz not null default now(),
	constraint change_pkey primary key (kind, id, version)
);
create index change_at on app.change (at);
comment on table app.change is
	'What has become of a watched resource. One resource''s rows are a chain, and end at its version.';
comment on column app.change.gone is 'It was deleted.';
comment on column app.change.parts is 'How the parts of its document are made those before it.';
comment on column app.change.recheck is
	'Accounts for which this change may end or widen what they see of the resource; 0: anybody; null: nobody.';
comment on column app.change.size is 'What the row counts for in the bound change_log.';
comment on column app.change.upto is 'The size of all rows of the resource so far, with this one, and with those that are gone.';

create table app.change_log (
	kind app.resource_kind not null,
	id bigint not null,
	version bigint not null,
	gone bool not null,
	written bigint not null,
	trimmed bigint not null,
	at timestamptz not null,
	constraint change_log_pkey primary key (kind, id)
) with (fillfactor = 50);
create index change_log_at on app.change_log (at);
comment on table app.change_log is 'Where the log of a resource stands; its row is locked after that of the resource.';
comment on column app.change_log.version is 'Of its last row. That of the resource, unless nobody has watched since.';
comment on column app.change_log.written is 'The size of all of its rows ever.';
comment on column app.change_log.trimmed is 'What of that has gone.';

create table app.shown (
	kind app.resource_kind not null,
	id bigint not null,
	public bool not null,
	key bigint not null,
	doc text not null,
	constraint shown_pkey primary key (kind, id, public, key)
);
comment on table app.shown is
	'The document of a watched resource as of its last row in the log, by parts: what earlier ones are made of. That of a '
	'mailbox is made of its messages.';
comment on column app.shown.public is 'As those see it who are outside (a call''s sessions, a profile''s private part).';
comment on column app.shown.key is 'A contact, a participant; 0: what is not one of these.';

alter table app.message add column written int not null default 0;
comment on column app.message.written is 'Bytes of the message as the mailbox shows it, without its content: at least that.';
update app.message m set written = 2000 + octet_length(m.extra::text) + coalesce(octet_length(to_json(m.url)::text), 0)
	+ coalesce(octet_length(to_json(m.sender)::text), 0) + coalesce(octet_length(to_json(m.content_type)::text), 0);
drop index app.message_size;

create table app.mailbox (
	account_id bigint constraint mailbox_pkey primary key
		constraint mailbox_account references app.account on delete cascade,
	messages int not null,
	bytes bigint not null,
	anonymous_messages int not null,
	anonymous_bytes bigint not null
) with (fillfactor = 50);
comment on table app.mailbox is 'What is in a mailbox: changed with it, under the lock of its resource.';
comment on column app.mailbox.bytes is 'Contents, URLs and members.';
comment on column app.mailbox.anonymous_messages is 'Those of them whose sender had not signed in.';
comment on column app.mailbox.anonymous_bytes is 'What these take.';
insert into app.mailbox
select m.account_id, count(*), sum(m.size + m.written), count(*) filter (where m.sender is null),
	coalesce(sum(m.size + m.written) filter (where m.sender is null), 0)
from app.message m group by 1;

create unlogged table app.mail_turn (
	key text constraint mail_turn_pkey primary key,
	used int not null,
	until timestamptz not null
) with (fillfactor = 50);
create index mail_turn_until on app.mail_turn (until);
comment on table app.mail_turn is
	'Messages left without credentials: `s:` by source within an hour, `m:` by mailbox within a day. Lost in a crash, which '
	'only forgives.';

alter table app.list_change add column size int not null generated always as (256 + coalesce(octet_length(doc), 0)
	+ 8 * coalesce(cardinality(seen_by), 0) + 8 * coalesce(cardinality(was_seen_by), 0)) stored;
comment on column app.list_change.size is 'What the row counts for in the bound list_log.';

create unlogged table app.list_log (
	list text constraint list_log_pkey primary key,
	counted bigint not null,
	bytes bigint not null
);
comment on table app.list_log is 'How much is in the log of a list; the janitor counts it. Like the log, it is lost in a crash.';
comment on column app.list_log.counted is 'Of transactions below this one.';
