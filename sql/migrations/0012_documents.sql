-- Documents have an end, and what is listed is found by an index of what is listed.

-- ---- who sees a call ----

create table app.call_seer (
	call_id bigint not null constraint call_seer_call references app.call on delete cascade,
	account_id bigint not null constraint call_seer_account references app.account on delete cascade,
	inside bool not null,
	constraint call_seer_pkey primary key (call_id, account_id)
);
create index call_seer_account on app.call_seer (account_id, call_id);
comment on table app.call_seer is
	'Who sees a live call that is not open: its owner, its participants, the invited. app.call_seers_set() keeps it.';
comment on column app.call_seer.call_id is 'The call.';
comment on column app.call_seer.account_id is 'Who sees it.';
comment on column app.call_seer.inside is 'Participant or invited: sees sessions.';

-- ---- participants: one an account, and no session once they have left ----

update app.participant p set state = 'left', left_at = now()
where p.state = 'joined' and exists (
	select from app.participant o
	where o.call_id = p.call_id and o.account_id = p.account_id and o.state = 'joined' and o.n > p.n);
update app.participant set session = null, extra = '{}' where state = 'left';
-- What one document has no room for is dropped, and says so: of calls and profiles only what no single request could have
-- left there. Members of a call between its bound and that stay, and shrink with the next patch.
update app.participant set extra = '{"truncated": true}' where octet_length(extra::text) > 4096;
update app.call set extra = '{"truncated": true}' where octet_length(extra::text) > 65536;
update app.account set profile = '{"truncated": true}' || case
	when octet_length((profile -> 'name')::text) <= 1024 then jsonb_build_object('name', profile -> 'name') else '{}' end
where octet_length(profile::text) > 65536;

insert into app.call_seer (call_id, account_id, inside)
select s.call_id, s.account_id, bool_or(s.inside)
from (
	select id as call_id, owner_id as account_id, false as inside from app.call
	union all select call_id, account_id, true from app.participant where state = 'joined'
	union all select call_id, account_id, true from app.invitation) s
join app.call c on c.id = s.call_id and c.state <> 'ended'
group by 1, 2;

alter table app.participant
	add column session_size int generated always as (coalesce(octet_length(session::text), 0)) stored,
	add constraint participant_session check (state = 'joined' or session is null);
comment on column app.participant.session_size is 'Bytes of the session, written out.';
create unique index participant_inside on app.participant (call_id, account_id) where state = 'joined';
create index participant_gone on app.participant (left_at) where state = 'left';
drop index app.participant_account;
create index participant_account on app.participant (account_id);

-- ---- calls: live ones by who lists them, ended ones by when they go ----

drop index app.call_live;
create index call_open on app.call (id) where open and state <> 'ended';
drop index app.call_owner;
create index call_owner on app.call (owner_id, ended_at);
create index call_gone on app.call (ended_at) where state = 'ended';

-- Ended calls are rows for a day; that they stayed before was a leak, and so were the versions of those without a call.
delete from app.resource r where r.kind = 'call' and not exists (select from app.call c where c.id = r.id);

-- ---- logins: by email, and who is logged in ----

alter table app.login add column email text;
comment on column app.login.email is 'Of the account. It never changes, and lists are in its order.';
update app.login l set email = a.email from app.account a where a.id = l.account_id;
alter table app.login alter column email set not null;
create index login_email on app.login (email);
create index login_listed on app.login (email) where source <> 'publish';
