/*
 * loop.h: the readiness loop: file descriptors, one-shot timers, and an end
 * that SIGTERM or SIGINT asks for. One thread, nothing in it blocks.
 */
#ifndef RESTSIP_LOOP_H
#define RESTSIP_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;

/** Called with EPOLL* bits. It may unwatch and free anything, itself too. */
typedef void(loop_fd_h)(uint32_t events, void *arg);
typedef void(loop_h)(void *arg);

/** A watched descriptor. Owned by the caller; zeroed before the first use. */
struct loop_fd {
	loop_fd_h *ready;
	void *arg;
	int fd;
	uint32_t events; /* 0: not watched */
};

/** A one-shot timer. Owned by the caller; zeroed before the first use. */
struct loop_timer {
	loop_h *fired;
	void *arg;
	uint64_t at_ms;
	struct loop_timer *child, *prev, *next; /* loop.c's */
	bool runs;
};

/**
 * Make a loop and take over SIGTERM and SIGINT for the whole process. To be
 * called before threads are started. SIGPIPE is ignored from then on.
 *
 * @return 0 or errno
 */
int loop_new(struct loop **out);
void loop_free(struct loop *l);

/** Watch fd for events, level-triggered; add EPOLLEXCLUSIVE where shared. */
int loop_watch(struct loop *l, struct loop_fd *w, int fd, uint32_t events,
	       loop_fd_h *ready, void *arg);

/** Watch for other events. Nothing happens if they are the same. */
int loop_change(struct loop *l, struct loop_fd *w, uint32_t events);

/** Stop watching; before the descriptor is closed. Harmless if not watched. */
void loop_unwatch(struct loop *l, struct loop_fd *w);

/** Start a timer, or start it anew: that cannot fail. */
void loop_after(struct loop *l, struct loop_timer *t, uint64_t ms,
		loop_h *fired, void *arg);
void loop_cancel(struct loop *l, struct loop_timer *t);

/** The same for when the present turn has served its descriptors. */
void loop_defer(struct loop *l, struct loop_timer *t, loop_h *fired, void *arg);

/** Whether a timer runs. */
static inline bool loop_pending(const struct loop_timer *t)
{
	return t->runs;
}

/** Monotonic time at which the present turn of the loop began, in ms. */
uint64_t loop_now_ms(const struct loop *l);

/** Who is told, once, that SIGTERM or SIGINT came. Default: loop_stop(). */
void loop_on_term(struct loop *l, loop_h *term, void *arg);

/** Let loop_run() return after the present callback. */
void loop_stop(struct loop *l);

/**
 * The program cannot go on: it ends in the next turn as SIGTERM would end it,
 * and loop_run() returns err.
 */
void loop_fail(struct loop *l, int err);

/**
 * Once a second from now on: the log's counts are written, and the loop fails
 * with ENOMEM when the program has been without memory for too long (upkeep.h).
 *
 * @param need  bytes at once that the program cannot do without
 */
void loop_upkeep(struct loop *l, size_t need);

/** Whoever has waited in a callback, as for a peer that does not read: the loop
 * has not turned meanwhile, but it does not hang either. */
void loop_waited(const struct loop *l);

/** Serve until loop_stop(). @return 0 or errno */
int loop_run(struct loop *l);

#endif
