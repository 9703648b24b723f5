#include "parse/refer.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "parse/hdr.h"
#include "parse/nameaddr.h"
#include "parse/uri.h"

static void trim(struct pl *pl)
{
	hdr_skip_lws(pl);
	while (pl->l && hdr_is_lws(pl->p[pl->l - 1]))
		pl->l--;
}

/* What stands before a character, which is taken too */
static struct pl take(struct pl *rest, char end)
{
	const char *p = rest->l ? memchr(rest->p, end, rest->l) : NULL;
	struct pl part = *rest;

	if (p)
		part.l = (size_t)(p - rest->p);
	pl_advance(rest, (ssize_t)(p ? part.l + 1 : part.l));

	return part;
}

static bool is_word(const struct pl *pl)
{
	for (size_t i = 0; i < pl->l; i++) {
		if ((unsigned char)pl->p[i] <= 0x20 ||
		    (unsigned char)pl->p[i] >= 0x7f)
			return false;
	}

	return pl->l > 0;
}

static int set_once(struct pl *to, const struct pl *val)
{
	if (to->p || !is_word(val))
		return EBADMSG;
	*to = *val;

	return 0;
}

/**
 * Read a Replaces
 *
 * @return 0, or EBADMSG where it names no dialog
 */
int replaces_read(struct replaces *r, const struct pl *val)
{
	struct pl rest = *val;
	struct pl part = take(&rest, ';');
	int err;

	memset(r, 0, sizeof(*r));
	trim(&part);
	err = set_once(&r->call_id, &part);
	while (!err && rest.l) {
		struct pl text = take(&rest, ';');
		struct pl name = take(&text, '=');

		trim(&name);
		trim(&text);
		if (!pl_strcasecmp(&name, "to-tag"))
			err = set_once(&r->to_tag, &text);
		else if (!pl_strcasecmp(&name, "from-tag"))
			err = set_once(&r->from_tag, &text);
		else if (!pl_strcasecmp(&name, "early-only"))
			r->early_only = true;
	}

	return err || !r->to_tag.p || !r->from_tag.p ? EBADMSG : 0;
}

static int unescape(struct pl *to, char text[static REFER_TEXT_MAX],
		    const struct pl *val)
{
	size_t n = 0;

	for (size_t i = 0; i < val->l; i++) {
		unsigned char c = (unsigned char)val->p[i];

		if (c == '%') {
			if (i + 2 >= val->l ||
			    !isxdigit((unsigned char)val->p[i + 1]) ||
			    !isxdigit((unsigned char)val->p[i + 2]))
				return EBADMSG;
			c = (unsigned char)(ch_hex(val->p[i + 1]) << 4 |
					    ch_hex(val->p[i + 2]));
			i += 2;
		}
		if (n >= REFER_TEXT_MAX || c < 0x20 || c >= 0x7f)
			return EBADMSG;
		text[n++] = (char)c;
	}
	*to = (struct pl){text, n};

	return 0;
}

/* Headers of a URI (RFC 3261 section 19.1.1): all but Replaces are not obeyed
 */
static int read_headers(struct refer_to *r, struct pl rest)
{
	int err = 0;

	while (!err && rest.l) {
		struct pl text = take(&rest, '&');
		struct pl name = take(&text, '=');
		struct pl val;

		if (pl_strcasecmp(&name, "Replaces"))
			continue;
		if (r->attended)
			return EBADMSG;
		r->attended = true;
		err = unescape(&val, r->text, &text);
		if (!err)
			err = replaces_read(&r->replaces, &val);
	}

	return err;
}

/**
 * Read a Refer-To
 *
 * @return 0; EBADMSG where it cannot be read; ENOSYS where it asks for
 *         something else than an INVITE
 */
int refer_to_read(struct refer_to *r, const struct pl *val)
{
	struct nameaddr na;
	struct pl method;
	struct uri uri;
	const char *at, *head = NULL;

	r->attended = false;
	if (nameaddr_decode(&na, val) || !uri_is_line(&na.uri))
		return EBADMSG;
	r->uri = na.uri;
	/* a user may have a question mark */
	at = na.uri.l ? memchr(na.uri.p, '@', na.uri.l) : NULL;
	if (at)
		head = memchr(at, '?', na.uri.l - (size_t)(at - na.uri.p));
	if (head)
		r->uri.l = (size_t)(head - na.uri.p);
	if (uri_decode(&uri, &r->uri))
		return EBADMSG;
	if (!msg_param_decode(&uri.params, "method", &method) &&
	    pl_strcasecmp(&method, "INVITE"))
		return ENOSYS;
	if (head) {
		const struct pl rest = {head + 1, na.uri.l - r->uri.l - 1};

		return read_headers(r, rest);
	}

	return 0;
}
