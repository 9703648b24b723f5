/*
 * What a media relay answers.
 */
#include "fuzz.h"

#include "media/bencode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *p = fuzz_bytes(data, size);
	const struct pl dict = {p, size};
	struct pl value;

	if (!bencode_find(&value, &dict, "sdp"))
		HOLDS(value.p > p && value.p + value.l < p + size);
	if (!bencode_find(&value, &dict, "result"))
		HOLDS(bencode_find(&value, &dict, "sdp") != EBADMSG);
	free(p);

	return 0;
}
