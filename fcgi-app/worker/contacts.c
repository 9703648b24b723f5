#include "worker/contacts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "common/cidr.h"
#include "common/json_write.h"
#include "common/sipuri.h"
#include "common/utf8.h"
#include "worker/body_form.h"
#include "worker/body_presence.h"
#include "shared/negotiate.h"

enum {
	EXPIRES_MAX_S = 7 * 24 * 3600, /* the database's own */
	LIFETIME_MAX_BYTES = 20,
	ITEMS_MAX = 1 << 20,
};

static const char types[] =
	"application/json, text/plain, text/uri-list, application/pidf+xml";

/* Whether a host is an address that must not be bound (agent.bind_deny). A
 * name may: where it leads to is looked at when something is sent. */
static bool is_denied(const struct cidr_list *deny, struct sipuri_part host)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	char text[INET6_ADDRSTRLEN];

	if (host.n > 2 && host.p[0] == '[')
		host = (struct sipuri_part){host.p + 1, host.n - 2};
	if (host.n >= sizeof(text))
		return false;
	memcpy(text, host.p, host.n);
	text[host.n] = '\0';
	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return cidr_list_match(deny, (const struct sockaddr *)&v4);
	if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
		return cidr_list_match(deny, (const struct sockaddr *)&v6);

	return false;
}

static bool may_bind(struct exchange *x, const struct sipuri *u)
{
	const struct cidr_list *deny = x->app->bind_deny;
	struct sipuri_part maddr;

	return !is_denied(deny, u->host) &&
	       !(sipuri_param(u, "maddr", &maddr) && is_denied(deny, maddr));
}

static void refuse_uri(struct exchange *x, const char *p, size_t n,
		       const char *at)
{
	const struct json v = {.type = JSON_STRING, .text = p, .len = n};

	body_form_refuse_value(
		x, at, "a SIP URI such as sip:alice@192.0.2.1:5060", &v);
}

/* A URI as a contact. at: pointer of where it stands. */
static bool set_uri(struct exchange *x, struct contact *c, const char *p,
		    size_t n, const char *at)
{
	char key[SIPURI_KEY_BUF];
	struct sipuri u;

	if (sipuri_parse(&u, p, n) || sipuri_key(key, &u)) {
		refuse_uri(x, p, n, at);
		return false;
	}
	if (!may_bind(x, &u)) {
		exchange_problem_at(x, 403, "contact-not-allowed",
				    "No contact can be at that address "
				    "(setting bind_deny).",
				    at);
		return false;
	}
	c->uri = arena_mem(x->arena, p, n);
	c->key = arena_str(x->arena, key);
	if (!c->uri || !c->key)
		body_form_no_memory(x);

	return c->uri && c->key;
}

static bool read_uri(struct exchange *x, struct contact *c,
		     const struct json *v, const char *at)
{
	return set_uri(x, c, v->text, v->len, at);
}

static bool read_stream(struct exchange *x, struct contacts *out,
			const struct json *lifetime, const char *at,
			bool has_contact)
{
	const char *why = NULL;

	if (strcmp(lifetime->text, "stream") != 0)
		why = "`lifetime` can only be \"stream\".";
	else if (out->many)
		why = "Only a login by itself can live with a stream.";
	else if (has_contact)
		why = "A login that lives with a stream has no contact.";
	if (why)
		body_form_refuse(x, arena_fmt(x->arena, "%s/lifetime", at),
				 why);
	out->stream = !why;

	return !why;
}

/* presence: JSON. extra: of an object, to which it is added; null: of none */
static bool set_presence(struct exchange *x, struct contact *c,
			 const char *extra, const char *presence)
{
	const bool more = extra && strcmp(extra, "{}") != 0;

	c->extra = arena_fmt(x->arena, "{\"presence\":%s%s%s", presence,
			     more ? "," : "", more ? extra + 1 : "}");
	if (!c->extra)
		body_form_no_memory(x);

	return c->extra != NULL;
}

/* An object without any member of its own leaves what there is; null says
   that there is to be none. */
static bool read_presence(struct exchange *x, struct contact *c,
			  const struct json *v, const char *at)
{
	const char *pointer = arena_fmt(x->arena, "%s/presence", at);
	const char *text;

	if (!v && !strcmp(c->extra, "{}"))
		c->extra = NULL;
	if (!v || v->type == JSON_NULL)
		return true;
	if (!pointer) {
		body_form_no_memory(x);
		return false;
	}

	return body_presence(x, v, pointer, &text) &&
	       set_presence(x, c, c->extra, text);
}

/* at: pointer of the object, "" or "/7". */
static bool read_object(struct exchange *x, struct contacts *out,
			struct contact *c, const struct json *object,
			const char *at, enum contacts_form form)
{
	static const struct body_member table[] = {
		{"contact", JSON_STRING, false, 1, SIPURI_MAX, true},
		{"expires", JSON_SECONDS, false, 1, INT64_MAX, true},
		{"lifetime", JSON_STRING, false, 1, LIFETIME_MAX_BYTES, true},
		{"presence", JSON_ANY, false, 0, 0, false},
	};
	const char *pointer = arena_fmt(x->arena, "%s/contact", at);
	const struct json *found[4];

	if (!pointer) {
		body_form_no_memory(x);
		return false;
	}
	if (!body_form_members(x, object, at, table, 4, found, &c->extra) ||
	    !read_presence(x, c, found[3], at))
		return false;
	if (found[1]) {
		(void)body_integer(found[1], &c->expires_s); /* was checked */
		if (c->expires_s > EXPIRES_MAX_S)
			c->expires_s = EXPIRES_MAX_S;
	}
	if (found[2] && form == CONTACTS_NEW)
		return read_stream(x, out, found[2], at, found[0] != NULL);
	if (found[0])
		return read_uri(x, c, found[0], pointer);
	if (form == CONTACTS_NEW)
		body_form_refuse(x, pointer,
				 "`contact` is missing: a SIP URI such as "
				 "sip:alice@192.0.2.1:5060.");

	return form == CONTACTS_REFRESH;
}

static bool read_one(struct exchange *x, struct contacts *out,
		     const struct json *v, const char *at,
		     enum contacts_form form)
{
	struct contact *c = &out->list[out->n++];

	if (v->type == JSON_STRING)
		return read_uri(x, c, v, at);

	return read_object(x, out, c, v, at, form);
}

static bool read_array(struct exchange *x, struct contacts *out,
		       const struct json *array)
{
	out->many = true;
	if (array->count == 0 || array->count > CONTACTS_MAX) {
		body_form_refuse(x, "",
				 arena_fmt(x->arena,
					   "An array has 1 to %d contacts; "
					   "this has %zu.",
					   CONTACTS_MAX, array->count));
		return false;
	}
	for (const struct json *v = array->first; v; v = v->next) {
		const char *at = arena_fmt(x->arena, "/%zu", out->n);

		if (!at) {
			body_form_no_memory(x);
			return false;
		}
		if (!read_one(x, out, v, at, CONTACTS_NEW))
			return false;
	}

	return true;
}

static bool read_json(struct exchange *x, enum contacts_form form,
		      struct contacts *out)
{
	const struct json *v;

	if (!body_form_value(x, &v))
		return false;
	if (v->type == JSON_ARRAY && form == CONTACTS_NEW)
		return read_array(x, out, v);

	return read_one(x, out, v, "", form);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* A line's URI, blanks at its ends left out; false: answered. */
static bool read_line(struct exchange *x, struct contacts *out, const char *p,
		      const char *end, size_t max)
{
	if (out->n == max) {
		exchange_problem(x, 400, "invalid-body",
				 arena_fmt(x->arena,
					   "There can be %zu here, one a line; "
					   "there are more.",
					   max));
		return false;
	}

	return set_uri(x, &out->list[out->n++], p, (size_t)(end - p), "");
}

static bool read_lines(struct exchange *x, bool uri_list,
		       enum contacts_form form, struct contacts *out)
{
	const size_t max = form == CONTACTS_REFRESH ? 1 : CONTACTS_MAX;
	const char *p = x->body.len ? x->body.p : "";
	const char *const end = p + x->body.len;

	p += utf8_mark(p, x->body.len);
	while (p < end) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		const char *next = stop ? stop + 1 : end;

		stop = stop ? stop : end;
		while (p < stop && is_blank(*p))
			p++;
		while (stop > p && is_blank(stop[-1]))
			stop--;
		if (p < stop && !(uri_list && *p == '#') &&
		    !read_line(x, out, p, stop, max))
			return false;
		p = next;
	}
	out->many = out->n > 1;
	if (out->n == 0)
		exchange_problem(x, 400, "invalid-body",
				 "There is no contact in it: a SIP URI such as "
				 "sip:alice@192.0.2.1:5060, one a line.");

	return out->n > 0;
}

/* A new contact is the one that the document names. */
static bool read_pidf(struct exchange *x, enum contacts_form form,
		      struct contacts *out)
{
	const char *presence, *uri;

	if (!body_pidf(x, &presence, &uri))
		return false;
	out->n = 1;
	out->merge = form == CONTACTS_REFRESH;
	if (!set_presence(x, out->list, NULL, presence))
		return false;
	if (form == CONTACTS_REFRESH)
		return true;
	if (uri)
		return set_uri(x, out->list, uri, strlen(uri), "");
	exchange_problem(x, 400, "invalid-body",
			 "The first tuple has no contact: a SIP URI such as "
			 "sip:alice@192.0.2.1:5060.");

	return false;
}

static bool charset_is_known(struct exchange *x)
{
	const char *type = request_param(&x->req, "CONTENT_TYPE");

	return !type || negotiate_charset_is_utf8(type);
}

bool contacts_read(struct exchange *x, enum contacts_form form,
		   struct contacts *out)
{
	const char *type = request_media_type(&x->req, x->arena);
	const bool refresh = form == CONTACTS_REFRESH;

	*out = (struct contacts){.n = 0};
	out->list = arena_alloc(x->arena, CONTACTS_MAX * sizeof(*out->list));
	if (!out->list || !type) {
		body_form_no_memory(x);
		return false;
	}
	if (refresh && x->body.len == 0) {
		out->n = 1;
		return true;
	}
	if (negotiate_is_json(request_param(&x->req, "CONTENT_TYPE"), false))
		return read_json(x, form, out);
	if (charset_is_known(x)) {
		if (!strcmp(type, "text/plain"))
			return read_lines(x, false, form, out);
		if (!strcmp(type, "text/uri-list"))
			return read_lines(x, true, form, out);
		if (!strcmp(type, "application/pidf+xml"))
			return read_pidf(x, form, out);
	}
	exchange_unsupported(x, types);

	return false;
}

const char *contacts_json(const struct contacts *c, struct arena *a)
{
	const char *text = NULL;
	struct buf b;

	buf_init(&b, ITEMS_MAX);
	buf_char(&b, '[');
	for (size_t i = 0; i < c->n; i++) {
		const struct contact *one = &c->list[i];

		if (i)
			buf_char(&b, ',');
		buf_char(&b, '{');
		json_member(&b, "contact", one->uri);
		json_member(&b, "key", one->key);
		if (one->expires_s)
			json_member_int(&b, "expires", one->expires_s);
		if (one->extra) {
			json_key(&b, "extra");
			buf_str(&b, one->extra);
		}
		buf_char(&b, '}');
	}
	buf_char(&b, ']');
	if (!b.failed)
		text = arena_mem(a, b.p, b.len);
	buf_free(&b);

	return text;
}
