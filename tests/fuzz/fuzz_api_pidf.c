/*
 * Presence documents.
 */
#include "fuzz.h"

#include "common/arena.h"
#include "common/pidf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *p = fuzz_bytes(data, size);
	struct arena *a = arena_new();
	struct pidf pidf;

	HOLDS(a);
	if (!pidf_parse(&pidf, a, p, size))
		HOLDS(!pidf.note || strlen(pidf.note) <= PIDF_NOTE_MAX);
	arena_free(a);
	free(p);

	return 0;
}
