/*
 * What is filled in is what the agent reads of a request: the first line, the
 * topmost Via, the tags, Call-ID, CSeq and Content-Type, and all headers in
 * order (a value each of Via and Route, a line each of all others, as libre has
 * it).  What else libre knows of, such as the hash of headers, is left empty:
 * libre's transactions and dialogs must not be given such a request.
 *
 * Through libre's decoder and stack, after our own strict look, a registration
 * costs the agent twice as much of the processor (bench/register's load).
 */
#include "gate/decode.h"

#include <errno.h>
#include <string.h>

#include "common/secret.h"
#include "parse/hdr.h"
#include "parse/sanity.h"
#include "parse/sanity_field.h"

enum {
	HEADERS_MAX = SANITY_LINES_MAX + SANITY_VIAS_MAX,
};

/** A message with its headers, which live and go together */
struct whole {
	struct sip_msg msg; /* first */
	struct sip_hdr hdrv[];
};

struct found {
	struct sip_hdr hdrv[HEADERS_MAX];
	size_t hdrc;
	struct pl type;
};

static void destructor(void *arg)
{
	struct sip_msg *msg = arg;

	mem_deref(msg->sock);
	mem_deref(msg->mb);
}

/* --- headers -------------------------------------------------------------- */

static bool add(struct found *f, enum sip_hdrid id, const struct pl *name,
		const struct pl *val)
{
	if (f->hdrc == HEADERS_MAX)
		return false;
	f->hdrv[f->hdrc++] = (struct sip_hdr){
		.id = id, .name = *name, .val = *val};

	return true;
}

static bool add_vias(struct found *f, const struct sanity_line *line)
{
	struct pl list = line->val;
	struct via v;

	while (!via_take(&v, &list)) {
		if (!add(f, SIP_HDR_VIA, &line->name, &v.val))
			return false;
	}

	return true;
}

static bool take_line(struct found *f, const struct sanity_line *line)
{
	const enum sip_hdrid id = hdr_id(&line->name);

	if (id == SIP_HDR_VIA)
		return add_vias(f, line);
	if (id == SIP_HDR_CONTENT_TYPE)
		f->type = line->val;

	return add(f, id, &line->name, &line->val);
}

/* --- the message ---------------------------------------------------------- */

static void take_via(struct sip_via *dst, const struct via *v)
{
	const char *end = v->val.p + v->val.l, *params;
	struct pl host = v->host;

	dst->val = v->val;
	params = memchr(v->host.p, ';', (size_t)(end - v->host.p));
	if (!params)
		params = end;
	dst->params = (struct pl){params, (size_t)(end - params)};
	dst->sentby = (struct pl){v->host.p, (size_t)(params - v->host.p)};
	while (dst->sentby.l && hdr_is_lws(dst->sentby.p[dst->sentby.l - 1]))
		dst->sentby.l--;
	dst->branch = v->branch;
	dst->tp = SIP_TRANSP_UDP;

	if (host.l > 2 && *host.p == '[')
		host = (struct pl){host.p + 1, host.l - 2};
	sa_init(&dst->addr, AF_INET);
	(void)sa_set(&dst->addr, &host, 0); /* a name has no address */
	sa_set_port(&dst->addr, v->port);
}

static int take_cseq(struct sip_cseq *dst, const struct sanity *m)
{
	struct pl num = {m->cseq.p, 0};
	uint64_t n;

	while (num.l < m->cseq.l && m->cseq.p[num.l] >= '0' &&
	       m->cseq.p[num.l] <= '9')
		num.l++;
	if (hdr_number(&n, &num, SANITY_FIELD_CSEQ_MAX))
		return EBADMSG;
	dst->num = (uint32_t)n;
	dst->met = m->method; /* sanity_parse has compared them */

	return 0;
}

static int fill(struct sip_msg *msg, const struct sanity *m, struct found *f)
{
	int err;

	msg->req = true;
	msg->met = m->method;
	msg->ruri = m->uri;
	msg->ver = (struct pl){"SIP/2.0", 7};
	msg->callid = m->call_id;
	msg->from.val = m->from;
	msg->to.val = m->to;
	(void)sanity_field_tag(&msg->from.tag, &m->from);
	(void)sanity_field_tag(&msg->to.tag, &m->to);
	take_via(&msg->via, &m->via);

	err = random_bytes(&msg->tag, sizeof(msg->tag));
	if (!err)
		err = take_cseq(&msg->cseq, m);
	if (!err)
		err = uri_decode(&msg->uri, &m->uri);
	if (!err && f->type.p)
		err = msg_ctype_decode(&msg->ctyp, &f->type);

	return err;
}

/**
 * Make a message of a sound request
 *
 * @param msgp Set to the message, owned by the caller
 * @param m    What sanity_parse has found, with a branch, in the buffer
 * @param mb   Referenced; ends where the body does, and stands where it begins
 *             when the message is made
 *
 * @return 0 or an errno
 */
int decode_request(struct sip_msg **msgp, const struct sanity *m,
		   struct mbuf *mb)
{
	struct found f;
	struct whole *w;
	int err;

	f.hdrc = 0;
	f.type = pl_null;
	for (unsigned i = 0; i < m->linec; i++) {
		if (!take_line(&f, &m->linev[i]))
			return EOVERFLOW;
	}

	w = mem_zalloc(sizeof(*w) + f.hdrc * sizeof(*f.hdrv), destructor);
	if (!w)
		return ENOMEM;

	for (size_t i = 0; i < f.hdrc; i++) {
		w->hdrv[i] = f.hdrv[i];
		list_append(&w->msg.hdrl, &w->hdrv[i].le, &w->hdrv[i]);
	}
	err = fill(&w->msg, m, &f);
	if (err) {
		mem_deref(w);
		return err;
	}

	w->msg.mb = mem_ref(mb);
	mbuf_advance(mb, (ssize_t)m->head_len);
	*msgp = &w->msg;

	return 0;
}
