-- What each worker has counted: /metrics tells it of all of them.

create unlogged table app.metric (
	host text not null constraint metric_host check (octet_length(host) <= 64),
	pid int not null,
	figures text not null constraint metric_figures check (octet_length(figures) <= 16384),
	at timestamptz not null default clock_timestamp(),
	constraint metric_pkey primary key (host, pid)
);
comment on table app.metric is 'The figures of each worker, as of a few seconds ago.';
comment on column app.metric.figures is 'Samples in Prometheus'' text format, a line each.';
