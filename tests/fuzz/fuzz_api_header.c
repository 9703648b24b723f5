/*
 * Values of HTTP headers: Accept, Content-Type, Range, times, links.
 */
#include "fuzz.h"

#include "common/arena.h"
#include "worker/link.h"
#include "shared/negotiate.h"
#include "worker/range.h"
#include "worker/timestamp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = {"application/json", "text/plain",
					    "application/pidf+xml", NULL};
	char *text = fuzz_text(data, size);
	struct arena *a = arena_new();
	struct range_part part;
	struct range r;
	enum form form, asked;
	int picked;

	HOLDS(a);
	picked = negotiate_pick(text, types);
	HOLDS(picked >= -1 && picked < 3);
	/* nobody gets a stream who does not name one */
	form = negotiate_form(text, false, types);
	HOLDS(form == FORM_DOCUMENT || strcasestr(text, "stream") ||
	      strcasestr(text, "ndjson"));
	asked = negotiate_form(text, true, types);
	HOLDS(asked != FORM_DOCUMENT);
	HOLDS(form == FORM_DOCUMENT || form == asked);
	if (negotiate_type_is_sound(text))
		HOLDS(!strpbrk(text, "\r\n"));
	(void)negotiate_charset_is_utf8(text);

	r = range_parse(text);
	for (int64_t n = 0; n < 1000; n += 333) {
		if (range_resolve(&r, n, &part))
			HOLDS(part.first >= 0 && part.length >= 0 &&
			      part.first + part.length <= n);
	}

	(void)timestamp_check(a, text);
	(void)link_unescape(a, text);
	(void)link_to(a, "/login", text, text, 1);
	arena_free(a);
	free(text);

	return 0;
}
