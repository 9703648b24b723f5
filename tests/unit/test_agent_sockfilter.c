/*
 * The kernel drops what comes from who is shut out, and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"
#include "gate/sockfilter.h"

enum { START_MS = 1000000 };

static struct sa address(const char *text, uint16_t port)
{
	struct sa sa;

	assert_int_equal(sa_set_str(&sa, text, port), 0);

	return sa;
}

static int open_socket(struct sa *sa)
{
	const int fd = socket(sa_af(sa), SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &sa->u.sa, sa->len), 0);
	sa->len = sizeof(sa->u);
	assert_int_equal(getsockname(fd, &sa->u.sa, &sa->len), 0);

	return fd;
}

/* A socket at an address, which it is set to, with a filter of its own */
static int filtered(struct sockfilter **fp, struct sa *here, const char *at)
{
	int fd;

	*here = address(at, 0);
	fd = open_socket(here);
	assert_int_equal(sockfilter_alloc(fp), 0);
	assert_int_equal(sockfilter_add(*fp, fd, sa_af(here)), 0);

	return fd;
}

/* Over loopback a datagram is queued, or dropped, before sendto returns */
static bool is_heard(const char *from, int server, const struct sa *to)
{
	struct sa src = address(from, 0);
	const int fd = open_socket(&src);
	char got[16];

	assert_int_equal(sendto(fd, "hello", 5, 0, &to->u.sa, to->len), 5);
	close(fd);

	return recv(server, got, sizeof(got), MSG_DONTWAIT) == 5;
}

static void drop(struct sockfilter *f, const char *from, unsigned times,
		 uint64_t now_ms)
{
	const struct sa src = address(from, 5060);

	for (unsigned i = 0; i < times; i++)
		sockfilter_dropped(f, &src, now_ms);
}

static void who_floods_is_shut_out_for_a_moment(void **state)
{
	struct sockfilter *f;
	struct sa here;
	const int fd = filtered(&f, &here, "127.0.0.1");

	(void)state;

	drop(f, "127.0.0.2", SOCKFILTER_DROPS - 1, START_MS);
	assert_true(is_heard("127.0.0.2", fd, &here));
	drop(f, "127.0.0.2", 1, START_MS + SOCKFILTER_WINDOW_MS - 1);
	assert_false(is_heard("127.0.0.2", fd, &here));
	assert_true(is_heard("127.0.0.3", fd, &here));

	drop(f, "127.0.0.3", SOCKFILTER_DROPS, START_MS + 1500);
	assert_false(is_heard("127.0.0.2", fd, &here));
	assert_false(is_heard("127.0.0.3", fd, &here));
	assert_true(is_heard("127.0.0.4", fd, &here));

	sockfilter_release(f, START_MS + 1999);
	assert_true(is_heard("127.0.0.2", fd, &here));
	assert_false(is_heard("127.0.0.3", fd, &here));
	sockfilter_release(f, START_MS + 2500);
	assert_true(is_heard("127.0.0.3", fd, &here));

	mem_deref(f);
	close(fd);
}

static void a_few_now_and_then_shut_nobody_out(void **state)
{
	struct sockfilter *f;
	struct sa here;
	const int fd = filtered(&f, &here, "127.0.0.1");

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		drop(f, "127.0.0.2", SOCKFILTER_DROPS - 1,
		     START_MS + i * SOCKFILTER_WINDOW_MS);
	assert_true(is_heard("127.0.0.2", fd, &here));
	mem_deref(f);
	close(fd);
}

static void ipv6_goes_by_networks(void **state)
{
	struct sockfilter *f;
	struct sa here;
	const int fd = filtered(&f, &here, "::1");

	(void)state;
	drop(f, "0:0:1::1", SOCKFILTER_DROPS, START_MS);
	assert_true(is_heard("::1", fd, &here));
	drop(f, "::2", SOCKFILTER_DROPS, START_MS);
	assert_false(is_heard("::1", fd, &here));
	sockfilter_release(f, START_MS + SOCKFILTER_SHUT_MS);
	assert_true(is_heard("::1", fd, &here));
	mem_deref(f);
	close(fd);
}

static void more_sources_than_places_do_no_harm(void **state)
{
	struct sockfilter *f;
	struct sa here;
	const int fd = filtered(&f, &here, "127.0.0.1");
	char text[16];

	(void)state;
	for (unsigned i = 0; i < 2 * SOCKFILTER_SOURCES; i++) {
		(void)re_snprintf(text, sizeof(text), "127.0.1.%u", i + 1);
		drop(f, text, SOCKFILTER_DROPS, START_MS);
	}
	assert_false(is_heard("127.0.1.1", fd, &here));
	(void)re_snprintf(text, sizeof(text), "127.0.1.%u", SOCKFILTER_SOURCES);
	assert_false(is_heard(text, fd, &here));
	assert_true(is_heard("127.0.1.128", fd, &here));
	assert_true(is_heard("127.0.0.2", fd, &here));
	sockfilter_release(f, START_MS + SOCKFILTER_SHUT_MS);
	assert_true(is_heard("127.0.1.1", fd, &here));
	mem_deref(f);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_floods_is_shut_out_for_a_moment),
		cmocka_unit_test(a_few_now_and_then_shut_nobody_out),
		cmocka_unit_test(ipv6_goes_by_networks),
		cmocka_unit_test(more_sources_than_places_do_no_harm),
	};

	log_init("test", LOG_LEVEL_ERROR);

	return cmocka_run_group_tests(tests, NULL, NULL);
}
