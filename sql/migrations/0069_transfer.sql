-- Who is in a call hands the other side on to somebody else.

create table app.transfer (
	call_id bigint constraint transfer_pkey primary key constraint transfer_call references app.call on delete cascade,
	by_id bigint not null,
	kept_id bigint not null,
	to_id bigint not null,
	state text not null default 'ringing' constraint transfer_state check (state in ('ringing', 'joining', 'asking', 'undone')),
	cseq bigint,
	tells bool not null default false,
	from_call_id bigint,
	from_by_id bigint,
	made_at timestamptz not null default now()
);
create unique index transfer_from_call on app.transfer (from_call_id) where from_call_id is not null;
comment on table app.transfer is 'Transfers that are under way, one of a call at most: who has asked for it stays until the two others talk.';
comment on column app.transfer.by_id is 'The participant that asks for it.';
comment on column app.transfer.kept_id is 'The participant that stays.';
comment on column app.transfer.to_id is 'The participant that comes.';
comment on column app.transfer.from_call_id is 'The call that who comes is in already (Replaces); null: they are rung.';
comment on column app.transfer.from_by_id is 'In that call, the participant that asks.';
comment on column app.transfer.state is 'ringing: who comes is rung. joining: who comes, from another call, is asked for an offer. asking: they have answered, and who stays is asked to change over. '
	'undone: it has failed while that was asked, whose answer is still to come.';
comment on column app.transfer.cseq is 'Of the REFER; null: REST has asked.';
comment on column app.transfer.tells is 'Its phone is told by NOTIFY what becomes of it.';

alter table app.leg
	add column other_id bigint,
	add column acks text;
comment on column app.leg.other_id is
	'The participant at the other end, since a transfer; null: as their directions say.';
comment on column app.leg.acks is 'The answer that the ACK of its 2xx is to bring, since a transfer.';

-- With what other migrations have added to it.
do $$
declare
	v_check text := pg_get_constraintdef(c.oid) from pg_constraint c where c.conname = 'leg_job_kind';
begin
	alter table app.leg_job drop constraint leg_job_kind;
	execute 'alter table app.leg_job add constraint leg_job_kind '
		|| replace(v_check, 'ARRAY[', 'ARRAY[''notify''::text, ''pair''::text, ');
end $$;
comment on column app.leg_job.number is
	'info, informed: its number at the agent that waits for its answer. dtmf: the delivery that waits for its outcome. '
	'notify: the CSeq of the REFER.';
