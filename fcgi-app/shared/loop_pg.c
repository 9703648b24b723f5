/*
 * loop_pg.c: the driver's loop on epoll.
 */
#include "shared/loop_pg.h"

struct watched {
	struct loop_fd fd;
	pg_ready_h *ready;
	void *arg;
};

_Static_assert(sizeof(struct watched) <= sizeof(struct pg_room), "fits");
_Static_assert(sizeof(struct loop_timer) <= sizeof(struct pg_room), "fits");

static void on_ready(uint32_t events, void *arg)
{
	const struct watched *w = arg;
	unsigned ready = 0;

	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		ready |= PG_READABLE;
	if (events & EPOLLOUT)
		ready |= PG_WRITABLE;
	w->ready(ready, w->arg);
}

static int watch(void *loop, struct pg_room *room, int fd, unsigned events,
		 pg_ready_h *ready, void *arg)
{
	struct watched *w = (void *)room;
	uint32_t wanted = 0;

	if (events & PG_READABLE)
		wanted |= EPOLLIN;
	if (events & PG_WRITABLE)
		wanted |= EPOLLOUT;
	w->ready = ready;
	w->arg = arg;
	if (!wanted)
		loop_unwatch(loop, &w->fd);
	else if (w->fd.events)
		return loop_change(loop, &w->fd, wanted);
	else
		return loop_watch(loop, &w->fd, fd, wanted, on_ready, w);
	return 0;
}

static void after(void *loop, struct pg_room *room, uint64_t ms,
		  pg_timer_h *fired, void *arg)
{
	if (!ms)
		loop_defer(loop, (void *)room, fired, arg);
	else
		loop_after(loop, (void *)room, ms, fired, arg);
}

static void cancel(void *loop, struct pg_room *room)
{
	loop_cancel(loop, (void *)room);
}

struct pg_loop loop_pg(struct loop *l)
{
	return (struct pg_loop){l, watch, after, cancel};
}
