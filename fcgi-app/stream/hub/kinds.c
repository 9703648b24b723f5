/*
 * kinds.c: the kinds of resources that can be watched.
 */
#include "stream/hub/kinds.h"

#include <string.h>

#include "stream/hub/inbox.h"
#include "stream/hub/list.h"
#include "stream/hub/topic_parts.h"
#include "stream/hub/versions.h"

/* A session, a password or the account may have ended: all viewers of that
   account ask again. */
static void session_bell(struct topic *t)
{
	for (struct seat *s = t->seats; s; s = s->next)
		s->ops->recheck(s);
}

static void session_moved(struct topic *t, int64_t version)
{
	t->version = version;
	session_bell(t);
}

static const struct feed_ops session_feed = {
	.bell = session_bell,
	.moved = session_moved,
};

const struct topic_kind kind_session = {
	.name = "session",
	.feed = &session_feed,
};

static const struct feed_ops unread_feed = {0};

const struct topic_kind kind_participant = {
	.name = "participant",
	.feed = &unread_feed,
};

const struct topic_kind kind_bearer = {
	.name = "bearer",
	.feed = &unread_feed,
};

static const struct topic_kind kind_send = {
	.name = "send",
	.feed = &versions_feed,
	.renamed = true,
};

static const struct topic_kind kinds[] = {
	{
		.name = "login",
		.feed = &versions_feed,
		.mail = &inbox_feed,
		.item = &kind_send, /* contacts and messages share numbers */
	},
	{.name = "call", .feed = &versions_feed, .hides = true},
	{.name = "profile", .feed = &versions_feed},
	{.name = "mailbox", .feed = &versions_feed},
	{.name = "calls", .feed = &versions_feed},
	{.name = "list", .feed = &list_feed, .is_list = true},
};

const struct topic_kind *kind_find(const char *name)
{
	for (size_t i = 0; name && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}
