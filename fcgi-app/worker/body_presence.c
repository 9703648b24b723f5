#include "worker/body_presence.h"

#include <errno.h>
#include <string.h>

#include "common/presence/pidf.h"
#include "worker/body_form.h"

#define OTHER "other:"

enum {
	TEXT_MAX = 2 *
		   BODY_TEXT_MAX, /* what is ours, and the rest as it came */
};

enum member { BASIC, NOTE, XML, FIRST_LIST };

static const struct body_member members[] = {
	[BASIC] = {"basic", JSON_STRING, false, 0, 0, true},
	[NOTE] = {"note", JSON_STRING, false, 0, PRESENCE_NOTE_MAX, true},
	[XML] = {"xml", JSON_OBJECT, false, 0, 0, true},
	[FIRST_LIST + PRESENCE_ACTIVITIES] = {"activities", JSON_ARRAY, false,
					      0, PRESENCE_WORDS_MAX, true},
	[FIRST_LIST + PRESENCE_MOOD] = {"mood", JSON_ARRAY, false, 0,
					PRESENCE_WORDS_MAX, true},
	[FIRST_LIST + PRESENCE_PLACE_TYPE] = {"place_type", JSON_ARRAY, false,
					      0, PRESENCE_WORDS_MAX, true},
};
enum {
	MEMBERS = sizeof(members) / sizeof(*members),
};

static bool is(const struct json *v, const char *word)
{
	return v->type == JSON_STRING && v->len == strlen(word) &&
	       !memcmp(v->text, word, v->len);
}

/* A word that is in its list, or a text of one's own behind `other:`. */
static bool is_word(enum presence_list list, const struct json *v)
{
	const size_t n = sizeof(OTHER) - 1;

	return v->type == JSON_STRING && v->len <= PRESENCE_WORD_MAX &&
	       (presence_knows(list, v->text, v->len) ||
		(v->len > n && !memcmp(v->text, OTHER, n)));
}

static bool refuse_word(struct exchange *x, enum presence_list list,
			const char *first, const char *at, const struct json *v)
{
	const char *is_what = arena_fmt(
		x->arena,
		"%sone of %s; or a text of at most %d bytes behind "
		"`" OTHER "`",
		first, presence_words(list),
		PRESENCE_WORD_MAX - (int)sizeof(OTHER) + 1);

	if (is_what)
		body_form_refuse_value(x, at, is_what, v);
	else
		body_form_no_memory(x);

	return false;
}

static bool add(struct exchange *x, struct presence *p, enum presence_list list,
		const struct json *v)
{
	if (!presence_add(p, x->arena, list, v->text, v->len))
		return true;
	body_form_no_memory(x); /* its bounds were looked at */

	return false;
}

static bool read_list(struct exchange *x, struct presence *p,
		      enum presence_list list, const struct json *array,
		      const char *at)
{
	size_t i = 0;

	for (const struct json *v = array->first; v; v = v->next, i++) {
		const char *place = arena_fmt(x->arena, "%s/%s/%zu", at,
					      presence_list_name[list], i);

		if (!place) {
			body_form_no_memory(x);
			return false;
		}
		if (!is_word(list, v))
			return refuse_word(x, list, "", place, v);
		if (!add(x, p, list, v))
			return false;
	}

	return true;
}

static bool read_one_xml(struct exchange *x, struct presence *p,
			 enum presence_place place, const struct json *v,
			 const char *at)
{
	const char *why;
	int err;

	err = pidf_read_xml(&p->xml[place], x->arena, v->text, v->len, &why);
	if (err == ENOMEM)
		body_form_no_memory(x);
	else if (err)
		body_form_refuse(x,
				 arena_fmt(x->arena, "%s/xml/%s", at,
					   presence_place_name[place]),
				 arena_fmt(x->arena, "%s.", why));

	return !err;
}

static bool read_xml(struct exchange *x, struct presence *p,
		     const struct json *object, const char *at)
{
	struct body_member table[PRESENCE_PLACES];
	const struct json *found[PRESENCE_PLACES];
	const char *where = arena_fmt(x->arena, "%s/xml", at);

	if (!where) {
		body_form_no_memory(x);
		return false;
	}
	for (size_t i = 0; i < PRESENCE_PLACES; i++)
		table[i] = (struct body_member){
			presence_place_name[i], JSON_STRING, false, 0,
			PRESENCE_XML_MAX,	true};
	if (!body_form_members(x, object, where, table, PRESENCE_PLACES, found,
			       NULL))
		return false;
	for (size_t i = 0; i < PRESENCE_PLACES; i++) {
		if (found[i] &&
		    !read_one_xml(x, p, (enum presence_place)i, found[i], at))
			return false;
	}

	return true;
}

static bool read_basic(struct exchange *x, struct presence *p,
		       const struct json *v, const char *at)
{
	p->closed = is(v, "closed");
	if (p->closed || is(v, "open"))
		return true;
	body_form_refuse_value(x, arena_fmt(x->arena, "%s/basic", at),
			       "open or closed", v);

	return false;
}

static bool read_object(struct exchange *x, struct presence *p,
			const struct json *object, const char *at,
			const char **more)
{
	const struct json *found[MEMBERS];

	if (!body_form_members(x, object, at, members, MEMBERS, found, more))
		return false;
	if (found[BASIC] && !read_basic(x, p, found[BASIC], at))
		return false;
	if (found[NOTE] && found[NOTE]->len)
		p->note = found[NOTE]->text;
	for (size_t i = 0; i < PRESENCE_LISTS; i++) {
		if (found[FIRST_LIST + i] &&
		    !read_list(x, p, (enum presence_list)i,
			       found[FIRST_LIST + i], at))
			return false;
	}

	return !found[XML] || read_xml(x, p, found[XML], at);
}

/* A word is short for `basic`, or for one activity. */
static bool read_word(struct exchange *x, struct presence *p,
		      const struct json *v, const char *at)
{
	p->closed = is(v, "closed");
	if (p->closed || is(v, "open"))
		return true;
	if (!is_word(PRESENCE_ACTIVITIES, v))
		return refuse_word(
			x, PRESENCE_ACTIVITIES,
			"an object, or open, closed or an activity: ", at, v);

	return add(x, p, PRESENCE_ACTIVITIES, v);
}

/* @return false: for want of memory, which was answered */
static bool write(struct exchange *x, const struct presence *p,
		  const char *more, const char **out)
{
	struct buf b;

	buf_init(&b, TEXT_MAX);
	presence_write(&b, p, more);
	*out = b.failed ? NULL : arena_mem(x->arena, b.p, b.len);
	buf_free(&b);
	if (!*out)
		body_form_no_memory(x);

	return *out != NULL;
}

bool body_presence(struct exchange *x, const struct json *v, const char *at,
		   const char **out)
{
	struct presence p = {.closed = false};
	const char *more = NULL;

	return (v->type == JSON_OBJECT ? read_object(x, &p, v, at, &more)
				       : read_word(x, &p, v, at)) &&
	       write(x, &p, more, out);
}

bool body_pidf(struct exchange *x, const char **out, const char **contact)
{
	const char *why = NULL;
	struct pidf pidf;

	switch (pidf_parse(&pidf, x->arena, x->body.p, x->body.len, &why)) {
	case 0:
		*contact = pidf.contact;
		return write(x, &pidf.presence, NULL, out);
	case EBADMSG:
		exchange_problem(x, 400, "invalid-body",
				 arena_fmt(x->arena, "%s.", why));
		return false;
	case EMSGSIZE:
		exchange_problem(x, 413, "document-too-large",
				 arena_fmt(x->arena, "%s.", why));
		return false;
	default:
		body_form_no_memory(x);
		return false;
	}
}
