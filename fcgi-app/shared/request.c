/*
 * request.c: method, path, query and headers out of FastCGI parameters.
 */
#include "shared/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/hex.h"
#include "common/secret.h"
#include "common/utf8.h"

enum {
	HEADER_NAME_MAX = 64,
	REQUEST_ID_MAX = 64,
	REQUEST_URI_MAX = 16 << 10,
};

static const char *const method_names[METHOD_COUNT] = {
	[METHOD_OTHER] = "",	    [METHOD_GET] = "GET",
	[METHOD_HEAD] = "HEAD",	    [METHOD_POST] = "POST",
	[METHOD_PUT] = "PUT",	    [METHOD_PATCH] = "PATCH",
	[METHOD_DELETE] = "DELETE", [METHOD_SEND] = "SEND",
	[METHOD_CANCEL] = "CANCEL", [METHOD_OPTIONS] = "OPTIONS",
};

const char *method_name(enum method m)
{
	return method_names[m];
}

enum method method_of(const char *name)
{
	for (enum method m = METHOD_GET; m < METHOD_COUNT; m++)
		if (!strcmp(method_names[m], name))
			return m;
	return METHOD_OTHER;
}

const char *request_param(const struct request *req, const char *name)
{
	size_t n = strlen(name);

	for (char *const *p = req->params; p && *p; p++)
		if (!strncmp(*p, name, n) && (*p)[n] == '=')
			return *p + n + 1;
	return NULL;
}

const char *request_header(const struct request *req, const char *name)
{
	char key[HEADER_NAME_MAX] = "HTTP_";
	size_t n = strlen(name), at = 5;

	if (!strcasecmp(name, "Content-Type"))
		return request_param(req, "CONTENT_TYPE");
	if (at + n >= sizeof(key))
		return NULL;
	for (size_t i = 0; i < n; i++) {
		char c = name[i];

		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		key[at++] = c == '-' ? '_' : c;
	}
	key[at] = '\0';
	return request_param(req, key);
}

const char *request_query(const struct request *req, const char *name)
{
	for (size_t i = 0; i < req->queries; i++)
		if (!strcmp(req->query[i].name, name))
			return req->query[i].value;
	return NULL;
}

int request_query_int(const struct request *req, const char *name,
		      long long min, long long max, long long *out)
{
	const char *s = request_query(req, name);
	char *end;
	long long n;

	if (!s)
		return ENOENT;
	if (!(*s >= '0' && *s <= '9') && *s != '-')
		return EINVAL;
	errno = 0;
	n = strtoll(s, &end, 10);
	if (errno || *end || end == s || n < min || n > max)
		return EINVAL;
	*out = n;
	return 0;
}

const char *request_bad_query(const struct request *req, struct arena *a,
			      const char *name, const char *is)
{
	const char *value = request_query(req, name);

	if (!value || !*value)
		return arena_fmt(a, "`%s` is %s; there is no value.", name, is);
	return arena_fmt(a, "`%s` is %s; this is `%.*s`.", name, is,
			 utf8_shown(value, REQUEST_SHOWN_MAX), value);
}

const char *request_media_type(const struct request *req, struct arena *a)
{
	const char *s = request_param(req, "CONTENT_TYPE");
	size_t n;
	char *type;

	if (!s)
		return "";
	s += strspn(s, " \t");
	n = strcspn(s, "; \t,");
	type = arena_mem(a, s, n);
	if (!type)
		return "";
	for (size_t i = 0; i < n; i++)
		if (type[i] >= 'A' && type[i] <= 'Z')
			type[i] = (char)(type[i] - 'A' + 'a');
	return type;
}

/* Decode p into the arena. plus: a plus sign is a space (a query's). */
static int decode(char **out, struct arena *a, const char *p, size_t n,
		  bool plus)
{
	char *s = arena_mem(a, p, n);
	size_t len = 0;

	if (!s)
		return ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int hi, lo;

		if (p[i] != '%') {
			s[len++] = plus && p[i] == '+' ? ' ' : p[i];
			continue;
		}
		if (n - i < 3)
			return EINVAL;
		hi = hex_value(p[i + 1]);
		lo = hex_value(p[i + 2]);
		if (hi < 0 || lo < 0 || hi + lo == 0)
			return EINVAL;
		s[len++] = (char)(hi * 16 + lo);
		i += 2;
	}
	s[len] = '\0';
	if (utf8_valid(s, len) != len)
		return EINVAL;
	*out = s;
	return 0;
}

/* A slash at the end is no segment of its own; one in the middle is. */
static int parse_path(struct request *req, struct arena *a, const char *p,
		      size_t n, const char **detail)
{
	*detail = "The path has a bad escape, a NUL or is not UTF-8.";
	if (n == 0 || p[0] != '/') {
		*detail = "The path does not begin with a slash.";
		return EINVAL;
	}
	for (size_t at = 1; at < n;) {
		const char *slash = memchr(p + at, '/', n - at);
		size_t len = slash ? (size_t)(slash - p) - at : n - at;
		char *segment;
		int err;

		if (req->segments == REQUEST_SEGMENTS_MAX) {
			*detail = "The path has too many segments.";
			return EINVAL;
		}
		err = decode(&segment, a, p + at, len, false);
		if (err)
			return err;
		req->segment[req->segments++] = segment;
		at += len + 1;
	}
	return 0;
}

static int parse_pair(struct request *req, struct arena *a, const char *p,
		      size_t n)
{
	const char *eq = memchr(p, '=', n);
	size_t name_len = eq ? (size_t)(eq - p) : n;
	char *name, *value;
	int err;

	err = decode(&name, a, p, name_len, true);
	if (err)
		return err;
	if (eq)
		err = decode(&value, a, eq + 1, n - name_len - 1, true);
	else
		err = decode(&value, a, "", 0, true);
	if (err)
		return err;
	req->query[req->queries].name = name;
	req->query[req->queries].value = value;
	req->queries++;
	return 0;
}

static int parse_query(struct request *req, struct arena *a, const char *q,
		       const char **detail)
{
	*detail = "The query has a bad escape, a NUL or is not UTF-8.";
	while (*q) {
		size_t n = strcspn(q, "&");
		int err;

		if (n && req->queries == REQUEST_QUERY_MAX) {
			_Static_assert(REQUEST_QUERY_MAX == 128, "as it says");
			*detail = "The query has at most 128 parameters.";
			return EINVAL;
		}
		if (n) {
			err = parse_pair(req, a, q, n);
			if (err)
				return err;
		}
		q += n + (q[n] == '&');
	}
	return 0;
}

int request_parse_path(struct request *req, struct arena *a, const char *path,
		       const char **detail)
{
	size_t n = strcspn(path, "?");
	int err;

	memset(req, 0, sizeof(*req));
	req->method = METHOD_GET;
	req->method_name = method_names[METHOD_GET];
	req->uri = req->path = path;
	req->id = "-";
	req->remote = "";
	err = parse_path(req, a, path, n, detail);
	if (!err && path[n])
		err = parse_query(req, a, path + n + 1, detail);
	return err;
}

static void parse_method(struct request *req)
{
	const char *name = request_param(req, "REQUEST_METHOD");
	const char *other;

	req->method_name = name ? name : "";
	req->method = method_of(req->method_name);
	if (req->method != METHOD_POST)
		return;
	other = request_header(req, "X-HTTP-Method-Override");
	if (!other || !*other)
		return;
	req->method = method_of(other);
	/* Not POST as HEAD: the client would wait for a body. */
	if (req->method == METHOD_HEAD)
		req->method = METHOD_OTHER;
	req->method_name = other;
}

static bool is_request_id(const char *id)
{
	size_t n = strspn(
		id,
		"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_");

	return n > 0 && n <= REQUEST_ID_MAX && !id[n];
}

static int parse_id(struct request *req, struct arena *a)
{
	const char *id = request_param(req, "REQUEST_ID");
	unsigned char raw[16];
	char *hex;

	req->id = "-";
	if (id && is_request_id(id)) {
		req->id = id;
		return 0;
	}
	hex = arena_alloc(a, 2 * sizeof(raw) + 1);
	if (!hex || random_bytes(raw, sizeof(raw)))
		return ENOMEM;
	hex_encode(hex, raw, sizeof(raw));
	hex[2 * sizeof(raw)] = '\0';
	req->id = hex;
	return 0;
}

int request_parse(struct request *req, struct arena *a, char *const *params,
		  const char **detail)
{
	const char *remote;
	size_t n;
	int err;

	memset(req, 0, sizeof(*req));
	req->params = params;
	req->path = "";
	remote = request_param(req, "REMOTE_ADDR");
	req->remote = remote ? remote : "";
	req->uri = request_param(req, "REQUEST_URI");
	if (!req->uri)
		req->uri = "";
	parse_method(req);
	err = parse_id(req, a);
	if (err)
		return err;
	if (strlen(req->uri) > REQUEST_URI_MAX) {
		*detail = "The URI is too long.";
		return EINVAL;
	}
	n = strcspn(req->uri, "?#");
	req->path = arena_mem(a, req->uri, n);
	if (!req->path) {
		req->path = "";
		return ENOMEM;
	}
	err = parse_path(req, a, req->uri, n, detail);
	if (!err && req->uri[n] == '?')
		err = parse_query(req, a, req->uri + n + 1, detail);
	return err;
}
