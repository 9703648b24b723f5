-- A page's offer that nobody has heard of any more is found.

create index leg_asking on app.leg (asking) where asking is not null;
