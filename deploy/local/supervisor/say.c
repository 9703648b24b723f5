#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

long long now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void log_line(const char *level, const char *fmt, ...)
{
	char text[1024], when[32];
	time_t now = time(NULL);
	struct tm tm;
	va_list ap;

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s level=%s prog=restsip-supervisor %s\n", when, level,
		text);
}

void die(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_line("error", "event=refused reason=\"%s\"", text);
	exit(1);
}

void *must(void *p)
{
	if (!p)
		die("out of memory");
	return p;
}

void path_join(char *out, const char *dir, const char *name, const char *suffix)
{
	int n = snprintf(out, PATH_MAX_BYTES, "%s/%s%s", dir, name, suffix);

	if (n < 0 || n >= PATH_MAX_BYTES)
		die("path too long: %s/%s", dir, name);
}
