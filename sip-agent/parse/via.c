/*
 * A strict parser of Via.  libre takes the topmost value only, finds its
 * parameters inside of quotes too, and drops what has no branch.
 */
#include "parse/via.h"

#include <errno.h>
#include <string.h>

#include "parse/hdr.h"

enum { PARAMS_MAX = 32 };

static int take_char(struct pl *pl, char c)
{
	hdr_skip_lws(pl);
	if (!pl->l || *pl->p != c)
		return EBADMSG;
	pl_advance(pl, 1);
	hdr_skip_lws(pl);

	return 0;
}

static int take_while(struct pl *tok, struct pl *pl, bool(is)(char c))
{
	*tok = (struct pl){pl->p, 0};
	while (pl->l && is(*pl->p)) {
		tok->l++;
		pl_advance(pl, 1);
	}

	return tok->l ? 0 : EBADMSG;
}

static bool is_host_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	       (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_';
}

static bool is_ipv6_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') ||
	       (c >= 'a' && c <= 'f') || c == ':' || c == '.';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* SIP / 2.0 / UDP, with blanks anywhere between */
static int take_protocol(struct via *v, struct pl *pl)
{
	struct pl name, version;

	if (take_while(&name, pl, hdr_is_token_char) ||
	    pl_strcasecmp(&name, "SIP") || take_char(pl, '/') ||
	    take_while(&version, pl, hdr_is_token_char) ||
	    pl_strcmp(&version, "2.0") || take_char(pl, '/') ||
	    take_while(&v->transport, pl, hdr_is_token_char))
		return EBADMSG;

	if (!pl->l || !hdr_is_lws(*pl->p))
		return EBADMSG;
	hdr_skip_lws(pl);

	return 0;
}

static int take_host(struct pl *host, struct pl *pl)
{
	struct pl inner;

	if (!pl->l || *pl->p != '[')
		return take_while(host, pl, is_host_char);

	host->p = pl->p;
	pl_advance(pl, 1);
	if (take_while(&inner, pl, is_ipv6_char) || !pl->l || *pl->p != ']')
		return EBADMSG;
	pl_advance(pl, 1);
	host->l = inner.l + 2;

	return 0;
}

static int take_sent_by(struct via *v, struct pl *pl)
{
	struct pl digits;
	uint64_t port;

	if (take_host(&v->host, pl))
		return EBADMSG;

	hdr_skip_lws(pl);
	if (!pl->l || *pl->p != ':')
		return 0;
	if (take_char(pl, ':') || take_while(&digits, pl, is_digit) ||
	    hdr_number(&port, &digits, UINT16_MAX) || !port)
		return EBADMSG;
	v->port = (uint16_t)port;

	return 0;
}

/* For the values of branch, received and maddr.  More than host and token have:
   branches may be base64 */
static bool is_value_char(char c)
{
	return c > 0x20 && c < 0x7f && !strchr("\"\\,;<>", c);
}

static bool is_param_end(const struct pl *pl)
{
	return !pl->l || *pl->p == ';' || *pl->p == ',';
}

/* A quoted value is for extensions; we keep none of it */
static int skip_quoted(struct pl *pl)
{
	pl_advance(pl, 1);
	while (pl->l && *pl->p != '"') {
		const size_t n = *pl->p == '\\' ? 2 : 1;

		if (pl->l < n)
			return EBADMSG;
		pl_advance(pl, (ssize_t)n);
	}
	if (!pl->l)
		return EBADMSG;
	pl_advance(pl, 1);

	return 0;
}

static int keep(struct via *v, const struct pl *name, const struct pl *val)
{
	const struct {
		const char *name;
		struct pl *dst;
	} known[] = {
		{"branch", &v->branch},
		{"maddr", &v->maddr},
		{"received", &v->received},
		{"rport", &v->rport},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (pl_strcasecmp(name, known[i].name))
			continue;
		if (known[i].dst->p)
			return EBADMSG;
		*known[i].dst = *val;
	}

	return 0;
}

/* Nothing behind its `=`: as if it were not there, but for rport, which asks
   for a value */
static int keep_empty(struct via *v, const struct pl *name,
		      const struct pl *val)
{
	return pl_strcasecmp(name, "rport") ? 0 : keep(v, name, val);
}

static int take_param(struct via *v, struct pl *pl)
{
	struct pl name, val;

	if (take_while(&name, pl, hdr_is_token_char))
		return is_param_end(pl) ? 0 : EBADMSG;

	val = (struct pl){pl->p, 0}; /* there, without a value */
	hdr_skip_lws(pl);
	if (!pl->l || *pl->p != '=')
		return keep(v, &name, &val);

	(void)take_char(pl, '=');
	if (pl->l && *pl->p == '"')
		return skip_quoted(pl);
	if (take_while(&val, pl, is_value_char))
		return is_param_end(pl) ? keep_empty(v, &name, &val) : EBADMSG;

	return keep(v, &name, &val);
}

/**
 * Take the next value of a comma-separated list
 *
 * @param v    Filled in; borrows from list
 * @param list Advanced past the value and its comma
 *
 * @return 0, ENOENT at the end of the list, EBADMSG
 */
int via_take(struct via *v, struct pl *list)
{
	unsigned params = 0;
	const char *end;

	memset(v, 0, sizeof(*v));
	hdr_skip_lws(list);
	if (!list->l)
		return ENOENT;

	v->val.p = list->p;
	if (take_protocol(v, list) || take_sent_by(v, list))
		return EBADMSG;

	end = list->p;
	hdr_skip_lws(list);
	while (list->l && *list->p == ';') {
		if (++params > PARAMS_MAX || take_char(list, ';') ||
		    take_param(v, list))
			return EBADMSG;
		end = list->p;
		hdr_skip_lws(list);
	}
	while (end > v->val.p && hdr_is_lws(end[-1]))
		end--;
	v->val.l = (size_t)(end - v->val.p);

	if (!list->l)
		return 0;
	if (take_char(list, ',') || !list->l)
		return EBADMSG;

	return 0;
}

/* On one line: a folded one is unfolded */
static int write_line(struct mbuf *mb, const char *from, const char *to)
{
	int err = 0;

	while (from < to && !err) {
		const char *end = from;

		while (end < to && *end != '\r' && *end != '\n')
			end++;
		err = mbuf_write_mem(mb, (const uint8_t *)from,
				     (size_t)(end - from));
		from = end < to ? end + 1 : end;
	}

	return err;
}

/**
 * Write a value as an answer has it, with where its request came from (RFC 3261
 * section 18.2.1, RFC 3581 section 4)
 *
 * @param received Whether to say the address, too; rport asks for it anyway
 */
int via_write(struct mbuf *mb, const struct via *v, const struct sa *src,
	      bool received)
{
	const char *from = v->val.p, *end = v->val.p + v->val.l;
	int err = 0;

	if (via_has_rport(v)) {
		const char *stop = v->rport.p;

		while (hdr_is_lws(stop[-1]))
			stop--;
		if (stop[-1] == '=')
			stop--;
		err = write_line(mb, from, stop);
		err |= mbuf_printf(mb, "=%u", sa_port(src));
		from = v->rport.p + v->rport.l;
	}
	err |= write_line(mb, from, end);
	if (received || via_has_rport(v))
		err |= mbuf_printf(mb, ";received=%j", src);

	return err;
}

/** Whether the client asks for the answer where it came from (RFC 3581) */
bool via_has_rport(const struct via *v)
{
	return v->rport.p != NULL;
}
