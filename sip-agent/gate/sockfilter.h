/*
 * A source that floods is shut out by the kernel for a moment (socket filters).
 * Its datagrams then take no place in the socket's queue, which all sources
 * share, and none of our time.
 */
#ifndef SOCKFILTER_H
#define SOCKFILTER_H

#include <re.h>

struct sockfilter;

enum {
	SOCKFILTER_DROPS = 200, /* within a window: then it is shut out */
	SOCKFILTER_WINDOW_MS = 1000,
	SOCKFILTER_SHUT_MS = 1000, /* then it is heard again, and so on */
	SOCKFILTER_SOURCES = 64,   /* looked at together */
};

int sockfilter_alloc(struct sockfilter **fp);
int sockfilter_add(struct sockfilter *f, int fd, int af);
void sockfilter_dropped(struct sockfilter *f, const struct sa *src,
			uint64_t now_ms);
void sockfilter_release(struct sockfilter *f, uint64_t now_ms);

#endif
