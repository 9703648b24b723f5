/*
 * Lines that come again and again: the first, then counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"

static uint64_t now_ms = 1000000;
static char text[65536];
static int pipe_fd[2], stderr_copy;

/* The clock of this test alone */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	(void)id;
	ts->tv_sec = (time_t)(now_ms / 1000);
	ts->tv_nsec = (long)(now_ms % 1000) * 1000000;

	return 0;
}

static int setup(void **state)
{
	(void)state;
	log_often_end();
	now_ms += 1000000;
	log_often_counts();
	if (pipe(pipe_fd) || fcntl(pipe_fd[0], F_SETFL, O_NONBLOCK))
		return -1;
	stderr_copy = dup(STDERR_FILENO);

	return dup2(pipe_fd[1], STDERR_FILENO) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)dup2(stderr_copy, STDERR_FILENO);
	(void)close(stderr_copy);
	(void)close(pipe_fd[0]);
	(void)close(pipe_fd[1]);

	return 0;
}

/* How many lines have come since the last look; they are in text */
static int lines(void)
{
	const ssize_t n = read(pipe_fd[0], text, sizeof(text) - 1);
	int count = 0;

	text[n > 0 ? n : 0] = '\0';
	for (const char *p = text; (p = strchr(p, '\n')); p++)
		count++;

	return count;
}

static void met(const char *statement, int n)
{
	log_error_often(1, "sql_failed", LOG_STR("statement", statement),
			LOG_INT("n", n));
}

static void the_first_is_written_and_the_others_are_counted(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		met("register", i);
	assert_int_equal(lines(), 1);
	assert_non_null(strstr(text, "level=error "));
	assert_non_null(
		strstr(text, "event=sql_failed statement=register n=0\n"));
	log_often_counts();
	assert_int_equal(lines(), 0);
	now_ms += 1000;
	log_often_counts();
	assert_int_equal(lines(), 1);
	assert_non_null(strstr(text, "level=error "));
	assert_non_null(strstr(
		text, "event=sql_failed statement=register repeated=99\n"));
}

static void a_count_is_written_each_second_while_it_goes_on(void **state)
{
	(void)state;
	met("register", 0);
	for (int s = 0; s < 5; s++) {
		for (int i = 0; i < 10; i++) {
			met("register", i);
			now_ms += 100;
		}
		log_often_counts();
	}
	assert_int_equal(lines(), 6);
}

static void after_a_quiet_second_the_next_is_a_first_one(void **state)
{
	(void)state;
	met("register", 1);
	now_ms += 1000;
	log_often_counts();
	met("register", 2);
	assert_int_equal(lines(), 2);
	assert_non_null(strstr(text, "n=2\n"));
}

static void kinds_are_told_apart_by_their_keys(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		met("register", i);
		met("send", i);
		log_warn_often(2, "sql_failed", LOG_STR("statement", "send"),
			       LOG_INT("n", i));
		log_warn_often(0, "other", LOG_INT("n", i));
	}
	assert_int_equal(lines(), 1 + 1 + 3 + 1);
	log_often_end();
	assert_int_equal(lines(), 3);
	assert_non_null(strstr(text, "event=other repeated=2\n"));
}

static void too_many_kinds_are_counted_as_one(void **state)
{
	char name[16];

	(void)state;
	for (int i = 0; i < 10 * LOG_KINDS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "s%d", i);
		met(name, i);
	}
	assert_int_equal(lines(), LOG_KINDS_MAX + 1);
	log_often_end();
	assert_int_equal(lines(), 1);
	assert_non_null(strstr(text, "event=many_kinds repeated="));
}

static void some_are_counted_by_the_minute(void **state)
{
	(void)state;
	for (int s = 0; s < 120; s++) {
		log_warn_rarely(1, "connection_refused", LOG_STR("why", "x y"));
		now_ms += 1000;
		log_often_counts();
	}
	assert_int_equal(lines(), 3);
	assert_non_null(strstr(text, "why=\"x y\" repeated=60\n"));
}

static void a_value_may_be_missing_or_long(void **state)
{
	char value[2 * LOG_KEY_SIZE];

	(void)state;
	memset(value, 'v', sizeof(value));
	for (int i = 0; i < 2; i++) {
		log_warn_often(1, "none", LOG_STR("why", NULL));
		log_warn_often(1, "long", LOG_MEM("why", value, sizeof(value)));
		log_warn_often(2, "few");
	}
	assert_int_equal(lines(), 3);
	log_often_end();
	assert_int_equal(lines(), 3);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_first_is_written_and_the_others_are_counted),
		TEST(a_count_is_written_each_second_while_it_goes_on),
		TEST(after_a_quiet_second_the_next_is_a_first_one),
		TEST(kinds_are_told_apart_by_their_keys),
		TEST(too_many_kinds_are_counted_as_one),
		TEST(some_are_counted_by_the_minute),
		TEST(a_value_may_be_missing_or_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
