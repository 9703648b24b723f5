/*
 * The key of an INFO: its Content-Type is the first line, its body the rest.
 */
#include "fuzz.h"

#include "parse/dtmf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *p = fuzz_bytes(data, size);
	const char *end = size ? memchr(p, '\n', size) : NULL;
	const size_t len = end ? (size_t)(end - p) : size;
	const struct pl type = {p, len}, body = {p + len, size - len};
	const struct pl relay = PL("application/dtmf-relay");
	char key = 0;

	if (!dtmf_read(&key, &type, &body) || !dtmf_read(&key, &relay, &body))
		HOLDS(key && strchr("0123456789*#ABCD", key));
	free(p);

	return 0;
}
