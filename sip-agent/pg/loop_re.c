/*
 * The driver's loop on libre, which has one a thread.
 */
#include "pg/loop_re.h"

#include "compat.h"

struct watched {
	struct fd_watch fd;
	bool begun;
	pg_ready_h *ready;
	void *arg;
};

_Static_assert(sizeof(struct watched) <= sizeof(struct pg_room), "fits");
_Static_assert(sizeof(struct tmr) <= sizeof(struct pg_room), "fits");

static void fd_handler(int flags, void *arg)
{
	const struct watched *w = arg;
	unsigned ready = 0;

	if (flags & (FD_READ | FD_EXCEPT))
		ready |= PG_READABLE;
	if (flags & FD_WRITE)
		ready |= PG_WRITABLE;
	w->ready(ready, w->arg);
}

static int watch(void *loop, struct pg_room *room, int fd, unsigned events,
		 pg_ready_h *ready, void *arg)
{
	struct watched *w = (void *)room;
	int flags = 0;

	(void)loop;
	if (!w->begun)
		fd_watch_init(&w->fd);
	w->begun = true;
	w->ready = ready;
	w->arg = arg;
	if (events & PG_READABLE)
		flags |= FD_READ;
	if (events & PG_WRITABLE)
		flags |= FD_WRITE;
	if (flags)
		return fd_watch_start(&w->fd, fd, flags, fd_handler, w);
	fd_watch_stop(&w->fd);

	return 0;
}

static void after(void *loop, struct pg_room *room, uint64_t ms,
		  pg_timer_h *fired, void *arg)
{
	(void)loop;
	tmr_start((void *)room, ms, fired, arg);
}

static void cancel(void *loop, struct pg_room *room)
{
	(void)loop;
	tmr_cancel((void *)room);
}

struct pg_loop loop_re(void)
{
	return (struct pg_loop){NULL, watch, after, cancel};
}
