/*
 * sip: and sips: URIs (RFC 3261 sections 19.1 and 25.1).
 */

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "buf.h"
#include "sipuri.h"

enum {
	HOST_MAX = 253,
	PORT_MAX = 65535,
};

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9');
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool is_unreserved(char c)
{
	return is_alnum(c) || (c && strchr("-_.!~*'()", c));
}

/* unreserved, escaped, or one of more. An escaped NUL is refused: no text of
 * ours holds one. */
static bool is_text(struct span s, const char *more)
{
	for (size_t i = 0; i < s.len; i++) {
		const char c = s.p[i];

		if (is_unreserved(c) || (c && strchr(more, c)))
			continue;
		if (c != '%' || s.len - i < 3 || hex_value(s.p[i + 1]) < 0 ||
			hex_value(s.p[i + 2]) < 0)
			return false;
		if (s.p[i + 1] == '0' && s.p[i + 2] == '0')
			return false;
		i += 2;
	}
	return true;
}

static bool userinfo_parse(struct sipuri *u, struct span info)
{
	const char *colon = info.len ? memchr(info.p, ':', info.len) : NULL;

	u->user = info;
	if (colon) {
		u->user.len = (size_t)(colon - info.p);
		u->password = (struct span){
			colon + 1, info.len - u->user.len - 1};
	}
	return u->user.len && is_text(u->user, "&=+$,;?/") &&
		is_text(u->password, "&=+$,");
}

static bool host_is_name(struct span h)
{
	char before = '.';

	for (size_t i = 0; i < h.len; i++) {
		const char c = h.p[i];

		if (!is_alnum(c) && c != '-' && c != '.')
			return false;
		if ((c == '.' || c == '-') && before == '.')
			return false;
		if (c == '.' && before == '-')
			return false;
		before = c;
	}
	return h.len && h.len <= HOST_MAX && before != '-';
}

static bool host_is_ip6(struct span h)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr addr;

	if (h.len >= sizeof(text))
		return false;
	memcpy(text, h.p, h.len);
	text[h.len] = '\0';
	return !memchr(text, '\0', h.len) &&
		inet_pton(AF_INET6, text, &addr) == 1;
}

static bool port_parse(struct sipuri *u, struct span s)
{
	unsigned port = 0;

	if (!s.len || s.len > 5)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		port = port * 10 + (unsigned)(s.p[i] - '0');
	}
	if (!port || port > PORT_MAX)
		return false;
	u->port = (uint16_t)port;
	return true;
}

static bool hostport_parse(struct sipuri *u, struct span hp)
{
	const char *end;

	if (hp.len && hp.p[0] == '[') {
		end = memchr(hp.p, ']', hp.len);
		if (!end)
			return false;
		u->host = (struct span){hp.p + 1, (size_t)(end - hp.p) - 1};
		u->host_is_ip6 = true;
		end++;
	} else {
		end = hp.len ? memchr(hp.p, ':', hp.len) : NULL;
		if (!end)
			end = hp.p + hp.len;
		u->host = (struct span){hp.p, (size_t)(end - hp.p)};
	}
	if (u->host_is_ip6 ? !host_is_ip6(u->host) : !host_is_name(u->host))
		return false;
	if (end == hp.p + hp.len)
		return true;
	return *end == ':' && port_parse(u,
		(struct span){end + 1, (size_t)(hp.p + hp.len - end) - 1});
}

/* The next parameter behind s, which starts with its ';'. */
static bool param_take(struct span *s, struct span *name, struct span *value)
{
	const char *p, *end, *equal;

	if (!s->len)
		return false;
	p = s->p + 1;
	end = memchr(p, ';', s->len - 1);
	if (!end)
		end = s->p + s->len;
	equal = end > p ? memchr(p, '=', (size_t)(end - p)) : NULL;
	*name = (struct span){p, (size_t)((equal ? equal : end) - p)};
	*value = equal
		? (struct span){equal + 1, (size_t)(end - equal) - 1}
		: (struct span){.p = end, .len = 0};
	*s = (struct span){end, (size_t)(s->p + s->len - end)};
	return true;
}

static bool params_are_valid(struct span params)
{
	struct span name, value;

	while (param_take(&params, &name, &value))
		if (!name.len || !is_text(name, "[]/:&+$") ||
			!is_text(value, "[]/:&+$") ||
			(name.p + name.len != value.p && !value.len))
			return false;
	return true;
}

int sipuri_parse(struct sipuri *u, const char *p, size_t len)
{
	struct sipuri out = {0};
	const char *end, *at;
	struct span rest;

	if (len > SIPURI_MAX)
		return EMSGSIZE;
	if (len > 4 && !strncasecmp(p, "sip:", 4)) {
		rest = (struct span){p + 4, len - 4};
	} else if (len > 5 && !strncasecmp(p, "sips:", 5)) {
		rest = (struct span){p + 5, len - 5};
		out.secure = true;
	} else {
		return EINVAL;
	}
	/* Only the userinfo may hold ';' or '?' before the '@', and no '@'
	 * may stand unescaped behind it. */
	at = memchr(rest.p, '@', rest.len);
	if (at) {
		const size_t n = (size_t)(at - rest.p);

		if (!userinfo_parse(&out, (struct span){rest.p, n}))
			return EINVAL;
		rest = (struct span){at + 1, rest.len - n - 1};
	}
	end = rest.len ? memchr(rest.p, ';', rest.len) : NULL;
	if (!end)
		end = rest.p + rest.len;
	out.params = (struct span){end, (size_t)(rest.p + rest.len - end)};
	rest.len = (size_t)(end - rest.p);
	if (!hostport_parse(&out, rest) || !params_are_valid(out.params))
		return EINVAL;
	*u = out;
	return 0;
}

bool sipuri_param(const struct sipuri *u, const char *name, struct span *value)
{
	struct span rest = u->params, n, v;

	while (param_take(&rest, &n, &v)) {
		if (!span_is_nocase(n, name))
			continue;
		*value = v;
		return true;
	}
	return false;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Unescaped where the character needs no escape, else %XX in capitals. */
static void add_canonical(struct buf *b, struct span s, bool fold)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '%') {
			const int n = hex_value(s.p[i + 1]) * 16 +
				hex_value(s.p[i + 2]);

			i += 2;
			c = (char)n;
			if (!is_unreserved(c)) {
				buf_printf(b, "%%%02X", (unsigned)n);
				continue;
			}
		}
		buf_add_char(b, fold ? lower(c) : c);
	}
}

int sipuri_key(char *out, size_t size, const struct sipuri *u)
{
	static const char *const names[] = {
		"maddr", "method", "transport", "ttl", "user"};
	struct buf b = BUF_INIT(SIPURI_KEY_SIZE * 2);
	struct span value;
	int err;

	buf_add_str(&b, u->secure ? "sips:" : "sip:");
	if (u->user.p) {
		add_canonical(&b, u->user, false);
		if (u->password.p) {
			buf_add_char(&b, ':');
			add_canonical(&b, u->password, false);
		}
		buf_add_char(&b, '@');
	}
	if (u->host_is_ip6)
		buf_add_char(&b, '[');
	for (size_t i = 0; i < u->host.len; i++)
		buf_add_char(&b, lower(u->host.p[i]));
	if (u->host_is_ip6)
		buf_add_char(&b, ']');
	if (u->port)
		buf_printf(&b, ":%u", u->port);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!sipuri_param(u, names[i], &value))
			continue;
		buf_printf(&b, ";%s=", names[i]);
		add_canonical(&b, value, true);
	}
	err = buf_error(&b);
	if (!err && b.len >= size)
		err = EMSGSIZE;
	if (!err)
		memcpy(out, buf_text(&b), b.len + 1);
	buf_free(&b);
	return err;
}
