-- What anybody may have.

create view inspect.bound as
select s.name, s.amount, s.unit, s.what, s.standard
from app.setting s where s.amount is not null;
comment on view inspect.bound is 'What anybody may have, send or wait for: inspect.set_bound() changes it.';
comment on column inspect.bound.name is 'Its name, for inspect.set_bound().';
comment on column inspect.bound.amount is 'What holds now.';
comment on column inspect.bound.unit is 'What it counts.';
comment on column inspect.bound.what is 'Of what, in words.';
comment on column inspect.bound.standard is 'The default.';
