#include "common/sipuri.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/hex.h"

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* RFC 3261, section 25.1: unreserved, escaped, and what else is named */
static bool is_text(const char *p, size_t n, const char *also)
{
	for (size_t i = 0; i < n; i++) {
		const char c = p[i];

		if (is_alpha(c) || is_digit(c))
			continue;
		if (c == '%') {
			if (i + 2 >= n || hex_value(p[i + 1]) < 0 ||
			    hex_value(p[i + 2]) < 0)
				return false;
			if (p[i + 1] == '0' || p[i + 1] == '1')
				return false; /* no control characters */
			i += 2;
			continue;
		}
		if (c == '\0' || (!strchr("-_.!~*'()", c) && !strchr(also, c)))
			return false;
	}

	return true;
}

static bool is_host(const char *p, size_t n)
{
	char text[256];
	unsigned char addr[sizeof(struct in6_addr)];
	bool numeric = true;

	if (n == 0 || n >= sizeof(text))
		return false;
	memcpy(text, p, n);
	text[n] = '\0';
	if (p[0] == '[') {
		if (p[n - 1] != ']')
			return false;
		text[n - 1] = '\0';
		return inet_pton(AF_INET6, text + 1, addr) == 1;
	}
	for (size_t i = 0; i < n; i++) {
		/* no name of DNS has an underscore, but those of phones do */
		if (!is_alpha(p[i]) && !is_digit(p[i]) && p[i] != '-' &&
		    p[i] != '.' && p[i] != '_')
			return false;
		if ((p[i] == '.' || p[i] == '-') && i == 0)
			return false;
		if (p[i] == '.' && p[i - 1] == '.')
			return false;
		numeric = numeric && (is_digit(p[i]) || p[i] == '.');
	}
	if (p[n - 1] == '-')
		return false;

	return !numeric || inet_pton(AF_INET, text, addr) == 1;
}

static int parse_port(uint16_t *port, const char *p, size_t n)
{
	unsigned long value = 0;

	if (n == 0 || n > 5)
		return EBADMSG;
	for (size_t i = 0; i < n; i++) {
		if (!is_digit(p[i]))
			return EBADMSG;
		value = value * 10 + (unsigned long)(p[i] - '0');
	}
	if (value == 0 || value > UINT16_MAX)
		return EBADMSG;
	*port = (uint16_t)value;

	return 0;
}

/* ;name or ;name=value, one after another; nothing between two semicolons, or
   behind the last one, is what some phones write */
static bool are_params(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n) {
		size_t from = ++i, eq = 0;

		while (i < n && p[i] != ';') {
			if (p[i] == '=' && !eq)
				eq = i;
			i++;
		}
		if (i == from)
			continue;
		if (eq == from)
			return false;
		if (!is_text(p + from, (eq ? eq : i) - from, "[]/:&+$"))
			return false;
		if (eq && (i == eq + 1 ||
			   !is_text(p + eq + 1, i - eq - 1, "[]/:&+$")))
			return false;
	}

	return true;
}

static int parse_hostport(struct sipuri *u, const char *p, const char *end)
{
	const char *host_end = p;

	if (p < end && *p == '[') {
		host_end = memchr(p, ']', (size_t)(end - p));
		if (!host_end)
			return EBADMSG;
		host_end++;
	} else {
		while (host_end < end && *host_end != ':')
			host_end++;
	}
	if (!is_host(p, (size_t)(host_end - p)))
		return EBADMSG;
	u->host = (struct sipuri_part){p, (size_t)(host_end - p)};
	if (host_end == end)
		return 0;
	if (*host_end != ':')
		return EBADMSG;

	return parse_port(&u->port, host_end + 1, (size_t)(end - host_end - 1));
}

/**
 * Parses a SIP or SIPS URI that may be a contact: no headers, no password, no
 * character that would have to be quoted.
 *
 * @param u  Written only on success; its parts are borrowed from p
 * @return  0, or EBADMSG
 */
int sipuri_parse(struct sipuri *u, const char *p, size_t n)
{
	struct sipuri out = {.secure = false};
	const char *end = p + n;
	const char *at, *params;
	int err;

	if (n > SIPURI_MAX)
		return EBADMSG;
	if (n > 4 && !strncasecmp(p, "sip:", 4)) {
		p += 4;
	} else if (n > 5 && !strncasecmp(p, "sips:", 5)) {
		out.secure = true;
		p += 5;
	} else {
		return EBADMSG;
	}
	at = memchr(p, '@', (size_t)(end - p));
	if (at) {
		out.user = (struct sipuri_part){p, (size_t)(at - p)};
		if (out.user.n == 0 || !is_text(p, out.user.n, "&=+$,;?/"))
			return EBADMSG;
		p = at + 1;
	}
	params = memchr(p, ';', (size_t)(end - p));
	if (params) {
		out.params = (struct sipuri_part){params,
						  (size_t)(end - params)};
		if (!are_params(params, out.params.n))
			return EBADMSG;
	}
	err = parse_hostport(&out, p, params ? params : end);
	if (err)
		return err;
	*u = out;

	return 0;
}

/* The next of the parameters that have been checked; @return false: no more */
static bool take_param(struct sipuri_part *name, struct sipuri_part *value,
		       struct sipuri_part *rest)
{
	const char *end, *stop, *eq;

	if (!rest->n)
		return false;

	end = rest->p + rest->n;
	stop = memchr(rest->p + 1, ';', rest->n - 1);
	if (!stop)
		stop = end;
	eq = memchr(rest->p, '=', (size_t)(stop - rest->p));
	*name = (struct sipuri_part){rest->p + 1,
				     (size_t)((eq ? eq : stop) - rest->p - 1)};
	*value = (struct sipuri_part){eq ? eq + 1 : stop,
				      eq ? (size_t)(stop - eq - 1) : 0};
	*rest = (struct sipuri_part){stop, (size_t)(end - stop)};

	return true;
}

/**
 * @param value  Set when the parameter is there; empty: it has no value
 * @return  Whether the URI has the parameter
 */
bool sipuri_param(const struct sipuri *u, const char *name,
		  struct sipuri_part *value)
{
	struct sipuri_part rest = u->params, found;
	const size_t len = strlen(name);

	while (take_param(&found, value, &rest)) {
		if (found.n == len && !strncasecmp(found.p, name, len))
			return true;
	}

	return false;
}

static void add(char *out, size_t *len, char c)
{
	out[(*len)++] = c;
}

/* Escapes of what need not be escaped are undone; others are in capitals */
static void add_user(char *out, size_t *len, struct sipuri_part user)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < user.n; i++) {
		int c = (unsigned char)user.p[i];

		if (c != '%') {
			add(out, len, (char)c);
			continue;
		}
		c = hex_value(user.p[i + 1]) * 16 + hex_value(user.p[i + 2]);
		i += 2;
		if (is_alpha((char)c) || is_digit((char)c) ||
		    strchr("-_.!~*'()", c)) {
			add(out, len, (char)c);
			continue;
		}
		add(out, len, '%');
		add(out, len, digits[c >> 4]);
		add(out, len, digits[c & 15]);
	}
}

static void add_lower(char *out, size_t *len, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add(out, len,
		    (char)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 'a' - 'A'
						      : p[i]));
}

/* Those that count even when only one of two URIs has them */
static const char *const counting[] = {"maddr", "method", "transport", "ttl",
				       "user"};

struct param {
	struct sipuri_part name, value;
};

static int compare_names(const void *one, const void *other)
{
	const struct param *a = one, *b = other;
	const size_t n = a->name.n < b->name.n ? a->name.n : b->name.n;
	const int order = strncasecmp(a->name.p, b->name.p, n);

	if (order || a->name.n == b->name.n) /* of two the first one counts */
		return order ? order : (a->name.p > b->name.p) * 2 - 1;

	return a->name.n < b->name.n ? -1 : 1;
}

static bool is_counting(const struct sipuri_part *name)
{
	for (size_t i = 0; i < sizeof(counting) / sizeof(*counting); i++) {
		if (strlen(counting[i]) == name->n &&
		    !strncasecmp(counting[i], name->p, name->n))
			return true;
	}

	return false;
}

/* All others, in order, behind a space */
static void add_others(char *out, size_t *len, const struct sipuri *u)
{
	struct param params[SIPURI_MAX / 2];
	struct sipuri_part rest = u->params;
	const struct sipuri_part *last = NULL;
	size_t n = 0;

	while (take_param(&params[n].name, &params[n].value, &rest))
		n += params[n].name.n && !is_counting(&params[n].name);
	qsort(params, n, sizeof(*params), compare_names);

	for (size_t i = 0; i < n; i++) {
		const struct param *p = &params[i];

		if (last && last->n == p->name.n &&
		    !strncasecmp(last->p, p->name.p, last->n))
			continue;
		add(out, len, last ? ';' : ' ');
		add_lower(out, len, p->name.p, p->name.n);
		if (p->value.n) {
			add(out, len, '=');
			add_lower(out, len, p->value.p, p->value.n);
		}
		last = &p->name;
	}
}

/**
 * The key by which URIs are compared as RFC 3261, section 19.1.4 has it: the
 * user to the letter, scheme and host in any case, the port as given, and of
 * the parameters those that count even when only one side has them.  Behind a
 * space follow the others, `name=value;name`: of them those must be equal that
 * both sides have (app.login_key() in SQL, which knows a third part too:
 * registrar/contact.c).
 *
 * @param out  Written only on success
 * @return  0, or EOVERFLOW
 */
int sipuri_key(char out[static SIPURI_KEY_BUF], const struct sipuri *u)
{
	struct sipuri_part value;
	size_t len = 0;
	char port[8];

	if (u->user.n + u->host.n + u->params.n > SIPURI_MAX)
		return EOVERFLOW;
	add_lower(out, &len, u->secure ? "sips:" : "sip:", u->secure ? 5 : 4);
	if (u->user.p) {
		add_user(out, &len, u->user);
		add(out, &len, '@');
	}
	add_lower(out, &len, u->host.p, u->host.n);
	if (u->port) {
		const int n = snprintf(port, sizeof(port), ":%u", u->port);

		add_lower(out, &len, port, (size_t)n);
	}
	for (size_t i = 0; i < sizeof(counting) / sizeof(*counting); i++) {
		if (!sipuri_param(u, counting[i], &value))
			continue;
		add(out, &len, ';');
		add_lower(out, &len, counting[i], strlen(counting[i]));
		add(out, &len, '=');
		add_lower(out, &len, value.p, value.n);
	}
	add_others(out, &len, u);
	out[len] = '\0';

	return 0;
}
