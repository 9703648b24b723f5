/*
 * What tests of bodies share: an arena for each, and a text as it is parsed.
 */
#ifndef BODY_PLAY_H
#define BODY_PLAY_H

#include "shared/body.h"

static int setup(void **state)
{
	*state = arena_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	arena_free(*state);
	return 0;
}

static const struct json *parse(struct arena *a, const char *text)
{
	const struct json *v = NULL;
	struct body_error e;

	if (body_parse(&v, a, text, strlen(text), &e))
		fail_msg("%s was refused: %s at '%s'", text, e.detail,
			 e.pointer);
	return v;
}

#endif
