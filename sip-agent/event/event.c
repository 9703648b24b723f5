/*
 * Event and Accept (RFC 6665 section 8.2.1, RFC 3261 section 20.1).
 */
#include "event/event.h"

#include <errno.h>
#include <string.h>

#include "parse/hdr.h"
#include "parse/nameaddr.h"

static const struct event_package packages[] = {
	{"conference", "application", "conference-info+xml"},
	{"dialog", "application", "dialog-info+xml"},
	{"message-summary", "application", "simple-message-summary"},
	{"presence", "application", "pidf+xml"},
	{"reg", "application", "reginfo+xml"},
};

static const struct event_package *find(const struct pl *name)
{
	for (size_t i = 0; i < sizeof(packages) / sizeof(*packages); i++) {
		if (!pl_strcmp(name, packages[i].name))
			return &packages[i];
	}

	return NULL;
}

/* A token, which is how it comes back in each NOTIFY */
static bool is_id(const struct pl *id)
{
	for (size_t i = 0; i < id->l; i++) {
		if (!hdr_is_token_char(id->p[i]))
			return false;
	}

	return id->l && id->l <= EVENT_ID_MAX;
}

/**
 * Read the Event of a request
 *
 * @return 0, ENOENT where it is none of ours or there is none, EBADMSG
 */
int event_decode(struct event *ev, const struct sip_msg *msg)
{
	const struct pl *val = hdr_get(msg, HDR_EVENT);
	struct nameaddr na;
	struct pl id;

	memset(ev, 0, sizeof(*ev));
	if (!val || !val->l)
		return ENOENT;
	/* a name and parameters, as an address without <> has them */
	if (nameaddr_decode(&na, val) || na.brackets)
		return EBADMSG;

	ev->package = find(&na.uri);
	if (!ev->package)
		return ENOENT;
	if (!nameaddr_param(&na, "id", &id))
		return 0;
	if (!is_id(&id))
		return EBADMSG;
	ev->id = id;

	return 0;
}

struct accept {
	const struct event_package *package;
	unsigned ranges;
};

static bool matches(const struct pl *range, const struct event_package *package)
{
	struct pl type, subtype;

	if (re_regex(range->p, range->l,
		     "[ \t\r\n]*[^/; \t\r\n]+[ \t\r\n]*/[ \t\r\n]*"
		     "[^/; \t\r\n]+",
		     NULL, &type, NULL, NULL, &subtype))
		return false;
	if (!pl_strcmp(&type, "*"))
		return !pl_strcmp(&subtype, "*");

	return !pl_strcasecmp(&type, package->type) &&
	       (!pl_strcmp(&subtype, "*") ||
		!pl_strcasecmp(&subtype, package->subtype));
}

/* No media type that we ask about has a comma in a quoted parameter */
static bool accept_handler(const struct pl *val, void *arg)
{
	struct accept *a = arg;
	struct pl rest = *val, range;

	++a->ranges;
	while (rest.l) {
		const char *comma = pl_strchr(&rest, ',');

		range = rest;
		if (comma)
			range.l = (size_t)(comma - rest.p);
		if (matches(&range, a->package))
			return true;
		pl_advance(&rest, (ssize_t)(range.l + (comma ? 1 : 0)));
	}

	return false;
}

/** Whether a request takes a package's documents; without Accept, it does */
bool event_is_acceptable(const struct event_package *package,
			 const struct sip_msg *msg)
{
	struct accept a = {.package = package};

	return hdr_each(msg, HDR_ACCEPT, accept_handler, &a) || !a.ranges;
}
