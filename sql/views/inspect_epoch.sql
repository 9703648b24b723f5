-- Lives of the database.

create view inspect.epoch as select e.n as restores, e.since from app.epoch e;
comment on view inspect.epoch is
	'How often this database has gone on from an earlier state of itself; each time its numbers have jumped.';
comment on column inspect.epoch.restores is 'How often.';
comment on column inspect.epoch.since is 'When this life began.';
