#include "common/notice/xml_walk.h"

#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

enum {
	SEPARATOR = '|', /* which no namespace may have, says expat */
};

struct walk {
	XML_Parser xml;
	const struct xml_walk_ops *ops;
	void *arg;
	int open[XML_WALK_DEPTH_MAX + 1];
	unsigned depth;
	bool refused;
};

static void refuse(struct walk *w)
{
	w->refused = true;
	(void)XML_StopParser(w->xml, XML_FALSE);
}

static void XMLCALL on_start(void *arg, const XML_Char *name,
			     const XML_Char **attrs)
{
	struct walk *w = arg;
	int is;

	(void)attrs;
	if (w->refused)
		return;
	if (w->depth == XML_WALK_DEPTH_MAX) {
		refuse(w);
		return;
	}
	is = w->ops->start(w->open[w->depth], name, w->arg);
	w->open[++w->depth] = is;
	if (is == XML_WALK_REFUSED)
		refuse(w);
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
	struct walk *w = arg;

	(void)name; /* expat sees to it that it is the one that began */
	if (!w->refused)
		w->depth--;
}

static void XMLCALL on_text(void *arg, const XML_Char *p, int len)
{
	struct walk *w = arg;

	if (!w->refused && w->ops->text(w->open[w->depth], p, (size_t)len,
					w->arg) == XML_WALK_REFUSED)
		refuse(w);
}

static void XMLCALL on_doctype(void *arg, const XML_Char *name,
			       const XML_Char *sysid, const XML_Char *pubid,
			       int has_internal)
{
	(void)name;
	(void)sysid;
	(void)pubid;
	(void)has_internal;
	refuse(arg);
}

int xml_walk(const struct xml_walk_ops *ops, void *arg, const char *p, size_t n)
{
	struct walk w = {.ops = ops, .arg = arg, .open = {XML_WALK_ABOVE}};
	int err = 0;

	if (n > INT_MAX)
		return EBADMSG;
	w.xml = XML_ParserCreateNS(NULL, SEPARATOR);
	if (!w.xml)
		return ENOMEM;
	XML_SetUserData(w.xml, &w);
	XML_SetElementHandler(w.xml, on_start, on_end);
	XML_SetCharacterDataHandler(w.xml, on_text);
	XML_SetStartDoctypeDeclHandler(w.xml, on_doctype);
	if (XML_Parse(w.xml, p, (int)n, 1) != XML_STATUS_OK)
		err = !w.refused && XML_GetErrorCode(w.xml) ==
					      XML_ERROR_NO_MEMORY
			      ? ENOMEM
			      : EBADMSG;
	if (w.refused)
		err = EBADMSG;
	XML_ParserFree(w.xml);

	return err;
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
