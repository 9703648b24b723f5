/*
 * exchange_match.c: headers that become parameters of a write: If-Match and
 * Idempotency-Key.
 */
#include <string.h>

#include "common/hex.h"
#include "common/secret.h"
#include "worker/exchange.h"

bool exchange_if_match(struct exchange *x, struct pg_args *args)
{
	int64_t version;
	bool given;

	if (response_if_match(&x->req, &given, &version)) {
		exchange_problem(x, 412, NULL,
				 "If-Match names no version of this resource.");
		return false;
	}
	if (given)
		pg_arg_int(args, version);
	else
		pg_arg_null(args);
	return true;
}

static bool is_key(const char *s)
{
	size_t n = 0;

	for (; s[n]; n++)
		if (s[n] < 0x21 || s[n] > 0x7e)
			return false;
	return n > 0 && n <= IDEMPOTENCY_KEY_MAX;
}

/* SHA-256 of what makes two requests the same; null without memory. */
static uint8_t *print_of(struct exchange *x)
{
	const char *type = request_param(&x->req, "CONTENT_TYPE");
	uint8_t body[SHA256_SIZE];
	char hex[2 * SHA256_SIZE + 1];
	uint8_t *print = arena_alloc(x->arena, SHA256_SIZE);
	char *text;

	if (!print || sha256(body, x->body.p ? x->body.p : "", x->body.len))
		return NULL;
	hex_encode(hex, body, sizeof(body));
	text = arena_fmt(x->arena, "%s\n%s\n%s\n%s",
			 method_name(x->route->method), x->req.uri,
			 type ? type : "", hex);
	if (!text || sha256(print, text, strlen(text)))
		return NULL;
	return print;
}

bool exchange_idempotency(struct exchange *x, struct pg_args *args)
{
	const char *key = request_header(&x->req, "Idempotency-Key");
	const uint8_t *print;

	if (!key) {
		pg_arg_null(args);
		pg_arg_null(args);
		return true;
	}
	if (!is_key(key)) {
		exchange_problem(x, 400, NULL,
				 "The Idempotency-Key must be 1 "
				 "to 255 visible ASCII characters.");
		return false;
	}
	print = print_of(x);
	if (!print)
		args->failed = true;
	pg_arg_text(args, key);
	pg_arg_bytea(args, print, SHA256_SIZE);
	return true;
}
