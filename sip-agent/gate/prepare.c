/*
 * A request without a branch is valid (RFC 2543), but libre drops it: it gets
 * one of ours on the way in, which is taken out of the answer on the way out.
 */
#include "gate/prepare.h"

#include <errno.h>
#include <string.h>

#include "gate/decode.h"
#include "gate/recheck.h"
#include "parse/sanity.h"

enum {
	VIA_LOOKED_AT = 1024, /* bytes of an answer */
};

/* Opens a gap of len bytes at an offset behind the buffer's position */
static int insert(struct mbuf *mb, size_t off, const char *text, size_t len)
{
	const size_t pos = mb->pos, end = mb->end;
	int err = 0;

	if (mbuf_get_space(mb) < mbuf_get_left(mb) + len)
		err = mbuf_resize(mb, end + len);
	if (err)
		return err;

	memmove(mb->buf + pos + off + len, mb->buf + pos + off,
		end - pos - off);
	memcpy(mb->buf + pos + off, text, len);
	mb->end = end + len;

	return 0;
}

static int add_branch(struct mbuf *mb, const struct sanity *m)
{
	char text[SANITY_BRANCH_SIZE + sizeof(";branch=")],
		branch[SANITY_BRANCH_SIZE];
	const size_t off = (size_t)(m->via.val.p + m->via.val.l -
				    (const char *)mbuf_buf(mb));
	int n;

	if (sanity_branch(branch, sizeof(branch), m))
		return ENOMEM;
	n = re_snprintf(text, sizeof(text), ";branch=%s", branch);

	return n < 0 ? ENOMEM : insert(mb, off, text, (size_t)n);
}

/* libre prints what it cannot decode, and its transactions answer repeats
   wherever Via says, as it reads it: neither must come so far.  NULL where it
   is refused; else the caller's, and the buffer stands where the body begins */
static struct sip_msg *decode(struct sanity *m, struct mbuf *mb,
			      const struct sa *src, bool for_libre)
{
	struct sip_msg *msg;
	const int err = for_libre ? sip_msg_decode(&msg, mb)
				  : decode_request(&msg, m, mb);

	if (err) {
		m->scode = err == ENOMEM ? 503 : 400;
		m->why = err == ENOMEM ? "Service Unavailable" : "Bad Request";
		return NULL;
	}
	msg->src = *src;
	if (!recheck_via(msg)) {
		m->kind = SANITY_JUNK; /* an answer would go elsewhere */
		m->why = "Via Leads Elsewhere";
		msg = mem_deref(msg);
	}

	return msg;
}

/**
 * Decode a sound message
 *
 * @param m         Has the code to answer with where it is refused
 * @param mb        Changed where it has no branch; stands where the body begins
 *                  then
 * @param for_libre Whether libre is to get it, which decodes all headers
 *
 * @return The message, owned by the caller; NULL where it is refused
 */
struct sip_msg *prepare_message(struct sanity *m, struct mbuf *mb,
				const struct sa *src, bool for_libre)
{
	mb->end = mb->pos + m->head_len + m->body_len;
	if (m->kind == SANITY_REQUEST && !m->via.branch.l) {
		if (add_branch(mb, m)) {
			m->scode = 503;
			m->why = "Service Unavailable";
			return NULL;
		}
		(void)sanity_parse(m, (const char *)mbuf_buf(mb),
				   mbuf_get_left(mb));
	}

	return decode(m, mb, src, for_libre);
}

/** Take our branch out of an answer that goes out */
void prepare_answer(struct mbuf *mb)
{
	const char mark[] = ";branch=" SANITY_MARK;
	char *p = (char *)mbuf_buf(mb), *at, *end;
	size_t look = mbuf_get_left(mb);

	if (look < 8 || memcmp(p, "SIP/2.0 ", 8))
		return;

	if (look > VIA_LOOKED_AT)
		look = VIA_LOOKED_AT;
	at = memmem(p, look, mark, sizeof(mark) - 1);
	if (!at)
		return;

	end = at + sizeof(mark) - 1 + SANITY_MARKED_LEN;
	if (end > p + mbuf_get_left(mb))
		return;
	memmove(at, end, (size_t)(p + mbuf_get_left(mb) - end));
	mb->end -= (size_t)(end - at);
}
