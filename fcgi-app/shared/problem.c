/*
 * problem.c: problem+json (RFC 9457).
 */
#include "shared/problem.h"

#include <string.h>

#include "common/json_write.h"

static const char challenge_basic[] =
	"Basic realm=\"restsip\", charset=\"UTF-8\"";
static const char challenge_bearer[] = "Bearer realm=\"restsip\"";

/* Every slug there is: ours, nginx's and the database's, by name. */
static const struct {
	const char *slug, *title;
} titles[] = {
	{"account-disabled", "The account is disabled."},
	{"account-exists", "The account exists."},
	{"answered-elsewhere", "Another of the account's has answered."},
	{"bad-request", "The request is malformed."},
	{"busy", "Too busy for the moment."},
	{"call-full", "The call is full."},
	{"call-not-found", "There is no such call."},
	{"conflict", "It does not go with how things are."},
	{"contact-exists", "The contact is there already."},
	{"contact-not-allowed", "That cannot be a contact here."},
	{"contact-not-found", "There is no such contact."},
	{"content-too-large", "The body is too large."},
	{"credential-not-found", "There is no such credential."},
	{"cross-site", "Not for pages of other sites."},
	{"document-too-large", "That is larger than it may be."},
	{"domain-not-hosted", "The domain is not served here."},
	{"exchange-pending", "An offer waits for its answer."},
	{"forbidden", "Not allowed."},
	{"idempotency-in-progress",
	 "The first request of that key is under way."},
	{"idempotency-key-reused", "The key was used for another request."},
	{"internal-error", "Something broke."},
	{"invalid-body", "The body is malformed."},
	{"invalid-header", "A header is wrong."},
	{"invalid-member", "A member of the body is wrong."},
	{"invalid-parameter", "A parameter of the query is wrong."},
	{"keys-not-taken", "The phone takes no keys."},
	{"mailbox-full", "The mailbox is full."},
	{"media-incompatible", "The media do not go together."},
	{"message-not-cancellable", "The message was on its way already."},
	{"message-not-found", "There is no such message."},
	{"method-not-allowed", "Not a method for this resource."},
	{"needs-mixer", "Nobody mixes media here."},
	{"not-acceptable", "Not to be had in that form."},
	{"not-found", "There is nothing here."},
	{"not-implemented", "Not implemented."},
	{"not-owner", "Not yours to do."},
	{"not-reachable", "Nobody is there."},
	{"outcome-unknown", "Whether it was done is not known."},
	{"participant-not-found", "There is no such participant."},
	{"password-needed", "This needs the password."},
	{"precondition-failed", "It has changed since."},
	{"range-not-satisfiable", "There is no such range."},
	{"request-timeout", "The request took too long to arrive."},
	{"signup-closed", "Accounts are not made this way."},
	{"stale-answer", "That offer waits for no answer."},
	{"too-many-calls", "There are too many calls."},
	{"too-many-contacts", "There are too many contacts."},
	{"too-many-credentials", "There are too many credentials."},
	{"too-many-guesses", "Too many wrong passwords."},
	{"too-many-requests", "Too many requests."},
	{"too-many-scheduled", "Too many messages are due later."},
	{"too-many-sends", "Too many messages were sent."},
	{"too-many-sign-ups", "Too many accounts were made from there."},
	{"too-many-tickets", "There are too many tickets."},
	{"too-much-mail", "Too much mail without credentials."},
	{"too-much-waiting", "Too much waits for that user."},
	{"too-slow", "It takes too long."},
	{"unauthorized", "This needs credentials that are right."},
	{"unavailable", "Not available for the moment."},
	{"unsupported-media-type", "Not taken in that form."},
	{"uri-too-long", "The URI is too long."},
	{"user-not-found", "There is no such user."},
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
	{412, "precondition-failed"},
	{413, "content-too-large"},
	{415, "unsupported-media-type"},
	{416, "range-not-satisfiable"},
	{429, "too-many-requests"},
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
	res->failed = res->no_memory = !res->type;
	problem_json(&res->body, p);
	if (p->status == 401 && p->ask)
		response_header_add(res, "WWW-Authenticate", challenge_basic);
	if (p->status == 401)
		response_header_add(res, "WWW-Authenticate", challenge_bearer);
	if (p->retry_s || p->status == 503 || p->status == 429)
		response_header_fmt(res, "Retry-After", "%d",
				    p->retry_s	       ? p->retry_s
				    : p->status == 503 ? 1
						       : 60);
}
