-- Media relays, where a phone and the other end of its call speak different kinds of media.

alter table app.agent add column relays bool not null default false;
comment on column app.agent.relays is 'It has media relays in its settings.';

alter table app.login add column spoke text constraint login_spoke check (spoke in ('webrtc', 'rtp'));
comment on column app.login.spoke is 'The kind of media that its phone spoke last; null: nobody knows.';

alter table app.leg
	add column spoke text constraint leg_spoke check (spoke in ('webrtc', 'rtp')),
	add column relay text,
	add column own_said text,
	add column own_heard text;
comment on column app.leg.spoke is 'out: the kind of media that its contact spoke last, when it was called; null: nobody knew.';
comment on column app.leg.relay is 'The media relay that stands between the phone and its call, address and port; null: none does.';
comment on column app.leg.own_said is 'With a relay: the SDP that its phone was told last; local_sdp is what the other side has said.';
comment on column app.leg.own_heard is 'With a relay: the SDP that its phone has said; remote_sdp is what the other side was told.';

create index leg_relay on app.leg (relay) where relay is not null and ended_at is null;
