/*
 * Writes a NOTIFY and sends it.  The dialog is the database's, the CSeq too:
 * it is committed there before it is used here.
 */
#include "event/notify.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "common/log.h"
#include "parse/hdr.h"
#include "parse/uri.h"
#include "pg/pgloop.h"
#include "transaction/uac.h"

enum {
	BODY_MAX = 1024 * 1024,
	RETRY_MAX_S = 86400,
};

struct notify {
	struct le le;
	struct agent *ag;
	notify_end_h *h;
	void *arg;
	int64_t subscription, cseq, account;
	char *uri, *route, *flow; /* route, flow: NULL where there is none */
	struct mbuf *mb;
	size_t body_len;
	struct uac *uac;
};

static void destructor(void *arg)
{
	struct notify *n = arg;

	list_unlink(&n->le);
	mem_deref(n->uac);
	mem_deref(n->mb);
	mem_deref(n->uri);
	mem_deref(n->route);
	mem_deref(n->flow);
}

/* --- what is sent ------------------------------------------------------- */

struct row {
	const struct pg_answer *ans;
	int row;
};

static const char *text(const struct row *r, const char *col)
{
	const char *s = pgres_text(r->ans->res, r->row, col);

	return s ? s : "";
}

/* Nothing of it may end its line */
static bool is_sound(const struct row *r)
{
	static const char *const columns[] = {
		"event",     "event_id",   "call_id",	  "local_tag",
		"local_uri", "remote_uri", "remote_tag",  "local_target",
		"route",     "ended",	   "content_type"};

	for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++) {
		struct pl pl;

		pl_set_str(&pl, text(r, columns[i]));
		if (!uri_is_line(&pl))
			return false;
	}

	return true;
}

static int write_state(struct mbuf *mb, const struct row *r)
{
	const char *id = text(r, "event_id"), *ended = text(r, "ended");
	int err;

	err = mbuf_printf(mb, "Event: %s%s%s\r\n", text(r, "event"),
			  *id ? ";id=" : "", id);
	if (*ended)
		err |= mbuf_printf(mb,
				   "Subscription-State: terminated;"
				   "reason=%s\r\n",
				   ended);
	else
		err |= mbuf_printf(
			mb, "Subscription-State: active;expires=%lld\r\n",
			pgres_int(r->ans->res, r->row, "expires"));

	return err;
}

static int write_headers(struct mbuf *mb, const struct notify *n,
			 const struct row *r)
{
	int err;

	err = mbuf_write_str(mb, "Max-Forwards: 70\r\n");
	if (n->route)
		err |= mbuf_printf(mb, "Route: %s\r\n", n->route);
	err |= mbuf_printf(mb,
			   "To: <%s>;tag=%s\r\n"
			   "From: <%s>;tag=%s\r\n"
			   "Call-ID: %s\r\n"
			   "CSeq: %lld NOTIFY\r\n"
			   "Contact: <%s>\r\n",
			   text(r, "remote_uri"), text(r, "remote_tag"),
			   text(r, "local_uri"), text(r, "local_tag"),
			   text(r, "call_id"), n->cseq,
			   text(r, "local_target"));
	err |= write_state(mb, r);
	err |= mbuf_write_str(mb, "User-Agent: restsip\r\n");
	if (n->body_len)
		err |= mbuf_printf(mb, "Content-Type: %s\r\n",
				   text(r, "content_type"));

	return err |
	       mbuf_printf(mb, "Content-Length: %zu\r\n\r\n", n->body_len);
}

static int encode(struct notify *n, const struct row *r)
{
	const char *body = text(r, "body");
	int err;

	if (!is_sound(r))
		return EINVAL;

	n->body_len = strlen(body);
	if (n->body_len > BODY_MAX)
		return EMSGSIZE;

	n->mb = mbuf_alloc(1024 + n->body_len);
	if (!n->mb)
		return ENOMEM;

	err = write_headers(n->mb, n, r);
	if (!err)
		err = mbuf_write_str(n->mb, body);

	return err;
}

static int take_str(char **sp, const struct row *r, const char *col)
{
	const char *s = text(r, col);

	return *s ? str_dup(sp, s) : 0;
}

/**
 * Allocate a NOTIFY from a row of api.notify_claim
 *
 * @param np Set to it, owned by the caller
 * @param h  Called once, when it has ended; may be called by notify_start
 *
 * @return 0, or an errno where the row cannot be sent
 */
int notify_alloc(struct notify **np, struct agent *ag,
		 const struct pg_answer *ans, int row, notify_end_h *h,
		 void *arg)
{
	struct notify *n = mem_zalloc(sizeof(*n), destructor);
	const struct row r = {ans, row};
	int err;

	if (!n)
		return ENOMEM;

	n->ag = ag;
	n->h = h;
	n->arg = arg;
	n->subscription = pgres_int(ans->res, row, "subscription");
	n->cseq = pgres_int(ans->res, row, "cseq");
	n->account = pgres_int(ans->res, row, "account");

	err = uri_of_contact(&n->uri, text(&r, "remote_target"));
	if (!err)
		err = take_str(&n->route, &r, "route");
	if (!err)
		err = take_str(&n->flow, &r, "flow");
	if (!err)
		err = encode(n, &r);

	if (err)
		mem_deref(n);
	else
		*np = n;

	return err;
}

int64_t notify_subscription(const struct notify *n)
{
	return n->subscription;
}

int64_t notify_cseq(const struct notify *n)
{
	return n->cseq;
}

/** The flow that it goes over, NULL where it goes to the contact itself */
const char *notify_flow(const struct notify *n)
{
	return n->flow;
}

struct le *notify_le(struct notify *n)
{
	return &n->le;
}

/* --- its end ------------------------------------------------------------ */

static void end(struct notify *n, int code, int64_t retry_s)
{
	notify_end_h *h = n->h;

	n->h = NULL;
	n->uac = mem_deref(n->uac);
	if (!h)
		return;

	log_debug("notify", LOG_INT("subscription", n->subscription),
		  LOG_INT("cseq", n->cseq), LOG_INT("code", code));
	h(n, code, retry_s, n->arg);
}

static int64_t retry_after(const struct sip_msg *msg)
{
	const struct pl *val = msg ? hdr_get(msg, HDR_RETRY_AFTER) : NULL;
	uint64_t s;

	if (!val || hdr_delay(&s, val, RETRY_MAX_S))
		return NOTIFY_NO_RETRY;

	return (int64_t)s;
}

static void on_uac_end(int code, const char *reason, const struct sip_msg *msg,
		       void *arg)
{
	(void)reason;
	end(arg, code, retry_after(msg));
}

/** Send it; its end is told by the handler, maybe within this call */
void notify_start(struct notify *n)
{
	const struct uac_request req = {
		.method = "NOTIFY",
		.uri = n->uri,
		.route = n->route,
		.flow = n->flow,
		.account = n->account,
		.mb = n->mb,
		.body_len = n->body_len,
		.sort_key = (uint64_t)n->subscription,
	};

	if (uac_alloc(&n->uac, n->ag, &req, on_uac_end, n))
		end(n, 0, NOTIFY_NO_RETRY);
	else
		uac_start(n->uac);
}

/** The connection that it was sent over has closed */
void notify_flow_failed(struct notify *n)
{
	if (n->uac)
		uac_flow_failed(n->uac);
}
