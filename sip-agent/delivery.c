/*
 * The transaction of one delivery: where it goes, over which transport, and
 * what its end means (RFC 3261 sections 8.1.2, 8.1.3 and 18.1.1).
 */
#include "delivery.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "flow.h"
#include "logre.h"
#include "nameaddr.h"
#include "pgloop.h"
#include "settings.h"
#include "wire.h"

enum {
	UDP_SIZE_MAX = 1300, /* RFC 3261 section 18.1.1 */
	REASON_SIZE = 201,
	ROUTE_SIZE = 128,
	BODY_MAX = 65536,
};

struct delivery {
	struct le le;
	struct agent *ag;
	delivery_end_h *h;
	void *arg;
	int64_t id, send;
	int attempt;
	char *contact, *path, *flow, *sender, *recipient, *content_type;
	char *sent_at, *request_id;
	uint8_t *body;
	size_t body_len;
	struct sip_request *req;
	struct mbuf *mb;
	char *uri;
	bool refused;	    /* by agent.send_allow */
	bool may_fall_back; /* TCP was our idea: try UDP next */
};

static void destructor(void *arg)
{
	struct delivery *d = arg;

	list_unlink(&d->le);
	mem_deref(d->req);
	mem_deref(d->mb);
	mem_deref(d->uri);
	mem_deref(d->contact);
	mem_deref(d->path);
	mem_deref(d->flow);
	mem_deref(d->sender);
	mem_deref(d->recipient);
	mem_deref(d->content_type);
	mem_deref(d->sent_at);
	mem_deref(d->request_id);
	mem_deref(d->body);
}

/* --- from the database -------------------------------------------------- */

static int take_str(char **sp, const struct pg_answer *ans, int row,
		    const char *col, bool needed)
{
	const char *s = pgres_text(ans->res, row, col);

	if (!s || (!*s && !needed))
		return needed ? EBADMSG : 0;

	return str_dup(sp, s);
}

static int take_strings(struct delivery *d, const struct pg_answer *ans,
			int row)
{
	const struct {
		char **sp;
		const char *col;
		bool needed;
	} columns[] = {
		{&d->contact, "contact", true},
		{&d->path, "path", false},
		{&d->flow, "flow", false},
		{&d->sender, "sender", true},
		{&d->recipient, "recipient", true},
		{&d->content_type, "content_type", true},
		{&d->sent_at, "sent_at", true},
		{&d->request_id, "request_id", false},
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(columns) / sizeof(*columns) && !err; i++)
		err = take_str(columns[i].sp, ans, row, columns[i].col,
			       columns[i].needed);

	return err;
}

static int take_body(struct delivery *d, const struct pg_answer *ans, int row)
{
	size_t len;
	unsigned char *bytes = pgres_bytes(ans->res, row, "body", &len);
	int err = 0;

	if (!bytes)
		return ENOMEM;

	if (len > BODY_MAX)
		err = EMSGSIZE;
	if (!err && len) {
		d->body = mem_alloc(len, NULL);
		if (d->body)
			memcpy(d->body, bytes, len);
		else
			err = ENOMEM;
	}
	d->body_len = len;
	PQfreemem(bytes);

	return err;
}

/**
 * Allocate a delivery from a row of api.delivery_claim
 *
 * @param dp  Set to the delivery, owned by the caller
 * @param h   Called once, when it has ended, unless it is abandoned; may be
 *            called by delivery_start
 *
 * @return 0, or an errno where the row cannot be delivered
 */
int delivery_alloc(struct delivery **dp, struct agent *ag,
		   const struct pg_answer *ans, int row, delivery_end_h *h,
		   void *arg)
{
	struct delivery *d = mem_zalloc(sizeof(*d), destructor);
	int err;

	if (!d)
		return ENOMEM;

	d->ag = ag;
	d->h = h;
	d->arg = arg;
	d->id = pgres_int(ans->res, row, "delivery");
	d->send = pgres_int(ans->res, row, "send");
	d->attempt = (int)pgres_int(ans->res, row, "attempt");

	err = take_strings(d, ans, row);
	if (!err)
		err = take_body(d, ans, row);

	if (err)
		mem_deref(d);
	else
		*dp = d;

	return err;
}

int64_t delivery_id(const struct delivery *d)
{
	return d->id;
}

int64_t delivery_send(const struct delivery *d)
{
	return d->send;
}

int delivery_attempt(const struct delivery *d)
{
	return d->attempt;
}

/** The flow that it goes over, NULL where it goes to the contact itself */
const char *delivery_flow(const struct delivery *d)
{
	return d->flow;
}

struct le *delivery_le(struct delivery *d)
{
	return &d->le;
}

/* --- the end ------------------------------------------------------------ */

static void end(struct delivery *d, int code, const char *reason)
{
	delivery_end_h *h = d->h;

	d->h = NULL;
	d->req = mem_deref(d->req);
	if (!h)
		return;

	log_debug("delivery", LOG_INT("delivery", d->id),
		  LOG_INT("attempt", d->attempt), LOG_INT("send", d->send),
		  LOG_STR("request", d->request_id), LOG_INT("code", code));
	h(d, code, reason, d->arg);
}

/* A reason phrase as one line of UTF-8 */
static void copy_reason(char *dst, size_t size, const struct pl *src)
{
	size_t len = src->l < size - 1 ? src->l : size - 1;

	while (len && !pg_is_text(src->p, len))
		len--;
	memcpy(dst, src->p, len);
	dst[len] = '\0';
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)dst[i] < 0x20 || dst[i] == 0x7f)
			dst[i] = ' ';
	}
}

static void transport_failed(struct delivery *d, int err)
{
	if (d->refused)
		end(d, 403, "Destination not allowed");
	else if (err == ETIMEDOUT)
		end(d, 408, "Request Timeout");
	else if (err == ENOMEM || err == ENOBUFS)
		end(d, 0, "");
	else
		end(d, 503, "Transport error");
}

static bool start_over_udp(struct delivery *d);

static void resp_handler(int err, const struct sip_msg *msg, void *arg)
{
	struct delivery *d = arg;
	char reason[REASON_SIZE];

	if (!err && msg->scode < 200)
		return;

	if (err) {
		if (!start_over_udp(d))
			transport_failed(d, err);
		return;
	}

	copy_reason(reason, sizeof(reason), &msg->reason);
	end(d, msg->scode, reason);
}

/* The last word on the address, after DNS */
static int send_handler(enum sip_transp tp, const struct sa *src,
			const struct sa *dst, struct mbuf *mb, void *arg)
{
	struct delivery *d = arg;

	(void)tp;
	(void)src;
	(void)mb;
	if (settings_may_send(d->ag->set, dst))
		return 0;

	d->refused = true;
	log_warn("send_refused", LOG_INT("delivery", d->id),
		 LOG_SA("destination", dst));

	return EACCES;
}

/* --- the way ------------------------------------------------------------ */

static int start_request(struct delivery *d, const struct uri *route)
{
	return sip_request(&d->req, d->ag->sip, true, "MESSAGE", -1, d->uri, -1,
			   route, d->mb, (size_t)d->id, send_handler,
			   resp_handler, d);
}

/* Over the flow of the REGISTER */
static int start_over_flow(struct delivery *d)
{
	char text[ROUTE_SIZE];
	enum sip_transp tp;
	struct uri route;
	struct sa peer;
	struct pl pl;

	if (flow_find(&peer, &tp, d->ag->flows, d->flow))
		return ENOTCONN;

	(void)re_snprintf(text, sizeof(text), "sip:%J;transport=%s", &peer,
			  tp == SIP_TRANSP_UDP	 ? "udp"
			  : tp == SIP_TRANSP_TLS ? "tls"
						 : "tcp");
	pl_set_str(&pl, text);
	if (uri_decode(&route, &pl))
		return EINVAL;

	return start_request(d, &route);
}

/* The next hop: the first of the path, or else the contact */
static int next_hop(struct uri *route, const struct delivery *d)
{
	struct nameaddr na;
	struct pl pl;
	int err;

	pl_set_str(&pl, d->path ? d->path : d->uri);
	if (d->path) {
		err = nameaddr_take(&na, &pl);
		if (err)
			return err;
		pl = na.uri;
	}

	err = uri_decode(route, &pl);
	if (err)
		return err;

	/* no need to ask DNS for this name (RFC 6761 section 6.3) */
	if (!pl_strcasecmp(&route->host, "localhost"))
		pl_set_str(&route->host, "127.0.0.1");

	return 0;
}

static bool has_transport(const struct uri *uri)
{
	struct pl val;

	return !msg_param_decode(&uri->params, "transport", &val);
}

static int start_to_contact(struct delivery *d)
{
	struct uri route;
	int err;

	err = next_hop(&route, d);
	if (err)
		return err;

	/* what UDP would have to cut goes by TCP where nothing speaks against
	   it, and by UDP where TCP finds nobody */
	if (d->body_len > UDP_SIZE_MAX && !has_transport(&route) &&
	    !d->may_fall_back) {
		pl_set_str(&route.params, ";transport=tcp");
		d->may_fall_back = true;
		if (!start_request(d, &route))
			return 0;
		err = next_hop(&route, d);
		if (err)
			return err;
	}
	d->may_fall_back = false;
	if (!has_transport(&route) && route.af != AF_UNSPEC)
		pl_set_str(&route.params, ";transport=udp");

	return start_request(d, &route);
}

/* @return whether it goes on */
static bool start_over_udp(struct delivery *d)
{
	struct uri route;

	if (!d->may_fall_back || d->refused || next_hop(&route, d))
		return false;

	d->may_fall_back = false;
	pl_set_str(&route.params, ";transport=udp");

	return !start_request(d, &route);
}

static int encode(struct delivery *d)
{
	const struct wire w = {
		.delivery = d->id,
		.contact = d->contact,
		.path = d->path,
		.sender = d->sender,
		.recipient = d->recipient,
		.content_type = d->content_type,
		.sent_at = d->sent_at,
		.body = d->body,
		.body_len = d->body_len,
	};
	int err;

	err = wire_request_uri(&d->uri, d->contact);
	if (err)
		return err;

	return wire_encode(&d->mb, &w);
}

/** Send it; its end is told by the handler, maybe within this call */
void delivery_start(struct delivery *d)
{
	int err;

	err = encode(d);
	if (err == EINVAL || err == EBADMSG) {
		end(d, 400, "Cannot be written as a header");
		return;
	}
	if (!err)
		err = d->flow ? start_over_flow(d) : start_to_contact(d);

	switch (err) {
	case 0:
		break;

	case ENOTCONN:
		end(d, 430, "Flow failed");
		break;

	case ENOSYS:
	case EPROTONOSUPPORT:
		end(d, 503, "Transport not supported");
		break;

	default:
		transport_failed(d, err);
		break;
	}
}

/** Forget a delivery whose transaction is under way; no handler is called */
void delivery_abandon(struct delivery *d)
{
	d->h = NULL;
	d->req = mem_deref(d->req);
}

/** The connection that it was sent over has closed */
void delivery_flow_failed(struct delivery *d)
{
	end(d, 430, "Flow failed");
}
