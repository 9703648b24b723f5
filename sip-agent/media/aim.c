/*
 * It is read more strictly than the relay does: what would be understood there
 * otherwise than here is not let through.
 */
#include "media/aim.h"

#include <errno.h>
#include <string.h>

enum {
	ANY_PORT = 9, /* of a stream that has none */
};

/* What is known of the stream that is being read */
struct stream {
	struct sa at, rtcp;
	uint16_t port, rtcp_port;
};

struct aim {
	aim_h *may;
	void *arg;
	size_t versions; /* v= lines: with a second one all begins anew */
	size_t streams;
	struct sa all; /* of streams that have no c= of their own */
	struct stream s;
};

/* Up to the next blank, of which there is one */
static struct pl take_word(struct pl *line)
{
	const char *blank = line->l ? memchr(line->p, ' ', line->l) : NULL;
	struct pl word = {line->p, blank ? (size_t)(blank - line->p) : line->l};

	pl_advance(line, (ssize_t)(word.l + (blank ? 1 : 0)));

	return word;
}

static bool begins(struct pl *line, const char *with)
{
	const size_t len = strlen(with);

	if (line->l < len || memcmp(line->p, with, len))
		return false;
	pl_advance(line, (ssize_t)len);

	return true;
}

static int read_port(uint16_t *port, const struct pl *digits)
{
	uint32_t n = 0;

	if (!digits->l)
		return EPROTO;
	for (size_t i = 0; i < digits->l; i++) {
		if (digits->p[i] < '0' || digits->p[i] > '9')
			return EPROTO;
		n = 10 * n + (uint32_t)(digits->p[i] - '0');
		if (n > UINT16_MAX)
			return EPROTO;
	}
	*port = (uint16_t)n;

	return 0;
}

/* As "IN IP4 192.0.2.1", and no more */
static int read_address(struct sa *sa, struct pl line)
{
	const struct pl net = take_word(&line), family = take_word(&line);
	const int af = !pl_strcmp(&family, "IP4")   ? AF_INET
		       : !pl_strcmp(&family, "IP6") ? AF_INET6
						    : AF_UNSPEC;

	if (pl_strcmp(&net, "IN") || af == AF_UNSPEC || !line.l ||
	    sa_set(sa, &line, ANY_PORT) || sa_af(sa) != af)
		return EPROTO;

	return 0;
}

static bool may_be(const struct aim *a, const struct sa *at, uint16_t port)
{
	struct sa sa = *at;

	sa_set_port(&sa, port ? port : ANY_PORT);

	return a->may(&sa, a->arg);
}

/* The stream is over, or what comes before all of them */
static int end_part(struct aim *a)
{
	const struct stream *s = &a->s;
	const struct sa *at = sa_af(&s->at) ? &s->at : &a->all;
	const struct sa *rtcp = sa_af(&s->rtcp) && !sa_is_any(&s->rtcp)
					? &s->rtcp
					: at; /* as the relay has it */

	if (!a->streams) {
		a->all = s->at;
		if (s->rtcp_port)
			return EPROTO;
		/* also where each stream has one of its own */
		return !sa_af(at) || may_be(a, at, ANY_PORT) ? 0 : EACCES;
	}
	if (!sa_af(at))
		return EPROTO;
	if (!may_be(a, at, s->port) || !may_be(a, rtcp, s->rtcp_port))
		return EACCES;

	/* where its RTCP goes if nothing else is said */
	return !s->port || s->port == UINT16_MAX ||
			       may_be(a, at, (uint16_t)(s->port + 1))
		       ? 0
		       : EACCES;
}

static int begin_stream(struct aim *a, struct pl line)
{
	struct pl port;
	int err;

	err = end_part(a);
	if (err)
		return err;
	if (++a->streams > AIM_STREAMS_MAX)
		return E2BIG;
	memset(&a->s, 0, sizeof(a->s));
	(void)take_word(&line);
	port = take_word(&line);

	return read_port(&a->s.port, &port);
}

/** Where the first stream of a session description has media sent to; false: it
    says nothing of it */
bool aim_first(struct sa *sa, const struct pl *sdp)
{
	const char *c = sdp->l ? memmem(sdp->p, sdp->l, "\nc=", 3) : NULL;
	const char *all = sdp->p + sdp->l;
	struct pl line;

	if (!c)
		return false;
	c += 3;
	line = (struct pl){c, 0};
	while (c + line.l < all && c[line.l] != '\r' && c[line.l] != '\n')
		line.l++;

	return !read_address(sa, line);
}

/** The ports of its streams; 0: it has no more of them, or that one has none */
void aim_ports(uint16_t portv[static AIM_STREAMS_MAX], const struct pl *sdp)
{
	struct pl rest = *sdp;

	for (size_t i = 0; i < AIM_STREAMS_MAX; i++) {
		const char *m = rest.l ? memmem(rest.p, rest.l, "\nm=", 3)
				       : NULL;
		struct pl line, port;

		portv[i] = 0;
		if (!m)
			continue;
		pl_advance(&rest, m + 3 - rest.p);
		line = (struct pl){rest.p, 0};
		while (line.l < rest.l && line.p[line.l] != '\n')
			line.l++;
		(void)take_word(&line);
		port = take_word(&line);
		if (read_port(&portv[i], &port))
			portv[i] = 0;
	}
}

static int read_connection(struct aim *a, const struct pl *line)
{
	return sa_af(&a->s.at) ? EPROTO : read_address(&a->s.at, *line);
}

/* RFC 3605 */
static int read_rtcp(struct aim *a, struct pl line)
{
	const struct pl port = take_word(&line);
	int err;

	err = a->s.rtcp_port ? EPROTO : read_port(&a->s.rtcp_port, &port);

	return err || !line.l ? err : read_address(&a->s.rtcp, line);
}

/* RFC 8839 section 5.1; names, as those of mDNS, are nothing to the relay */
static bool may_try(const struct aim *a, struct pl line)
{
	struct pl address, digits;
	struct sa sa;
	uint16_t port;

	for (int i = 0; i < 4; i++)
		(void)take_word(&line);
	address = take_word(&line);
	digits = take_word(&line);

	return address.l && !sa_set(&sa, &address, ANY_PORT) &&
	       !read_port(&port, &digits) && port && !sa_is_any(&sa) &&
	       may_be(a, &sa, port);
}

/* @param keep Set to whether the relay is to hear it: candidates are proposals,
   without which ICE finds others */
static int read_line(struct aim *a, struct pl line, bool *keep)
{
	*keep = true;
	if (begins(&line, "v="))
		return a->versions++ ? EPROTO : 0;
	if (begins(&line, "m="))
		return begin_stream(a, line);
	if (begins(&line, "c="))
		return read_connection(a, &line);
	if (begins(&line, "a=rtcp:"))
		return read_rtcp(a, line);
	if (begins(&line, "a=candidate:"))
		*keep = may_try(a, line);
	else if (begins(&line, "a=remote-candidates:"))
		*keep = false;

	return 0;
}

/**
 * Write a session description as a relay may hear it: without the candidates
 * that may not be sent to
 *
 * @param b   Has room for it
 * @param may Asked about each address
 *
 * @return 0; EMSGSIZE: it is too long; E2BIG: it has too many streams; EACCES:
 *         it has media sent where none may be; EPROTO: it is none
 */
int aim_check(struct buf *b, const struct pl *sdp, aim_h *may, void *arg)
{
	struct aim a = {.may = may, .arg = arg};
	struct pl rest = *sdp;
	int err = sdp->l > AIM_SDP_MAX ? EMSGSIZE : 0;

	while (!err && rest.l) {
		const char *end = memchr(rest.p, '\n', rest.l);
		const size_t len = end ? (size_t)(end - rest.p) + 1 : rest.l;
		struct pl line = {rest.p, len};
		bool keep;

		while (line.l && (line.p[line.l - 1] == '\n' ||
				  line.p[line.l - 1] == '\r'))
			line.l--;
		if (!line.l || *line.p == '\r')
			break; /* the relay reads no further */
		err = read_line(&a, line, &keep);
		if (!err && keep)
			buf_add(b, rest.p, len);
		pl_advance(&rest, (ssize_t)len);
	}
	if (!err)
		err = end_part(&a);
	if (!err && b->failed)
		err = ENOMEM;

	return err;
}
