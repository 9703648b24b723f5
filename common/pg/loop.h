/*
 * What the driver needs of a program's loop. Each program implements it once:
 * fcgi-app on its own epoll loop, the agent on libre's.
 */
#ifndef PG_LOOP_H
#define PG_LOOP_H

#include <stdint.h>

enum {
	PG_READABLE = 1,
	PG_WRITABLE = 2,
	PG_ROOM_WORDS = 16,
};

/**
 * Room for what a loop keeps of a watched descriptor or of a timer. Owned by
 * the caller, zeroed before the first use.
 */
struct pg_room {
	void *words[PG_ROOM_WORDS];
};

typedef void(pg_ready_h)(unsigned events, void *arg);
typedef void(pg_timer_h)(void *arg);

struct pg_loop {
	void *loop; /**< the first argument of each function */
	/**
	 * Watch fd for events (PG_READABLE, PG_WRITABLE), or for other events
	 * than before; 0 ends it, harmless where it is not watched.
	 *
	 * @return 0 or errno
	 */
	int (*watch)(void *loop, struct pg_room *room, int fd, unsigned events,
		     pg_ready_h *ready, void *arg);
	/**
	 * Start a timer, or start it anew, which cannot fail; of 0 ms: for
	 * when the present turn has served its descriptors.
	 */
	void (*after)(void *loop, struct pg_room *room, uint64_t ms,
		      pg_timer_h *fired, void *arg);
	void (*cancel)(void *loop, struct pg_room *room);
};

#endif
