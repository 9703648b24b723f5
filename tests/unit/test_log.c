/*
 * Log lines: one an event, and nothing from outside can start another.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"

struct capture {
	int pipe[2];
	int stderr_copy;
	char text[16384];
};

static void capture_begin(struct capture *c)
{
	assert_int_equal(pipe(c->pipe), 0);
	c->stderr_copy = dup(STDERR_FILENO);
	assert_true(c->stderr_copy >= 0);
	assert_true(dup2(c->pipe[1], STDERR_FILENO) >= 0);
}

static void capture_end(struct capture *c)
{
	ssize_t n;

	assert_true(dup2(c->stderr_copy, STDERR_FILENO) >= 0);
	assert_int_equal(close(c->stderr_copy), 0);
	assert_int_equal(close(c->pipe[1]), 0);
	n = read(c->pipe[0], c->text, sizeof(c->text) - 1);
	assert_true(n >= 0);
	c->text[n] = '\0';
	assert_int_equal(close(c->pipe[0]), 0);
}

static void a_line_has_time_level_program_event_and_fields(void **state)
{
	struct capture c;

	(void)state;
	log_init("tester", LOG_LEVEL_INFO);
	capture_begin(&c);
	log_info("started", LOG_STR("name", "x"), LOG_INT("n", -5),
		 LOG_MEM("part", "abcdef", 3), LOG_STR("none", NULL));
	capture_end(&c);
	assert_int_equal(c.text[10], 'T');
	assert_string_equal(
		strchr(c.text, ' '),
		" level=info prog=tester event=started name=x n=-5 part=abc\n");
}

static void an_errno_has_its_words(void **state)
{
	struct capture c;

	(void)state;
	log_init("tester", LOG_LEVEL_INFO);
	capture_begin(&c);
	log_info("bound", LOG_ERRNO(EADDRINUSE), LOG_INT("n", 1));
	log_info("odd", LOG_ERRNO(54321));
	capture_end(&c);
	assert_non_null(strstr(
		c.text, "event=bound errno=\"Address already in use\" n=1\n"));
	assert_non_null(strstr(c.text, "event=odd errno=54321\n"));
}

static void what_is_below_the_level_is_not_written(void **state)
{
	struct capture c;

	(void)state;
	log_init("tester", LOG_LEVEL_WARN);
	capture_begin(&c);
	log_info("quiet", LOG_INT("n", 1));
	log_debug("quiet", LOG_INT("n", 1));
	log_warn("loud", LOG_INT("n", 1));
	log_error("loud", LOG_INT("n", 2));
	capture_end(&c);
	assert_null(strstr(c.text, "quiet"));
	assert_non_null(strstr(c.text, "level=warn"));
	assert_non_null(strstr(c.text, "level=error"));
}

static void no_value_can_start_a_line_or_a_field(void **state)
{
	struct capture c;

	(void)state;
	log_init("tester", LOG_LEVEL_INFO);
	capture_begin(&c);
	log_info("hostile", LOG_STR("a", "x\nlevel=error event=forged"),
		 LOG_STR("b", "q\" c=\"d"), LOG_MEM("z", "\0\x1b[31m", 6),
		 LOG_STR("u", "\xc3\xa4"), LOG_STR("e", ""));
	capture_end(&c);
	assert_ptr_equal(strchr(c.text, '\n'), strrchr(c.text, '\n'));
	assert_null(strstr(c.text, "q\" c"));
	assert_null(strchr(c.text, '\x1b'));
	assert_null(strstr(c.text, "\xc3"));
	assert_non_null(strstr(c.text, " e=\"\""));
}

static void a_long_value_is_cut_and_the_line_ends(void **state)
{
	char value[8000];
	struct capture c;

	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	log_init("tester", LOG_LEVEL_INFO);
	capture_begin(&c);
	log_info("long", LOG_STR("v", value), LOG_STR("after", "x"));
	capture_end(&c);
	assert_true(strlen(c.text) < 4200);
	assert_int_equal(c.text[strlen(c.text) - 1], '\n');
}

static void a_full_pipe_does_not_stop_the_program(void **state)
{
	char page[4096] = {0};
	struct capture c;
	int flags;

	(void)state;
	log_init("tester", LOG_LEVEL_INFO);
	capture_begin(&c);
	flags = fcntl(c.pipe[1], F_GETFL);
	assert_int_equal(fcntl(c.pipe[1], F_SETFL, flags | O_NONBLOCK), 0);
	while (write(c.pipe[1], page, sizeof(page)) > 0)
		;
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(fcntl(c.pipe[1], F_SETFL, flags), 0);
	(void)alarm(5); /* who blocks is ended */
	for (int i = 0; i < 100; i++)
		log_info("lost", LOG_INT("n", i));
	(void)alarm(0);
	capture_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_line_has_time_level_program_event_and_fields),
		cmocka_unit_test(an_errno_has_its_words),
		cmocka_unit_test(what_is_below_the_level_is_not_written),
		cmocka_unit_test(no_value_can_start_a_line_or_a_field),
		cmocka_unit_test(a_long_value_is_cut_and_the_line_ends),
		cmocka_unit_test(a_full_pipe_does_not_stop_the_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
