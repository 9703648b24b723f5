-- Phones subscribe to the calls of an account (dialog), and to who is in a call (conference).

alter table app.subscription
	drop constraint subscription_kind,
	drop constraint subscription_event,
	add column about_call bigint,
	add column fence bigint,
	add column dialogs_told bigint[] not null default '{}',
	add column dialogs_claimed bigint[] not null default '{}',
	add constraint subscription_kind check (kind in ('login', 'mailbox', 'call')),
	add constraint subscription_event check (event in ('presence', 'reg', 'dialog') and kind = 'login'
		or event = 'message-summary' and kind = 'mailbox' or event = 'conference' and kind = 'call'),
	add constraint subscription_about check ((kind = 'call') = (about_call is not null)
		and (about_call is null or account_id is null));
create index subscription_lamp on app.subscription (coalesce(about_call, account_id), event)
	where event in ('conference', 'dialog');
comment on column app.subscription.about_call is 'The call that it is about, which may have gone; null: it is about account_id.';
comment on column app.subscription.fence is
	'Of dialog: transactions before this one may not have known of the subscription. Null: nothing was told yet.';
comment on column app.subscription.dialogs_told is 'Of dialog: the legs that its phone takes to be going on.';
comment on column app.subscription.dialogs_claimed is 'Those in the NOTIFY under way.';

create table app.lamp_news (
	id bigint generated always as identity constraint lamp_news_pkey primary key,
	event text not null constraint lamp_news_event check (event in ('conference', 'dialog')),
	about bigint not null
);
comment on table app.lamp_news is
	'What has changed of calls that phones subscribe to: who changes a call adds a row and waits for nobody; the next claim marks the subscriptions as due.';
comment on column app.lamp_news.about is 'conference: the call. dialog: an account.';

-- Of the legs of an account those that others have sent on to it.
create index leg_sent_on on app.leg (account_id) where account_id is not null and direction = 'out' and ended_at is null;
