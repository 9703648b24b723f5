#include "common/pidf.h"

#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <string.h>

#include "common/buf.h"

#define NS "urn:ietf:params:xml:ns:pidf|"

enum {
	BASIC_MAX = 16,
};

struct reader {
	XML_Parser xml;
	int depth;
	struct buf basic;
	struct buf note;
	struct buf contact;
	struct buf *into; /* where text goes; null: nowhere */
	int into_depth;
	bool has_basic, has_note, has_contact;
	bool refused;
};

static void refuse(struct reader *r)
{
	r->refused = true;
	(void)XML_StopParser(r->xml, XML_FALSE); /* stopped already: fine */
}

static void begin(struct reader *r, struct buf *into, bool *has)
{
	if (*has || r->into)
		return;
	*has = true;
	r->into = into;
	r->into_depth = r->depth;
}

static void XMLCALL on_start(void *arg, const XML_Char *name,
			     const XML_Char **attrs)
{
	struct reader *r = arg;

	(void)attrs; /* none of them matters to us */
	if (++r->depth > PIDF_DEPTH_MAX ||
	    (r->depth == 1 && strcmp(name, NS "presence") != 0)) {
		refuse(r);
		return;
	}
	if (!strcmp(name, NS "basic"))
		begin(r, &r->basic, &r->has_basic);
	else if (!strcmp(name, NS "note"))
		begin(r, &r->note, &r->has_note);
	else if (!strcmp(name, NS "contact"))
		begin(r, &r->contact, &r->has_contact);
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
	struct reader *r = arg;

	(void)name; /* expat sees to it that it is the one that began */
	if (r->into && r->depth == r->into_depth)
		r->into = NULL;
	r->depth--;
}

static void XMLCALL on_text(void *arg, const XML_Char *p, int n)
{
	struct reader *r = arg;

	if (!r->into)
		return;
	buf_add(r->into, p, (size_t)n);
	if (r->into->failed)
		refuse(r);
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

/* Blanks around a word do not count. */
static bool is_word(const struct buf *b, const char *word)
{
	const char *p = b->p + strspn(b->p, " \t\r\n");
	const size_t n = strlen(word);

	return !strncmp(p, word, n) && p[n + strspn(p + n, " \t\r\n")] == '\0';
}

/* Text without blanks at its ends; false: no memory. */
static bool copy(const char **out, struct arena *a, const struct buf *b)
{
	const char *p = b->p;
	size_t n = b->len;

	while (n && strchr(" \t\r\n", *p)) {
		p++;
		n--;
	}
	while (n && strchr(" \t\r\n", p[n - 1]))
		n--;
	if (n)
		*out = arena_mem(a, p, n);

	return !n || *out;
}

static int finish(struct pidf *out, struct arena *a, const struct reader *r)
{
	struct pidf pidf = {.open = true};

	if (r->has_basic) {
		if (!r->basic.len)
			return EBADMSG;
		pidf.open = is_word(&r->basic, "open");
		if (!pidf.open && !is_word(&r->basic, "closed"))
			return EBADMSG;
	}
	if (r->note.len) {
		pidf.note = arena_mem(a, r->note.p, r->note.len);
		if (!pidf.note)
			return ENOMEM;
	}
	if (!copy(&pidf.contact, a, &r->contact))
		return ENOMEM;
	*out = pidf;

	return 0;
}

int pidf_parse(struct pidf *out, struct arena *a, const char *p, size_t n)
{
	struct reader r = {.depth = 0};
	int err = EBADMSG;

	if (n == 0 || n > INT_MAX)
		return EBADMSG;
	r.xml = XML_ParserCreateNS(NULL, '|');
	if (!r.xml)
		return ENOMEM;
	buf_init(&r.basic, BASIC_MAX);
	buf_init(&r.note, PIDF_NOTE_MAX);
	buf_init(&r.contact, PIDF_CONTACT_MAX);
	XML_SetUserData(r.xml, &r);
	XML_SetElementHandler(r.xml, on_start, on_end);
	XML_SetCharacterDataHandler(r.xml, on_text);
	XML_SetStartDoctypeDeclHandler(r.xml, on_doctype);
	if (XML_Parse(r.xml, p, (int)n, XML_TRUE) == XML_STATUS_OK &&
	    !r.refused)
		err = finish(out, a, &r);
	else if (XML_GetErrorCode(r.xml) == XML_ERROR_NO_MEMORY)
		err = ENOMEM;
	buf_free(&r.basic);
	buf_free(&r.note);
	buf_free(&r.contact);
	XML_ParserFree(r.xml);

	return err;
}
