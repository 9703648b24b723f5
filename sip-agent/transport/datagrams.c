/*
 * libre reads one datagram each time its loop comes round, and writes one at a
 * time.  Measured with bench/register's load, reading so costs the agent 37 %
 * more of the processor for a registration, and writing so 30 % more.  Its
 * sockets come to light by the seam (libre_seam.c).  From then on they are read
 * here, and libre gets what is its own: INVITE, ACK, CANCEL, responses and
 * STUN.
 *
 * Answers leave together at the end of the loop's turn.  Requests go out at
 * once, for whoever sends one wants to know of an error.
 */
#include "transport/datagrams.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "compat.h"
#include "gate/gate.h"
#include "gate/prepare.h"
#include "transport/libre_seam.h"

enum {
	BATCH = 32,
	DATAGRAM_MAX = 65536,
	ROOM = 64, /* for a branch that the gate gives */
	SOCKBUF = 4 * 1024 * 1024,
	LAYER = 10,
};

/** What comes in by one call */
struct inflow {
	struct mmsghdr hdrv[BATCH];
	struct iovec iov[BATCH];
	struct sa srcv[BATCH];
	uint8_t bytes[BATCH][DATAGRAM_MAX];
};

struct outgoing {
	struct mbuf *mb;
	struct sa dst;
	struct iovec iov;
};

struct listener {
	struct le le;
	struct datagrams *d;
	struct udp_sock *us;
	struct udp_helper *helper;
	struct fd_watch watch;
	int fd;
	struct sa laddr;
	/* libre's */
	udp_recv_h *recvh;
	void *arg;
	/* answers that wait for the end of the turn */
	struct outgoing outv[BATCH];
	unsigned outc;
	struct tmr tmr;
};

struct datagrams {
	struct list listeners;
	struct gate *gate; /* borrowed */
	datagrams_request_h *h;
	void *arg;
	struct inflow *in;
};

/* --- out ------------------------------------------------------------------ */

static void write_all(struct listener *l)
{
	struct mmsghdr hdrv[BATCH];
	unsigned sent = 0;

	memset(hdrv, 0, l->outc * sizeof(*hdrv));
	for (unsigned i = 0; i < l->outc; i++) {
		struct outgoing *o = &l->outv[i];

		hdrv[i].msg_hdr.msg_name = &o->dst.u;
		hdrv[i].msg_hdr.msg_namelen = o->dst.len;
		hdrv[i].msg_hdr.msg_iov = &o->iov;
		hdrv[i].msg_hdr.msg_iovlen = 1;
	}
	while (sent < l->outc) {
		const int n = sendmmsg(l->fd, hdrv + sent, l->outc - sent, 0);

		if (n > 0)
			sent += (unsigned)n;
		else if (errno == EAGAIN)
			break; /* lost, as any datagram may be: the phones
				  repeat their requests */
		else if (errno != EINTR)
			sent++; /* that one cannot be sent */
	}
	for (unsigned i = 0; i < l->outc; i++)
		mem_deref(l->outv[i].mb);
	l->outc = 0;
}

static void turn_ends(void *arg)
{
	write_all(arg);
}

static bool is_answer(const struct mbuf *mb)
{
	return mbuf_get_left(mb) > 8 && !memcmp(mbuf_buf(mb), "SIP/2.0 ", 8);
}

static bool send_handler(int *err, struct sa *dst, struct mbuf *mb, void *arg)
{
	struct listener *l = arg;
	struct outgoing *o;

	(void)err;
	prepare_answer(mb);
	if (!is_answer(mb))
		return false;

	if (l->outc == BATCH)
		write_all(l);
	o = &l->outv[l->outc++];
	o->mb = mem_ref(mb);
	o->dst = *dst;
	o->iov = (struct iovec){mbuf_buf(mb), mbuf_get_left(mb)};
	if (!tmr_isrunning(&l->tmr))
		tmr_start(&l->tmr, 0, turn_ends, l);

	return true;
}

/* --- in ------------------------------------------------------------------- */

static void take_request(struct listener *l, struct sip_msg *msg)
{
	msg->sock = mem_ref(l->us);
	msg->dst = l->laddr;
	msg->tp = SIP_TRANSP_UDP;
	l->d->h(msg, l->d->arg);
}

static void take(struct listener *l, const struct sa *src, const uint8_t *p,
		 size_t len)
{
	struct mbuf *mb = mbuf_alloc(len + ROOM);
	struct sip_msg *msg = NULL;

	if (!mb)
		return;

	(void)mbuf_write_mem(mb, p, len); /* there is room */
	mbuf_set_pos(mb, 0);
	switch (gate_datagram(l->d->gate, l->us, src, mb, &msg)) {
	case GATE_REQUEST:
		take_request(l, msg);
		break;

	case GATE_LIBRE:
		l->recvh(src, mb, l->arg);
		break;

	case GATE_DONE:
		break;
	}
	mem_deref(msg);
	mem_deref(mb);
}

static void read_handler(int flags, void *arg)
{
	struct listener *l = arg;
	struct inflow *in = l->d->in;
	int n;

	(void)flags;
	for (unsigned i = 0; i < BATCH; i++) {
		in->hdrv[i].msg_hdr = (struct msghdr){
			.msg_name = &in->srcv[i].u,
			.msg_namelen = sizeof(in->srcv[i].u),
			.msg_iov = &in->iov[i],
			.msg_iovlen = 1,
		};
	}
	n = recvmmsg(l->fd, in->hdrv, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		in->srcv[i].len = in->hdrv[i].msg_hdr.msg_namelen;
		take(l, &in->srcv[i], in->bytes[i], in->hdrv[i].msg_len);
	}
}

static bool recv_handler(struct sa *src, struct mbuf *mb, void *arg)
{
	(void)src; /* what we hand to libre has passed the gate already */
	(void)mb;
	(void)arg;

	return false;
}

/* --- sockets -------------------------------------------------------------- */

static void listener_destructor(void *arg)
{
	struct listener *l = arg;

	write_all(l);
	tmr_cancel(&l->tmr);
	list_unlink(&l->le);
	fd_watch_stop(&l->watch);
	mem_deref(l->helper);
	mem_deref(l->us);
}

static void destructor(void *arg)
{
	struct datagrams *d = arg;

	list_flush(&d->listeners);
	mem_deref(d->in);
}

/**
 * Allocate; to be freed before libre's stack
 *
 * @param dp   Set to the object, owned by the caller
 * @param gate Borrowed
 * @param h    Called for requests that libre need not see
 */
int datagrams_alloc(struct datagrams **dp, struct gate *gate,
		    datagrams_request_h *h, void *arg)
{
	struct datagrams *d = mem_zalloc(sizeof(*d), destructor);

	if (!d)
		return ENOMEM;

	d->gate = gate;
	d->h = h;
	d->arg = arg;
	d->in = mem_alloc(sizeof(*d->in), NULL); /* touched as need be */
	if (!d->in) {
		mem_deref(d);
		return ENOMEM;
	}
	memset(d->in->hdrv, 0, sizeof(d->in->hdrv));
	for (unsigned i = 0; i < BATCH; i++)
		d->in->iov[i] = (struct iovec){d->in->bytes[i], DATAGRAM_MAX};
	*dp = d;

	return 0;
}

static void udp_handler(struct udp_sock *us, udp_recv_h *rh, void *rarg,
			void *arg)
{
	struct listener *l = arg;

	l->us = mem_ref(us);
	l->recvh = rh;
	l->arg = rarg;
}

static int adopt(struct listener *l)
{
	int err;

	if (!l->us)
		return ENOSYS;

	l->fd = udp_sock_fd(l->us, sa_af(&l->laddr));
	(void)udp_sockbuf_set(l->us, SOCKBUF);
	gate_add_socket(l->d->gate, l->us);
	err = udp_register_helper(&l->helper, l->us, LAYER, send_handler,
				  recv_handler, l);
	if (err)
		return err;

	udp_thread_detach(l->us);

	return fd_watch_start(&l->watch, l->fd, FD_READ, read_handler, l);
}

/**
 * Have libre's stack listen on an address
 *
 * @return 0 or an errno
 */
int datagrams_listen(struct datagrams *d, struct sip *sip,
		     const struct sa *laddr)
{
	struct listener *l = mem_zalloc(sizeof(*l), listener_destructor);
	int err;

	if (!l)
		return ENOMEM;

	l->d = d;
	l->laddr = *laddr;
	fd_watch_init(&l->watch);
	list_append(&d->listeners, &l->le, l);

	seam_set_udp(udp_handler, l);
	err = sip_transp_add(sip, SIP_TRANSP_UDP, laddr);
	seam_set_udp(NULL, NULL);
	if (!err)
		err = adopt(l);
	if (err)
		mem_deref(l);

	return err;
}
