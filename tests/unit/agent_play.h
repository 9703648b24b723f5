/*
 * What unit tests of the agent share: libre, for all of a file's tests.
 */
#ifndef TEST_AGENT_PLAY_H
#define TEST_AGENT_PLAY_H

#include <re.h>

static inline int libre_begin(void **state)
{
	(void)state;
	return libre_init();
}

static inline int libre_end(void **state)
{
	(void)state;
	libre_close();
	return 0;
}

#endif
