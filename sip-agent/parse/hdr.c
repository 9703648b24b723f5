/*
 * Headers by name (RFC 3261 section 7.3).  Works on whole lines as they came,
 * not on libre's split values, which know nothing of <> and quoting.
 */
#include "parse/hdr.h"

#include <errno.h>
#include <string.h>

enum {
	CONTENT_LENGTH_MAX = 0x7fffffff,
};

static const struct {
	const char *name;
	enum sip_hdrid id;
	char compact; /* RFC 3261 section 7.3.3 */
} hdrs[HDR_COUNT] = {
	[HDR_ACCEPT] = {"Accept", SIP_HDR_ACCEPT, 0},
	[HDR_ALLOW] = {"Allow", SIP_HDR_ALLOW, 0},
	[HDR_AUTHORIZATION] = {"Authorization", SIP_HDR_AUTHORIZATION, 0},
	[HDR_CALL_ID] = {"Call-ID", SIP_HDR_CALL_ID, 'i'},
	[HDR_CONTACT] = {"Contact", SIP_HDR_CONTACT, 'm'},
	[HDR_CONTENT_ENCODING] = {"Content-Encoding", SIP_HDR_CONTENT_ENCODING,
				  'e'},
	[HDR_CONTENT_LENGTH] = {"Content-Length", SIP_HDR_CONTENT_LENGTH, 'l'},
	[HDR_CONTENT_TYPE] = {"Content-Type", SIP_HDR_CONTENT_TYPE, 'c'},
	[HDR_CSEQ] = {"CSeq", SIP_HDR_CSEQ, 0},
	[HDR_EVENT] = {"Event", SIP_HDR_EVENT, 'o'},
	[HDR_EXPIRES] = {"Expires", SIP_HDR_EXPIRES, 0},
	[HDR_FROM] = {"From", SIP_HDR_FROM, 'f'},
	[HDR_MAX_FORWARDS] = {"Max-Forwards", SIP_HDR_MAX_FORWARDS, 0},
	[HDR_MIN_SE] = {"Min-SE", SIP_HDR_MIN_SE, 0},
	[HDR_PATH] = {"Path", SIP_HDR_PATH, 0},
	[HDR_PROXY_REQUIRE] = {"Proxy-Require", SIP_HDR_PROXY_REQUIRE, 0},
	[HDR_RACK] = {"RAck", SIP_HDR_RACK, 0},
	[HDR_RECORD_ROUTE] = {"Record-Route", SIP_HDR_RECORD_ROUTE, 0},
	[HDR_REFER_SUB] = {"Refer-Sub", SIP_HDR_REFER_SUB, 0},
	[HDR_REFER_TO] = {"Refer-To", SIP_HDR_REFER_TO, 'r'},
	[HDR_REPLACES] = {"Replaces", SIP_HDR_REPLACES, 0},
	[HDR_REQUIRE] = {"Require", SIP_HDR_REQUIRE, 0},
	[HDR_RETRY_AFTER] = {"Retry-After", SIP_HDR_RETRY_AFTER, 0},
	[HDR_RSEQ] = {"RSeq", SIP_HDR_RSEQ, 0},
	[HDR_SESSION_EXPIRES] = {"Session-Expires", SIP_HDR_SESSION_EXPIRES,
				 'x'},
	[HDR_SIP_IF_MATCH] = {"SIP-If-Match", SIP_HDR_SIP_IF_MATCH, 0},
	[HDR_SUPPORTED] = {"Supported", SIP_HDR_SUPPORTED, 'k'},
	[HDR_TO] = {"To", SIP_HDR_TO, 't'},
	[HDR_USER_AGENT] = {"User-Agent", SIP_HDR_USER_AGENT, 0},
	[HDR_VIA] = {"Via", SIP_HDR_VIA, 'v'},
};

const char *hdr_name(enum hdr h)
{
	return hdrs[h].name;
}

static bool is_name(const struct pl *name, enum hdr h)
{
	if (name->l == 1 && hdrs[h].compact)
		return (name->p[0] | 0x20) == hdrs[h].compact;

	/* most differ in their first letter */
	return name->l && ((name->p[0] ^ hdrs[h].name[0]) & 0x5f) == 0 &&
	       !pl_strcasecmp(name, hdrs[h].name);
}

/** libre's number of a header of ours; none of all others */
enum sip_hdrid hdr_id(const struct pl *name)
{
	for (size_t h = 0; h < HDR_COUNT; h++) {
		if (is_name(name, (enum hdr)h))
			return hdrs[h].id;
	}

	return SIP_HDR_NONE;
}

bool hdr_is(const struct sip_hdr *hdr, enum hdr h)
{
	return hdr->id == hdrs[h].id && is_name(&hdr->name, h);
}

/**
 * Call a handler for each line of a header, in order
 *
 * Via and Route come a value each, for libre keeps only those.
 *
 * @return true where the handler stopped it
 */
bool hdr_each(const struct sip_msg *msg, enum hdr h, hdr_line_h *lh, void *arg)
{
	struct le *le;

	LIST_FOREACH(&msg->hdrl, le)
	{
		const struct sip_hdr *hdr = le->data;

		if (hdr_is(hdr, h) && lh(&hdr->val, arg))
			return true;
	}

	return false;
}

static bool first_handler(const struct pl *val, void *arg)
{
	const struct pl **found = arg;

	*found = val;

	return true;
}

/** Value of the first line of a header, NULL where there is none; borrowed */
const struct pl *hdr_get(const struct sip_msg *msg, enum hdr h)
{
	const struct pl *found = NULL;

	(void)hdr_each(msg, h, first_handler, &found);

	return found;
}

static bool count_handler(const struct pl *val, void *arg)
{
	unsigned *n = arg;

	(void)val;
	++*n;

	return false;
}

unsigned hdr_count(const struct sip_msg *msg, enum hdr h)
{
	unsigned n = 0;

	(void)hdr_each(msg, h, count_handler, &n);

	return n;
}

/** Blank or part of a folded line's end */
bool hdr_is_lws(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void hdr_skip_lws(struct pl *pl)
{
	while (pl->l && hdr_is_lws(*pl->p))
		pl_advance(pl, 1);
}

/** Of a token (RFC 3261 section 25.1) */
bool hdr_is_token_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	       (c >= 'a' && c <= 'z') ||
	       (c != '\0' && strchr("-.!%*_+`'~", c) != NULL);
}

/**
 * Take the next token of a comma-separated list
 *
 * @param tok  Set to the token
 * @param list Advanced past it
 *
 * @return 0, ENOENT at the end, EBADMSG
 */
int hdr_token(struct pl *tok, struct pl *list)
{
	while (list->l && (hdr_is_lws(*list->p) || *list->p == ','))
		pl_advance(list, 1);
	if (!list->l)
		return ENOENT;

	*tok = (struct pl){list->p, 0};
	while (list->l && hdr_is_token_char(*list->p)) {
		tok->l++;
		pl_advance(list, 1);
	}
	hdr_skip_lws(list);

	return tok->l && (!list->l || *list->p == ',') ? 0 : EBADMSG;
}

static bool token_handler(const struct pl *val, void *arg)
{
	const char *token = arg;
	struct pl list = *val, tok;

	while (!hdr_token(&tok, &list)) {
		if (!pl_strcasecmp(&tok, token))
			return true;
	}

	return false;
}

/** Whether a list of tokens (Supported, Require) has one */
bool hdr_has_token(const struct sip_msg *msg, enum hdr h, const char *token)
{
	union {
		const char *in;
		void *out;
	} u = {.in = token};

	return hdr_each(msg, h, token_handler, u.out);
}

/**
 * A number of digits only
 *
 * @return 0, EBADMSG where it is none, EOVERFLOW where it is above max
 */
int hdr_number(uint64_t *num, const struct pl *val, uint64_t max)
{
	uint64_t n = 0;

	if (!val->l)
		return EBADMSG;

	for (size_t i = 0; i < val->l; i++) {
		const char c = val->p[i];

		if (c < '0' || c > '9')
			return EBADMSG;
		if (n <= max)
			n = n * 10 + (uint64_t)(c - '0');
	}
	if (n > max)
		return EOVERFLOW;
	*num = n;

	return 0;
}

/**
 * Delta-seconds, with a comment or parameters behind it or not (RFC 3261
 * section 20.33)
 *
 * @param max The value for anything larger
 *
 * @return 0, EBADMSG where it is none
 */
int hdr_delay(uint64_t *seconds, const struct pl *val, uint64_t max)
{
	struct pl num = {val->p, 0};
	int err;

	while (num.l < val->l && num.p[num.l] >= '0' && num.p[num.l] <= '9')
		num.l++;
	err = hdr_number(seconds, &num, max);
	if (err == EOVERFLOW) {
		*seconds = max;
		err = 0;
	}

	return err;
}

/**
 * A folded line as one (RFC 3261 section 7.3.1)
 *
 * @param line Set to a string, owned by the caller
 * @param val  Without NUL
 */
int hdr_unfold(char **line, const struct pl *val)
{
	size_t n = 0;

	if (pl_strdup(line, val))
		return ENOMEM;

	for (const char *p = *line; *p; p++) {
		if (*p != '\r' && *p != '\n')
			(*line)[n++] = *p;
	}
	(*line)[n] = '\0';

	return 0;
}

/** Bytes of the body: over UDP Content-Length may say less than came */
size_t hdr_body_len(const struct sip_msg *msg)
{
	const struct pl *val = hdr_get(msg, HDR_CONTENT_LENGTH);
	const size_t left = mbuf_get_left(msg->mb);
	uint64_t n;

	if (!val || hdr_number(&n, val, CONTENT_LENGTH_MAX) || n > left)
		return left;

	return (size_t)n;
}
