#include "common/notice/composing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/notice/cpim.h"
#include "common/xml_walk.h"

#define NS "urn:ietf:params:xml:ns:im-iscomposing"

static const char no_composing[] =
	"The body is an isComposing document (RFC 3994; its namespace is " NS
	") with a state, active or idle";

/* What an element is, by where it stands. */
enum element {
	ABOVE = XML_WALK_ABOVE,
	DOCUMENT,
	STATE,
	REFRESH,
	OTHER,
};

struct reader {
	char state[COMPOSING_TEXT_MAX + 1], refresh[COMPOSING_TEXT_MAX + 1];
	size_t state_len, refresh_len;
	bool has_state, has_refresh;
};

static bool is(const char *name, const char *local)
{
	static const char ns[] = NS "|";
	const size_t n = sizeof(ns) - 1;

	return !strncmp(name, ns, n) && !strcmp(name + n, local);
}

static int on_start(int in, const char *name, const char *const *attrs,
		    void *arg)
{
	struct reader *r = arg;

	(void)attrs;
	if (in == ABOVE)
		return is(name, "isComposing") ? DOCUMENT : XML_WALK_REFUSED;
	if (in == DOCUMENT && is(name, "state")) {
		if (r->has_state)
			return XML_WALK_REFUSED;
		r->has_state = true;
		return STATE;
	}
	if (in == DOCUMENT && is(name, "refresh") && !r->has_refresh) {
		r->has_refresh = true;
		return REFRESH;
	}

	return OTHER;
}

static int on_text(int in, const char *p, size_t n, void *arg)
{
	struct reader *r = arg;

	if (in == STATE)
		return xml_walk_add(r->state, &r->state_len, COMPOSING_TEXT_MAX,
				    p, n);
	if (in == REFRESH)
		return xml_walk_add(r->refresh, &r->refresh_len,
				    COMPOSING_TEXT_MAX, p, n);

	return 0;
}

/* What is no number says nothing. */
static int read_refresh(const char *text)
{
	char *end;
	const long n = strtol(text, &end, 10);

	if (end == text || *end || n <= 0)
		return 0;

	return n < COMPOSING_REFRESH_MAX_S ? (int)n : COMPOSING_REFRESH_MAX_S;
}

int composing_read(struct composing *out, const char *type, size_t type_len,
		   const char *p, size_t n, const char **why)
{
	static const struct xml_walk_ops ops = {.start = on_start,
						.text = on_text};
	const struct cpim c = cpim_of(type, type_len, p, n);
	struct reader r = {.has_state = false};
	int err;

	if (!cpim_type_is(c.type.p, c.type.n, COMPOSING_TYPE))
		return ENOENT;
	*why = no_composing;
	err = xml_walk(&ops, &r, c.content.p, c.content.n);
	if (err)
		return err;
	xml_walk_trim(r.state, r.state_len);
	xml_walk_trim(r.refresh, r.refresh_len);
	/* any other state is taken as idle (section 4) */
	if (!*r.state)
		return EBADMSG;
	out->active = !strcmp(r.state, "active");
	out->refresh_s = read_refresh(r.refresh);

	return 0;
}

void composing_write(struct buf *b, const struct composing *c)
{
	buf_str(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		   "<isComposing xmlns=\"" NS "\"><state>");
	buf_str(b, c->active ? "active" : "idle");
	buf_str(b, "</state>");
	if (c->refresh_s)
		buf_fmt(b, "<refresh>%d</refresh>", c->refresh_s);
	buf_str(b, "</isComposing>");
}
