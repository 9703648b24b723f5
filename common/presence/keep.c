#include "common/presence/keep.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/xml_walk.h"

#define XML_URI "http://www.w3.org/XML/1998/namespace"

void xml_name_read(struct xml_name *out, const char *name)
{
	const char *local = strchr(name, XML_WALK_SEPARATOR);
	const char *prefix = local ? strchr(local + 1, XML_WALK_SEPARATOR)
				   : NULL;

	*out = (struct xml_name){.uri = name, .prefix = ""};
	if (local)
		out->uri_len = (size_t)(local - name);
	out->local = local ? local + 1 : name;
	out->local_len = prefix ? (size_t)(prefix - out->local)
				: strlen(out->local);
	if (prefix) {
		out->prefix = prefix + 1;
		out->prefix_len = strlen(out->prefix);
	}
}

static bool is_equal(const char *p, size_t n, const char *q, size_t m)
{
	return n == m && !memcmp(p, q, n);
}

/* Whether two names have the same prefix for the same namespace. */
static bool is_same_space(const struct xml_name *n, const struct xml_name *o)
{
	return is_equal(n->uri, n->uri_len, o->uri, o->uri_len) &&
	       is_equal(n->prefix, n->prefix_len, o->prefix, o->prefix_len);
}

/* A character that cannot stand as it is; NULL where it can. Line ends would
   become others when they are read, and in attributes all blanks spaces. */
static const char *escape(char c, bool attr)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\r':
		return "&#13;";
	case '\n':
		return attr ? "&#10;" : NULL;
	case '\t':
		return attr ? "&#9;" : NULL;
	default:
		return NULL;
	}
}

static void write_text(struct buf *b, const char *p, size_t n, bool attr)
{
	size_t from = 0;

	for (size_t i = 0; i < n; i++) {
		const char *as = escape(p[i], attr);

		if (!as)
			continue;
		buf_add(b, p + from, i - from);
		buf_str(b, as);
		from = i + 1;
	}
	buf_add(b, p + from, n - from);
}

static void write_name(struct buf *b, const struct xml_name *n)
{
	if (n->prefix_len) {
		buf_add(b, n->prefix, n->prefix_len);
		buf_char(b, ':');
	}
	buf_add(b, n->local, n->local_len);
}

static void write_space(struct buf *b, const struct xml_name *n)
{
	buf_str(b, n->prefix_len ? " xmlns:" : " xmlns");
	buf_add(b, n->prefix, n->prefix_len);
	buf_str(b, "=\"");
	write_text(b, n->uri, n->uri_len, true);
	buf_char(b, '"');
}

/* Whether one of the attributes before attrs[at] has declared the namespace */
static bool is_declared(const char *const *attrs, size_t at,
			const struct xml_name *n)
{
	for (size_t i = 0; i < at; i += 2) {
		struct xml_name other;

		xml_name_read(&other, attrs[i]);
		if (is_same_space(&other, n))
			return true;
	}

	return false;
}

static void write_attrs(struct buf *b, const struct xml_name *element,
			const char *const *attrs)
{
	for (size_t i = 0; attrs[i] && !b->failed; i += 2) {
		struct xml_name n;

		xml_name_read(&n, attrs[i]);
		if (n.uri_len && !is_same_space(&n, element) &&
		    !is_equal(n.uri, n.uri_len, XML_URI, strlen(XML_URI)) &&
		    !is_declared(attrs, i, &n))
			write_space(b, &n);
		buf_char(b, ' ');
		write_name(b, &n);
		buf_str(b, "=\"");
		write_text(b, attrs[i + 1], strlen(attrs[i + 1]), true);
		buf_char(b, '"');
	}
}

static int result(const struct keep *k)
{
	if (!k->out->failed)
		return 0;

	return k->out->no_memory ? ENOMEM : EMSGSIZE;
}

/* The name lives as long as what is kept does. */
static int copy_name(struct xml_name *out, struct arena *a,
		     const struct xml_name *n)
{
	*out = *n;
	out->uri = arena_mem(a, n->uri, n->uri_len);
	out->local = arena_mem(a, n->local, n->local_len);
	out->prefix = arena_mem(a, n->prefix, n->prefix_len);

	return out->uri && out->local && out->prefix ? 0 : ENOMEM;
}

int keep_start(struct keep *k, const struct xml_name *name,
	       const char *const *attrs)
{
	struct xml_name *open;

	if (k->depth == KEEP_DEPTH_MAX)
		return EMSGSIZE;
	open = &k->open[k->depth];
	if (copy_name(open, k->a, name))
		return ENOMEM;
	buf_char(k->out, '<');
	write_name(k->out, open);
	if (!k->depth || !is_same_space(open, open - 1))
		write_space(k->out, open);
	write_attrs(k->out, open, attrs);
	buf_char(k->out, '>');
	k->depth++;

	return result(k);
}

int keep_text(struct keep *k, const char *p, size_t n)
{
	write_text(k->out, p, n, false);

	return result(k);
}

int keep_end(struct keep *k)
{
	k->depth--;
	buf_str(k->out, "</");
	write_name(k->out, &k->open[k->depth]);
	buf_char(k->out, '>');

	return result(k);
}
