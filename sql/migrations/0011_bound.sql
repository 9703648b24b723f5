-- Bounds: numbers that hold for every program and every host (functions/11_bound.sql has their defaults).

alter table app.setting
	alter column value drop not null,
	add column amount bigint,
	add column standard bigint,
	add column unit text,
	add column what text,
	add constraint setting_kind check (
		value is not null and amount is null and standard is null
		or value is null and amount is not null and standard is not null and unit is not null and what is not null);
comment on table app.setting is
	'What must be the same for every program: secrets, made once, how long history is kept, and what anybody may have.';
comment on column app.setting.value is 'A secret, or a text; null: it is a bound.';
comment on column app.setting.amount is 'Of a bound: what holds.';
comment on column app.setting.standard is 'Of a bound: what held if nobody had changed it.';
comment on column app.setting.unit is 'Of a bound: what it counts.';
comment on column app.setting.what is 'Of a bound: in words.';
