-- NOTIFYs under way of a watcher are counted at each claim.

create index subscription_under_way on app.subscription (watcher_id) where until is not null;
