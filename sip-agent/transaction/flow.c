/*
 * Names for the ways by which phones are reached.
 *
 * `udp:192.0.2.7:5062` is the address that a REGISTER came from, so that what
 * is sent there passes the NAT in between (RFC 3581, RFC 5626 section 5.3); any
 * agent may try it.  `tcp:<boot>:<n>` is a connection of one process, whose
 * end is told at once.
 */
#include "transaction/flow.h"

#include <errno.h>
#include <string.h>

enum {
	BUCKETS = 1024,
	/* libre would send keep-alives of its own after this many seconds;
	   they are started only for the callback when the connection ends */
	NEVER_S = 2000000,
};

struct flow_table {
	struct hash *by_sock; /* struct flow, by connection */
	struct hash *by_n;    /* the same, by number */
	size_t count;
	uint32_t last_n;
	char *boot;
	flow_lost_h *h;
	void *arg;
};

struct flow {
	struct le by_sock;
	struct le by_n;
	struct flow_table *ft;
	struct sip_keepalive *ka;
	void *sock; /* libre's connection */
	struct sa peer;
	enum sip_transp tp;
	uint32_t n;
	bool known; /* flow_is_new has told of it */
};

static void flow_destructor(void *arg)
{
	struct flow *f = arg;

	f->ft->count--;
	hash_unlink(&f->by_sock);
	hash_unlink(&f->by_n);
	mem_deref(f->ka);
	mem_deref(f->sock);
}

static void table_destructor(void *arg)
{
	struct flow_table *ft = arg;

	hash_flush(ft->by_n);
	mem_deref(ft->by_n);
	mem_deref(ft->by_sock);
	mem_deref(ft->boot);
}

/**
 * Allocate a table of flows
 *
 * @param ftp  Set to the table, owned by the caller
 * @param boot Names the process, copied
 * @param h    Called when a connection that has a flow closes
 */
int flow_table_alloc(struct flow_table **ftp, const char *boot, flow_lost_h *h,
		     void *arg)
{
	struct flow_table *ft = mem_zalloc(sizeof(*ft), table_destructor);
	int err;

	if (!ft)
		return ENOMEM;

	ft->h = h;
	ft->arg = arg;
	err = str_dup(&ft->boot, boot);
	if (!err)
		err = hash_alloc(&ft->by_sock, BUCKETS);
	if (!err)
		err = hash_alloc(&ft->by_n, BUCKETS);

	if (err)
		mem_deref(ft);
	else
		*ftp = ft;

	return err;
}

static uint32_t sock_key(const void *sock)
{
	return hash_joaat((const uint8_t *)&sock, sizeof(sock));
}

static bool sock_handler(struct le *le, void *arg)
{
	const struct flow *f = le->data;

	return f->sock == arg;
}

static bool n_handler(struct le *le, void *arg)
{
	const struct flow *f = le->data;
	const uint32_t *n = arg;

	return f->n == *n;
}

static void print(char *text, size_t size, const struct flow *f)
{
	(void)re_snprintf(text, size, "%s:%s:%u",
			  f->tp == SIP_TRANSP_TLS ? "tls" : "tcp", f->ft->boot,
			  f->n);
}

static void closed_handler(int err, void *arg)
{
	struct flow *f = arg;
	struct flow_table *ft = f->ft;
	char text[FLOW_TEXT_SIZE];

	(void)err;
	print(text, sizeof(text), f);
	mem_deref(f);
	ft->h(text, ft->arg);
}

static int flow_alloc(struct flow **fp, struct flow_table *ft, struct sip *sip,
		      const struct sip_msg *msg)
{
	struct flow *f;
	int err;

	if (ft->count >= FLOWS_MAX)
		return ENOSPC;

	f = mem_zalloc(sizeof(*f), flow_destructor);
	if (!f)
		return ENOMEM;

	ft->count++;
	f->ft = ft;
	f->sock = mem_ref(msg->sock);
	f->peer = msg->src;
	f->tp = msg->tp;
	f->n = ++ft->last_n;
	err = sip_keepalive_start(&f->ka, sip, msg, NEVER_S, closed_handler, f);
	if (err) {
		mem_deref(f);
		return err;
	}

	hash_append(ft->by_sock, sock_key(f->sock), &f->by_sock, f);
	hash_append(ft->by_n, f->n, &f->by_n, f);
	*fp = f;

	return 0;
}

/* Whether a phone over UDP expects requests where its own came from: it asks
   for rport (RFC 3581), or a NAT has changed its address */
static bool is_symmetric(const struct sip_msg *msg)
{
	struct pl rport;

	return !msg_param_exists(&msg->via.params, "rport", &rport) ||
	       !sa_cmp(&msg->src, &msg->via.addr, SA_ADDR);
}

/**
 * The name of the flow that a request came over
 *
 * @param text Where it goes, FLOW_TEXT_SIZE bytes; empty where requests are
 *             to go to the contact itself
 *
 * @return 0, ENOTCONN where the connection is closed already, ENOSPC, ENOMEM
 */
int flow_of(char *text, size_t size, struct flow_table *ft, struct sip *sip,
	    const struct sip_msg *msg)
{
	struct flow *f;
	int err;

	text[0] = '\0';
	if (msg->tp == SIP_TRANSP_UDP) {
		if (is_symmetric(msg))
			(void)re_snprintf(text, size, "udp:%J", &msg->src);
		return 0;
	}

	f = list_ledata(hash_lookup(ft->by_sock, sock_key(msg->sock),
				    sock_handler, msg->sock));
	if (!f) {
		err = flow_alloc(&f, ft, sip, msg);
		if (err)
			return err;
	}
	print(text, size, f);

	return 0;
}

/** Whether a request has come over a connection with a flow, and this is asked
    of it for the first time */
bool flow_is_new(struct flow_table *ft, const struct sip_msg *msg)
{
	struct flow *f;

	if (msg->tp == SIP_TRANSP_UDP)
		return false;
	f = list_ledata(hash_lookup(ft->by_sock, sock_key(msg->sock),
				    sock_handler, msg->sock));
	if (!f || f->known)
		return false;
	f->known = true;

	return true;
}

static int find_conn(struct sa *peer, enum sip_transp *tp,
		     const struct flow_table *ft, const struct pl *boot,
		     const struct pl *num)
{
	uint32_t n = pl_u32(num);
	const struct flow *f;

	if (pl_strcmp(boot, ft->boot))
		return ENOENT;

	f = list_ledata(hash_lookup(ft->by_n, n, n_handler, &n));
	if (!f)
		return ENOENT;

	*peer = f->peer;
	*tp = f->tp;

	return 0;
}

/**
 * Where a flow leads
 *
 * @param peer Set to the address
 * @param tp   Set to the transport; a connection is found by its peer
 *
 * @return 0, ENOENT where the connection is closed or another process's
 */
int flow_find(struct sa *peer, enum sip_transp *tp, const struct flow_table *ft,
	      const char *text)
{
	const size_t len = strlen(text);
	struct pl boot, num;

	if (!strncmp(text, "udp:", 4)) {
		*tp = SIP_TRANSP_UDP;
		return sa_decode(peer, text + 4, len - 4) ? ENOENT : 0;
	}

	if (re_regex(text, len, "t[cl]1[ps]1:[0-9a-f]+:[0-9]+", NULL, NULL,
		     &boot, &num))
		return ENOENT;

	return find_conn(peer, tp, ft, &boot, &num);
}
