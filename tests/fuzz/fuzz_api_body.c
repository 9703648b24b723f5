/*
 * JSON from outside: what is taken comes back the same.
 */
#include "fuzz.h"

#include "shared/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *p = fuzz_bytes(data, size);
	struct arena *a = arena_new();
	const struct json *v = NULL, *again = NULL;
	struct body_error e;
	const char *text, *same;

	HOLDS(a);
	if (!body_parse(&v, a, p, size, &e) && (text = body_text(v, a))) {
		HOLDS(!body_parse(&again, a, text, strlen(text), &e));
		same = body_text(again, a);
		HOLDS(same && !strcmp(text, same));
	}
	arena_free(a);
	free(p);

	return 0;
}
