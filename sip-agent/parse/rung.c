/*
 * Of a message only what tells people something is written, and nothing that
 * is a secret: no body, no credentials, no tags, no password in a URI.
 */
#include "parse/rung.h"

#include <string.h>

#include "common/json_write.h"
#include "pg/pgval.h"

enum {
	TEXT_MAX = 200,	  /* bytes of a start line, or of a header */
	KEY_MAX = 20,	  /* of a header that is kept */
	HEADERS_MAX = 64, /* that are looked at */
};

/* What tells people something, and is no secret */
static const char *const kept[] = {
	"CSeq",
	"Reason",
	"Warning",
	"Retry-After",
	"Require",
	"RSeq",
	"Session-Expires",
	"Min-SE",
	"Unsupported",
	"Expires",
	"Content-Type",
	"Content-Length",
	"Subscription-State",
	"User-Agent",
	"Server",
};

/* A line up to CRLF; what follows it. @return NULL: there is none */
static const char *take_line(struct pl *line, const char *p, size_t len)
{
	const char *end = memchr(p, '\r', len);

	if (!end)
		return NULL;
	line->p = p;
	line->l = (size_t)(end - p);
	if ((size_t)(end - p) + 1 >= len || end[1] != '\n')
		return NULL;

	return end + 2;
}

/* A header's name and value; @return false: it is none */
static bool split(struct pl *name, struct pl *val, const struct pl *line)
{
	const char *colon = memchr(line->p, ':', line->l);

	if (!colon || colon == line->p)
		return false;
	name->p = line->p;
	name->l = (size_t)(colon - line->p);
	while (name->l && name->p[name->l - 1] == ' ')
		name->l--;
	val->p = colon + 1;
	val->l = line->l - (size_t)(colon + 1 - line->p);
	while (val->l && (*val->p == ' ' || *val->p == '\t'))
		pl_advance(val, 1);

	return true;
}

/** The Call-ID of a message, which is text; @return whether it has one */
bool rung_call_id(struct pl *call_id, const char *p, size_t len)
{
	const char *const end = p + len;
	struct pl line, name;

	for (int i = 0; p && i < HEADERS_MAX; i++) {
		p = take_line(&line, p, (size_t)(end - p));
		if (!p || !line.l)
			return false;
		if ((line.p[0] | 0x20) != 'c' && (line.p[0] | 0x20) != 'i')
			continue;
		if (split(&name, call_id, &line) &&
		    (!pl_strcasecmp(&name, "Call-ID") ||
		     !pl_strcasecmp(&name, "i")))
			return true;
	}

	return false;
}

static void write_text(struct buf *b, const char *key, const struct pl *text)
{
	const size_t len = MIN(text->l, (size_t)TEXT_MAX);

	json_key(b, key);
	if (pg_is_text(text->p, len))
		json_str(b, text->p, len);
	else
		json_cstr(b, "?");
}

/* Without what stands in a URI behind the user: it may be a password */
static void write_start(struct buf *b, const struct pl *line)
{
	const char *const end = line->p + MIN(line->l, (size_t)TEXT_MAX);
	const char *at = memchr(line->p, '@', (size_t)(end - line->p));
	const char *scheme = memchr(line->p, ':', (size_t)(end - line->p));
	const char *colon = at && scheme && scheme < at
				    ? memchr(scheme + 1, ':',
					     (size_t)(at - scheme - 1))
				    : NULL;
	char text[TEXT_MAX + 1];
	struct pl pl = {line->p, (size_t)(end - line->p)};

	if (colon) {
		(void)re_snprintf(text, sizeof(text), "%b%b", line->p,
				  (size_t)(colon - line->p), at,
				  (size_t)(end - at));
		pl_set_str(&pl, text);
	}
	write_text(b, "start", &pl);
}

static const char *kept_name(const struct pl *name)
{
	if (name->l > KEY_MAX)
		return NULL;
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		if (!pl_strcasecmp(name, kept[i]))
			return kept[i];
	}

	return NULL;
}

static void write_headers(struct buf *b, const char *p, const char *end)
{
	struct pl line, name, val;

	json_key(b, "headers");
	buf_char(b, '{');
	for (int i = 0; p && i < HEADERS_MAX; i++) {
		const char *known;

		p = take_line(&line, p, (size_t)(end - p));
		if (!p || !line.l)
			break;
		if (!split(&name, &val, &line))
			continue;
		known = kept_name(&name);
		if (!known)
			continue;
		write_text(b, known, &val);
	}
	buf_char(b, '}');
}

/**
 * Write it as a JSON object: nothing where it is no message
 *
 * @param ms When it passed, by the caller's clock
 */
void rung_write(struct buf *b, const struct rung *r, uint64_t ms)
{
	const char *const end = r->p + r->len;
	struct pl line;
	const char *p = take_line(&line, r->p, r->len);
	char peer[80];

	if (!p)
		return;
	(void)re_snprintf(peer, sizeof(peer), "%s:%J", sip_transp_name(r->tp),
			  r->peer);
	buf_char(b, '{');
	json_member_int(b, "ms", (int64_t)ms);
	json_key(b, "out");
	buf_str(b, r->out ? "true" : "false");
	json_member(b, "peer", peer);
	write_start(b, &line);
	write_headers(b, p, end);
	buf_char(b, '}');
}
