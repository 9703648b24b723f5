/*
 * RFC 8446 section 5.1: a type, two bytes of version, two of length.
 */
#include "transport/hello.h"

#include <errno.h>

enum {
	LAYER = -10, /* below TLS, which has 0 */
	HEADER_LEN = 5,
	TYPE_HANDSHAKE = 22,
};

struct hello {
	struct tcp_helper *th;
	struct mbuf *acc; /* what has come of it; NULL: nothing yet */
	bool passed;
};

static void destructor(void *arg)
{
	struct hello *h = arg;

	mem_deref(h->th);
	mem_deref(h->acc);
}

/* @return Whether the record is whole; an errno in err where it is none */
static bool is_whole(int *err, const uint8_t *p, size_t n)
{
	size_t len;

	*err = n && p[0] != TYPE_HANDSHAKE ? EPROTO : 0;
	if (*err || n < HEADER_LEN)
		return false;

	len = HEADER_LEN + (size_t)(p[3] << 8 | p[4]);
	if (len > HELLO_MAX)
		*err = EMSGSIZE;

	return !*err && n >= len;
}

static int keep(struct hello *h, const struct mbuf *mb)
{
	if (!h->acc)
		h->acc = mbuf_alloc(mbuf_get_left(mb));
	if (!h->acc)
		return ENOMEM;

	mbuf_skip_to_end(h->acc);

	return mbuf_write_mem(h->acc, mbuf_buf(mb), mbuf_get_left(mb));
}

static bool recv_handler(int *err, struct mbuf *mb, bool *estab, void *arg)
{
	struct hello *h = arg;

	(void)estab;
	if (h->passed)
		return false;

	if (!h->acc && is_whole(err, mbuf_buf(mb), mbuf_get_left(mb))) {
		h->passed = true;
		return false;
	}
	if (!*err)
		*err = keep(h, mb);
	if (*err || !is_whole(err, h->acc->buf, h->acc->end))
		return true;

	mbuf_rewind(mb);
	*err = mbuf_write_mem(mb, h->acc->buf, h->acc->end);
	mbuf_set_pos(mb, 0);
	h->acc = mem_deref(h->acc);
	h->passed = true;

	return *err != 0;
}

/**
 * Look at what a connection brings first
 *
 * @param hp Set to the object, owned by the caller; to be freed before the
 *           connection
 */
int hello_alloc(struct hello **hp, struct tcp_conn *tc)
{
	struct hello *h = mem_zalloc(sizeof(*h), destructor);
	int err;

	if (!h)
		return ENOMEM;

	err = tcp_register_helper(&h->th, tc, LAYER, NULL, NULL, recv_handler,
				  h);
	if (err)
		mem_deref(h);
	else
		*hp = h;

	return err;
}
