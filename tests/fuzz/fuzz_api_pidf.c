/*
 * Presence documents.
 */
#include "fuzz.h"

#include "common/arena.h"
#include "common/presence/pidf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *p = fuzz_bytes(data, size);
	struct arena *a = arena_new();
	const char *why = NULL, *again;
	struct pidf pidf;
	int err;

	HOLDS(a);
	err = pidf_parse(&pidf, a, p, size, &why);
	HOLDS(err || !pidf.presence.note ||
	      strlen(pidf.presence.note) <= PRESENCE_NOTE_MAX);
	HOLDS(!err || why);
	/* what is kept can be read, and stays as it is */
	for (size_t i = 0; !err && i < PRESENCE_PLACES; i++) {
		const char *xml = pidf.presence.xml[i];

		HOLDS(!xml || strlen(xml) <= PRESENCE_XML_MAX);
		HOLDS(!xml ||
		      !pidf_read_xml(&again, a, xml, strlen(xml), &why));
		HOLDS(!xml || !strcmp(xml, again));
	}
	arena_free(a);
	free(p);

	return 0;
}
