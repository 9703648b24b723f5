/*
 * negotiate.c: Accept and Content-Type.
 */
#include "shared/negotiate.h"

#include <string.h>
#include <strings.h>

enum {
	Q_ONE = 1000,
	TYPE_MAX = 255,
};

/* How well a range of Accept names a type. */
enum match {
	MATCH_NOT,
	MATCH_ALL,  /* any type */
	MATCH_MAIN, /* its main type */
	MATCH_XML,  /* XML of any kind */
	MATCH_NAME,
};

/* A word between from and to, blanks at its ends left out. */
struct word {
	const char *p;
	size_t n;
};

static struct word trim(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
		end--;

	return (struct word){p, (size_t)(end - p)};
}

/* Up to the next c outside of quotes, or to the end. */
static const char *find(const char *p, const char *end, char c)
{
	bool quoted = false;

	for (; p < end; p++) {
		if (quoted && *p == '\\' && p + 1 < end)
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (!quoted && *p == c)
			break;
	}

	return p;
}

/* A weight (RFC 9110, section 12.4.2) in thousandths, read as people write it:
 * `.2`, `0.99999`. -1: it is nonsense. */
static int parse_q(struct word w)
{
	int q = 0, unit = Q_ONE;
	bool digits = false, point = false;

	for (size_t i = 0; i < w.n; i++) {
		const int digit = w.p[i] - '0';

		if (w.p[i] == '.' && !point) {
			point = true;
			continue;
		}
		if (digit < 0 || digit > 9)
			return -1;
		if (point)
			unit /= 10;
		q += digit * unit;
		if (q > Q_ONE)
			return -1;
		digits = true;
	}

	return digits ? q : -1;
}

/* The weight of a range by its parameters; -1: nonsense. */
static int range_q(const char *p, const char *end)
{
	while (p < end) {
		const char *stop = find(p, end, ';');
		const struct word w = trim(p, stop);

		if (w.n > 1 && (*w.p == 'q' || *w.p == 'Q') && w.p[1] == '=')
			return parse_q(trim(w.p + 2, w.p + w.n));
		p = stop + 1;
	}

	return Q_ONE;
}

static bool is_word(struct word w, const char *text)
{
	return w.n == strlen(text) && !strncasecmp(w.p, text, w.n);
}

static enum match match(struct word range, const char *type)
{
	const size_t n = strlen(type);
	const size_t main_n = (size_t)(strchr(type, '/') - type) + 1;

	/* A lone star is what Java says. */
	if ((range.n == 3 && !memcmp(range.p, "*/*", 3)) ||
	    (range.n == 1 && *range.p == '*'))
		return MATCH_ALL;
	if (range.n == main_n + 1 && range.p[main_n] == '*' &&
	    !strncasecmp(range.p, type, main_n))
		return MATCH_MAIN;

	if (range.n == n && !strncasecmp(range.p, type, n))
		return MATCH_NAME;

	return n > 4 && !strcmp(type + n - 4, "+xml") &&
			       (is_word(range, "application/xml") ||
				is_word(range, "text/xml"))
		       ? MATCH_XML
		       : MATCH_NOT;
}

/* Browsers name application/xml too, behind the pages that they want: that is
 * no wish for it. */
static bool is_browser(const char *accept)
{
	const char *end = accept + strlen(accept);

	for (int i = 0; accept < end && i < NEGOTIATE_RANGES_MAX; i++) {
		const char *stop = find(accept, end, ',');

		if (is_word(trim(accept, find(accept, stop, ';')), "text/html"))
			return true;
		accept = stop + 1;
	}

	return false;
}

/* What Accept gives this type: the weight of the range that names it best, and
 * no worse than least. A range whose weight is nonsense is left out. */
static int type_q(const char *accept, const char *type, enum match least)
{
	const char *end = accept + strlen(accept);
	const bool browser = is_browser(accept);
	enum match best = MATCH_NOT;
	int q = 0;

	for (int i = 0; accept < end && i < NEGOTIATE_RANGES_MAX; i++) {
		const char *stop = find(accept, end, ',');
		const char *params = find(accept, stop, ';');
		const enum match how = match(trim(accept, params), type);
		const int weight = range_q(params < stop ? params + 1 : stop,
					   stop);

		if (weight >= 0 && how >= least && how > best &&
		    !(how == MATCH_XML && browser)) {
			best = how;
			q = weight;
		}
		accept = stop + 1;
	}

	return q;
}

int negotiate_pick(const char *accept, const char *const *types)
{
	int best = -1, best_q = 0;

	if (!accept || accept[strspn(accept, " \t,")] == '\0')
		return 0;
	for (int i = 0; types[i]; i++) {
		const int q = type_q(accept, types[i], MATCH_ALL);

		if (q > best_q) {
			best = i;
			best_q = q;
		}
	}

	return best;
}

enum form negotiate_form(const char *accept, bool asked,
			 const char *const *types)
{
	int sse, ndjson, most;

	if (!accept)
		accept = "";
	sse = type_q(accept, "text/event-stream", MATCH_NAME);
	ndjson = type_q(accept, "application/x-ndjson", MATCH_NAME);
	most = sse > ndjson ? sse : ndjson;
	for (; *types && !asked; types++)
		if (type_q(accept, *types, MATCH_ALL) >= most)
			return FORM_DOCUMENT;

	return sse && sse >= ndjson ? FORM_SSE : FORM_NDJSON;
}

enum form negotiate_form_of(const struct request *req, const char *const *types)
{
	return negotiate_form(request_header(req, "Accept"),
			      request_query(req, "stream") ||
				      request_query(req, "wait"),
			      types);
}

static bool is_token(const char *p, size_t n)
{
	static const char also[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < n; i++) {
		const char c = p[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		      (c >= 'A' && c <= 'Z')) &&
		    (c == '\0' || !strchr(also, c)))
			return false;
	}

	return n > 0;
}

bool negotiate_type_is_sound(const char *type)
{
	const size_t n = strlen(type);
	const size_t head = strcspn(type, ";");
	const char *slash = memchr(type, '/', head);
	struct word sub;

	if (n == 0 || n > TYPE_MAX || !slash)
		return false;
	for (size_t i = 0; i < n; i++) {
		const unsigned char c = (unsigned char)type[i];

		if (c < ' ' || c > '~')
			return false;
	}
	sub = trim(slash + 1, type + head);

	return is_token(type, (size_t)(slash - type)) && is_token(sub.p, sub.n);
}

bool negotiate_is_json(const char *type, bool patch)
{
	static const char *const names[] = {
		"application/json",
		"application/x-www-form-urlencoded", /* curl's, of any -d */
		"application/merge-patch+json",
	};
	struct word w;

	if (!type)
		return true;
	w = trim(type, find(type, type + strlen(type), ';'));
	if (w.n == 0)
		return true;
	for (size_t i = 0; i < (patch ? 3 : 2); i++)
		if (w.n == strlen(names[i]) && !strncasecmp(w.p, names[i], w.n))
			return negotiate_charset_is_utf8(type);

	return false;
}

bool negotiate_charset_is_utf8(const char *type)
{
	const char *end = type + strlen(type);
	const char *p = find(type, end, ';');

	while (p < end) {
		const char *stop = find(p + 1, end, ';');
		struct word w = trim(p + 1, stop);

		p = stop;
		if (w.n < 8 || strncasecmp(w.p, "charset=", 8) != 0)
			continue;
		w.p += 8;
		w.n -= 8;
		if (w.n > 1 && w.p[0] == '"' && w.p[w.n - 1] == '"') {
			w.p++;
			w.n -= 2;
		}
		return (w.n == 5 && !strncasecmp(w.p, "utf-8", 5)) ||
		       (w.n == 8 && !strncasecmp(w.p, "us-ascii", 8));
	}

	return true;
}
