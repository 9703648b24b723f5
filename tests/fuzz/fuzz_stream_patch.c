/*
 * Two documents, a NUL between them, and the patch from one to the other.
 */
#include "fuzz.h"

#include "common/buf.h"
#include "common/utf8.h"
#include "shared/body.h"
#include "stream/bytes/json_patch.h"

/* The database's JSON is sound, and has no mark before it; other text never
 * comes here. */
static int is_json(struct arena *a, const char *p, size_t n)
{
	const struct json *v;
	struct body_error e;

	return !utf8_mark(p, n) && !body_parse(&v, a, p, n, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size ? memchr(data, '\0', size) : NULL;
	struct arena *a = arena_new();
	char *from, *to;
	size_t n, m;
	struct buf b;

	HOLDS(a);
	n = nul ? (size_t)(nul - data) : size;
	m = nul ? size - n - 1 : 0;
	from = fuzz_bytes(data, n);
	to = fuzz_bytes(data + size - m, m);
	if (is_json(a, from, n) && is_json(a, to, m)) {
		buf_init(&b, 1 << 20);
		json_patch(&b, from, n, to, m);
		HOLDS(b.failed || is_json(a, b.p, b.len));
		buf_free(&b);
	}
	free(from);
	free(to);
	arena_free(a);

	return 0;
}
