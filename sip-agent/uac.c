/*
 * Requests on their way out: over the flow of a registration or subscription,
 * or to the first route or the contact where the settings allow it.
 */
#include "uac.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "hop.h"
#include "logre.h"
#include "pgconn.h"
#include "settings.h"

enum {
	UDP_SIZE_MAX = 1300, /* RFC 3261 section 18.1.1 */
};

struct uac {
	struct agent *ag;
	struct uac_request out;
	uac_end_h *h;
	void *arg;
	struct sip_request *req;
	bool tls;	    /* or not at all */
	bool refused;	    /* by agent.send_allow */
	bool may_fall_back; /* TCP was our idea: try UDP next */
};

static void destructor(void *arg)
{
	struct uac *u = arg;

	mem_deref(u->req);
}

/**
 * Allocate a request
 *
 * @param up Set to the request, owned by the caller; who lets go of it ends
 *           the transaction, and no handler is called
 * @param h  Called once, when it has ended; may be called by uac_start, and
 *           may let go of the request
 */
int uac_alloc(struct uac **up, struct agent *ag, const struct uac_request *req,
	      uac_end_h *h, void *arg)
{
	struct uac *u = mem_zalloc(sizeof(*u), destructor);

	if (!u)
		return ENOMEM;

	u->ag = ag;
	u->out = *req;
	u->tls = req->tls || hop_needs_tls(req->uri, req->flow);
	u->h = h;
	u->arg = arg;
	*up = u;

	return 0;
}

/* --- the end ------------------------------------------------------------ */

static void end(struct uac *u, int code, const char *reason,
		const struct sip_msg *msg)
{
	uac_end_h *h = u->h;

	u->h = NULL;
	u->req = mem_deref(u->req);
	if (h)
		h(code, reason, msg, u->arg);
}

/** A reason phrase as one line of UTF-8: what of it is that */
void uac_reason(char dst[static UAC_REASON_SIZE], const struct pl *src)
{
	size_t len = src->l < UAC_REASON_SIZE ? src->l : UAC_REASON_SIZE - 1;

	while (len && !pg_is_text(src->p, len))
		len--;
	if (len)
		memcpy(dst, src->p, len);
	dst[len] = '\0';
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)dst[i] < 0x20 || dst[i] == 0x7f)
			dst[i] = ' ';
	}
}

static void transport_failed(struct uac *u, int err)
{
	if (u->refused)
		end(u, 403, "Destination not allowed", NULL);
	else if (err == ETIMEDOUT)
		end(u, 408, "Request Timeout", NULL);
	else if (err == EMSGSIZE) /* of a datagram: it never will be less */
		end(u, 413, "Too large for UDP", NULL);
	else if (err == ENOMEM || err == ENOBUFS)
		end(u, 0, "", NULL);
	else
		end(u, 503, "Transport error", NULL);
}

static bool start_over_udp(struct uac *u);

static void resp_handler(int err, const struct sip_msg *msg, void *arg)
{
	struct uac *u = arg;
	char reason[UAC_REASON_SIZE];

	if (!err && msg->scode < 200)
		return;

	if (err) {
		if (!start_over_udp(u))
			transport_failed(u, err);
		return;
	}

	uac_reason(reason, &msg->reason);
	end(u, msg->scode, reason, msg);
}

/* The last word on address and transport, after DNS */
static int send_handler(enum sip_transp tp, const struct sa *src,
			const struct sa *dst, struct mbuf *mb, void *arg)
{
	struct uac *u = arg;

	(void)src;
	(void)mb;
	if (settings_may_send(u->ag->set, dst) &&
	    (!u->tls || tp == SIP_TRANSP_TLS))
		return 0;

	u->refused = true;
	log_warn("send_refused", LOG_STR("request_id", u->out.request_id),
		 LOG_STR("method", u->out.method),
		 LOG_INT("key", (int64_t)u->out.sort_key),
		 LOG_SA("destination", dst));

	return EACCES;
}

/* --- the way ------------------------------------------------------------ */

static int start_request(struct uac *u, const struct uri *route)
{
	mbuf_set_pos(u->out.mb, 0);

	return sip_request(&u->req, u->ag->sip, true, u->out.method, -1,
			   u->out.uri, -1, route, u->out.mb,
			   (size_t)u->out.sort_key, send_handler, resp_handler,
			   u);
}

/* Over the flow that the phone has opened */
static int start_over_flow(struct uac *u)
{
	struct hop hop;
	int err;

	err = hop_over_flow(&hop, u->ag->flows, u->out.flow);
	if (err)
		return err;

	return start_request(u, &hop.route);
}

static int start_to_hop(struct uac *u)
{
	struct hop hop;
	int err;

	err = hop_to_uri(&hop, u->out.uri, u->out.route);
	if (err)
		return err;

	/* what UDP would have to cut goes by TCP where nothing speaks against
	   it, and by UDP where TCP finds nobody */
	if (u->out.body_len > UDP_SIZE_MAX && !hop_has_transport(&hop) &&
	    !u->may_fall_back) {
		hop_set_transport(&hop, ";transport=tcp");
		u->may_fall_back = true;
		if (!start_request(u, &hop.route))
			return 0;
		err = hop_to_uri(&hop, u->out.uri, u->out.route);
		if (err)
			return err;
	}
	u->may_fall_back = false;
	if (!hop_has_transport(&hop) && hop.route.af != AF_UNSPEC)
		hop_set_transport(&hop, ";transport=udp");

	return start_request(u, &hop.route);
}

/* @return whether it goes on */
static bool start_over_udp(struct uac *u)
{
	struct hop hop;

	if (!u->may_fall_back || u->refused ||
	    hop_to_uri(&hop, u->out.uri, u->out.route))
		return false;

	u->may_fall_back = false;
	hop_set_transport(&hop, ";transport=udp");

	return !start_request(u, &hop.route);
}

/* A sips: URI whose phone has registered in clear: its flow is not for it */
static bool is_for_flow(const struct uac *u)
{
	return u->out.flow && (!u->tls || !strncmp(u->out.flow, "tls:", 4));
}

/** Send it; its end is told by the handler, maybe within this call */
void uac_start(struct uac *u)
{
	const int err = is_for_flow(u) ? start_over_flow(u) : start_to_hop(u);

	switch (err) {
	case 0:
		break;

	case ENOTCONN:
		end(u, 430, "Flow failed", NULL);
		break;

	case ENOSYS:
	case EPROTONOSUPPORT:
		end(u, 503, "Transport not supported", NULL);
		break;

	default:
		transport_failed(u, err);
		break;
	}
}

/** The connection that it was sent over has closed */
void uac_flow_failed(struct uac *u)
{
	end(u, 430, "Flow failed", NULL);
}
