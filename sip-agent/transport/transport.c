/*
 * libre's SIP stack on concrete addresses: UDP and TCP, or TLS, on each, and
 * what takes every request and every response that nobody waits for.
 */
#include "transport/transport.h"

#include <errno.h>
#include <string.h>

#include "gate/gate.h"
#include "logre.h"
#include "settings/settings.h"
#include "transport/certificate.h"
#include "transport/conn.h"
#include "transport/datagrams.h"
#include "transport/libre_seam.h"
#include "transport/resolver.h"

enum {
	CLIENT_BUCKETS = 1024,
	SERVER_BUCKETS = 65536,
	CONN_BUCKETS = 1024,
};

struct transport {
	struct sip *sip;
	struct dnsc *dnsc;
	struct sip_lsnr *requests, *responses;
	struct conn_table *conns;
	struct certificate *certificate;
	struct gate *gate; /* borrowed */
	struct datagrams *datagrams;
	transport_request_h *h;
	transport_response_h *rh;
	transport_trace_h *traceh;
	void *arg;
};

static void destructor(void *arg)
{
	struct transport *t = arg;

	mem_deref(t->datagrams);
	mem_deref(t->requests);
	mem_deref(t->responses);
	sip_close(t->sip, true);
	mem_deref(t->sip);
	mem_deref(t->conns);
	mem_deref(t->certificate);
	mem_deref(t->dnsc);
}

/* --- messages ----------------------------------------------------------- */

static bool request_handler(const struct sip_msg *msg, void *arg)
{
	struct transport *t = arg;

	t->h(msg, t->arg);

	return true;
}

/* What libre had no part in */
static void datagram_handler(const struct sip_msg *msg, void *arg)
{
	(void)request_handler(msg, arg);
}

/* What libre has no transaction for: an answer to a probe, or a late one, that
   nobody waits for, and nobody need read of */
static bool response_handler(const struct sip_msg *msg, void *arg)
{
	struct transport *t = arg;

	if (!t->rh(msg, t->arg))
		gate_stray(t->gate, msg);

	return true;
}

static void trace_handler(bool tx, enum sip_transp tp, const struct sa *src,
			  const struct sa *dst, const uint8_t *pkt, size_t len,
			  void *arg)
{
	struct transport *t = arg;

	t->traceh(tx, tp, tx ? dst : src, (const char *)pkt, len, t->arg);
}

/** Have a handler told of each message that libre sends or gets */
void transport_set_trace(struct transport *t, transport_trace_h *h)
{
	t->traceh = h;
	sip_set_trace_handler(t->sip, trace_handler);
}

static int told(const struct sa *laddr, const char *transports, int err)
{
	if (err)
		log_error("listen_failed", LOG_SA("listen", laddr),
			  LOG_ERRNO(err));
	else
		log_info("listening", LOG_SA("listen", laddr),
			 LOG_STR("transports", transports));

	return err;
}

static int listen_on(struct transport *t, const struct sa *laddr)
{
	int err;

	err = datagrams_listen(t->datagrams, t->sip, laddr);
	if (!err)
		err = sip_transp_add(t->sip, SIP_TRANSP_TCP, laddr);

	return told(laddr, "udp,tcp", err);
}

static int listen_all(struct transport *t, const struct settings *set)
{
	const struct sa *sav;
	size_t sac = settings_listen(set, &sav);
	int err = 0;

	for (size_t i = 0; i < sac && !err; i++)
		err = listen_on(t, &sav[i]);

	sac = settings_tls_listen(set, &sav);
	for (size_t i = 0; i < sac && !err; i++)
		err = told(&sav[i], "tls",
			   sip_transp_add(t->sip, SIP_TRANSP_TLS, &sav[i],
					  certificate_tls(t->certificate)));
	if (!err)
		err = seam_keep_spare();
	if (!err)
		seam_lengthen_queues();

	return err;
}

static int open_all(struct transport *t, const struct settings *set,
		    struct budget *budget)
{
	int err;

	err = conn_table_alloc(&t->conns, set, t->gate, budget);
	if (!err)
		err = certificate_alloc(&t->certificate, set);
	if (!err)
		err = datagrams_alloc(&t->datagrams, t->gate, datagram_handler,
				      t);
	if (!err)
		err = resolver_alloc(&t->dnsc, set);
	if (!err)
		err = sip_alloc(&t->sip, t->dnsc, CLIENT_BUCKETS,
				SERVER_BUCKETS, CONN_BUCKETS, "restsip", NULL,
				t);
	if (!err)
		err = sip_listen(&t->requests, t->sip, true, request_handler,
				 t);
	if (!err)
		err = sip_listen(&t->responses, t->sip, false, response_handler,
				 t);
	if (!err)
		err = listen_all(t, set);

	return err;
}

/**
 * Open the sockets
 *
 * @param tp  Set to the transport, owned by the caller
 * @param gate What comes in passes here first; borrowed
 * @param budget Counts connections; borrowed
 * @param h   Called for each request that is not a retransmission
 * @param rh  Called for each response that belongs to no request of libre's
 */
int transport_alloc(struct transport **tp, const struct settings *set,
		    struct gate *gate, struct budget *budget,
		    transport_request_h *h, transport_response_h *rh, void *arg)
{
	struct transport *t = mem_zalloc(sizeof(*t), destructor);
	int err;

	if (!t)
		return ENOMEM;

	t->gate = gate;
	t->h = h;
	t->rh = rh;
	t->arg = arg;
	err = open_all(t, set, budget);
	if (err)
		mem_deref(t);
	else
		*tp = t;

	return err;
}

/** libre's stack; borrowed */
struct sip *transport_sip(const struct transport *t)
{
	return t->sip;
}

/** What connections over TLS need; borrowed, NULL where there is none */
struct tls *transport_tls(const struct transport *t)
{
	return certificate_tls(t->certificate);
}
