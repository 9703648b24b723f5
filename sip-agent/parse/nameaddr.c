/*
 * A strict parser of addresses.  Unlike libre's it knows quoted strings, so
 * that a `<sip:...>` inside of a display name is nothing but a name.
 */
#include "parse/nameaddr.h"

#include <errno.h>
#include <string.h>

#include "parse/hdr.h"

/* In a parameter's value without quotes.  More than RFC 3261's token and host:
   tags are often base64, which has `/` and `=` */
static bool is_value(char c)
{
	return c > 0x20 && c < 0x7f && !strchr("\"\\,;<>", c);
}

/* A quoted string with its quotes */
static int take_quoted(struct pl *str, struct pl *pl)
{
	*str = (struct pl){pl->p, 1};
	pl_advance(pl, 1);

	while (pl->l && *pl->p != '"') {
		const size_t n = *pl->p == '\\' ? 2 : 1;

		if (pl->l < n || *pl->p == '\0')
			return EBADMSG;
		str->l += n;
		pl_advance(pl, (ssize_t)n);
	}
	if (!pl->l)
		return EBADMSG;
	str->l++;
	pl_advance(pl, 1);

	return 0;
}

static bool is_uri_char(char c)
{
	const unsigned char u = (unsigned char)c;

	return u > 0x20 && u != 0x7f && !strchr("<>\"", c);
}

static int take_bracketed(struct nameaddr *na, struct pl *pl)
{
	if (!pl->l || *pl->p != '<')
		return EBADMSG;
	pl_advance(pl, 1);

	na->brackets = true;
	na->uri = (struct pl){pl->p, 0};
	while (pl->l && *pl->p != '>') {
		if (!is_uri_char(*pl->p))
			return EBADMSG;
		na->uri.l++;
		pl_advance(pl, 1);
	}
	if (!pl->l || !na->uri.l)
		return EBADMSG;
	pl_advance(pl, 1);

	return 0;
}

/* Without <> a semicolon ends the URI, and a question mark or comma must not
   be in it (RFC 3261 section 20) */
static int take_bare(struct nameaddr *na, struct pl *pl)
{
	na->uri = (struct pl){pl->p, 0};
	while (pl->l && !strchr(" \t\r\n;,", *pl->p)) {
		if (!is_uri_char(*pl->p) || *pl->p == '?')
			return EBADMSG;
		na->uri.l++;
		pl_advance(pl, 1);
	}

	return na->uri.l ? 0 : EBADMSG;
}

/* Whether what follows is a display name and then `<`.  Many leave its quotes
   out where it is not made of tokens, too.  What would make it a URI, or end
   it, is not in it */
static bool is_display(const struct pl *pl)
{
	for (size_t i = 0; i < pl->l; i++) {
		const unsigned char u = (unsigned char)pl->p[i];

		if (u == '<')
			return true;
		if (!hdr_is_lws(pl->p[i]) &&
		    (u <= 0x20 || u == 0x7f || strchr("\"\\,:;>", u)))
			return false;
	}

	return false;
}

static int take_address(struct nameaddr *na, struct pl *pl)
{
	int err;

	if (*pl->p == '"') {
		err = take_quoted(&na->display, pl);
		if (err)
			return err;
		hdr_skip_lws(pl);
		return take_bracketed(na, pl);
	}

	if (!is_display(pl))
		return take_bare(na, pl);

	na->display = (struct pl){pl->p, 0};
	while (*pl->p != '<') {
		na->display.l++;
		pl_advance(pl, 1);
	}
	while (na->display.l && hdr_is_lws(na->display.p[na->display.l - 1]))
		na->display.l--;

	return take_bracketed(na, pl);
}

static bool is_param_end(const struct pl *pl)
{
	return !pl->l || *pl->p == ';' || *pl->p == ',';
}

/* One parameter after its semicolon; its value without quotes.  Where nothing
   stands between semicolons it has no name, and behind `=` no value */
static int take_param(struct pl *name, struct pl *val, struct pl *pl)
{
	int err;

	*val = pl_null;
	hdr_skip_lws(pl);
	*name = (struct pl){pl->p, 0};
	while (pl->l && hdr_is_token_char(*pl->p)) {
		name->l++;
		pl_advance(pl, 1);
	}
	hdr_skip_lws(pl);
	if (!name->l)
		return is_param_end(pl) ? 0 : EBADMSG;

	if (!pl->l || *pl->p != '=')
		return 0;
	pl_advance(pl, 1);
	hdr_skip_lws(pl);

	if (pl->l && *pl->p == '"') {
		err = take_quoted(val, pl);
		if (err)
			return err;
		val->p++;
		val->l -= 2;
		return 0;
	}

	*val = (struct pl){pl->p, 0};
	while (pl->l && is_value(*pl->p)) {
		val->l++;
		pl_advance(pl, 1);
	}

	return val->l || is_param_end(pl) ? 0 : EBADMSG;
}

static int take_params(struct nameaddr *na, struct pl *pl)
{
	struct pl name, val;
	const char *start;
	int err;

	hdr_skip_lws(pl);
	start = pl->p;
	while (pl->l && *pl->p == ';') {
		pl_advance(pl, 1);
		err = take_param(&name, &val, pl);
		if (err)
			return err;
		hdr_skip_lws(pl);
	}
	na->params = (struct pl){start, (size_t)(pl->p - start)};

	return 0;
}

/**
 * Take the next address of a comma-separated list
 *
 * @param na   Filled in; borrows from list
 * @param list Advanced past the address and its comma
 *
 * @return 0, ENOENT at the end of the list, EBADMSG
 */
int nameaddr_take(struct nameaddr *na, struct pl *list)
{
	int err;

	memset(na, 0, sizeof(*na));
	hdr_skip_lws(list);
	if (!list->l)
		return ENOENT;

	if (*list->p == '*') {
		struct pl rest = {list->p + 1, list->l - 1};

		hdr_skip_lws(&rest);
		if (!rest.l) {
			na->star = true;
			*list = rest;
			return 0;
		}
	}

	err = take_address(na, list);
	if (err)
		return err;
	err = take_params(na, list);
	if (err)
		return err;

	if (!list->l)
		return 0;
	if (*list->p != ',')
		return EBADMSG;
	pl_advance(list, 1);
	hdr_skip_lws(list);

	return list->l ? 0 : EBADMSG;
}

/**
 * Decode a value that is one address (From, To)
 *
 * @return 0 or EBADMSG
 */
int nameaddr_decode(struct nameaddr *na, const struct pl *val)
{
	struct pl list = *val;

	if (nameaddr_take(na, &list) || na->star || list.l)
		return EBADMSG;

	return 0;
}

/**
 * Find a parameter
 *
 * @param name Its name, compared without case
 * @param val  Set to its value without quotes; pl_null where it has none
 *
 * @return false where it is not there, or nothing stands behind its `=`
 */
bool nameaddr_param(const struct nameaddr *na, const char *name, struct pl *val)
{
	struct pl pl = na->params, found;

	while (pl.l && *pl.p == ';') {
		pl_advance(&pl, 1);
		if (take_param(&found, val, &pl))
			return false;
		if (!pl_strcasecmp(&found, name))
			return !val->p || val->l;
		hdr_skip_lws(&pl);
	}

	return false;
}

/**
 * Take the next parameter
 *
 * @param name Set to its name
 * @param text Set to all of it, as it came, without its semicolon
 * @param rest The address's params at first; advanced
 *
 * @return false at the end
 */
bool nameaddr_next_param(struct pl *name, struct pl *text, struct pl *rest)
{
	struct pl val;

	do {
		hdr_skip_lws(rest);
		if (!rest->l || *rest->p != ';')
			return false;
		pl_advance(rest, 1);
		hdr_skip_lws(rest);
		text->p = rest->p;
		if (take_param(name, &val, rest))
			return false;
	} while (!name->l);

	text->l = (size_t)(rest->p - text->p);
	while (hdr_is_lws(text->p[text->l - 1]))
		text->l--;

	return true;
}
