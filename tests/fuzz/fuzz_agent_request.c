/*
 * A message that has passed the strict look: what is read of a request,
 * Event, Accept, Path and Record-Route, option tags, contacts, Content-Type,
 * the body; and of a response, its reason and Retry-After.
 */
#include "fuzz.h"

#include "common/utf8.h"
#include "event/event.h"
#include "gate/recheck.h"
#include "parse/hdr.h"
#include "parse/nameaddr.h"
#include "parse/route.h"
#include "parse/sanity.h"
#include "registrar/contact.h"
#include "settings/settings.h"
#include "transaction/body.h"
#include "transaction/next_hop.h"
#include "transaction/uac.h"

static struct settings *set;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	HOLDS(!settings_alloc(&set, NULL));

	return 0;
}

static void events(const struct sip_msg *msg)
{
	struct event ev;

	if (event_decode(&ev, msg))
		return;
	HOLDS(ev.package && ev.id.l <= EVENT_ID_MAX);
	for (size_t i = 0; i < ev.id.l; i++)
		HOLDS(hdr_is_token_char(ev.id.p[i]));
	(void)event_is_acceptable(ev.package, msg);
}

/* What is kept of a route is one line, and can be read again */
static void routes(const struct sip_msg *msg, enum hdr h)
{
	char *route = NULL;
	struct next_hop hop;
	struct pl list;
	struct nameaddr na;

	if (route_read(&route, msg, h) || !route)
		return;
	HOLDS(!strpbrk(route, "\r\n"));
	pl_set_str(&list, route);
	while (list.l)
		HOLDS(!nameaddr_take(&na, &list) && na.brackets);
	if (!next_hop_to_uri(&hop, "sip:a@b", route))
		(void)next_hop_has_transport(&hop);
	mem_deref(route);
}

static void targets(const struct sip_msg *msg)
{
	struct next_hop hop;
	char *uri;

	if (pl_strdup(&uri, &msg->ruri))
		return;
	if (!next_hop_to_uri(&hop, uri, NULL) && next_hop_needs_tls(uri, NULL))
		HOLDS(!pl_strcasecmp(&hop.route.scheme, "sip"));
	mem_deref(uri);
}

static void bodies(const struct sip_msg *msg)
{
	struct body b;

	if (!body_open(&b, msg))
		HOLDS(b.data.l <= BODY_MAX_LEN);
	body_close(&b);
}

static void contacts(const struct sip_msg *msg)
{
	struct contact_set cs;
	const char *why;

	if (!contact_set_decode(&cs, msg, set, &why))
		HOLDS(!memchr(cs.json.p, '\n', cs.json.len));
	contact_set_close(&cs);
}

static void types(const struct sip_msg *msg)
{
	const struct pl *val = hdr_get(msg, HDR_CONTENT_TYPE);
	char *line;

	if (!val || memchr(val->p, '\0', val->l) || hdr_unfold(&line, val))
		return;
	HOLDS(!strpbrk(line, "\r\n") && strlen(line) <= val->l);
	mem_deref(line);
}

static void responses(const struct sip_msg *msg)
{
	const struct pl *val = hdr_get(msg, HDR_RETRY_AFTER);
	char reason[UAC_REASON_SIZE];
	uint64_t s;

	uac_reason(reason, &msg->reason);
	HOLDS(strlen(reason) <= msg->reason.l);
	HOLDS(utf8_valid(reason, strlen(reason)) == strlen(reason));
	for (const char *p = reason; *p; p++)
		HOLDS((unsigned char)*p >= 0x20 && *p != 0x7f);
	if (val && !hdr_delay(&s, val, 3600))
		HOLDS(s <= 3600);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mbuf *mb = mbuf_alloc(size);
	struct sip_msg *msg;
	struct sanity m;

	HOLDS(mb && !mbuf_write_mem(mb, data, size));
	mbuf_set_pos(mb, 0);
	(void)sanity_parse(&m, (const char *)mb->buf, mb->end);
	if (m.kind == SANITY_RESPONSE && !m.scode &&
	    !sip_msg_decode(&msg, mb)) {
		responses(msg);
		mem_deref(msg);
	} else if (m.kind == SANITY_REQUEST && !m.scode &&
		   !sip_msg_decode(&msg, mb)) {
		types(msg);
		events(msg);
		routes(msg, HDR_PATH);
		routes(msg, HDR_RECORD_ROUTE);
		targets(msg);
		(void)hdr_has_token(msg, HDR_SUPPORTED, "outbound");
		(void)hdr_has_token(msg, HDR_REQUIRE, "path");
		contacts(msg);
		bodies(msg);
		mem_deref(msg);
	}
	mem_deref(mb);

	return 0;
}
