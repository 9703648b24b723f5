/*
 * Any datagram: the verdict, the answer, and what libre is given.
 */
#include "fuzz.h"

#include "gate/recheck.h"
#include "gate/refusal.h"
#include "parse/hdr.h"
#include "parse/sanity.h"

enum { ANSWER_EXTRA = 512 };

/* An answer is a response that we would take for one */
static void answer(const struct sanity *m, const char *p, size_t size)
{
	struct mbuf *mb = NULL;
	struct sanity r;
	struct sa src;

	HOLDS(!sa_set_str(&src, "192.0.2.1", 5060));
	if (refusal_encode(&mb, m, p, &src))
		return;
	HOLDS(mbuf_get_left(mb) <= 2 * size + ANSWER_EXTRA);
	(void)sanity_parse(&r, (const char *)mbuf_buf(mb), mbuf_get_left(mb));
	HOLDS(r.kind == SANITY_RESPONSE && !r.cut && r.has_length);
	HOLDS(r.head_len == mbuf_get_left(mb));
	mem_deref(mb);
}

/* What passes has all that libre reads */
static void passes(const struct sanity *m, const char *p, size_t size)
{
	char branch[SANITY_BRANCH_SIZE];
	struct mbuf *mb = mbuf_alloc(size);
	struct sip_msg *msg;
	const char *why;

	HOLDS(m->via.val.p && m->from.l && m->to.l && m->call_id.l);
	HOLDS(!sanity_branch(branch, sizeof(branch), m));

	HOLDS(mb && !mbuf_write_mem(mb, (const uint8_t *)p, size));
	mb->end = m->head_len + m->body_len;
	mbuf_set_pos(mb, 0);
	if (!sip_msg_decode(&msg, mb)) {
		HOLDS(!sa_set_str(&msg->src, "192.0.2.1", 5060));
		if (msg->req) {
			HOLDS(!pl_cmp(&msg->met, &m->method));
			HOLDS(recheck_request(msg, &why) <= 0);
			(void)hdr_body_len(msg);
		}
		mem_deref(msg);
	}
	mem_deref(mb);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *p = fuzz_bytes(data, size);
	struct sanity m;

	(void)sanity_parse(&m, p, size);
	if (m.kind == SANITY_REQUEST || m.kind == SANITY_RESPONSE) {
		HOLDS(m.head_len <= size && m.body_len <= size - m.head_len);
		HOLDS(!m.scode == !m.why);
	}
	if (m.kind == SANITY_REQUEST) {
		if (m.scode)
			answer(&m, p, size);
		else
			passes(&m, p, size);
	}
	free(p);

	return 0;
}
