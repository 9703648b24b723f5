/*
 * loop.c: the readiness loop, on epoll; timers are a binary heap.
 */
#include "shared/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"

enum {
	EVENTS_MAX = 64, /* of one turn */
	TIMERS_FIRST = 64,
};

struct loop {
	int epoll_fd;
	int signal_fd;
	struct loop_fd signals;
	loop_h *term;
	void *term_arg;
	struct loop_timer **heap; /* heap[0] is not used */
	size_t timers, heap_size;
	struct epoll_event *events; /* of the turn under way */
	int events_left;
	uint64_t now_ms;
	bool stopped;
};

static void timer_put(struct loop *l, size_t place, struct loop_timer *t)
{
	l->heap[place] = t;
	t->place = place;
}

static void timer_up(struct loop *l, struct loop_timer *t)
{
	size_t i = t->place;

	while (i > 1 && l->heap[i / 2]->at_ms > t->at_ms) {
		timer_put(l, i, l->heap[i / 2]);
		i /= 2;
	}
	timer_put(l, i, t);
}

static void timer_down(struct loop *l, struct loop_timer *t)
{
	size_t i = t->place;

	for (;;) {
		size_t child = 2 * i;

		if (child > l->timers)
			break;
		if (child < l->timers &&
		    l->heap[child + 1]->at_ms < l->heap[child]->at_ms)
			child++;
		if (l->heap[child]->at_ms >= t->at_ms)
			break;
		timer_put(l, i, l->heap[child]);
		i = child;
	}
	timer_put(l, i, t);
}

static int heap_reserve(struct loop *l)
{
	size_t size = l->heap_size ? 2 * l->heap_size : TIMERS_FIRST;
	struct loop_timer **heap;

	if (l->timers + 1 < l->heap_size)
		return 0;
	heap = realloc(l->heap, size * sizeof(*heap));
	if (!heap)
		return ENOMEM;
	l->heap = heap;
	l->heap_size = size;
	return 0;
}

static int timer_start(struct loop *l, struct loop_timer *t, uint64_t at_ms,
		       loop_h *fired, void *arg)
{
	loop_cancel(l, t);
	if (heap_reserve(l))
		return ENOMEM;
	t->fired = fired;
	t->arg = arg;
	t->at_ms = at_ms;
	timer_put(l, ++l->timers, t);
	timer_up(l, t);
	return 0;
}

int loop_after(struct loop *l, struct loop_timer *t, uint64_t ms, loop_h *fired,
	       void *arg)
{
	return timer_start(l, t, clock_ms() + ms, fired, arg);
}

int loop_defer(struct loop *l, struct loop_timer *t, loop_h *fired, void *arg)
{
	return timer_start(l, t, l->now_ms, fired, arg);
}

void loop_cancel(struct loop *l, struct loop_timer *t)
{
	size_t place = t->place;
	struct loop_timer *last;

	if (!place)
		return;
	t->place = 0;
	last = l->heap[l->timers--];
	if (last == t)
		return;
	timer_put(l, place, last);
	timer_up(l, last);
	timer_down(l, last);
}

static void timers_fire(struct loop *l)
{
	while (l->timers && l->heap[1]->at_ms <= l->now_ms && !l->stopped) {
		struct loop_timer *t = l->heap[1];

		loop_cancel(l, t);
		t->fired(t->arg);
	}
}

static int timers_wait(const struct loop *l)
{
	uint64_t now = clock_ms();

	if (!l->timers)
		return -1;
	if (l->heap[1]->at_ms <= now)
		return 0;
	if (l->heap[1]->at_ms - now > 60000)
		return 60000;
	return (int)(l->heap[1]->at_ms - now);
}

static void signal_ready(uint32_t events, void *arg)
{
	struct loop *l = arg;
	struct signalfd_siginfo info;

	(void)events;
	if (read(l->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (!l->term) {
		loop_stop(l);
		return;
	}
	l->term(l->term_arg);
}

static int signals_open(struct loop *l)
{
	sigset_t set;

	(void)signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return errno;
	l->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (l->signal_fd < 0)
		return errno;
	return loop_watch(l, &l->signals, l->signal_fd, EPOLLIN, signal_ready,
			  l);
}

int loop_new(struct loop **out)
{
	struct loop *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return ENOMEM;
	l->signal_fd = -1;
	l->now_ms = clock_ms();
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0) {
		err = errno;
		goto out;
	}
	err = signals_open(l);
	if (!err)
		*out = l;
out:
	if (err)
		loop_free(l);
	return err;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	if (l->signal_fd >= 0)
		(void)close(l->signal_fd);
	if (l->epoll_fd >= 0)
		(void)close(l->epoll_fd);
	free(l->heap);
	free(l);
}

int loop_watch(struct loop *l, struct loop_fd *w, int fd, uint32_t events,
	       loop_fd_h *ready, void *arg)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	w->ready = ready;
	w->arg = arg;
	w->fd = fd;
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
		return errno;
	w->events = events;
	return 0;
}

int loop_change(struct loop *l, struct loop_fd *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	if (w->events == events)
		return 0;
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev))
		return errno;
	w->events = events;
	return 0;
}

void loop_unwatch(struct loop *l, struct loop_fd *w)
{
	if (!w->events)
		return;
	/* Fails only where the descriptor is closed already. */
	(void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	w->events = 0;
	/* What came for it in this turn is not for its successor. */
	for (int i = 0; i < l->events_left; i++)
		if (l->events[i].data.ptr == w)
			l->events[i].data.ptr = NULL;
}

uint64_t loop_now_ms(const struct loop *l)
{
	return l->now_ms;
}

void loop_on_term(struct loop *l, loop_h *term, void *arg)
{
	l->term = term;
	l->term_arg = arg;
}

void loop_stop(struct loop *l)
{
	l->stopped = true;
}

static void events_serve(struct loop *l, struct epoll_event *ev, int n)
{
	for (int i = 0; i < n && !l->stopped; i++) {
		struct loop_fd *w = ev[i].data.ptr;

		l->events = &ev[i + 1];
		l->events_left = n - i - 1;
		if (w)
			w->ready(ev[i].events, w->arg);
	}
	l->events_left = 0;
}

int loop_run(struct loop *l)
{
	struct epoll_event ev[EVENTS_MAX];

	l->stopped = false;
	while (!l->stopped) {
		int n = epoll_wait(l->epoll_fd, ev, EVENTS_MAX, timers_wait(l));

		if (n < 0 && errno != EINTR)
			return errno;
		l->now_ms = clock_ms();
		events_serve(l, ev, n > 0 ? n : 0);
		timers_fire(l);
	}
	return 0;
}
