/*
 * A stream in pieces: however it is cut, the same comes out.
 */
#include "fuzz.h"

#include "parse/framing.h"

static size_t feed(char *out, const uint8_t *p, size_t size, size_t step)
{
	struct mbuf *acc = mbuf_alloc(0), *in = mbuf_alloc(64);
	size_t at = 0, len = 0;
	bool whole;
	int err = 0;

	HOLDS(acc && in);
	while (at < size && !err) {
		const size_t n = step < size - at ? step : size - at;

		mbuf_rewind(in);
		HOLDS(!mbuf_write_mem(in, p + at, n));
		mbuf_set_pos(in, 0);
		at += n;
		err = framing_take(acc, in, &whole);
		if (whole) {
			HOLDS(len + mbuf_get_left(in) <= size);
			memcpy(out + len, mbuf_buf(in), mbuf_get_left(in));
			len += mbuf_get_left(in);
		}
	}
	HOLDS(len + acc->end <= size);
	mem_deref(acc);
	mem_deref(in);

	return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *one, *two;
	size_t n, m;

	if (size < 2)
		return 0;
	one = malloc(size);
	two = malloc(size);
	HOLDS(one && two);
	n = feed(one, data + 1, size - 1, size);
	m = feed(two, data + 1, size - 1, 1 + data[0] % 16u);
	HOLDS(n == m && !memcmp(one, two, n));
	free(one);
	free(two);

	return 0;
}
