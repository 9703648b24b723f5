#include "common/notice/cpim.h"

#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct cpim_part trim(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	while (p < end && is_blank(end[-1]))
		end--;

	return (struct cpim_part){p, (size_t)(end - p)};
}

static bool is(const struct cpim_part *part, const char *text)
{
	return part->n == strlen(text) && !strncasecmp(part->p, text, part->n);
}

/* A header of a name space has its prefix, whichever the message has chosen
   for that (RFC 3862, section 3.4). */
static bool is_message_id(const struct cpim_part *name)
{
	static const char tail[] = ".Message-ID";
	const size_t n = sizeof(tail) - 1;

	return name->n > n && !strncasecmp(name->p + name->n - n, tail, n);
}

static void take_header(struct cpim *c, const char *p, const char *end)
{
	const char *colon = memchr(p, ':', (size_t)(end - p));
	struct cpim_part name, value;

	if (!colon)
		return;
	name = trim(p, colon);
	value = trim(colon + 1, end);
	if (is_message_id(&name) && !c->message_id.p) {
		c->message_id = value;
	} else if (is(&name, "Content-Type") && !c->type.p) {
		c->type = value;
	}
}

/* Header lines up to the empty one; @return behind that; null: there is none.
 */
static const char *take_headers(struct cpim *c, const char *p, const char *end)
{
	const char *nl;

	while ((nl = memchr(p, '\n', (size_t)(end - p)))) {
		if (!trim(p, nl).n)
			return nl + 1;
		take_header(c, p, nl);
		p = nl + 1;
	}

	return NULL;
}

bool cpim_type_is(const char *type, size_t n, const char *name)
{
	const char *semicolon = memchr(type, ';', n);
	const struct cpim_part part = trim(type,
					   semicolon ? semicolon : type + n);

	return is(&part, name);
}

struct cpim cpim_of(const char *type, size_t type_len, const char *p, size_t n)
{
	const struct cpim itself = {
		.type = {type, type_len},
		.content = {p, n},
	};
	const char *end = p + n;
	struct cpim c = {.type = {NULL, 0}};

	if (!cpim_type_is(type, type_len, "message/cpim"))
		return itself;
	p = take_headers(&c, p, end);
	if (p)
		p = take_headers(&c, p, end);
	if (!p)
		return itself;
	if (!c.type.p)
		c.type = (struct cpim_part){"", 0};
	c.content = (struct cpim_part){p, (size_t)(end - p)};

	return c;
}
