-- What has passed between us and the phones of calls, for who wants to know what went wrong.

create table app.leg_trace (
	leg_id bigint constraint leg_trace_leg references app.leg on delete cascade,
	n bigint generated always as identity,
	base timestamptz not null,
	said text not null constraint leg_trace_said check (octet_length(said) <= 262144),
	constraint leg_trace_pkey primary key (leg_id, n)
);
comment on table app.leg_trace is 'Messages of legs: start lines and a few headers.';
comment on column app.leg_trace.n is 'Rises with time.';
comment on column app.leg_trace.base is 'When the clock of the agent, by which its messages are timed, was 0.';
comment on column app.leg_trace.said is 'A JSON array of {"ms","out","peer","start","headers"}, as the agent has written it.';
