/*
 * One table of headers and what is asked of each.
 */
#include "parse/sanity_field.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "parse/nameaddr.h"

enum {
	MAX_FORWARDS_MAX = 255, /* RFC 3261 section 20.22 */
	LENGTH_MAX = 0x7fffffff,
	ADDRESSES_MAX = 256,
};

/* --- values -------------------------------------------------------------- */

static const char *check_call_id(const struct pl *val)
{
	for (size_t i = 0; i < val->l; i++) {
		const unsigned char c = (unsigned char)val->p[i];

		if (c <= 0x20 || c == 0x7f)
			return "Bad Call-ID";
	}

	return val->l ? NULL : "Bad Call-ID";
}

static const char *check_cseq(const struct pl *val)
{
	struct pl num = {val->p, 0}, met = *val;
	uint64_t n;

	while (met.l && *met.p >= '0' && *met.p <= '9') {
		num.l++;
		pl_advance(&met, 1);
	}
	if (hdr_number(&n, &num, SANITY_FIELD_CSEQ_MAX) || !met.l ||
	    !hdr_is_lws(*met.p))
		return "Bad CSeq";

	return NULL;
}

static const char *check_length(const struct pl *val)
{
	uint64_t n;

	return hdr_number(&n, val, LENGTH_MAX) ? "Bad Content-Length" : NULL;
}

static const char *check_seconds(const struct pl *val)
{
	uint64_t n;

	return hdr_number(&n, val, UINT32_MAX) ? "Bad Expires" : NULL;
}

static const char *check_hops(const struct pl *val)
{
	uint64_t n;

	return hdr_number(&n, val, MAX_FORWARDS_MAX) ? "Bad Max-Forwards"
						     : NULL;
}

/* One address, whose host has its brackets where it needs them */
static bool is_address(const struct pl *val)
{
	struct nameaddr na;

	return !nameaddr_decode(&na, val) && sanity_field_has_host(&na.uri);
}

static const char *check_from(const struct pl *val)
{
	return is_address(val) ? NULL : "Bad From";
}

static const char *check_to(const struct pl *val)
{
	return is_address(val) ? NULL : "Bad To";
}

static const char *check_address(const struct pl *val)
{
	return is_address(val) ? NULL : "Bad Address";
}

/* How many addresses; 0 where it is no list of them */
static unsigned count_addresses(const struct pl *val, bool *star)
{
	struct pl list = *val;
	struct nameaddr na;
	unsigned n = 0;
	int err;

	*star = false;
	while (!(err = nameaddr_take(&na, &list))) {
		*star = *star || na.star;
		if (++n > ADDRESSES_MAX || !sanity_field_has_host(&na.uri))
			return 0;
	}

	return err == ENOENT ? n : 0;
}

static const char *check_contact(const struct pl *val)
{
	bool star;
	const unsigned n = count_addresses(val, &star);

	return n && (!star || n == 1) ? NULL : "Bad Contact";
}

static const char *check_route(const struct pl *val)
{
	bool star;

	return count_addresses(val, &star) && !star ? NULL : "Bad Route";
}

static void take_token(struct pl *tok, struct pl *pl)
{
	*tok = (struct pl){pl->p, 0};
	while (pl->l && hdr_is_token_char(*pl->p)) {
		tok->l++;
		pl_advance(pl, 1);
	}
	hdr_skip_lws(pl);
}

/* type / subtype; its parameters are for whoever reads the body */
static const char *check_type(const struct pl *val)
{
	struct pl pl = *val, type, subtype;

	take_token(&type, &pl);
	if (!type.l || !pl.l || *pl.p != '/')
		return "Bad Content-Type";
	pl_advance(&pl, 1);
	hdr_skip_lws(&pl);
	take_token(&subtype, &pl);

	return subtype.l && (!pl.l || *pl.p == ';') ? NULL : "Bad Content-Type";
}

static const struct sanity_field fields[SANITY_FIELD_COUNT] = {
	[SANITY_FIELD_AUTHORIZATION] = {"Authorization", 0, false, NULL},
	[SANITY_FIELD_CALL_ID] = {"Call-ID", 'i', true, check_call_id},
	[SANITY_FIELD_CONTACT] = {"Contact", 'm', false, check_contact},
	[SANITY_FIELD_CONTENT_DISPOSITION] = {"Content-Disposition", 0, true,
					      NULL},
	[SANITY_FIELD_CONTENT_LENGTH] = {"Content-Length", 'l', true,
					 check_length},
	[SANITY_FIELD_CONTENT_TYPE] = {"Content-Type", 'c', true, check_type},
	[SANITY_FIELD_CSEQ] = {"CSeq", 0, true, check_cseq},
	[SANITY_FIELD_DATE] = {"Date", 0, true, NULL},
	[SANITY_FIELD_EVENT] = {"Event", 'o', true, NULL},
	[SANITY_FIELD_EXPIRES] = {"Expires", 0, true, check_seconds},
	[SANITY_FIELD_FROM] = {"From", 'f', true, check_from},
	[SANITY_FIELD_MAX_FORWARDS] = {"Max-Forwards", 0, true, check_hops},
	[SANITY_FIELD_MIME_VERSION] = {"MIME-Version", 0, true, NULL},
	[SANITY_FIELD_MIN_EXPIRES] = {"Min-Expires", 0, true, check_seconds},
	[SANITY_FIELD_ORGANIZATION] = {"Organization", 0, true, NULL},
	[SANITY_FIELD_PATH] = {"Path", 0, false, check_route},
	[SANITY_FIELD_PRIORITY] = {"Priority", 0, true, NULL},
	[SANITY_FIELD_RECORD_ROUTE] = {"Record-Route", 0, false, check_route},
	[SANITY_FIELD_REFER_TO] = {"Refer-To", 'r', true, check_address},
	[SANITY_FIELD_REFERRED_BY] = {"Referred-By", 'b', true, check_address},
	[SANITY_FIELD_REPLACES] = {"Replaces", 0, true, NULL},
	[SANITY_FIELD_REPLY_TO] = {"Reply-To", 0, true, check_address},
	[SANITY_FIELD_RETRY_AFTER] = {"Retry-After", 0, true, NULL},
	[SANITY_FIELD_ROUTE] = {"Route", 0, false, check_route},
	[SANITY_FIELD_SESSION_EXPIRES] = {"Session-Expires", 'x', true, NULL},
	[SANITY_FIELD_SIP_ETAG] = {"SIP-ETag", 0, true, NULL},
	[SANITY_FIELD_SIP_IF_MATCH] = {"SIP-If-Match", 0, true, NULL},
	[SANITY_FIELD_SUBJECT] = {"Subject", 's', true, NULL},
	[SANITY_FIELD_SUBSCRIPTION_STATE] = {"Subscription-State", 0, true,
					     NULL},
	[SANITY_FIELD_TIMESTAMP] = {"Timestamp", 0, true, NULL},
	[SANITY_FIELD_TO] = {"To", 't', true, check_to},
	[SANITY_FIELD_USER_AGENT] = {"User-Agent", 0, true, NULL},
	[SANITY_FIELD_VIA] = {"Via", 'v', false, NULL},
};

/* --- names --------------------------------------------------------------- */

static bool is_name(const struct sanity_field *f, const struct pl *name)
{
	if (name->l == 1)
		return f->compact && (name->p[0] | 0x20) == f->compact;

	/* most differ in their first letter */
	return name->l && ((name->p[0] ^ f->name[0]) & 0x5f) == 0 &&
	       !pl_strcasecmp(name, f->name);
}

/** The rules of a header, NULL where it has none */
const struct sanity_field *sanity_field_find(enum sanity_field_id *id,
					     const struct pl *name)
{
	for (size_t i = 0; i < SANITY_FIELD_COUNT; i++) {
		if (is_name(&fields[i], name)) {
			*id = (enum sanity_field_id)i;
			return &fields[i];
		}
	}

	return NULL;
}

/**
 * Whether libre, which compares only a hash of 12 bits, would take this header
 * for one that it acts on.  For all others hdr.c compares names:
 * Content-Transfer-Encoding has the hash of Supported, and is harmless.
 */
bool sanity_field_is_impostor(const struct pl *name)
{
	static const enum sip_hdrid acted_on[] = {
		SIP_HDR_AUTHORIZATION, SIP_HDR_CALL_ID,
		SIP_HDR_CONTACT,       SIP_HDR_CONTENT_LENGTH,
		SIP_HDR_CONTENT_TYPE,  SIP_HDR_CSEQ,
		SIP_HDR_EXPIRES,       SIP_HDR_FROM,
		SIP_HDR_MAX_FORWARDS,  SIP_HDR_RECORD_ROUTE,
		SIP_HDR_ROUTE,	       SIP_HDR_TO,
		SIP_HDR_VIA,
	};
	uint32_t id;

	/* compact forms and X- are not hashed */
	if (name->l < 2 || !strncasecmp(name->p, "x-", 2))
		return false;

	id = hash_joaat_ci(name->p, name->l) & 0xfff;
	for (size_t i = 0; i < sizeof(acted_on) / sizeof(*acted_on); i++) {
		if (id == (uint32_t)acted_on[i])
			return true;
	}

	return false;
}

/** Whether a URI is sip: or sips: */
bool sanity_field_is_sip(const struct pl *uri)
{
	return (uri->l > 4 && !strncasecmp(uri->p, "sip:", 4)) ||
	       (uri->l > 5 && !strncasecmp(uri->p, "sips:", 5));
}

/* An IPv6 address without its brackets.  RFC 3261 asks for a third colon before
   an IPv4 address, by mistake (RFC 5118 section 4.10) */
static bool is_ipv6(const struct pl *pl)
{
	char text[INET6_ADDRSTRLEN + 1] = {0}, *colons;
	struct in6_addr addr;

	if (pl->l >= sizeof(text))
		return false;
	memcpy(text, pl->p, pl->l);
	colons = strstr(text, ":::");
	if (colons && strchr(colons, '.'))
		memmove(colons, colons + 1, strlen(colons));

	return inet_pton(AF_INET6, text, &addr) == 1;
}

/**
 * Whether the host of a sip: or sips: URI is written so that one can tell where
 * it ends: an IPv6 address in brackets, and behind a colon digits (RFC 5118
 * section 4.2).  What else a host may be is for whoever reads it
 *
 * @return true where it is another URI
 */
bool sanity_field_has_host(const struct pl *uri)
{
	struct pl pl = *uri, inner;
	const char *at;

	if (!sanity_field_is_sip(uri))
		return true;
	at = pl_strchr(uri, '@');
	if (!at)
		at = pl_strchr(uri, ':');
	pl_advance(&pl, at + 1 - uri->p);

	inner = (struct pl){pl.p + 1, 0};
	if (pl.l && *pl.p == '[') {
		const char *end = pl_strchr(&pl, ']');

		if (!end)
			return false;
		inner.l = (size_t)(end - inner.p);
		if (!is_ipv6(&inner))
			return false;
		pl_advance(&pl, (ssize_t)inner.l + 2);
	} else {
		while (pl.l && !strchr(":;?", *pl.p))
			pl_advance(&pl, 1);
	}
	if (pl.l && *pl.p == ':')
		pl_advance(&pl, 1);
	while (pl.l && *pl.p >= '0' && *pl.p <= '9')
		pl_advance(&pl, 1);

	return !pl.l || *pl.p == ';' || *pl.p == '?';
}

/** The tag of From or To; false where there is none */
bool sanity_field_tag(struct pl *tag, const struct pl *val)
{
	struct nameaddr na;

	return !nameaddr_decode(&na, val) && nameaddr_param(&na, "tag", tag);
}
