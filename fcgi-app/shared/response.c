/*
 * response.c: an answer while it is made.
 */
#include "shared/response.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
	HEADER_VALUE_MAX = 4096,
};

void response_init(struct response *res, struct arena *a)
{
	memset(res, 0, sizeof(*res));
	res->arena = a;
	res->status = 200;
	buf_init(&res->body, RESPONSE_BODY_MAX);
}

void response_free(struct response *res)
{
	buf_free(&res->body);
}

void response_reset(struct response *res)
{
	struct arena *a = res->arena;

	buf_free(&res->body);
	response_init(res, a);
}

static bool is_field_value(const char *s)
{
	for (; *s; s++)
		if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
			return false;
	return true;
}

void response_header_add(struct response *res, const char *name,
			 const char *value)
{
	struct response_header *h = &res->header[res->headers];

	if (res->headers == RESPONSE_HEADERS_MAX || !is_field_value(value)) {
		res->failed = true;
		return;
	}
	h->name = arena_str(res->arena, name);
	h->value = arena_str(res->arena, value);
	if (h->name && h->value)
		res->headers++;
	else
		res->failed = res->no_memory = true;
}

void response_header(struct response *res, const char *name, const char *value)
{
	for (size_t i = 0; i < res->headers; i++)
		if (!strcasecmp(res->header[i].name, name)) {
			res->headers--;
			res->header[i] = res->header[res->headers];
			break;
		}
	response_header_add(res, name, value);
}

void response_header_fmt(struct response *res, const char *name,
			 const char *fmt, ...)
{
	char value[HEADER_VALUE_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(value))
		res->failed = true;
	else
		response_header(res, name, value);
}

void response_bytes(struct response *res, int status, const char *type,
		    const void *p, size_t n)
{
	res->status = status;
	res->type = arena_str(res->arena, type);
	buf_reset(&res->body);
	buf_add(&res->body, p, n);
	res->no_memory = res->no_memory || !res->type;
	if (!res->type || !is_field_value(type))
		res->failed = true;
}

void response_json(struct response *res, int status, const char *json)
{
	if (!json) {
		response_empty(res, status);
		return;
	}
	response_bytes(res, status, "application/json", json, strlen(json));
}

void response_empty(struct response *res, int status)
{
	res->status = status;
	res->type = NULL;
	buf_reset(&res->body);
}

void response_etag(struct response *res, const char *version)
{
	response_header_fmt(res, "ETag", "\"%s\"", version);
}

void response_location(struct response *res, const char *path)
{
	response_header(res, "Location", path);
}

void response_next(struct response *res, const char *path, const char *query)
{
	response_header_fmt(res, "Link", "<%s?%s>; rel=\"next\"", path, query);
}

void response_secret(struct response *res)
{
	res->no_store = true;
}

/* The next entity tag of a list (RFC 9110, 8.8.3). weak: W/ was before it. */
static bool next_tag(const char **s, const char **tag, size_t *n, bool *weak)
{
	const char *p = *s, *end;

	p += strspn(p, ", \t");
	*weak = p[0] == 'W' && p[1] == '/';
	if (*weak)
		p += 2;
	if (*p != '"')
		return false;
	end = strchr(p + 1, '"');
	if (!end)
		return false;
	*tag = p + 1;
	*n = (size_t)(end - p - 1);
	*s = end + 1;
	return true;
}

bool response_not_modified(const struct request *req, const char *version)
{
	const char *s = request_header(req, "If-None-Match");
	size_t len = strlen(version), n;
	const char *tag;
	bool weak;

	if (!s || (req->method != METHOD_GET && req->method != METHOD_HEAD))
		return false;
	if (!strcmp(s, "*"))
		return true;
	for (int i = 0; i < MATCH_TAGS_MAX && next_tag(&s, &tag, &n, &weak);
	     i++)
		if (n == len && !memcmp(tag, version, n))
			return true;
	return false;
}

/* A tag of ours is a version in decimal. */
static bool tag_version(const char *tag, size_t n, int64_t *version)
{
	int64_t v = 0;

	if (n == 0 || n > 18)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (tag[i] < '0' || tag[i] > '9')
			return false;
		v = v * 10 + (tag[i] - '0');
	}
	*version = v;
	return true;
}

/* Of several tags the first of ours counts: a client knows but one. */
int response_if_match(const struct request *req, bool *given, int64_t *version)
{
	const char *s = request_header(req, "If-Match");
	const char *tag;
	size_t n;
	bool weak;

	*given = false;
	if (!s || !strcmp(s, "*"))
		return 0;
	for (int i = 0; i < MATCH_TAGS_MAX && next_tag(&s, &tag, &n, &weak);
	     i++)
		if (!weak && tag_version(tag, n, version)) {
			*given = true;
			return 0;
		}
	return EINVAL;
}

void uri_encode(struct buf *b, const char *s)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"abcdefghijklmnopqrstuvwxyz0123456789-._~@!$'()*,;:=";

	for (; *s; s++)
		if (strchr(plain, *s))
			buf_char(b, *s);
		else
			buf_fmt(b, "%%%02X", (unsigned)(unsigned char)*s);
}

static bool has_header(const struct response *res, const char *name)
{
	for (size_t i = 0; i < res->headers; i++)
		if (!strcasecmp(res->header[i].name, name))
			return true;
	return false;
}

void response_head(const struct response *res, struct buf *head)
{
	bool no_body = res->status == 204 || res->status == 304;

	buf_fmt(head, "Status: %d %s\r\n", res->status,
		status_reason(res->status));
	if (res->type && !no_body)
		buf_fmt(head, "Content-Type: %s\r\n", res->type);
	if (!no_body)
		buf_fmt(head, "Content-Length: %zu\r\n", res->body.len);
	for (size_t i = 0; i < res->headers; i++)
		buf_fmt(head, "%s: %s\r\n", res->header[i].name,
			res->header[i].value);
	buf_fmt(head, "Cache-Control: %s\r\n",
		res->no_store ? "no-store" : "private, no-cache");
	if (!has_header(res, "Content-Security-Policy"))
		buf_str(head,
			"Content-Security-Policy: " RESPONSE_POLICY "\r\n");
	buf_str(head, "X-Content-Type-Options: nosniff\r\n\r\n");
}

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{200, "OK"},
	{201, "Created"},
	{202, "Accepted"},
	{204, "No Content"},
	{206, "Partial Content"},
	{304, "Not Modified"},
	{308, "Permanent Redirect"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{406, "Not Acceptable"},
	{409, "Conflict"},
	{410, "Gone"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{415, "Unsupported Media Type"},
	{416, "Range Not Satisfiable"},
	{422, "Unprocessable Content"},
	{429, "Too Many Requests"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{503, "Service Unavailable"},
	{507, "Insufficient Storage"},
};

const char *status_reason(int status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "";
}
