/*
 * Written by libre's sip_treplyf(), the answers of a registration make the
 * agent use 1.9 times as much of the processor (bench/register's load).
 */
#include "transaction/answer.h"

#include <errno.h>

#include "parse/via.h"
#include "transaction/codes.h"

enum { SIZE = 768 }; /* of most answers */

static int write_line(struct mbuf *mb, const struct sip_hdr *hdr)
{
	int err;

	err = mbuf_write_pl(mb, &hdr->name);
	err |= mbuf_write_str(mb, ": ");
	err |= mbuf_write_pl(mb, &hdr->val);

	return err;
}

/* With where the request came from.  rport: set where it asks for the answer
   there */
static int write_top_via(struct mbuf *mb, bool *rport,
			 const struct sip_hdr *hdr, const struct sip_msg *msg)
{
	struct pl list = hdr->val;
	struct via v;
	int err;

	err = mbuf_write_pl(mb, &hdr->name);
	err |= mbuf_write_str(mb, ": ");
	if (via_take(&v, &list)) /* the gate saw to it */
		return err | mbuf_write_pl(mb, &hdr->val);

	*rport = via_has_rport(&v);

	return err | via_write(mb, &v, &msg->src,
			       !sa_cmp(&msg->src, &msg->via.addr, SA_ADDR));
}

static int write_end(struct mbuf *mb, const struct answer *a)
{
	int err;

	err = mbuf_write_str(mb, "Server: restsip\r\n");
	if (a->hdrs)
		err |= mbuf_write_str(mb, a->hdrs);
	if (a->body.l)
		err |= mbuf_printf(mb, "Content-Type: %s\r\n", a->content_type);

	return err | mbuf_printf(mb, "Content-Length: %zu\r\n\r\n%r", a->body.l,
				 &a->body);
}

static int write_to(struct mbuf *mb, const struct sip_hdr *hdr,
		    const struct sip_msg *msg, uint16_t scode)
{
	int err;

	err = write_line(mb, hdr);
	if (!pl_isset(&msg->to.tag) && scode > 100)
		err |= mbuf_printf(mb, ";tag=%016llx", msg->tag);

	return err;
}

/**
 * Write an answer
 *
 * @param mbp Set to it, owned by the caller
 * @param dst Set to where it goes
 * @param msg The request
 *
 * @return 0 or ENOMEM
 */
int answer_encode(struct mbuf **mbp, struct sa *dst, const struct sip_msg *msg,
		  const struct answer *a)
{
	struct mbuf *mb = mbuf_alloc(SIZE);
	bool top = true, rport = false;
	int err;

	if (!mb)
		return ENOMEM;

	err = mbuf_printf(mb, "SIP/2.0 %u %s\r\n", a->scode,
			  a->reason ? a->reason : codes_reason(a->scode));
	for (struct le *le = list_head(&msg->hdrl); le && !err; le = le->next) {
		const struct sip_hdr *hdr = le->data;

		switch (hdr->id) {
		case SIP_HDR_VIA:
			err = top ? write_top_via(mb, &rport, hdr, msg)
				  : write_line(mb, hdr);
			top = false;
			break;

		case SIP_HDR_TO:
			err = write_to(mb, hdr, msg, a->scode);
			break;

		case SIP_HDR_RECORD_ROUTE:
			/* section 12.1.1 */
			if (!a->dialog)
				continue;
			err = write_line(mb, hdr);
			break;

		case SIP_HDR_FROM:
		case SIP_HDR_CALL_ID:
		case SIP_HDR_CSEQ:
			err = write_line(mb, hdr);
			break;

		default:
			continue;
		}
		err |= mbuf_write_str(mb, "\r\n");
	}
	err |= write_end(mb, a);
	mbuf_set_pos(mb, 0);
	if (err) {
		mem_deref(mb);
		return ENOMEM;
	}

	sip_reply_addr(dst, msg, rport);
	*mbp = mb;

	return 0;
}
