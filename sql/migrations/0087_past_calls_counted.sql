-- The version of an account's past calls is read again and again, and does not count all of them each time.

alter table app.past_calls add column upto bigint not null default 0;
comment on column app.past_calls.upto is 'Calls with this number and lower ones are counted in version.';
update app.past_calls p set version = p.version + c.calls, upto = c.upto
from (select o.account_id, count(*) as calls, max(o.n) as upto from app.past_call o group by o.account_id) c
where p.account_id = c.account_id;
comment on table app.past_calls is
	'From where the version of an account''s past calls counts: each of them that is there, and is not counted yet, adds one.';
