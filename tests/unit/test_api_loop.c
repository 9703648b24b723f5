/*
 * The readiness loop: timers in order, descriptors that go away meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/loop.h"

enum {
	TIMERS = 200,
	MANY = 2000,
};

struct order {
	struct loop *loop;
	struct loop_timer timer[TIMERS];
	struct loop_timer end;
	uint64_t last_ms;
	int fired;
};

struct one {
	struct order *order;
	struct loop_timer *timer;
};

static void fired(void *arg)
{
	struct one *one = arg;

	assert_false(loop_pending(one->timer));
	assert_true(one->timer->at_ms >= one->order->last_ms);
	one->order->last_ms = one->timer->at_ms;
	one->order->fired++;
}

static void end(void *arg)
{
	loop_stop(arg);
}

static void timers_fire_in_order(void **state)
{
	struct order o = {.fired = 0};
	struct one one[TIMERS];

	(void)state;
	assert_int_equal(loop_new(&o.loop), 0);
	for (int i = 0; i < TIMERS; i++) {
		one[i] = (struct one){&o, &o.timer[i]};
		loop_after(o.loop, &o.timer[i], (uint64_t)(i * 37 % 50), fired,
			   &one[i]);
	}
	for (int i = 0; i < TIMERS; i += 2)
		loop_cancel(o.loop, &o.timer[i]);
	loop_cancel(o.loop, &o.timer[0]); /* harmless */
	loop_after(o.loop, &o.end, 60, end, o.loop);
	assert_int_equal(loop_run(o.loop), 0);
	assert_int_equal(o.fired, TIMERS / 2);
	loop_free(o.loop);
}

static void timer_restarted_fires_once(void **state)
{
	struct order o = {.fired = 0};
	struct one one = {&o, &o.timer[0]};

	(void)state;
	assert_int_equal(loop_new(&o.loop), 0);
	loop_after(o.loop, &o.timer[0], 1, fired, &one);
	loop_after(o.loop, &o.timer[0], 5, fired, &one);
	loop_after(o.loop, &o.end, 20, end, o.loop);
	assert_int_equal(loop_run(o.loop), 0);
	assert_int_equal(o.fired, 1);
	loop_free(o.loop);
}

/* Many are started, started anew and cancelled, in no order that means
 * anything: those that are left fire, each once and none too soon. */
static struct many {
	struct loop *loop;
	struct loop_timer timer[MANY];
	uint64_t at_ms[MANY]; /* 0: it is not to fire */
	uint64_t last_ms;
	int left;
} many;

static void one_of_many(void *arg)
{
	const struct loop_timer *t = arg;
	const size_t i = (size_t)(t - many.timer);

	assert_true(many.at_ms[i] != 0);
	assert_true(loop_now_ms(many.loop) >= many.at_ms[i]);
	assert_true(t->at_ms >= many.last_ms);
	many.last_ms = t->at_ms;
	many.at_ms[i] = 0;
	if (--many.left == 0)
		loop_stop(many.loop);
}

static void of_many_timers_each_fires_in_its_turn(void **state)
{
	uint32_t x = 12345;

	(void)state;
	many = (struct many){.left = 0};
	assert_int_equal(loop_new(&many.loop), 0);
	for (int step = 0; step < 5 * MANY; step++) {
		size_t i;

		x = x * 1103515245 + 12345;
		i = x / 65536 % MANY;
		many.left -= many.at_ms[i] != 0;
		many.at_ms[i] = 0;
		loop_cancel(many.loop, &many.timer[i]);
		assert_false(loop_pending(&many.timer[i]));
		if (x / 7 % 3 == 0)
			continue;
		loop_after(many.loop, &many.timer[i], x / 65536 % 40,
			   one_of_many, &many.timer[i]);
		many.at_ms[i] = many.timer[i].at_ms;
		many.left++;
	}
	assert_true(many.left > MANY / 3);
	assert_int_equal(loop_run(many.loop), 0);
	assert_int_equal(many.left, 0);
	for (size_t i = 0; i < MANY; i++)
		assert_false(loop_pending(&many.timer[i]));
	loop_free(many.loop);
}

/* Two descriptors are ready at once; whoever is first unwatches the other. */
struct pair {
	struct loop *loop;
	struct loop_fd watch[2];
	int calls;
};

static void ready(uint32_t events, void *arg)
{
	struct pair *p = arg;

	assert_true(events & EPOLLIN);
	p->calls++;
	loop_unwatch(p->loop, &p->watch[0]);
	loop_unwatch(p->loop, &p->watch[1]);
	loop_stop(p->loop);
}

static void unwatched_in_the_same_turn_is_not_called(void **state)
{
	struct pair p = {.calls = 0};
	int fd[2][2];

	(void)state;
	assert_int_equal(loop_new(&p.loop), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd[i]), 0);
		assert_int_equal(write(fd[i][1], "x", 1), 1);
		assert_int_equal(loop_watch(p.loop, &p.watch[i], fd[i][0],
					    EPOLLIN, ready, &p),
				 0);
	}
	assert_int_equal(loop_run(p.loop), 0);
	assert_int_equal(p.calls, 1);
	for (int i = 0; i < 2; i++) {
		(void)close(fd[i][0]);
		(void)close(fd[i][1]);
	}
	loop_free(p.loop);
}

static void term(void *arg)
{
	struct pair *p = arg;

	p->calls++;
	loop_stop(p->loop);
}

static void sigterm_is_told(void **state)
{
	struct pair p = {.calls = 0};

	(void)state;
	assert_int_equal(loop_new(&p.loop), 0);
	loop_on_term(p.loop, term, &p);
	assert_int_equal(raise(SIGTERM), 0);
	assert_int_equal(loop_run(p.loop), 0);
	assert_int_equal(p.calls, 1);
	loop_free(p.loop);
}

struct listener {
	struct loop *loop;
	struct loop_fd watch;
	int fd, heard;
};

static void listener_ready(uint32_t events, void *arg)
{
	struct listener *n = arg;
	char text[64];
	ssize_t len = recv(n->fd, text, sizeof(text) - 1, 0);

	(void)events;
	assert_true(len > 0);
	text[len] = '\0';
	assert_non_null(strstr(text, "READY=1"));
	assert_non_null(strstr(text, "WATCHDOG=1"));
	if (++n->heard == 3)
		loop_stop(n->loop);
}

/* A period of 30 ms. */
static void listen_to_it(struct listener *n)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(sun.sun_family);

	n->fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_int_equal(bind(n->fd, (struct sockaddr *)&sun, len), 0);
	len = sizeof(sun);
	assert_int_equal(getsockname(n->fd, (struct sockaddr *)&sun, &len), 0);
	sun.sun_path[0] = '@';
	sun.sun_path[len - offsetof(struct sockaddr_un, sun_path)] = '\0';
	(void)setenv("NOTIFY_SOCKET", sun.sun_path, 1);
	(void)setenv("WATCHDOG_USEC", "90000", 1);
}

static void listen_no_more(struct listener *n)
{
	(void)close(n->fd);
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
}

static int heard(const struct listener *n)
{
	char text[64];
	int sum = 0;

	while (recv(n->fd, text, sizeof(text), MSG_DONTWAIT) > 0)
		sum++;
	return sum;
}

/* Answers that nobody reads come one after the other in one turn. */
static void waits(void *arg)
{
	struct listener *n = arg;

	(void)heard(n); /* what the loop itself said */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(usleep(40 * 1000), 0);
		loop_waited(n->loop);
		assert_int_equal(heard(n), 1);
	}
	loop_stop(n->loop);
}

static void who_waits_says_that_it_goes_on(void **state)
{
	struct listener n = {.heard = 0};
	struct loop_timer timer = {.runs = false};

	(void)state;
	listen_to_it(&n);
	assert_int_equal(loop_new(&n.loop), 0);
	loop_after(n.loop, &timer, 0, waits, &n);
	assert_int_equal(loop_run(n.loop), 0);
	loop_free(n.loop);
	listen_no_more(&n);
}

static void it_says_that_it_turns(void **state)
{
	struct listener n = {.heard = 0};
	struct loop_timer late = {.runs = false};

	(void)state;
	listen_to_it(&n);
	assert_int_equal(loop_new(&n.loop), 0);
	assert_int_equal(
		loop_watch(n.loop, &n.watch, n.fd, EPOLLIN, listener_ready, &n),
		0);
	loop_after(n.loop, &late, 5000, end, n.loop);
	assert_int_equal(loop_run(n.loop), 0);
	assert_int_equal(n.heard, 3);
	loop_unwatch(n.loop, &n.watch);
	loop_cancel(n.loop, &late);
	loop_free(n.loop);
	listen_no_more(&n);
}

/* As SIGTERM would, once; and the run is no good one. */
static void a_loop_that_fails_ends_in_order(void **state)
{
	struct pair p = {.calls = 0};

	(void)state;
	assert_int_equal(loop_new(&p.loop), 0);
	loop_on_term(p.loop, term, &p);
	loop_fail(p.loop, ENOMEM);
	loop_fail(p.loop, EIO);
	assert_int_equal(loop_run(p.loop), ENOMEM);
	assert_int_equal(p.calls, 1);
	loop_free(p.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_fire_in_order),
		cmocka_unit_test(timer_restarted_fires_once),
		cmocka_unit_test(of_many_timers_each_fires_in_its_turn),
		cmocka_unit_test(unwatched_in_the_same_turn_is_not_called),
		cmocka_unit_test(sigterm_is_told),
		cmocka_unit_test(it_says_that_it_turns),
		cmocka_unit_test(who_waits_says_that_it_goes_on),
		cmocka_unit_test(a_loop_that_fails_ends_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
