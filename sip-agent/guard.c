/*
 * Checks of a decoded request that libre leaves out (RFC 3261 sections 8.1.1,
 * 8.2 and 16.3; RFC 4475).  A strict look at the raw bytes, before libre's
 * decoder, belongs in front of this.
 */
#include "guard.h"

#include <string.h>

#include "hdr.h"
#include "nameaddr.h"

enum {
	CSEQ_MAX = 0x7fffffff,	/* RFC 3261 section 8.1.1.5 */
	MAX_FORWARDS_MAX = 255, /* section 20.22 */
	LENGTH_MAX = 0x7fffffff,
};

static int refuse(const char **why, int scode, const char *text)
{
	*why = text;

	return scode;
}

/** Whether an answer may go to this address: no broadcast, no multicast */
bool guard_source(const struct sa *src)
{
	if (!sa_port(src))
		return false;

	if (sa_af(src) == AF_INET) {
		const uint32_t in = sa_in(src);

		return in < 0xe0000000u && in >> 24 != 0;
	}

	if (sa_af(src) == AF_INET6) {
		uint8_t in6[16];

		sa_in6(src, in6);
		return in6[0] != 0xff && !sa_is_any(src);
	}

	return false;
}

/**
 * Whether a reply goes to the source: maddr would send it elsewhere (RFC 3261
 * section 18.2.2), which only multicast needs
 */
bool guard_via(const struct sip_msg *msg)
{
	struct pl maddr;
	struct sa sa;

	if (msg_param_decode(&msg->via.params, "maddr", &maddr))
		return true;

	return !sa_set(&sa, &maddr, 0) && sa_cmp(&sa, &msg->src, SA_ADDR);
}

static int check_lines(const struct sip_msg *msg, const char **why)
{
	static const enum hdr single[] = {
		HDR_CALL_ID, HDR_CONTENT_LENGTH, HDR_CONTENT_TYPE, HDR_CSEQ,
		HDR_EXPIRES, HDR_FROM,		 HDR_MAX_FORWARDS, HDR_TO,
	};
	unsigned lines = 0;
	struct le *le;

	LIST_FOREACH(&msg->hdrl, le)
	{
		if (++lines > GUARD_HEADER_LINES_MAX)
			return refuse(why, 400, "Too Many Headers");
		if (hdr_is_impostor(le->data))
			return refuse(why, 400, "Unclear Header Name");
	}

	for (size_t i = 0; i < sizeof(single) / sizeof(*single); i++) {
		if (hdr_count(msg, single[i]) > 1)
			return refuse(why, 400, "Duplicate Header");
	}

	return GUARD_OK;
}

/* Visible characters only (word of RFC 3261 section 25.1, loosely) */
static bool is_word(const struct pl *pl)
{
	for (size_t i = 0; i < pl->l; i++) {
		const unsigned char c = (unsigned char)pl->p[i];

		if (c <= 0x20 || c == 0x7f)
			return false;
	}

	return true;
}

static int check_mandatory(const struct sip_msg *msg, const char **why)
{
	static const struct {
		enum hdr hdr;
		const char *why;
	} needed[] = {
		{HDR_FROM, "Missing From"},
		{HDR_TO, "Missing To"},
		{HDR_CALL_ID, "Missing Call-ID"},
		{HDR_CSEQ, "Missing CSeq"},
	};
	struct nameaddr na;

	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		const struct pl *val = hdr_get(msg, needed[i].hdr);

		if (!val || !val->l)
			return refuse(why, 400, needed[i].why);
	}

	if (!is_word(hdr_get(msg, HDR_CALL_ID)))
		return refuse(why, 400, "Bad Call-ID");
	if (nameaddr_decode(&na, hdr_get(msg, HDR_FROM)))
		return refuse(why, 400, "Bad From");
	if (nameaddr_decode(&na, hdr_get(msg, HDR_TO)))
		return refuse(why, 400, "Bad To");

	return GUARD_OK;
}

static int check_cseq(const struct sip_msg *msg, const char **why)
{
	struct pl val = *hdr_get(msg, HDR_CSEQ), num = {val.p, 0};
	uint64_t n;

	while (val.l && *val.p >= '0' && *val.p <= '9') {
		num.l++;
		pl_advance(&val, 1);
	}
	if (hdr_number(&n, &num, CSEQ_MAX))
		return refuse(why, 400, "Bad CSeq");

	while (val.l && strchr(" \t\r\n", *val.p) && *val.p)
		pl_advance(&val, 1);
	if (pl_cmp(&val, &msg->met))
		return refuse(why, 400, "CSeq Method Mismatch");

	return GUARD_OK;
}

static int check_numbers(const struct sip_msg *msg, const char **why)
{
	const struct pl *val;
	uint64_t n;

	val = hdr_get(msg, HDR_MAX_FORWARDS);
	if (val && hdr_number(&n, val, MAX_FORWARDS_MAX))
		return refuse(why, 400, "Bad Max-Forwards");

	val = hdr_get(msg, HDR_EXPIRES);
	if (val && hdr_number(&n, val, UINT32_MAX))
		return refuse(why, 400, "Bad Expires");

	val = hdr_get(msg, HDR_CONTENT_LENGTH);
	if (!val)
		return GUARD_OK;
	if (hdr_number(&n, val, LENGTH_MAX))
		return refuse(why, 400, "Bad Content-Length");
	if (n > mbuf_get_left(msg->mb))
		return refuse(why, 400, "Body Is Cut");

	return GUARD_OK;
}

/**
 * Check a request
 *
 * @param why Set to the reason phrase where it is refused
 *
 * @return GUARD_OK, GUARD_DROP or the SIP code to refuse with
 */
int guard_request(const struct sip_msg *msg, const char **why)
{
	int scode;

	*why = "";
	if (!guard_source(&msg->src) || !guard_via(msg))
		return GUARD_DROP;

	scode = check_lines(msg, why);
	if (!scode)
		scode = check_mandatory(msg, why);
	if (!scode)
		scode = check_cseq(msg, why);
	if (!scode)
		scode = check_numbers(msg, why);
	if (scode)
		return scode;

	if (pl_strcasecmp(&msg->uri.scheme, "sip") &&
	    pl_strcasecmp(&msg->uri.scheme, "sips"))
		return refuse(why, 416, "Unsupported URI Scheme");

	return GUARD_OK;
}

/**
 * A first look at a raw datagram: whether it can be a SIP message at all
 *
 * What is refused here is dropped in silence.
 */
bool guard_datagram(const char *p, size_t len)
{
	const char *line_end = memchr(p, '\n', len);
	struct pl line;

	if (!line_end)
		return false;

	line = (struct pl){p, (size_t)(line_end - p)};

	return memmem(line.p, line.l, "SIP/", 4) &&
	       (memmem(p, len, "\r\n\r\n", 4) || memmem(p, len, "\n\n", 2));
}

/** Bytes of the body: over UDP Content-Length may say less than came */
size_t guard_body_len(const struct sip_msg *msg)
{
	const struct pl *val = hdr_get(msg, HDR_CONTENT_LENGTH);
	const size_t left = mbuf_get_left(msg->mb);
	uint64_t n;

	if (!val || hdr_number(&n, val, LENGTH_MAX) || n > left)
		return left;

	return (size_t)n;
}
