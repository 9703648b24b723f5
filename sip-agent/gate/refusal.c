/*
 * Copies what an answer must repeat of the request, line by line.
 */
#include "gate/refusal.h"

#include <errno.h>
#include <string.h>

#include "common/secret.h"
#include "parse/sanity.h"
#include "parse/sanity_field.h"

enum { TAG_BYTES = 8 };

struct writing {
	struct mbuf *mb;
	const struct sanity *m;
	const struct sa *src;
	uint8_t tag[SHA256_SIZE];
	uint64_t written; /* a bit a field */
};

/* On one line; a folded one is unfolded */
static int write_value(struct mbuf *mb, const struct pl *val)
{
	int err = 0;

	for (size_t i = 0; i < val->l; i++) {
		const char c = val->p[i];

		if (c != '\r' && c != '\n')
			err |= mbuf_write_u8(mb, (uint8_t)c);
	}

	return err;
}

/* The line with the topmost value, which has where it came from */
static int write_top_via(const struct writing *w, const struct pl *val)
{
	const struct via *v = &w->m->via;
	const char *end = v->val.p + v->val.l;
	const struct pl rest = {end, (size_t)(val->p + val->l - end)};
	int err = via_write(w->mb, v, w->src, true);

	return err | write_value(w->mb, &rest);
}

static bool is_top_via(const struct sanity *m, const struct pl *val)
{
	return m->via.val.p && m->via.val.p == val->p;
}

static int write_line(struct writing *w, enum sanity_field_id id,
		      const struct pl *name, const struct pl *val)
{
	struct pl tag;
	int err;

	err = mbuf_printf(w->mb, "%r: ", name);
	if (id == SANITY_FIELD_VIA && is_top_via(w->m, val))
		err |= write_top_via(w, val);
	else
		err |= write_value(w->mb, val);
	if (id == SANITY_FIELD_TO && !sanity_field_tag(&tag, val))
		err |= mbuf_printf(w->mb, ";tag=%w", w->tag, (size_t)TAG_BYTES);

	return err | mbuf_write_str(w->mb, "\r\n");
}

static int take_line(struct writing *w, const struct sanity_line *line)
{
	enum sanity_field_id id;

	if (!sanity_field_find(&id, &line->name))
		return 0;

	switch (id) {
	case SANITY_FIELD_CALL_ID:
	case SANITY_FIELD_CSEQ:
	case SANITY_FIELD_FROM:
	case SANITY_FIELD_TO:
		if (w->written & UINT64_C(1) << id)
			return 0;
		break;

	case SANITY_FIELD_VIA:
		break;

	default:
		return 0;
	}
	w->written |= UINT64_C(1) << id;

	return write_line(w, id, &line->name, &line->val);
}

/**
 * Write the answer that m->scode and m->why say
 *
 * @param mbp  Set to the answer, owned by the caller
 * @param head The message that m is of
 * @param src  Where it came from
 *
 * @return 0, ENOENT where there is no Via to answer by, or another errno
 */
int refusal_encode(struct mbuf **mbp, const struct sanity *m, const char *head,
		   const struct sa *src)
{
	struct writing w = {.m = m, .src = src};
	int err;

	if (!m->vias)
		return ENOENT;

	w.mb = mbuf_alloc(1024);
	if (!w.mb)
		return ENOMEM;

	/* a repeat is answered with the same tag (section 8.2.7) */
	err = sha256(w.tag, head, m->head_len);
	if (!err)
		err = mbuf_printf(w.mb, "SIP/2.0 %u %s\r\n", m->scode, m->why);
	for (unsigned i = 0; i < m->linec && !err; i++)
		err = take_line(&w, &m->linev[i]);
	if (!err && m->scode == 503)
		err = mbuf_printf(w.mb, "Retry-After: %d\r\n",
				  REFUSAL_RETRY_AFTER_S);
	if (!err)
		err = mbuf_write_str(w.mb, "Server: restsip\r\n"
					   "Content-Length: 0\r\n\r\n");
	mbuf_set_pos(w.mb, 0);

	if (err)
		mem_deref(w.mb);
	else
		*mbp = w.mb;

	return err;
}

/** Where an answer over UDP goes: to the source, and there to the port that
    Via says unless it asks for the source's own */
void refusal_dst(struct sa *dst, const struct sanity *m, const struct sa *src)
{
	*dst = *src;
	if (m->via.val.p && !via_has_rport(&m->via))
		sa_set_port(dst, m->via.port ? m->via.port : SIP_PORT);
}
