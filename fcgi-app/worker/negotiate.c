#include "worker/negotiate.h"

#include <string.h>
#include <strings.h>

#include "worker/exchange.h"

enum {
	Q_ONE = 1000,
	TYPE_MAX = 255,
	POSSIBLE_MAX = 512,
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

/* A weight (RFC 9110, section 12.4.2) in thousandths; nonsense counts 0. */
static int parse_q(struct word w)
{
	int q = 0, unit = Q_ONE;

	if (w.n == 0 || w.n > 5 || (w.p[0] != '0' && w.p[0] != '1') ||
	    (w.n > 1 && w.p[1] != '.'))
		return 0;
	for (size_t i = 0; i < w.n; i++) {
		if (i == 1)
			continue;
		if (w.p[i] < '0' || w.p[i] > '9')
			return 0;
		q += (w.p[i] - '0') * unit;
		unit /= 10;
	}

	return q > Q_ONE ? 0 : q;
}

static int range_q(const char *p, const char *end)
{
	while (p < end) {
		const char *stop = find(p, end, ';');
		const struct word w = trim(p, stop);

		if (w.n > 2 && (*w.p == 'q' || *w.p == 'Q') && w.p[1] == '=')
			return parse_q((struct word){w.p + 2, w.n - 2});
		p = stop + 1;
	}

	return Q_ONE;
}

/* How well a range names the type: 0 not at all, 3 exactly. */
static int match(struct word range, const char *type)
{
	const size_t n = strlen(type);
	const size_t main_n = (size_t)(strchr(type, '/') - type) + 1;

	if (range.n == 3 && !memcmp(range.p, "*/*", 3))
		return 1;
	if (range.n == main_n + 1 && range.p[main_n] == '*' &&
	    !strncasecmp(range.p, type, main_n))
		return 2;

	return range.n == n && !strncasecmp(range.p, type, n) ? 3 : 0;
}

/* What Accept gives this type: the weight of the range that names it best. */
static int type_q(const char *accept, const char *type)
{
	const char *end = accept + strlen(accept);
	int best = 0, q = 0;

	for (int i = 0; accept < end && i < NEGOTIATE_RANGES_MAX; i++) {
		const char *stop = find(accept, end, ',');
		const char *params = find(accept, stop, ';');
		const int how = match(trim(accept, params), type);

		if (how > best) {
			best = how;
			q = range_q(params < stop ? params + 1 : stop, stop);
		}
		accept = stop + 1;
	}

	return q;
}

int negotiate_pick(const char *accept, const char *const *types, size_t n)
{
	int best = -1, best_q = 0;

	if (!accept || accept[strspn(accept, " \t,")] == '\0')
		return 0;
	for (size_t i = 0; i < n; i++) {
		const int q = type_q(accept, types[i]);

		if (q > best_q) {
			best = (int)i;
			best_q = q;
		}
	}

	return best;
}

int negotiate_accept(struct exchange *x, const char *const *types, size_t n)
{
	const int i = negotiate_pick(request_header(&x->req, "Accept"), types,
				     n);
	struct buf possible;

	if (i >= 0) {
		response_header(&x->res, "Vary", "Accept");
		return i;
	}
	buf_init(&possible, POSSIBLE_MAX);
	for (size_t k = 0; k < n; k++) {
		buf_str(&possible, k ? ", " : "");
		buf_str(&possible, types[k]);
	}
	exchange_not_acceptable(x, possible.p);
	buf_free(&possible);

	return -1;
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
