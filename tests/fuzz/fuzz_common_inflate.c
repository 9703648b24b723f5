/*
 * What came deflated: it never becomes more than there is room for.
 */
#include "fuzz.h"

#include "common/inflate.h"

enum { ROOM = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *p = fuzz_bytes(data, size), *out = malloc(ROOM), *less;
	size_t len = 0, again = 0;

	HOLDS(out);
	if (!inflate_bytes(out, &len, ROOM, p, size)) {
		HOLDS(len <= ROOM);
		/* where there is just room, it is the same */
		less = malloc(len + 1);
		HOLDS(less);
		HOLDS(!inflate_bytes(less, &again, len + 1, p, size));
		HOLDS(again == len && !memcmp(less, out, len));
		free(less);
	}
	free(out);
	free(p);

	return 0;
}
