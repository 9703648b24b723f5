/*
 * What is asked of restsip-stream: the resource, the form, from where on.
 */
#include "fuzz.h"

#include "stream/ask.h"

enum { PARAMS_MAX = 16 };

static void ids(const char *text)
{
	int64_t version = 0, inbox = 0, upto = 0, n = 0;

	if (!ask_parse_id(text, &version, &inbox))
		HOLDS(version >= 0);
	if (!ask_parse_place(text, &version, &upto, &n))
		HOLDS(version >= 0 && upto >= 0 && n >= 0);
}

static void one(const struct viewer_ask *ask)
{
	HOLDS(ask->limit >= 0 && ask->limit <= ASK_LIMIT_MAX);
	HOLDS(!ask->kind || ask->key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *params[PARAMS_MAX + 1], *rest;
	struct arena *a = arena_new();
	struct ask_problem why = {0};
	const char *detail = NULL;
	struct request req;
	struct ask ask;
	size_t n = 0;

	HOLDS(a);
	ids(text);
	for (char *line = strtok_r(text, "\n", &rest); line && n < PARAMS_MAX;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (strchr(line, '='))
			params[n++] = line;
	}
	params[n] = NULL;

	if (!request_parse(&req, a, params, &detail)) {
		if (ask_parse(&ask, &req, a, &why)) {
			HOLDS(why.problem.status >= 400 &&
			      why.problem.status < 600);
		} else {
			HOLDS(ask.wait_s >= 0 && ask.wait_s <= ASK_WAIT_MAX_S);
			one(&ask.one);
			for (size_t i = 0; i < ask.nmany; i++)
				one(&ask.many[i].ask);
		}
	}
	arena_free(a);
	free(text);

	return 0;
}
