/*
 * loop.c: the readiness loop, on epoll. Timers are a pairing heap, which needs
 * no memory but theirs: to start one cannot fail.
 */
#include "shared/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/upkeep.h"
#include "common/watchdog.h"

enum {
	EVENTS_MAX = 64, /* of one turn */
};

struct loop {
	int epoll_fd;
	int signal_fd;
	struct loop_fd signals;
	loop_h *term;
	void *term_arg;
	struct loop_timer *first; /* the earliest, over all others */
	struct loop_timer watchdog;
	struct epoll_event *events; /* of the turn under way */
	int events_left;
	uint64_t now_ms;
	bool stopped;
	int err; /* of loop_fail() */
	bool failed;
	struct upkeep upkeep;
	struct loop_timer upkeep_timer;
};

/* ---- timers ---- */

/* The later one of two heaps becomes the first child of the other. */
static struct loop_timer *heap_join(struct loop_timer *a, struct loop_timer *b)
{
	struct loop_timer *top = a, *below = b;

	if (!a || !b)
		return a ? a : b;
	if (b->at_ms < a->at_ms) {
		top = b;
		below = a;
	}
	below->prev = top;
	below->next = top->child;
	if (below->next)
		below->next->prev = below;
	top->child = below;
	return top;
}

/* Children that have lost their parent: in pairs, then all of these. */
static struct loop_timer *heap_join_all(struct loop_timer *t)
{
	struct loop_timer *pairs = NULL, *top = NULL, *a, *b;

	while (t) {
		a = t;
		b = a->next;
		t = b ? b->next : NULL;
		a->prev = a->next = NULL;
		if (b)
			b->prev = b->next = NULL;
		a = heap_join(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		a = pairs;
		pairs = a->next;
		a->next = NULL;
		top = heap_join(top, a);
	}
	return top;
}

static void timer_start(struct loop *l, struct loop_timer *t, uint64_t at_ms,
			loop_h *fired, void *arg)
{
	loop_cancel(l, t);
	*t = (struct loop_timer){
		.fired = fired, .arg = arg, .at_ms = at_ms, .runs = true};
	l->first = heap_join(l->first, t);
}

void loop_after(struct loop *l, struct loop_timer *t, uint64_t ms,
		loop_h *fired, void *arg)
{
	timer_start(l, t, clock_ms() + ms, fired, arg);
}

void loop_defer(struct loop *l, struct loop_timer *t, loop_h *fired, void *arg)
{
	timer_start(l, t, l->now_ms, fired, arg);
}

void loop_cancel(struct loop *l, struct loop_timer *t)
{
	struct loop_timer *children = t->child;

	if (!t->runs)
		return;
	if (t == l->first)
		l->first = NULL;
	else if (t->prev->child == t)
		t->prev->child = t->next;
	else
		t->prev->next = t->next;
	if (t->next)
		t->next->prev = t->prev;
	t->child = t->prev = t->next = NULL;
	t->runs = false;
	l->first = heap_join(l->first, heap_join_all(children));
}

static void timers_fire(struct loop *l)
{
	while (l->first && l->first->at_ms <= l->now_ms && !l->stopped) {
		struct loop_timer *t = l->first;

		loop_cancel(l, t);
		t->fired(t->arg);
	}
}

static int timers_wait(const struct loop *l)
{
	uint64_t now = clock_ms();

	if (!l->first)
		return -1;
	if (l->first->at_ms <= now)
		return 0;
	if (l->first->at_ms - now > 60000)
		return 60000;
	return (int)(l->first->at_ms - now);
}

static void terminate(struct loop *l)
{
	if (l->term)
		l->term(l->term_arg);
	else
		loop_stop(l);
}

static void signal_ready(uint32_t events, void *arg)
{
	struct loop *l = arg;
	struct signalfd_siginfo info;

	(void)events;
	if (read(l->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		terminate(l);
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
	log_often_end();
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

void loop_fail(struct loop *l, int err)
{
	if (!l->err)
		l->err = err;
}

static void upkeep(void *arg)
{
	struct loop *l = arg;

	loop_after(l, &l->upkeep_timer, UPKEEP_MS, upkeep, l);
	if (!upkeep_look(&l->upkeep))
		loop_fail(l, ENOMEM);
}

void loop_upkeep(struct loop *l, size_t need)
{
	l->upkeep.need = need;
	loop_after(l, &l->upkeep_timer, UPKEEP_MS, upkeep, l);
}

/* Once: what ends a program may fail as well. */
static void fail(struct loop *l)
{
	if (!l->err || l->failed)
		return;
	l->failed = true;
	terminate(l);
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

/* It turns: to whoever watches over us. */
static void say_it_turns(void *arg)
{
	struct loop *l = arg;

	watchdog_turn();
	loop_after(l, &l->watchdog, watchdog_period_ms(), say_it_turns, l);
}

void loop_waited(const struct loop *l)
{
	const uint64_t period_ms = watchdog_period_ms();

	if (period_ms && clock_ms() - l->now_ms >= period_ms)
		watchdog_turn();
}

int loop_run(struct loop *l)
{
	struct epoll_event ev[EVENTS_MAX];

	l->stopped = false;
	if (watchdog_period_ms())
		loop_after(l, &l->watchdog, 0, say_it_turns, l);
	for (;;) {
		int n;

		fail(l);
		if (l->stopped)
			break;
		n = epoll_wait(l->epoll_fd, ev, EVENTS_MAX, timers_wait(l));
		if (n < 0 && errno != EINTR)
			return errno;
		l->now_ms = clock_ms();
		events_serve(l, ev, n > 0 ? n : 0);
		timers_fire(l);
	}
	loop_cancel(l, &l->watchdog);
	return l->err;
}
