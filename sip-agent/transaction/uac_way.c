/*
 * The way of a request that we send: over the flow of a registration or
 * subscription, or to the first route or the contact where the settings allow
 * it and the address there has spoken; else that is asked first, by a probe.
 *
 * Where nothing answers, or nothing may be sent, the end is 480 with the same
 * words UAC_UNPROVEN_MS after the beginning: see probe.c.
 */
#include <errno.h>
#include <string.h>

#include "agent.h"
#include "logre.h"
#include "settings/reach.h"
#include "transaction/cancel.h"
#include "transaction/local_target.h"
#include "transaction/next_hop.h"
#include "transaction/probe.h"
#include "transaction/uac.h"
#include "transaction/uac_parts.h"
#include "transport/conn.h"
#include "transport/identity.h"

enum {
	UDP_SIZE_MAX = 1300, /* RFC 3261 section 18.1.1 */
};

/* Where it has not been sent yet, send_handler refuses, and resp_handler frees
   the way */
void uac_let_go(struct uac *u)
{
	struct way *w = u->way;

	u->way = NULL;
	if (!w)
		return;
	w->u = NULL;
	if (w->req && !w->sent)
		return;
	mem_deref(w->req);
	mem_deref(w);
}

static void silent_handler(void *arg)
{
	uac_end_silent(arg);
}

/* --- where it may go ------------------------------------------------------ */

/* A sips: URI whose phone has registered in clear: its flow is not for it */
static bool is_for_flow(const struct uac *u)
{
	return u->out.flow && (!u->tls || !strncmp(u->out.flow, "tls:", 4));
}

/* Whose certificate must be at an address: that of the host that is asked for.
   Of a flow that has gone meanwhile only the address is known.
   @return whether it may be sent there over TLS */
static bool expect(const struct uac *u, const struct sa *dst)
{
	struct pl host = PL_INIT;
	struct sa sa;

	if (is_for_flow(u)) {
		(void)identity_expect(dst, &host);
		return true;
	}
	(void)next_hop_host(&host, u->out.uri, u->out.route);
	if (u->out.asked && !u->out.route && !sa_set(&sa, &host, 0))
		(void)next_hop_host(&host, u->out.asked, NULL);

	return identity_expect(dst, &host) && !conn_came_from(dst);
}

/* To be asked before anything is sent there; one that may not be sent to only
   where there is no other */
static int ask_first(struct uac *u, const struct address *a)
{
	if (!u->has_next || (u->next.refused && !a->refused))
		u->next = *a;
	u->has_next = true;

	return EACCES;
}

/* The last word on address and transport, after DNS */
static int send_handler(enum sip_transp tp, const struct sa *src,
			const struct sa *dst, struct mbuf *mb, void *arg)
{
	struct way *w = arg;
	struct uac *u = w->u;
	struct address a = {.sa = *dst, .tp = tp};

	if (!u || u->cancelled)
		return ECONNABORTED;
	a.refused = !settings_may_send(u->ag->set, dst, u->out.rest) ||
		    (u->tls && tp != SIP_TRANSP_TLS) ||
		    (tp == SIP_TRANSP_TLS && !expect(u, dst));
	if (a.refused)
		return ask_first(u, &a);
	if (!u->is_direct) {
		if (!address_is_proven(u->ag->addresses, &a, tmr_jiffies()))
			return ask_first(u, &a);
		if (u->wants_tcp) {
			a.tp = SIP_TRANSP_TCP;
			return ask_first(u, &a);
		}
	}

	if (u->out.contact && local_target_write(mb, src, tp))
		return ENOMEM;
	if (!strcmp(u->out.method, "INVITE")) { /* the next has another Via */
		u->cancel = mem_deref(u->cancel);
		if (cancel_alloc(&u->cancel, mb, u->out.mb))
			return ENOMEM;
	}
	u->has_next = false;
	u->sent = a;
	u->heard = false;
	w->sent = true;
	tmr_cancel(&u->tmr);

	return 0;
}

/* --- the way -------------------------------------------------------------- */

static void go_on(struct uac *u, int err);

static void resp_handler(int err, const struct sip_msg *msg, void *arg)
{
	struct way *w = arg;
	struct uac *u = w->u;
	char reason[UAC_REASON_SIZE];

	if (!err && msg->scode < 200) {
		if (!u)
			return;
		if (!u->heard && u->cancelled)
			cancel_send(u->cancel, u->ag, &u->sent);
		u->heard = true;
		if (u->progressh && !u->cancelled)
			u->progressh(msg, u->arg);
		return;
	}
	if (u)
		u->way = NULL;
	mem_deref(w);
	if (!u)
		return;
	if (err) {
		go_on(u, err);
		return;
	}

	/* who answers has read it where it was sent to; where the answer says
	   to come from, anybody can write */
	address_prove(u->ag->addresses, &u->sent, ADDRESS_ANSWERED_S,
		      tmr_jiffies());
	uac_reason(reason, &msg->reason);
	uac_end(u, msg->scode, reason, msg);
}

static int start_request(struct uac *u, const struct uri *route)
{
	struct way *w = mem_zalloc(sizeof(*w), NULL);
	int err;

	if (!w)
		return ENOMEM;

	uac_let_go(u);
	u->has_next = false;
	mbuf_set_pos(u->out.mb, 0);
	w->u = u;
	u->way = w;
	err = sip_request(&w->req, u->ag->sip, true, u->out.method, -1,
			  u->out.uri, -1, route, u->out.mb,
			  (size_t)u->out.sort_key, send_handler, resp_handler,
			  w);
	if (err) {
		u->way = NULL;
		mem_deref(w);
	}

	return err;
}

/* Over the flow that the phone has opened: it has proven that by doing so */
static int start_over_flow(struct uac *u)
{
	struct next_hop hop;
	int err;

	err = next_hop_over_flow(&hop, u->ag->flows, u->out.flow);
	if (err)
		return err;
	u->is_direct = true;

	return start_request(u, &hop.route);
}

static int start_to_hop(struct uac *u)
{
	struct next_hop hop;
	int err;

	err = next_hop_to_uri(&hop, u->out.uri, u->out.route);
	if (err)
		return err;

	/* what UDP would have to cut goes by TCP where nothing speaks against
	   it, and by UDP where TCP finds nobody */
	u->wants_tcp = u->out.body_len > UDP_SIZE_MAX &&
		       !next_hop_has_transport(&hop);
	if (!next_hop_has_transport(&hop) &&
	    (hop.route.af != AF_UNSPEC || u->wants_tcp))
		next_hop_set_transport(&hop, ";transport=udp");
	tmr_start(&u->tmr, UAC_UNPROVEN_MS, silent_handler, u);
	err = start_request(u, &hop.route);

	/* what libre says of a name where it has nobody to ask */
	return err == EINVAL && hop.route.af == AF_UNSPEC ? ENOENT : err;
}

/* To an address that has answered */
static int start_direct(struct uac *u, enum sip_transp tp)
{
	struct next_hop hop;
	int err;

	err = next_hop_to_address(&hop, &u->next.sa, tp);
	if (err)
		return err;
	u->is_direct = true;

	return start_request(u, &hop.route);
}

static void start(struct uac *u, enum sip_transp tp)
{
	const int err = start_direct(u, tp);

	if (err)
		go_on(u, err);
}

/* --- asking first --------------------------------------------------------- */

static void tcp_handler(bool answered, void *arg)
{
	struct uac *u = arg;

	u->wait = mem_deref(u->wait);
	u->may_fall_back = answered;
	start(u, answered ? SIP_TRANSP_TCP : SIP_TRANSP_UDP);
}

/* The address has spoken over UDP: whether it does over TCP is its own affair,
   and no secret to who waits */
static void ask_for_tcp(struct uac *u)
{
	u->wants_tcp = false;
	u->next.tp = SIP_TRANSP_TCP;
	tmr_cancel(&u->tmr);
	if (address_is_proven(u->ag->addresses, &u->next, tmr_jiffies())) {
		u->may_fall_back = true;
		start(u, SIP_TRANSP_TCP);
	} else if (probe_ask(&u->wait, u->ag->prober, &u->next, u->out.account,
			     true, tcp_handler, u)) {
		start(u, SIP_TRANSP_UDP);
	}
}

static void probe_handler(bool answered, void *arg)
{
	struct uac *u = arg;

	u->wait = mem_deref(u->wait);
	if (!answered || u->next.refused)
		return; /* until the time is over */
	if (u->wants_tcp)
		ask_for_tcp(u);
	else
		start(u, u->next.tp);
}

static void ask(struct uac *u)
{
	int err;

	if (u->wants_tcp && u->next.tp == SIP_TRANSP_TCP) {
		ask_for_tcp(u);
		return;
	}

	if (!tmr_isrunning(&u->tmr))
		tmr_start(&u->tmr, UAC_UNPROVEN_MS, silent_handler, u);
	if (u->next.tp == SIP_TRANSP_TLS)
		(void)expect(u, &u->next.sa);
	err = probe_ask(&u->wait, u->ag->prober, &u->next, u->out.account,
			false, probe_handler, u);
	if (err == EHOSTDOWN)
		uac_end_silent(u);
	else if (err == ENOMEM)
		uac_transport_failed(u, err);
}

/* It was not sent, or got no answer */
static void go_on(struct uac *u, int err)
{
	if (u->cancelled) {
		uac_end_cancelled(u, err);
	} else if (u->has_next) {
		u->has_next = false;
		ask(u);
	} else if (u->may_fall_back) {
		u->may_fall_back = false;
		start(u, SIP_TRANSP_UDP);
	} else if (!tmr_isrunning(&u->tmr) || uac_is_ours(err)) {
		uac_transport_failed(u, err);
	}
}

/* The connection has gone, and another can be opened */
static int dial(struct uac *u)
{
	u->out.flow = NULL;
	u->is_direct = false;
	u->has_next = false;

	return start_to_hop(u);
}

/** Send it; its end is told by the handler, maybe within this call */
void uac_start(struct uac *u)
{
	int err = is_for_flow(u) ? start_over_flow(u) : start_to_hop(u);

	if (err == ENOTCONN && u->out.flow && u->out.dials)
		err = dial(u);
	if (err)
		go_on(u, err);
}

/** A connection has closed, which it was to go over */
void uac_flow_failed(struct uac *u)
{
	int err;

	if (!u->h || !is_for_flow(u))
		return;

	if (!u->out.dials || u->cancelled || !strcmp(u->out.method, "INVITE")) {
		uac_end(u, 430, "Flow failed", NULL);
		return;
	}
	uac_let_go(
		u); /* who has got it knows it again by its Call-ID and CSeq */
	err = dial(u);
	if (err)
		go_on(u, err);
}
