/*
 * Event and Accept (RFC 6665 section 8.2.1, RFC 3261 section 20.1).
 */
#include "event.h"

#include <errno.h>
#include <string.h>

#include "hdr.h"
#include "pgconn.h"
#include "uri.h"

static const struct event_package packages[] = {
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

/**
 * Read the Event of a request
 *
 * @return 0, ENOENT where it is none of ours or there is none, EBADMSG
 */
int event_decode(struct event *ev, const struct sip_msg *msg)
{
	const struct pl *val = hdr_get(msg, HDR_EVENT);
	struct pl name, params, end;

	memset(ev, 0, sizeof(*ev));
	if (!val || re_regex(val->p, val->l, "[^; \t\r\n]+[ \t\r\n]*[^]*",
			     &name, NULL, &params))
		return ENOENT;

	ev->package = find(&name);
	if (!ev->package)
		return ENOENT;
	if (params.l && *params.p != ';')
		return EBADMSG;

	if (msg_param_decode(&params, "id", &ev->id))
		return msg_param_exists(&params, "id", &end) ? 0 : EBADMSG;
	if (!ev->id.l || ev->id.l > EVENT_ID_MAX ||
	    !pg_is_text(ev->id.p, ev->id.l) || !uri_is_line(&ev->id))
		return EBADMSG;

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
