-- Keys that no phone has heard are looked for among those alone.

create index leg_pressing on app.leg (call_id, id) where pressing <> '{}' and state <> 'ended';
