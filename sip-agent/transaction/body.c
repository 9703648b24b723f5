/*
 * Bodies, inflated where they came deflated: linphone sends so.  Bodies are
 * kept and passed on without an encoding.
 */
#include "transaction/body.h"

#include <errno.h>

#include "common/inflate.h"
#include "parse/hdr.h"
#include "pg/pgval.h"
#include "transaction/uas.h"

/* Inflates to one byte more than allowed, which shows that it is too much */
static int decode(struct body *b, const struct pl *coded)
{
	size_t len = 0;
	int err;

	b->decoded = mbuf_alloc(BODY_MAX_LEN + 1);
	if (!b->decoded)
		return ENOMEM;

	err = inflate_bytes(b->decoded->buf, &len, b->decoded->size, coded->p,
			    coded->l);
	b->data = (struct pl){(const char *)b->decoded->buf, len};

	return err;
}

/**
 * Read the body of a request
 *
 * @param b Filled in; to be given to body_close in any case
 *
 * @return 0, ENOTSUP where its encoding is unknown, EBADMSG where it is not
 *         what its encoding says, EMSGSIZE, ENOMEM
 */
int body_open(struct body *b, const struct sip_msg *msg)
{
	const struct pl *encoding = hdr_get(msg, HDR_CONTENT_ENCODING);
	const struct pl came = {(const char *)mbuf_buf(msg->mb),
				hdr_body_len(msg)};
	int err = 0;

	*b = (struct body){.data = came};
	if (came.l && encoding && encoding->l &&
	    pl_strcasecmp(encoding, "identity"))
		err = pl_strcasecmp(encoding, "deflate") ? ENOTSUP
							 : decode(b, &came);
	if (!err && b->data.l > BODY_MAX_LEN)
		err = EMSGSIZE;

	return err;
}

/**
 * The same where it must be a session description (RFC 4566)
 *
 * @param max Bytes of it
 *
 * @return as body_open; ENODATA where there is none, EPROTOTYPE where it is
 *         something else, EILSEQ where it is no text
 */
int body_open_sdp(struct body *b, const struct sip_msg *msg, size_t max)
{
	int err;

	err = body_open(b, msg);
	if (err)
		return err;
	if (!b->data.l)
		return ENODATA;
	if (!msg_ctype_cmp(&msg->ctyp, "application", "sdp"))
		return EPROTOTYPE;
	if (b->data.l > max)
		return EMSGSIZE;

	return pg_is_text(b->data.p, b->data.l) ? 0 : EILSEQ;
}

void body_close(struct body *b)
{
	b->decoded = mem_deref(b->decoded);
}

/** Answer what body_open or body_open_sdp returned (RFC 3261 section 21.4.13)
 */
void body_refuse(struct uas *u, int err)
{
	switch (err) {
	case EPROTOTYPE:
		uas_reply(u, 415, NULL, "Accept: application/sdp\r\n");
		break;

	case EILSEQ:
		uas_reply(u, 400, "Bad SDP", NULL);
		break;

	case ENOTSUP:
		uas_reply(u, 415, NULL,
			  "Accept-Encoding: deflate, identity\r\n");
		break;

	case EBADMSG:
		uas_reply(u, 400, "Bad Content-Encoding", NULL);
		break;

	case EMSGSIZE:
		uas_refuse(u, 413);
		break;

	default:
		uas_refuse(u, 503);
		break;
	}
}
