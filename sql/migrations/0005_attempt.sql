-- What was tried for each delivery: /login/{email}/{n}/trace.

create table app.attempt (
	delivery_id bigint not null constraint attempt_delivery references app.delivery on delete cascade,
	attempt int not null,
	agent_id int not null,
	contact text not null,
	began_at timestamptz not null default now(),
	ended_at timestamptz,
	code int,
	reason text,
	constraint attempt_pkey primary key (delivery_id, attempt),
	constraint attempt_ended check (code is null or ended_at is not null)
) with (fillfactor = 80);
comment on table app.attempt is 'Each time that an agent took a delivery up, and what came of it.';
