/*
 * What time it is.
 */

#include <stdio.h>
#include <time.h>

#include "clock.h"

static struct timespec now(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts); /* cannot fail for these clocks */
	return ts;
}

uint64_t clock_us(void)
{
	const struct timespec ts = now(CLOCK_MONOTONIC);

	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_ms(void)
{
	return clock_us() / 1000;
}

void clock_text(char *out, size_t size)
{
	const struct timespec ts = now(CLOCK_REALTIME);
	struct tm tm = {0};
	char when[32];

	(void)gmtime_r(&ts.tv_sec, &tm);
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(out, size, "%s.%03uZ", when,
		(unsigned)(ts.tv_nsec / 1000000) % 1000);
}
