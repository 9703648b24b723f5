/*
 * A message as a call's ladder shows it: what is written is always JSON.
 */
#include "fuzz.h"

#include "parse/rung.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *p = fuzz_bytes(data, size);
	struct sa peer;
	const struct rung r = {.peer = &peer, .p = p, .len = size};
	struct pl call_id;
	struct buf b;

	(void)sa_set_str(&peer, "192.0.2.1", 5060);
	if (rung_call_id(&call_id, p, size))
		HOLDS(call_id.p >= p && call_id.p + call_id.l <= p + size);
	buf_init(&b, 65536);
	rung_write(&b, &r, 1);
	HOLDS(!b.len || (b.p[0] == '{' && b.p[b.len - 1] == '}'));
	buf_free(&b);
	free(p);

	return 0;
}
