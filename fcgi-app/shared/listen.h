/*
 * listen.h: the sockets that are listened on, opened or inherited, and who
 * comes: is taken, refused, or left to others who share the sockets.
 */
#ifndef RESTSIP_LISTEN_H
#define RESTSIP_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/loop.h"

enum {
	LISTEN_BACKLOG = 1024,
	LISTEN_RESERVE = 64, /* descriptors that no connection gets */
};

struct listeners;

/** What whoever listens does with connections. */
struct listen_ops {
	size_t conns_max; /* for how many there should be descriptors */
	/* whether one more may come */
	bool (*has_room)(void *arg);
	/* there was none: to end those that need not be there */
	void (*full)(void *arg);
	/* fd is the callee's; is_refused: it is to be answered and closed, for
	   there is no descriptor for it */
	void (*come)(int fd, bool is_refused, void *arg);
};

/**
 * Listen.
 *
 * @param where  `unix:/path` (one that nobody listens on any more is
 *               replaced) or `host:port`, `[v6]:port`; sockets that were
 *               inherited (LISTEN_FDS) go before it, then it may be null
 * @param ops    borrowed for ever (a constant)
 * @return 0, EINVAL for another form, or errno
 */
int listeners_new(struct listeners **out, struct loop *l, const char *where,
		  const struct listen_ops *ops, void *arg);

/** Leave new connections to others; what nobody takes within half a second is
 *  taken all the same. hold false: no more of that. */
void listeners_hold(struct listeners *ls, bool hold);

/** A descriptor has become free, or a place. */
void listeners_resume(struct listeners *ls);

/** Accept nothing more. null: nothing */
void listeners_close(struct listeners *ls);

void listeners_free(struct listeners *ls);

#endif
