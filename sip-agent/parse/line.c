/*
 * Takes and splits lines, folded ones too.
 */
#include "parse/line.h"

#include <errno.h>
#include <string.h>

#include "parse/hdr.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/**
 * Take one line with those that continue it, without its CRLF
 *
 * @return 0, ENODATA where it has no end (line is the rest)
 */
int line_take(struct pl *line, struct pl *in)
{
	const char *const end = in->p + in->l;
	const char *p = in->p;

	for (;;) {
		p = memmem(p, (size_t)(end - p), "\r\n", 2);
		if (!p) {
			*line = *in;
			in->p = end;
			in->l = 0;
			return ENODATA;
		}
		if (p == in->p || p + 2 >= end || !is_blank(p[2]))
			break;
		p += 2;
	}

	*line = (struct pl){in->p, (size_t)(p - in->p)};
	in->p = p + 2;
	in->l = (size_t)(end - in->p);

	return 0;
}

/** Take blanks, and ends of folded lines, from both ends of a value */
void line_trim(struct pl *val)
{
	hdr_skip_lws(val);
	while (val->l && hdr_is_lws(val->p[val->l - 1]))
		val->l--;
}

/**
 * Split a line into its header's name and value
 *
 * @return 0, EBADMSG where it is no header
 */
int line_split(struct pl *name, struct pl *val, const struct pl *line)
{
	const char *colon = memchr(line->p, ':', line->l);

	if (!colon)
		return EBADMSG;

	*name = (struct pl){line->p, (size_t)(colon - line->p)};
	while (name->l && is_blank(name->p[name->l - 1]))
		name->l--;
	*val = (struct pl){colon + 1, (size_t)(line->p + line->l - colon - 1)};
	line_trim(val);

	if (!name->l)
		return EBADMSG;
	for (size_t i = 0; i < name->l; i++) {
		if (!hdr_is_token_char(name->p[i]))
			return EBADMSG;
	}

	return 0;
}

/** Bytes of the empty lines that p begins with: they are to be ignored before a
    message (section 7.5) */
size_t line_empty(const char *p, size_t n)
{
	size_t len = 0;

	while (n - len >= 2 && !memcmp(p + len, "\r\n", 2))
		len += 2;

	return len;
}
