-- Participants that are there: with a contact, or with their streams. And since when nobody has been in a call.

alter type app.resource_kind add value 'participant';

alter table app.participant
	add column contact_n bigint,
	add column lifetime text constraint participant_lifetime check (lifetime = 'stream'),
	add column bound_at timestamptz not null default now(),
	add constraint participant_binding check (contact_n is null or lifetime is null);
create index participant_bound on app.participant (call_id)
	where (contact_n is not null or lifetime is not null) and state <> 'left';
comment on column app.participant.contact_n is
	'The contact that it leaves with: /login/{email}/{contact_n}; null: none. No foreign key: it leaves a moment after.';
comment on column app.participant.lifetime is 'stream: it leaves some time after its last stream of the call; null: by itself.';
comment on column app.participant.bound_at is 'When it joined last.';

alter table app.call add column empty_since timestamptz;
update app.call c set empty_since = now()
where c.state <> 'ended' and not exists (select from app.participant p where p.call_id = c.id and p.state <> 'left');
create index call_empty on app.call (greatest(empty_since, starts_at)) where empty_since is not null and state = 'active';
comment on column app.call.empty_since is 'Since when nobody has been in it; null: somebody is.';

alter table app.looked add column since timestamptz;
comment on column app.looked.since is 'Since when it has looked without a gap.';
