#include "parse/rack.h"

#include <errno.h>

#include "parse/hdr.h"

/* The next word; the blanks behind it are passed */
static struct pl word(struct pl *rest)
{
	struct pl w = {rest->p, 0};

	while (rest->l && !hdr_is_lws(*rest->p)) {
		w.l++;
		pl_advance(rest, 1);
	}
	hdr_skip_lws(rest);

	return w;
}

static int number(uint32_t *n, const struct pl *pl)
{
	uint64_t num;
	int err;

	err = hdr_number(&num, pl, UINT32_MAX);
	if (!err)
		*n = (uint32_t)num;

	return err ? EBADMSG : 0;
}

/**
 * Read the number of a provisional answer
 *
 * @return 0, ENOENT where it has none, EBADMSG where it is none
 */
int rack_read_rseq(uint32_t *rseq, const struct sip_msg *msg)
{
	const struct pl *val = hdr_get(msg, HDR_RSEQ);
	struct pl rest, num;
	int err;

	if (!val)
		return ENOENT;
	rest = *val;
	num = word(&rest);
	err = number(rseq, &num);

	return !err && (rest.l || !*rseq) ? EBADMSG : err;
}

/**
 * Read what a PRACK is for
 *
 * @return 0, ENOENT where it does not say, EBADMSG
 */
int rack_read(struct rack *r, const struct sip_msg *msg)
{
	const struct pl *val = hdr_get(msg, HDR_RACK);
	struct pl rest, rseq, cseq;

	if (!val)
		return ENOENT;
	rest = *val;
	rseq = word(&rest);
	cseq = word(&rest);
	r->method = word(&rest);
	if (rest.l || !r->method.l)
		return EBADMSG;

	return number(&r->rseq, &rseq) ? EBADMSG : number(&r->cseq, &cseq);
}
