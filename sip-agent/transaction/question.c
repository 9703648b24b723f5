/*
 * The number is random and goes nowhere else: who answers with it has read the
 * question.
 */
#include "transaction/question.h"

#include <errno.h>
#include <string.h>

#include "transaction/address.h"

enum {
	ID_SIZE = 17,
};

#define BRANCH "z9hG4bKprobe"

/**
 * Write it
 *
 * @param mbp Set to the message, owned by the caller
 */
int question_encode(struct mbuf **mbp, struct sip *sip,
		    const struct address *to, uint64_t id)
{
	const enum sip_transp tp = to->tp;
	const struct sa *dst = &to->sa;
	struct mbuf *mb;
	struct sa laddr;
	int err;

	err = sip_transp_laddr(sip, &laddr, tp, dst);
	if (err)
		return err;

	mb = mbuf_alloc(512);
	if (!mb)
		return ENOMEM;

	/* not to be forwarded: it is of this hop alone */
	err = mbuf_printf(mb,
			  "OPTIONS sip:%J%s SIP/2.0\r\n"
			  "Via: SIP/2.0/%s %J;branch=" BRANCH
			  "%016llx;rport\r\n"
			  "Max-Forwards: 0\r\n"
			  "To: <sip:%J>\r\n"
			  "From: <sip:%J>;tag=%08x\r\n"
			  "Call-ID: %016llx@restsip\r\n"
			  "CSeq: 1 OPTIONS\r\n"
			  "User-Agent: restsip\r\n"
			  "Content-Length: 0\r\n\r\n",
			  dst, sip_transp_param(tp), sip_transp_name(tp),
			  &laddr, id, dst, &laddr, rand_u32(), rand_u64());
	if (err)
		mem_deref(mb);
	else
		*mbp = mb;

	return err;
}

/**
 * Whether what has come over a connection has a final answer in it:
 * `SIP/2.0 200`, and the branch that nobody else can know
 */
bool question_is_answered(const struct mbuf *in, uint64_t id)
{
	static const char version[] = "SIP/2.0 ";
	const size_t len = sizeof(version) - 1;
	const char *p = (const char *)in->buf, *end = p + in->end;
	char branch[sizeof(BRANCH) + ID_SIZE];

	(void)re_snprintf(branch, sizeof(branch), BRANCH "%016llx", id);
	while (p < end) {
		const char *next = memmem(p, (size_t)(end - p), "\r\n\r\n", 4);
		struct pl code;

		if (!next)
			return false;
		if (next > p + len + 3 && !memcmp(p, version, len) &&
		    memmem(p, (size_t)(next - p), branch, strlen(branch))) {
			code = (struct pl){p + len, 3};
			if (pl_u32(&code) >= QUESTION_CODE_MIN)
				return true;
		}
		p = next + 4;
	}

	return false;
}

/**
 * The number of the question that a response is to
 *
 * @return false: it is to none
 */
bool question_id(uint64_t *id, const struct sip_msg *msg)
{
	const size_t len = sizeof(BRANCH) - 1;
	struct pl hex = msg->via.branch;

	if (hex.l != len + ID_SIZE - 1 || memcmp(hex.p, BRANCH, len))
		return false;
	pl_advance(&hex, (ssize_t)len);
	*id = pl_x64(&hex);

	return true;
}
