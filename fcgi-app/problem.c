/*
 * problem.c: problem+json (RFC 9457).
 */
#include "problem.h"

#include <string.h>

#include "json_write.h"

static const char challenge_basic[] =
	"Basic realm=\"restsip\", charset=\"UTF-8\"";
static const char challenge_bearer[] = "Bearer realm=\"restsip\"";

/* A slug that is not here has its status' title. */
static const struct {
	const char *slug, *title;
} titles[] = {
	{"account-exists", "The account exists."},
	{"busy", "Too busy for the moment."},
	{"content-too-large", "The body is too large."},
	{"contact-not-found", "There is no such contact."},
	{"in-progress", "The first request of that key is under way."},
	{"internal-error", "Something broke."},
	{"invalid-body", "The body is malformed."},
	{"invalid-member", "A member of the body is wrong."},
	{"login-not-found", "There is no such login."},
	{"mailbox-full", "The mailbox is full."},
	{"outcome-unknown", "Whether it was done is not known."},
	{"unauthorized", "This needs credentials that are right."},
	{"unavailable", "Not available for the moment."},
	{"user-not-found", "There is no such user."},
	{"version-mismatch", "It has changed since."},
};

/* The slug where there is none. */
static const struct {
	int status;
	const char *slug;
} slugs[] = {
	{400, "bad-request"},
	{401, "unauthorized"},
	{403, "forbidden"},
	{404, "not-found"},
	{405, "method-not-allowed"},
	{406, "not-acceptable"},
	{409, "conflict"},
	{412, "version-mismatch"},
	{413, "content-too-large"},
	{415, "unsupported-media-type"},
	{416, "range-not-satisfiable"},
	{503, "unavailable"},
};

static bool is_text(const char *s)
{
	return s && *s;
}

static const char *slug_of(const struct problem *p)
{
	if (is_text(p->slug))
		return p->slug;
	for (size_t i = 0; i < sizeof(slugs) / sizeof(*slugs); i++)
		if (slugs[i].status == p->status)
			return slugs[i].slug;
	return "internal-error";
}

const char *problem_title(const char *slug, int status)
{
	for (size_t i = 0; i < sizeof(titles) / sizeof(*titles); i++)
		if (!strcmp(titles[i].slug, slug))
			return titles[i].title;
	return status_reason(status);
}

void problem_json(struct buf *b, const struct problem *p)
{
	const char *slug = slug_of(p);

	buf_str(b, "{\"type\":\"/problems/");
	buf_str(b, slug);
	buf_char(b, '"');
	json_member(b, "title", problem_title(slug, p->status));
	buf_fmt(b, ",\"status\":%d", p->status);
	if (is_text(p->detail))
		json_member(b, "detail", p->detail);
	if (is_text(p->pointer)) {
		buf_str(b, ",\"errors\":[{");
		json_member(b, "pointer", p->pointer);
		if (is_text(p->detail))
			json_member(b, "detail", p->detail);
		buf_str(b, "}]");
	}
	if (is_text(p->extra)) {
		buf_char(b, ',');
		buf_str(b, p->extra);
	}
	if (is_text(p->request_id))
		json_member(b, "request_id", p->request_id);
	buf_str(b, "}\n");
}

void problem_answer(struct response *res, const struct problem *p)
{
	struct arena *a = res->arena;

	response_reset(res);
	res->status = p->status;
	res->no_store = true;
	res->type = arena_str(a, "application/problem+json");
	problem_json(&res->body, p);
	if (p->status == 401) {
		response_header_add(res, "WWW-Authenticate", challenge_basic);
		response_header_add(res, "WWW-Authenticate", challenge_bearer);
	}
	if (p->status == 503 || p->status == 429)
		response_header(res, "Retry-After", "1");
}
