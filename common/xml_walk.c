#include "common/xml_walk.h"

#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

struct walk {
	XML_Parser xml;
	const struct xml_walk_ops *ops;
	void *arg;
	int open[XML_WALK_DEPTH_MAX + 1];
	unsigned depth;
	bool refused;
	enum xml_walk_why why; /* where refused */
};

static void refuse(struct walk *w, enum xml_walk_why why)
{
	w->refused = true;
	w->why = why;
	(void)XML_StopParser(w->xml, XML_FALSE);
}

static void XMLCALL on_start(void *arg, const XML_Char *name,
			     const XML_Char **attrs)
{
	struct walk *w = arg;
	int is;

	if (w->refused)
		return;
	if (w->depth == XML_WALK_DEPTH_MAX) {
		refuse(w, XML_WALK_DEEP);
		return;
	}
	is = w->ops->start(w->open[w->depth], name, (const char *const *)attrs,
			   w->arg);
	w->open[++w->depth] = is;
	if (is == XML_WALK_REFUSED)
		refuse(w, XML_WALK_BY_OPS);
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
	struct walk *w = arg;

	(void)name; /* expat sees to it that it is the one that began */
	if (w->refused)
		return;
	w->depth--;
	if (w->ops->end && w->ops->end(w->open[w->depth + 1], w->open[w->depth],
				       w->arg) == XML_WALK_REFUSED)
		refuse(w, XML_WALK_BY_OPS);
}

static void XMLCALL on_text(void *arg, const XML_Char *p, int len)
{
	struct walk *w = arg;

	if (!w->refused && w->ops->text(w->open[w->depth], p, (size_t)len,
					w->arg) == XML_WALK_REFUSED)
		refuse(w, XML_WALK_BY_OPS);
}

static void XMLCALL on_doctype(void *arg, const XML_Char *name,
			       const XML_Char *sysid, const XML_Char *pubid,
			       int has_internal)
{
	(void)name;
	(void)sysid;
	(void)pubid;
	(void)has_internal;
	refuse(arg, XML_WALK_DTD);
}

/* @return as xml_walk_parts() */
static int feed(struct walk *w, const struct xml_walk_part *part, bool last)
{
	if (part->n > INT_MAX)
		return EBADMSG;
	if (XML_Parse(w->xml, part->p, (int)part->n, last) == XML_STATUS_OK)
		return w->refused ? EBADMSG : 0;

	return !w->refused && XML_GetErrorCode(w->xml) == XML_ERROR_NO_MEMORY
		       ? ENOMEM
		       : EBADMSG;
}

int xml_walk_parts(const struct xml_walk_ops *ops, void *arg,
		   const struct xml_walk_part *partv, size_t count,
		   enum xml_walk_why *why)
{
	struct walk w = {.ops = ops, .arg = arg, .open = {ops->above}};
	int err = 0;

	w.xml = XML_ParserCreateNS(NULL, XML_WALK_SEPARATOR);
	if (!w.xml)
		return ENOMEM;
	XML_SetReturnNSTriplet(w.xml, ops->prefixed);
	XML_SetUserData(w.xml, &w);
	XML_SetElementHandler(w.xml, on_start, on_end);
	XML_SetCharacterDataHandler(w.xml, on_text);
	XML_SetStartDoctypeDeclHandler(w.xml, on_doctype);
	for (size_t i = 0; i < count && !err; i++)
		err = feed(&w, &partv[i], i + 1 == count);
	XML_ParserFree(w.xml);
	*why = w.refused ? w.why : XML_WALK_NO_XML;

	return err;
}

int xml_walk(const struct xml_walk_ops *ops, void *arg, const char *p, size_t n)
{
	const struct xml_walk_part part = {p, n};
	enum xml_walk_why why;

	return xml_walk_parts(ops, arg, &part, 1, &why);
}

int xml_walk_add(char *text, size_t *len, size_t max, const char *p, size_t n)
{
	if (n > max - *len)
		return XML_WALK_REFUSED;
	memcpy(text + *len, p, n);
	*len += n;

	return 0;
}

void xml_walk_trim(char *text, size_t len)
{
	static const char blanks[] = " \t\r\n";
	size_t from = 0;

	while (len && strchr(blanks, text[len - 1]))
		len--;
	while (from < len && strchr(blanks, text[from]))
		from++;
	memmove(text, text + from, len - from);
	text[len - from] = '\0';
}
