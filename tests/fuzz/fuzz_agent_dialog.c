/*
 * What a call reads of a message: its dialog, of requests and of answers, the
 * route, the session, tags of options; and what we then send within it.
 */
#include "fuzz.h"

#include <yajl/yajl_tree.h>

#include "common/buf.h"
#include "parse/hdr.h"
#include "parse/sanity.h"
#include "pg/pgval.h"
#include "transaction/body.h"
#include "transaction/dialog.h"

enum {
	JSON_MAX = 256 * 1024,
	SDP_MAX = 1024,
};

/* The database is given JSON, if it is text */
static void json(const struct dialog *d)
{
	char why[128];
	struct buf b;
	yajl_val v;

	buf_init(&b, JSON_MAX);
	buf_char(&b, '{');
	dialog_json(&b, d);
	buf_str(&b, "}");
	buf_char(&b, '\0');
	HOLDS(!b.failed);
	if (pg_is_text(b.p, b.len - 1)) {
		v = yajl_tree_parse(b.p, why, sizeof(why));
		HOLDS(v);
		yajl_tree_free(v);
	}
	buf_free(&b);
}

/* Whatever the message said, it has the lines that we write */
static void lines(const struct mbuf *mb, size_t expected)
{
	size_t n = 0;

	for (size_t i = 0; i < mb->end; i++) {
		HOLDS(mb->buf[i] && (mb->buf[i] != '\r' || i + 1 < mb->end));
		if (mb->buf[i] == '\r')
			HOLDS(mb->buf[i + 1] == '\n');
		else if (mb->buf[i] == '\n')
			HOLDS(i && mb->buf[i - 1] == '\r' && ++n);
	}
	HOLDS(n == expected);
}

/* A request within it */
static void request(struct dialog *d)
{
	struct mbuf *mb = mbuf_alloc(1024);
	char *uri, *route;

	HOLDS(mb);
	d->local_cseq = 7;
	pl_set_str(&d->local_target, "sip:192.0.2.9:5060");
	if (!pl_isset(&d->local_tag))
		pl_set_str(&d->local_tag, "x");
	if (!pl_isset(&d->remote_tag) || !pl_isset(&d->remote_target) ||
	    dialog_way(&uri, &route, d)) {
		mem_deref(mb);
		return;
	}
	HOLDS(!mbuf_printf(mb,
			   "BYE %s SIP/2.0\r\n"
			   "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\n",
			   uri));
	if (!dialog_write(mb, d, "BYE", route)) {
		HOLDS(!mbuf_write_str(mb, "Content-Length: 0\r\n\r\n"));
		lines(mb, route ? 11 : 10);
	}
	mem_deref(uri);
	mem_deref(route);
	mem_deref(mb);
}

static void session(const struct sip_msg *msg)
{
	struct body b;

	if (!body_open_sdp(&b, msg, SDP_MAX)) {
		HOLDS(b.data.l && b.data.l <= SDP_MAX);
		HOLDS(pg_is_text(b.data.p, b.data.l));
	}
	body_close(&b);
}

static void options(const struct sip_msg *msg)
{
	(void)hdr_has_token(msg, HDR_SUPPORTED, "100rel");
	(void)hdr_has_token(msg, HDR_REQUIRE, "timer");
}

static void dialog(const struct sip_msg *msg)
{
	char *route = NULL;
	struct dialog d;

	if (msg->req ? dialog_of_request(&d, msg) : dialog_of_answer(&d, msg))
		return;
	if (msg->req)
		(void)(dialog_has(&d, msg) && dialog_is_in_order(&d, msg));
	if (!dialog_route(&route, msg) && route) {
		HOLDS(!strpbrk(route, "\r\n"));
		pl_set_str(&d.route, route);
	}
	json(&d);
	request(&d);
	mem_deref(route);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mbuf *mb = mbuf_alloc(size);
	struct sip_msg *msg;
	struct sanity m;

	HOLDS(mb && !mbuf_write_mem(mb, data, size));
	mbuf_set_pos(mb, 0);
	(void)sanity_parse(&m, (const char *)mb->buf, mb->end);
	if ((m.kind == SANITY_REQUEST || m.kind == SANITY_RESPONSE) &&
	    !m.scode && !sip_msg_decode(&msg, mb)) {
		dialog(msg);
		options(msg);
		if (msg->req)
			session(msg);
		mem_deref(msg);
	}
	mem_deref(mb);

	return 0;
}
