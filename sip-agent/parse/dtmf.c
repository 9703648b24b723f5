#include "parse/dtmf.h"

#include <errno.h>
#include <string.h>

/* Some write keys as events (RFC 4733 section 3.2) */
static const char events[] = "0123456789*#ABCD";

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void trim(struct pl *pl)
{
	while (pl->l && is_blank(pl->p[0]))
		pl_advance(pl, 1);
	while (pl->l && is_blank(pl->p[pl->l - 1]))
		pl->l--;
}

static int read_key(char *key, struct pl text)
{
	char c;

	trim(&text);
	if (text.l == 2 && text.p[0] == '1' && text.p[1] >= '0' &&
	    text.p[1] <= '5') {
		*key = events[10 + text.p[1] - '0'];
		return 0;
	}
	if (text.l != 1)
		return EBADMSG;
	c = text.p[0];
	if (c >= 'a' && c <= 'd')
		c = (char)(c - 'a' + 'A');
	if (!c || !strchr(events, c))
		return EBADMSG;
	*key = c;

	return 0;
}

static int read_relay(char *key, struct pl body)
{
	static const char name[] = "Signal";
	const size_t len = sizeof(name) - 1;

	while (body.l) {
		const char *end = memchr(body.p, '\n', body.l);
		struct pl line = body;

		if (end)
			line.l = (size_t)(end - body.p);
		pl_advance(&body, (ssize_t)(end ? line.l + 1 : line.l));
		trim(&line);
		if (line.l < len || strncasecmp(line.p, name, len))
			continue;
		pl_advance(&line, (ssize_t)len);
		trim(&line);
		if (!line.l || line.p[0] != '=')
			continue;
		pl_advance(&line, 1);

		return read_key(key, line);
	}

	return EBADMSG;
}

/**
 * Read which key was pressed
 *
 * @param key  Set to 0 to 9, *, #, A to D
 * @param type Content-Type, with its parameters
 *
 * @return 0, ENOENT where it is of another type, EBADMSG where it is none
 */
int dtmf_read(char *key, const struct pl *type, const struct pl *body)
{
	const char *semi = memchr(type->p ? type->p : "", ';', type->l);
	struct pl bare = *type;

	if (semi)
		bare.l = (size_t)(semi - type->p);
	trim(&bare);
	if (!pl_strcasecmp(&bare, "application/dtmf-relay"))
		return read_relay(key, *body);
	if (!pl_strcasecmp(&bare, "application/dtmf"))
		return read_key(key, *body);

	return ENOENT;
}
