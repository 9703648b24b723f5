/*
 * Where the database is: names looked up by threads. The resolver is played
 * here, and says nothing where a test wants that.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/pg/hosts.h"

enum { DEADLINE_MS = 10000 };

/* ---- the resolver ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t speaks = PTHREAD_COND_INITIALIZER;
static bool silent;
static atomic_int lookups;
static _Atomic(const char *) meaning; /* of one.test */

static void set_silent(bool now)
{
	(void)pthread_mutex_lock(&lock);
	silent = now;
	(void)pthread_cond_broadcast(&speaks);
	(void)pthread_mutex_unlock(&lock);
}

/* In the place of libc's: only what hosts.c needs of it. */
int getaddrinfo(const char *name, const char *service,
		const struct addrinfo *hints, struct addrinfo **out)
{
	struct {
		struct addrinfo ai, second;
		struct sockaddr_in in, in2;
	} *a = calloc(1, sizeof(*a));

	(void)service;
	(void)hints;
	assert_non_null(a);
	(void)pthread_mutex_lock(&lock);
	while (silent)
		(void)pthread_cond_wait(&speaks, &lock);
	(void)pthread_mutex_unlock(&lock);
	atomic_fetch_add(&lookups, 1);
	if (strcmp(name, "one.test") != 0 && strcmp(name, "two.test") != 0) {
		free(a);
		return EAI_NONAME;
	}
	a->in.sin_family = AF_INET;
	a->in.sin_addr.s_addr = inet_addr(atomic_load(&meaning));
	a->ai.ai_addr = (struct sockaddr *)&a->in;
	a->ai.ai_addrlen = sizeof(a->in);
	if (!strcmp(name, "two.test")) {
		a->in2 = a->in;
		a->in2.sin_addr.s_addr = inet_addr("192.0.2.2");
		a->second = a->ai;
		a->second.ai_addr = (struct sockaddr *)&a->in2;
		a->ai.ai_next = &a->second;
	}
	*out = &a->ai;
	return 0;
}

void freeaddrinfo(struct addrinfo *ai)
{
	free(ai);
}

/* ---- helpers ---- */

static struct pg_hosts *make(const char *conninfo)
{
	struct pg_hosts *h = NULL;

	set_silent(false);
	atomic_store(&lookups, 0);
	atomic_store(&meaning, "192.0.2.1");
	assert_int_equal(pg_hosts_new(&h, conninfo), 0);
	return h;
}

static void until_looked(struct pg_hosts *h)
{
	const struct timespec step = {.tv_nsec = 1000000};
	const uint64_t end_ms = clock_ms() + DEADLINE_MS;

	while (!pg_hosts_look(h, clock_ms())) {
		assert_true(clock_ms() < end_ms);
		(void)nanosleep(&step, NULL);
	}
}

static void assert_list(const struct pg_hosts *h, size_t from, const char *host,
			const char *hostaddr, const char *port)
{
	struct pg_hosts_list list;

	pg_hosts_list(&list, h, from);
	assert_true(list.n > 0);
	assert_string_equal(list.host.p, host);
	assert_string_equal(list.hostaddr.p, hostaddr);
	assert_string_equal(list.port.p, port);
	pg_hosts_list_free(&list);
}

/* ---- tests ---- */

static void what_has_no_name_is_left_to_libpq(void **state)
{
	static const char *const none[] = {
		"",
		"host=/run/postgresql dbname=x",
		"host=192.0.2.1 port=5433",
		"host=2001:db8::1",
		"host=one.test hostaddr=192.0.2.9",
		"host=one.test,two.test port=1,2,3",
		"no conninfo at all",
		"postgresql:///x?host=/run",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		struct pg_hosts *h = make(none[i]);
		struct pg_hosts_list list;

		assert_true(pg_hosts_look(h, clock_ms()));
		assert_true(pg_hosts_are_known(h));
		pg_hosts_list(&list, h, 0);
		assert_int_equal(list.n, 0);
		pg_hosts_list_free(&list);
		pg_hosts_free(h);
	}
	assert_int_equal(atomic_load(&lookups), 0);
}

static void a_name_stays_beside_its_address(void **state)
{
	struct pg_hosts *h = make("postgresql://u@one.test:5433/x?sslmode="
				  "verify-full");

	(void)state;
	assert_false(pg_hosts_are_known(h));
	until_looked(h);
	assert_true(pg_hosts_are_known(h));
	assert_list(h, 0, "one.test", "192.0.2.1", "5433");
	pg_hosts_free(h);
}

static void the_environment_holds_too(void **state)
{
	struct pg_hosts *h;

	(void)state;
	assert_int_equal(setenv("PGHOST", "one.test", 1), 0);
	assert_int_equal(setenv("PGPORT", "6543", 1), 0);
	h = make("dbname=x");
	assert_int_equal(unsetenv("PGHOST"), 0);
	assert_int_equal(unsetenv("PGPORT"), 0);
	until_looked(h);
	assert_list(h, 0, "one.test", "192.0.2.1", "6543");
	pg_hosts_free(h);
}

static void several_hosts_keep_their_order_and_ports(void **state)
{
	struct pg_hosts *h = make("host=/run,one.test,none.test,192.0.2.7 "
				  "port=1,2,3,4");

	(void)state;
	assert_true(pg_hosts_are_known(h));
	until_looked(h);
	assert_list(h, 0, "/run,one.test,192.0.2.7", ",192.0.2.1,", "1,2,4");
	assert_list(h, 1, "one.test,192.0.2.7,/run", "192.0.2.1,,", "2,4,1");
	assert_list(h, 8, "192.0.2.7,/run,one.test", ",,192.0.2.1", "4,1,2");
	pg_hosts_free(h);
}

/* Whose first address says nothing has others. */
static void each_address_of_a_name_comes_first_in_turn(void **state)
{
	struct pg_hosts *h = make("host=two.test,192.0.2.7 port=1,2");

	(void)state;
	until_looked(h);
	assert_list(h, 0, "two.test,two.test,192.0.2.7", "192.0.2.1,192.0.2.2,",
		    "1,1,2");
	assert_list(h, 1, "two.test,192.0.2.7,two.test", "192.0.2.2,,192.0.2.1",
		    "1,2,1");
	assert_list(h, 2, "192.0.2.7,two.test,two.test", ",192.0.2.1,192.0.2.2",
		    "2,1,1");
	pg_hosts_free(h);
}

static void while_nobody_answers_the_last_address_is_kept(void **state)
{
	struct pg_hosts *h = make("host=one.test");
	uint64_t now_ms;

	(void)state;
	until_looked(h);
	now_ms = clock_ms();
	assert_true(pg_hosts_look(h, now_ms)); /* it is fresh */
	assert_int_equal(atomic_load(&lookups), 1);

	set_silent(true);
	atomic_store(&meaning, "192.0.2.2");
	now_ms += PG_HOSTS_FRESH_MS;
	for (int i = 0; i < 100; i++)
		assert_false(pg_hosts_look(h, now_ms + (uint64_t)i));
	assert_true(pg_hosts_are_known(h));
	assert_list(h, 0, "one.test", "192.0.2.1", "5432");

	set_silent(false);
	until_looked(h);
	assert_int_equal(atomic_load(&lookups), 2); /* one at a time */
	assert_list(h, 0, "one.test", "192.0.2.2", "5432");
	pg_hosts_free(h);
}

static void a_name_that_is_gone_stays_where_it_was(void **state)
{
	struct pg_hosts *h = make("host=none.test");

	(void)state;
	until_looked(h);
	assert_false(pg_hosts_are_known(h));
	pg_hosts_free(h);
}

static void who_ends_meanwhile_waits_for_nobody(void **state)
{
	struct pg_hosts *h = make("host=one.test");
	const uint64_t end_ms = clock_ms() + DEADLINE_MS;
	const struct timespec step = {.tv_nsec = 1000000};

	(void)state;
	set_silent(true);
	assert_false(pg_hosts_look(h, clock_ms()));
	pg_hosts_free(h);
	set_silent(false);
	while (atomic_load(&lookups) < 1) { /* what it left is freed there */
		assert_true(clock_ms() < end_ms);
		(void)nanosleep(&step, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_has_no_name_is_left_to_libpq),
		cmocka_unit_test(a_name_stays_beside_its_address),
		cmocka_unit_test(the_environment_holds_too),
		cmocka_unit_test(several_hosts_keep_their_order_and_ports),
		cmocka_unit_test(each_address_of_a_name_comes_first_in_turn),
		cmocka_unit_test(while_nobody_answers_the_last_address_is_kept),
		cmocka_unit_test(a_name_that_is_gone_stays_where_it_was),
		cmocka_unit_test(who_ends_meanwhile_waits_for_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
