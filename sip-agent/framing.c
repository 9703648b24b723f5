/*
 * libre gives a connection up when a message of more than 64 KiB, headers
 * included, comes in pieces.  So pieces are put together here, and libre sees
 * whole messages only.  This begins with the second message of a connection,
 * for the first is what the connection is known by; whoever pipelines into
 * the first is left to libre.  Strict parsing of TCP belongs here too.
 */
#include "framing.h"

#include <errno.h>
#include <string.h>

#include "hdr.h"

enum {
	BUCKETS = 1024,
	NEVER_S = 2000000, /* as in flow.c */
	LAYER = 10,
};

struct framing {
	struct hash *conns; /* struct conn, by libre's connection */
};

struct conn {
	struct le he;
	void *sock;
	struct sip_keepalive *ka;
	struct tcp_helper *th; /* NULL once the connection has closed */
	struct mbuf *acc;      /* what is not whole yet */
	bool aligned;	       /* it was seen where a message begins */
	bool given_up;
};

static void conn_destructor(void *arg)
{
	struct conn *c = arg;

	hash_unlink(&c->he);
	mem_deref(c->ka);
	mem_deref(c->th);
	mem_deref(c->acc);
}

static void destructor(void *arg)
{
	struct framing *fr = arg;

	hash_flush(fr->conns);
	mem_deref(fr->conns);
}

/** Allocate; owned by the caller */
int framing_alloc(struct framing **fp)
{
	struct framing *fr = mem_zalloc(sizeof(*fr), destructor);
	int err;

	if (!fr)
		return ENOMEM;

	err = hash_alloc(&fr->conns, BUCKETS);
	if (err)
		mem_deref(fr);
	else
		*fp = fr;

	return err;
}

/* --- the bytes ---------------------------------------------------------- */

/* Whether a line is Content-Length's, and its value */
static bool is_length(struct pl *val, const struct pl *line)
{
	const char *colon = pl_strchr(line, ':');
	struct pl name;

	if (!colon)
		return false;

	name = (struct pl){line->p, (size_t)(colon - line->p)};
	while (name.l && strchr(" \t", name.p[name.l - 1]))
		name.l--;
	*val = (struct pl){colon + 1, (size_t)(line->p + line->l - colon - 1)};
	while (val->l && strchr(" \t", *val->p))
		pl_advance(val, 1);

	return !pl_strcasecmp(&name, "Content-Length") ||
	       !pl_strcasecmp(&name, "l");
}

/* Content-Length of a head; without one there is no body */
static int body_len(size_t *len, const char *head, size_t head_len)
{
	const char *p = head, *end = head + head_len, *eol;
	uint64_t n = 0;
	int err = 0;

	while (!err && (eol = memmem(p, (size_t)(end - p), "\r\n", 2))) {
		const struct pl line = {p, (size_t)(eol - p)};
		struct pl val;

		if (is_length(&val, &line))
			err = hdr_number(&n, &val, FRAMING_BODY_MAX);
		p = eol + 2;
	}
	*len = (size_t)n;

	return err;
}

/* Bytes of the message at p, 0 while it is not whole */
static int message_len(size_t *len, const char *p, size_t left)
{
	const char *end = memmem(p, left, "\r\n\r\n", 4);
	size_t head, body;
	int err;

	*len = 0;
	if (!end)
		return left > FRAMING_HEAD_MAX ? EMSGSIZE : 0;

	head = (size_t)(end - p) + 4;
	err = body_len(&body, p, head);
	if (!err && left >= head + body)
		*len = head + body;

	return err;
}

/* Bytes of all whole messages at p, and of the empty lines around them */
static int whole_len(size_t *len, const char *p, size_t left)
{
	size_t n = 0, one;
	int err;

	for (;;) {
		while (left - n >= 2 && !memcmp(p + n, "\r\n", 2))
			n += 2;
		err = message_len(&one, p + n, left - n);
		if (err || !one)
			break;
		n += one;
	}
	*len = n;

	return err;
}

/**
 * Add what came to what was there, and take all whole messages
 *
 * @param acc   What is not whole yet
 * @param in    What came; set to the whole messages
 * @param whole Set to whether there are any
 *
 * @return 0; EMSGSIZE, EOVERFLOW or EBADMSG where a message is too large or
 *         has no length; ENOMEM
 */
int framing_take(struct mbuf *acc, struct mbuf *in, bool *whole)
{
	size_t len;
	int err;

	*whole = false;
	mbuf_skip_to_end(acc);
	err = mbuf_write_mem(acc, mbuf_buf(in), mbuf_get_left(in));
	if (err)
		return err;

	err = whole_len(&len, (const char *)acc->buf, acc->end);
	if (err || !len)
		return err;

	mbuf_rewind(in);
	err = mbuf_write_mem(in, acc->buf, len);
	if (err)
		return err;
	mbuf_set_pos(in, 0);

	memmove(acc->buf, acc->buf + len, acc->end - len);
	mbuf_set_pos(acc, 0);
	mbuf_set_end(acc, acc->end - len);
	if (!acc->end)
		mbuf_reset(acc); /* an idle connection keeps nothing */
	*whole = true;

	return 0;
}

/* --- the connections ---------------------------------------------------- */

static bool is_start(const struct mbuf *mb)
{
	const char *p = (const char *)mbuf_buf(mb);
	size_t left = mbuf_get_left(mb);
	struct pl line;

	while (left && (*p == '\r' || *p == '\n')) {
		p++;
		left--;
	}

	return !left || (!re_regex(p, left, "[^\r\n]+", &line) && line.p == p &&
			 (memmem(line.p, line.l, " sip", 4) ||
			  memmem(line.p, line.l, "SIP/2.0 ", 8)));
}

static bool recv_handler(int *err, struct mbuf *mb, bool *estab, void *arg)
{
	struct conn *c = arg;
	bool whole;

	(void)estab;
	if (!c->aligned) {
		c->aligned = true;
		c->given_up = !is_start(mb);
	}
	if (c->given_up)
		return false;

	*err = framing_take(c->acc, mb, &whole);

	return !whole;
}

static void closed_handler(int err, void *arg)
{
	struct conn *c = arg;

	(void)err;
	c->th = NULL; /* went with the connection */
	mem_deref(c);
}

static bool sock_handler(struct le *le, void *arg)
{
	const struct conn *c = le->data;

	return c->sock == arg;
}

static uint32_t sock_key(const void *sock)
{
	return hash_joaat((const uint8_t *)&sock, sizeof(sock));
}

/**
 * Frame the connection that a message came by from now on
 *
 * @return 0, also where that is so already, or an errno
 */
int framing_attach(struct framing *fr, struct sip *sip,
		   const struct sip_msg *msg)
{
	struct conn *c;
	int err;

	if (hash_lookup(fr->conns, sock_key(msg->sock), sock_handler,
			msg->sock))
		return 0;

	c = mem_zalloc(sizeof(*c), conn_destructor);
	if (!c)
		return ENOMEM;

	c->sock = msg->sock;
	c->acc = mbuf_alloc(0);
	err = c->acc ? 0 : ENOMEM;
	if (!err)
		err = sip_keepalive_start(&c->ka, sip, msg, NEVER_S,
					  closed_handler, c);
	if (!err)
		err = tcp_register_helper(&c->th, sip_msg_tcpconn(msg), LAYER,
					  NULL, NULL, recv_handler, c);
	if (err) {
		mem_deref(c);
		return err;
	}
	hash_append(fr->conns, sock_key(c->sock), &c->he, c);

	return 0;
}
