#include "common/notice/imdn.h"

#include <errno.h>
#include <string.h>

#include "common/notice/cpim.h"
#include "common/utf8.h"
#include "common/xml_walk.h"

static const char type_imdn[] = "message/imdn+xml";
static const char no_imdn[] =
	"The body is an imdn document (RFC 5438) with a message-id of at most "
	"256 bytes";

/* What an element is, by where it stands. */
enum element {
	ABOVE = XML_WALK_ABOVE,
	IMDN,
	MESSAGE_ID,
	DELIVERY, /* what it says of the delivery, */
	DISPLAY,  /* of being displayed */
	DELIVERY_STATUS,
	DISPLAY_STATUS,
	OTHER,
};

struct reader {
	struct imdn imdn;
	size_t id_len;
	bool has_id;
};

/* Whether it is of the namespace of receipts. */
static bool is(const char *name, const char *local)
{
	static const char ns[] = "urn:ietf:params:xml:ns:imdn|";
	const size_t n = sizeof(ns) - 1;

	return !strncmp(name, ns, n) && !strcmp(name + n, local);
}

static enum element element_of(enum element in, const char *name)
{
	if (in == ABOVE)
		return is(name, "imdn") ? IMDN : OTHER;
	if (in == IMDN && is(name, "message-id"))
		return MESSAGE_ID;
	if (in == IMDN && is(name, "delivery-notification"))
		return DELIVERY;
	if (in == IMDN && is(name, "display-notification"))
		return DISPLAY;
	if (in == DELIVERY && is(name, "status"))
		return DELIVERY_STATUS;
	if (in == DISPLAY && is(name, "status"))
		return DISPLAY_STATUS;

	return OTHER;
}

static int on_start(int in, const char *name, const char *const *attrs,
		    void *arg)
{
	struct reader *r = arg;
	const enum element el = element_of((enum element)in, name);

	(void)attrs;
	if ((in == ABOVE && el != IMDN) || (el == MESSAGE_ID && r->has_id))
		return XML_WALK_REFUSED;
	r->has_id = r->has_id || el == MESSAGE_ID;
	if (in == DELIVERY_STATUS && is(name, "delivered"))
		r->imdn.status = "delivered";
	else if (in == DISPLAY_STATUS && is(name, "displayed"))
		r->imdn.status = "displayed";

	return (int)el;
}

static int on_text(int in, const char *p, size_t n, void *arg)
{
	struct reader *r = arg;

	return in == MESSAGE_ID ? xml_walk_add(r->imdn.message_id, &r->id_len,
					       IMDN_ID_MAX, p, n)
				: 0;
}

static int read_receipt(struct imdn *out, const char *p, size_t n)
{
	static const struct xml_walk_ops ops = {.start = on_start,
						.text = on_text};
	struct reader r = {.imdn.is_receipt = true};
	int err = xml_walk(&ops, &r, p, n);

	xml_walk_trim(r.imdn.message_id, r.id_len);
	if (!err && !*r.imdn.message_id)
		err = EBADMSG;
	if (!err)
		*out = r.imdn;

	return err;
}

/* That of a message; what is no text, or too long, can be in no receipt */
static void take_id(struct imdn *out, const struct cpim_part *id)
{
	*out = (struct imdn){.is_receipt = false};
	if (!id->p || id->n > IMDN_ID_MAX || memchr(id->p, '\0', id->n) ||
	    utf8_valid(id->p, id->n) != id->n)
		return;
	memcpy(out->message_id, id->p, id->n);
	out->message_id[id->n] = '\0';
}

int imdn_read(struct imdn *out, const char *type, size_t type_len,
	      const char *p, size_t n, const char **why)
{
	const struct cpim c = cpim_of(type, type_len, p, n);

	*why = no_imdn;
	if (cpim_type_is(c.type.p, c.type.n, type_imdn))
		return read_receipt(out, c.content.p, c.content.n);
	take_id(out, &c.message_id);

	return 0;
}
