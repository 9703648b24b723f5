#include "common/presence/pidf.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/buf.h"
#include "common/presence/element.h"
#include "common/xml_walk.h"

enum {
	BASIC_MAX = 16,
};

static const char no_pidf[] = "This is no PIDF document (RFC 3863)";
static const char no_xml[] = "This is not well-formed XML";
static const char no_dtd[] = "A PIDF document has no DTD";
static const char no_element[] = "Text stands within elements";
static const char own_element[] = "Elements of PIDF itself are no other XML";
static const char wrong_basic[] = "basic is open or closed";
static const char too_deep[] = "Elements are at most 16 deep";
static const char long_note[] = "A note has at most 1000 bytes";
static const char long_contact[] = "A contact has at most 1024 bytes";
static const char long_list[] = "A list has at most 16 words of 100 bytes";
static const char long_xml[] = "Other XML has at most 3000 bytes";
_Static_assert(XML_WALK_DEPTH_MAX == 16 && PRESENCE_NOTE_MAX == 1000 &&
		       PIDF_CONTACT_MAX == 1024 && PRESENCE_WORDS_MAX == 16 &&
		       PRESENCE_WORD_MAX == 100 && PRESENCE_XML_MAX == 3000,
	       "they are in these sentences");

struct reader {
	struct arena *a;
	struct presence presence;
	size_t depth;
	struct buf basic, note, contact, other;
	struct buf kept[PRESENCE_PLACES];
	struct keep keep;
	struct buf *into; /* where text goes; null: nowhere */
	size_t into_depth;
	int note_rank; /* of the note that there is; lower goes before */
	bool has_tuple, has_basic, has_contact;
	bool only_xml; /* see pidf_read_xml() */
	int err;
	const char *why;
};

static void refuse(struct reader *r, int err, const char *why)
{
	if (r->err)
		return;
	r->err = err;
	r->why = why;
}

static void check(struct reader *r, int err, const char *why)
{
	if (err)
		refuse(r, err, why);
}

/* --- elements ----------------------------------------------------------- */

static void into(struct reader *r, struct buf *b)
{
	r->into = b;
	r->into_depth = r->depth;
}

static int note_rank(enum element in)
{
	if (in == IN_TUPLE || in == IN_STATUS)
		return 0;
	if (in == IN_PERSON)
		return 1;

	return in == IN_DOCUMENT ? 2 : 3;
}

static void start_note(struct reader *r, enum element in)
{
	const int rank = note_rank(in);

	if (r->note.len && rank >= r->note_rank)
		return;
	buf_reset(&r->note);
	r->note_rank = rank;
	into(r, &r->note);
}

static void start_word(struct reader *r, enum element in,
		       const struct xml_name *n)
{
	check(r,
	      presence_add(&r->presence, r->a, (enum presence_list)in, n->local,
			   n->local_len),
	      long_list);
}

/* @return what the element is */
static enum element start(struct reader *r, enum element in,
			  const struct xml_name *n)
{
	const enum element is = element_of(in, n);

	if (is == IN_TUPLE) {
		if (r->has_tuple)
			return IS_PASSED;
		r->has_tuple = true;
	} else if (is == IS_BASIC && !r->has_basic) {
		r->has_basic = true;
		into(r, &r->basic);
	} else if (is == IS_CONTACT && !r->has_contact) {
		r->has_contact = true;
		into(r, &r->contact);
	} else if (is == IS_NOTE) {
		start_note(r, in);
	} else if (is == IS_WORD) {
		start_word(r, in, n);
	} else if (is == IS_OTHER) {
		into(r, &r->other);
	}

	return is;
}

/* The same where there are only elements to be kept. */
static enum element start_xml(struct reader *r, enum element in,
			      const struct xml_name *n)
{
	if (in == IN_DOCUMENT && element_is_pidf(n))
		refuse(r, EBADMSG, own_element);

	return in == ABOVE_DOCUMENT ? IN_DOCUMENT : IS_KEPT;
}

/* What the functions of the walk say */
static int said(const struct reader *r, int is)
{
	return r->err ? XML_WALK_REFUSED : is;
}

static int on_start(int above, const char *name, const char *const *attrs,
		    void *arg)
{
	struct reader *r = arg;
	const enum element in = (enum element)above;
	struct xml_name n;
	enum element is;

	r->depth++;
	xml_name_read(&n, name);
	is = r->only_xml ? start_xml(r, in, &n) : start(r, in, &n);
	if (in == ABOVE_DOCUMENT && is != IN_DOCUMENT)
		refuse(r, EBADMSG, no_pidf);
	if (is == IS_KEPT && !r->err) {
		if (in != IS_KEPT)
			r->keep.out = &r->kept[in];
		check(r, keep_start(&r->keep, &n, attrs), long_xml);
	}

	return said(r, (int)is);
}

/* --- text --------------------------------------------------------------- */

/* Text without blanks at its ends. */
static size_t trim(const char **p, const struct buf *b)
{
	size_t n = b->len;

	*p = n ? b->p : "";
	while (n && strchr(" \t\r\n", **p)) {
		(*p)++;
		n--;
	}
	while (n && strchr(" \t\r\n", (*p)[n - 1]))
		n--;

	return n;
}

/* Text of a list has the mark in front that tells it from a word. */
static void end_other(struct reader *r, enum presence_list list)
{
	const char *p;
	const size_t n = trim(&p, &r->other);
	struct buf b;

	buf_init(&b, PRESENCE_WORD_MAX);
	buf_str(&b, "other");
	if (n) {
		buf_char(&b, ':');
		buf_add(&b, p, n);
	}
	if (b.failed)
		refuse(r, b.no_memory ? ENOMEM : EMSGSIZE, long_list);
	else
		check(r, presence_add(&r->presence, r->a, list, b.p, b.len),
		      long_list);
	buf_free(&b);
	buf_reset(&r->other);
}

static int on_end(int was, int in, void *arg)
{
	struct reader *r = arg;

	if (r->into && r->depth == r->into_depth)
		r->into = NULL;
	r->depth--;
	if (was == IS_KEPT)
		check(r, keep_end(&r->keep), long_xml);
	else if (was == IS_OTHER)
		end_other(r, (enum presence_list)in);

	return said(r, 0);
}

static void refuse_text(struct reader *r)
{
	const struct buf *b = r->into;

	if (b->no_memory)
		refuse(r, ENOMEM, NULL);
	else if (b == &r->basic)
		refuse(r, EBADMSG, wrong_basic);
	else if (b == &r->note)
		refuse(r, EMSGSIZE, long_note);
	else
		refuse(r, EMSGSIZE,
		       b == &r->contact ? long_contact : long_list);
}

static bool is_blank(const char *p, size_t n)
{
	while (n && strchr(" \t\r\n", p[n - 1]))
		n--;

	return n == 0;
}

static int on_text(int in, const char *p, size_t n, void *arg)
{
	struct reader *r = arg;

	if (in == IS_KEPT) {
		check(r, keep_text(&r->keep, p, n), long_xml);
	} else if (r->into) {
		buf_add(r->into, p, n);
		if (r->into->failed)
			refuse_text(r);
	} else if (r->only_xml && !is_blank(p, n)) {
		refuse(r, EBADMSG, no_element);
	}

	return said(r, 0);
}

/* --- the whole ---------------------------------------------------------- */

static int take_basic(struct reader *r)
{
	const char *p;
	const size_t n = trim(&p, &r->basic);

	r->presence.closed = n == 6 && !memcmp(p, "closed", n);
	if (!r->has_basic || r->presence.closed ||
	    (n == 4 && !memcmp(p, "open", n)))
		return 0;
	r->why = wrong_basic;

	return EBADMSG;
}

static int take_xml(struct reader *r)
{
	size_t total = 0;

	for (size_t i = 0; i < PRESENCE_PLACES; i++) {
		const struct buf *b = &r->kept[i];

		total += b->len;
		if (!b->len)
			continue;
		r->presence.xml[i] = arena_mem(r->a, b->p, b->len);
		if (!r->presence.xml[i])
			return ENOMEM;
	}
	r->why = long_xml;

	return total <= PRESENCE_XML_MAX ? 0 : EMSGSIZE;
}

static int finish(struct pidf *out, struct reader *r)
{
	struct pidf pidf = {.contact = NULL};
	const char *p;
	size_t n;
	int err;

	err = take_basic(r);
	if (!err)
		err = take_xml(r);
	if (err)
		return err;
	if (r->note.len) {
		r->presence.note = arena_mem(r->a, r->note.p, r->note.len);
		if (!r->presence.note)
			return ENOMEM;
	}
	n = trim(&p, &r->contact);
	if (n) {
		pidf.contact = arena_mem(r->a, p, n);
		if (!pidf.contact)
			return ENOMEM;
	}
	pidf.presence = r->presence;
	*out = pidf;

	return 0;
}

static void reader_init(struct reader *r, struct arena *a)
{
	*r = (struct reader){.a = a, .keep.a = a};
	buf_init(&r->basic, BASIC_MAX);
	buf_init(&r->note, PRESENCE_NOTE_MAX);
	buf_init(&r->contact, PIDF_CONTACT_MAX);
	buf_init(&r->other, PRESENCE_WORD_MAX);
	for (size_t i = 0; i < PRESENCE_PLACES; i++)
		buf_init(&r->kept[i], PRESENCE_XML_MAX);
}

static void reader_free(struct reader *r)
{
	buf_free(&r->basic);
	buf_free(&r->note);
	buf_free(&r->contact);
	buf_free(&r->other);
	for (size_t i = 0; i < PRESENCE_PLACES; i++)
		buf_free(&r->kept[i]);
}

/* @return as pidf_parse() */
static int walk(struct reader *r, const struct xml_walk_part *partv,
		size_t count)
{
	static const struct xml_walk_ops ops = {
		.start = on_start,
		.text = on_text,
		.end = on_end,
		.above = ABOVE_DOCUMENT,
		.prefixed = true,
	};
	static const char *const whyv[] = {
		[XML_WALK_NO_XML] = no_pidf,
		[XML_WALK_DTD] = no_dtd,
		[XML_WALK_DEEP] = too_deep,
	};
	enum xml_walk_why why;
	const int err = xml_walk_parts(&ops, r, partv, count, &why);

	if (err == EBADMSG && why != XML_WALK_BY_OPS)
		refuse(r, err, whyv[why]);

	return r->err ? r->err : err;
}

int pidf_parse(struct pidf *out, struct arena *a, const char *p, size_t n,
	       const char **why)
{
	const struct xml_walk_part whole = {p, n};
	struct reader r;
	int err;

	reader_init(&r, a);
	err = walk(&r, &whole, 1);
	if (!err)
		err = finish(out, &r);
	*why = r.why;
	reader_free(&r);

	return err;
}

int pidf_read_xml(const char **out, struct arena *a, const char *p, size_t n,
		  const char **why)
{
	static const char head[] =
		"<p:presence xmlns:p=\"urn:ietf:params:xml:ns:pidf\">";
	static const char tail[] = "</p:presence>";
	const struct xml_walk_part partv[] = {
		{head, sizeof(head) - 1},
		{p, n},
		{tail, sizeof(tail) - 1},
	};
	struct reader r;
	int err;

	reader_init(&r, a);
	r.only_xml = true;
	err = walk(&r, partv, sizeof(partv) / sizeof(partv[0]));
	if (!err)
		err = take_xml(&r);
	if (!err)
		*out = r.presence.xml[PRESENCE_IN_DOCUMENT];
	*why = err && r.why == no_pidf ? no_xml : r.why;
	reader_free(&r);

	return err;
}
