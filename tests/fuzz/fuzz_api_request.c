/*
 * A request line and headers: parsed, and its endpoint found.
 */
#include "fuzz.h"

#include "shared/request.h"
#include "shared/router.h"
#include "shared/routes.h"

enum { PARAMS_MAX = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *params[PARAMS_MAX + 1];
	struct arena *a = arena_new();
	const char *detail = NULL, *allow;
	const struct route *route;
	struct path_args args;
	struct request req;
	size_t n = 0;

	HOLDS(a);
	for (char *line = strtok(text, "\n"); line && n < PARAMS_MAX;
	     line = strtok(NULL, "\n")) {
		if (strchr(line, '='))
			params[n++] = line;
	}
	params[n] = NULL;

	if (!request_parse(&req, a, params, &detail)) {
		(void)router_find(routes_table(), &req, a, &route, &args,
				  &allow);
		(void)request_media_type(&req, a);
		(void)request_query(&req, "after");
	}
	arena_free(a);
	free(text);

	return 0;
}
