/*
 * libre's SIP stack on concrete addresses: UDP and TCP, or TLS, on each, and
 * what takes every request and every response that nobody waits for.
 */
#include "transport.h"

#include <errno.h>
#include <string.h>

#include "backlog.h"
#include "certificate.h"
#include "conn.h"
#include "gate.h"
#include "logre.h"
#include "settings.h"

enum {
	CLIENT_BUCKETS = 1024,
	SERVER_BUCKETS = 65536,
	CONN_BUCKETS = 1024,
	NAMESERVERS_MAX = 8,
	UDP_RX_SIZE = 65536, /* libre's 8192 would cut a large MESSAGE */
	UDP_SOCKBUF = 4 * 1024 * 1024,
	UDP_LAYER = 10,
};

struct listener {
	struct transport *tp;
	struct udp_sock *us; /* libre's */
	struct udp_helper *helper;
};

struct transport {
	struct sip *sip;
	struct dnsc *dnsc;
	struct sip_lsnr *requests, *responses;
	struct conn_table *conns;
	struct certificate *certificate;
	struct gate *gate; /* borrowed */
	struct listener udpv[LISTEN_MAX];
	size_t udpc;
	char probe[24]; /* Call-ID of our own probes */
	transport_request_h *h;
	void *arg;
};

static void destructor(void *arg)
{
	struct transport *t = arg;

	for (size_t i = 0; i < t->udpc; i++)
		mem_deref(t->udpv[i].helper);
	mem_deref(t->requests);
	mem_deref(t->responses);
	sip_close(t->sip, true);
	mem_deref(t->sip);
	mem_deref(t->conns);
	mem_deref(t->certificate);
	mem_deref(t->dnsc);
}

/* --- raw datagrams ------------------------------------------------------ */

/* Each datagram passes the gate before libre sees it */
static bool udp_handler(struct sa *src, struct mbuf *mb, void *arg)
{
	struct listener *l = arg;

	return gate_datagram(l->tp->gate, l->us, src, mb);
}

static bool udp_send_handler(int *err, struct sa *dst, struct mbuf *mb,
			     void *arg)
{
	(void)err;
	(void)dst;
	(void)arg;
	gate_sent(mb);

	return false;
}

/* The sockets are libre's own and come to light only with a message that came
   in by them; so each is sent one */
static void send_probe(struct transport *t, const struct sa *laddr)
{
	struct mbuf *mb = mbuf_alloc(512);
	int err;

	if (!mb)
		return;

	err = mbuf_printf(mb,
			  "OPTIONS sip:%J SIP/2.0\r\n"
			  "Via: SIP/2.0/UDP %J;branch=z9hG4bK%016llx\r\n"
			  "From: <sip:%J>;tag=probe\r\n"
			  "To: <sip:%J>\r\n"
			  "Call-ID: %s\r\n"
			  "CSeq: 1 OPTIONS\r\n"
			  "Content-Length: 0\r\n\r\n",
			  laddr, laddr, rand_u64(), laddr, laddr, t->probe);
	mbuf_set_pos(mb, 0);
	if (!err)
		err = sip_send(t->sip, NULL, SIP_TRANSP_UDP, laddr, mb);
	if (err)
		log_warn("probe_failed", LOG_SA("listen", laddr),
			 LOG_INT("errno", err));
	mem_deref(mb);
}

/* @return whether it was one of our probes */
static bool take_probe(struct transport *t, const struct sip_msg *msg)
{
	struct udp_sock *us = msg->sock;
	struct listener *l = &t->udpv[t->udpc];

	if (msg->tp != SIP_TRANSP_UDP || pl_strcmp(&msg->callid, t->probe))
		return false;
	if (t->udpc >= LISTEN_MAX || udp_helper_find(us, UDP_LAYER))
		return true;

	udp_rxsz_set(us, UDP_RX_SIZE);
	(void)udp_sockbuf_set(us, UDP_SOCKBUF);
	gate_add_socket(t->gate, us);
	*l = (struct listener){.tp = t, .us = us};
	if (!udp_register_helper(&l->helper, us, UDP_LAYER, udp_send_handler,
				 udp_handler, l))
		t->udpc++;

	return true;
}

/* --- messages ----------------------------------------------------------- */

static bool request_handler(const struct sip_msg *msg, void *arg)
{
	struct transport *t = arg;

	if (take_probe(t, msg))
		return true;

	t->h(msg, t->arg);

	return true;
}

/* Late answers: nobody waits for them, and nobody need read of them */
static bool response_handler(const struct sip_msg *msg, void *arg)
{
	struct transport *t = arg;

	gate_stray(t->gate, &msg->src);

	return true;
}

static int dns_alloc(struct dnsc **dnscp)
{
	struct sa nsv[NAMESERVERS_MAX];
	uint32_t nsc = NAMESERVERS_MAX;
	char domain[64];

	if (dns_srv_get(domain, sizeof(domain), nsv, &nsc))
		nsc = 0;

	return dnsc_alloc(dnscp, NULL, nsv, nsc);
}

static int told(const struct sa *laddr, const char *transports, int err)
{
	if (err)
		log_error("listen_failed", LOG_SA("listen", laddr),
			  LOG_INT("errno", err));
	else
		log_info("listening", LOG_SA("listen", laddr),
			 LOG_STR("transports", transports));

	return err;
}

static int listen_on(struct transport *t, const struct sa *laddr)
{
	int err;

	err = sip_transp_add(t->sip, SIP_TRANSP_UDP, laddr);
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
	for (size_t i = 0; i < sac && !err; i++)
		send_probe(t, &sav[i]);

	sac = settings_tls_listen(set, &sav);
	for (size_t i = 0; i < sac && !err; i++)
		err = told(&sav[i], "tls",
			   sip_transp_add(t->sip, SIP_TRANSP_TLS, &sav[i],
					  certificate_tls(t->certificate)));
	if (!err)
		backlog_lengthen();

	return err;
}

static int open_all(struct transport *t, const struct settings *set,
		    struct budget *budget)
{
	int err;

	err = conn_table_alloc(&t->conns, t->gate, budget);
	if (!err)
		err = certificate_alloc(&t->certificate, set);
	if (!err)
		err = dns_alloc(&t->dnsc);
	if (!err)
		err = sip_alloc(&t->sip, t->dnsc, CLIENT_BUCKETS,
				SERVER_BUCKETS, CONN_BUCKETS, "restsip", NULL,
				NULL);
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
 */
int transport_alloc(struct transport **tp, const struct settings *set,
		    struct gate *gate, struct budget *budget,
		    transport_request_h *h, void *arg)
{
	struct transport *t = mem_zalloc(sizeof(*t), destructor);
	int err;

	if (!t)
		return ENOMEM;

	t->gate = gate;
	t->h = h;
	t->arg = arg;
	(void)re_snprintf(t->probe, sizeof(t->probe), "probe%016llx",
			  rand_u64());
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
