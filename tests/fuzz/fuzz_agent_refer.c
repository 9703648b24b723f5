/*
 * Refer-To, and Replaces.
 */
#include "fuzz.h"

#include "parse/refer.h"
#include "parse/uri.h"

static void look(const struct replaces *r)
{
	HOLDS(r->call_id.l && r->to_tag.l && r->from_tag.l);
	HOLDS(uri_is_line(&r->call_id) && uri_is_line(&r->to_tag) &&
	      uri_is_line(&r->from_tag));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *p = fuzz_bytes(data, size);
	const struct pl val = {p, size};
	struct replaces replaces;
	struct refer_to to;

	if (!replaces_read(&replaces, &val))
		look(&replaces);
	if (!refer_to_read(&to, &val)) {
		HOLDS(to.uri.l && uri_is_line(&to.uri));
		if (to.attended)
			look(&to.replaces);
	}
	free(p);

	return 0;
}
