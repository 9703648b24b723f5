/*
 * Settings: the file, the environment above it, and what is refused. Run from
 * the top of the checkout, for deploy/restsip.ini.example.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config.h"

struct loaded {
	struct config c;
	char why[CONFIG_WHY_SIZE];
	int err;
};

/* Loads a file of that text; NULL: no file. */
static void load(struct loaded *l, const char *text)
{
	char path[] = "/tmp/restsip-test-XXXXXX";
	int fd;

	if (!text) {
		l->err = config_load(&l->c, NULL, l->why);
		return;
	}
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
	l->err = config_load(&l->c, path, l->why);
	(void)unlink(path); /* ours, just made */
}

static void assert_refused(const char *text, const char *word)
{
	struct loaded l;

	load(&l, text);
	if (!l.err)
		fail_msg("taken: %s", text);
	if (!strstr(l.why, word))
		fail_msg("%s: '%s' does not say '%s'", text, l.why, word);
	config_free(&l.c);
}

static void without_a_file_there_are_defaults(void **state)
{
	struct loaded l;

	(void)state;
	load(&l, NULL);
	assert_int_equal(l.err, 0);
	assert_int_equal(l.c.api.readers, 3);
	assert_int_equal(l.c.api.writers, 4);
	assert_int_equal(l.c.agent.default_expires_s, 3600);
	assert_string_equal(l.c.agent.listen, "127.0.0.1:5060");
	assert_true(l.c.http.signup_open);
	config_free(&l.c);
}

static void the_file_is_read(void **state)
{
	struct loaded l;

	(void)state;
	load(&l, "; a comment\n[log]\nlevel = debug\n\n[api]\nwriters=7\n"
		 "[database]\nconninfo = host=/tmp dbname='a b' user=x\n"
		 "[http]\nsignup = closed\ndomains = a.net, b.net\n");
	assert_string_equal(l.why, "");
	assert_int_equal(l.err, 0);
	assert_int_equal(l.c.log.level, LOG_LEVEL_DEBUG);
	assert_int_equal(l.c.api.writers, 7);
	assert_string_equal(l.c.database.conninfo,
			    "host=/tmp dbname='a b' user=x");
	assert_false(l.c.http.signup_open);
	assert_true(config_hosts(&l.c, "a.net"));
	assert_true(config_hosts(&l.c, "b.net"));
	assert_false(config_hosts(&l.c, "c.net"));
	assert_false(config_hosts(&l.c, "net"));
	assert_false(config_hosts(&l.c, ""));
	config_free(&l.c);
}

static void the_environment_stands_above_the_file(void **state)
{
	struct loaded l;

	(void)state;
	assert_int_equal(setenv("RESTSIP_API_WRITERS", "3", 1), 0);
	load(&l, "[api]\nwriters = 7\n");
	assert_int_equal(l.err, 0);
	assert_int_equal(l.c.api.writers, 3);
	config_free(&l.c);
	assert_int_equal(setenv("RESTSIP_API_WRITERS", "many", 1), 0);
	assert_refused(NULL, "RESTSIP_API_WRITERS");
	assert_int_equal(unsetenv("RESTSIP_API_WRITERS"), 0);
}

static void what_is_unknown_or_impossible_is_refused(void **state)
{
	(void)state;
	assert_refused("[api]\nworkers = 1\n", "workers");
	assert_refused("[apis]\nreaders = 1\n", "readers");
	assert_refused("readers = 1\n", "readers");
	assert_refused("[api]\nreaders = 0\n", "readers");
	assert_refused("[api]\nreaders = 1x\n", "readers");
	assert_refused("[api]\nreaders = \n", "readers");
	assert_refused("[api]\nreaders = 99999999999999999999\n", "readers");
	assert_refused("[log]\nlevel = loud\n", "level");
	assert_refused("[http]\nsignup = maybe\n", "signup");
	assert_refused("[agent]\nsend_allow = 1.2.3.4/99\n", "send_allow");
	assert_refused("[api\nreaders = 1\n", "");
	assert_refused("[api]\nnonsense\n", "");
}

static void what_libpq_could_only_fail_with_is_refused(void **state)
{
	char long_secret[258] = "";
	struct loaded l;

	(void)state;
	assert_refused("[database]\nconninfo = host=/tmp port=54x2\n", "port");
	assert_refused("[database]\nconninfo = port=65536\n", "port");
	assert_refused("[database]\nconninfo = port=0\n", "port");
	assert_refused("[database]\nconninfo = host=a,b port=1,x\n", "port");
	assert_refused("[database]\nconninfo = hots=/tmp\n", "conninfo");
	assert_refused("[database]\nconninfo = nonsense\n", "conninfo");
	/* what is wrong is said without what may be a password */
	load(&l, "[database]\nconninfo = password=very secret port=x\n");
	assert_int_not_equal(l.err, 0);
	assert_null(strstr(l.why, "secret"));
	config_free(&l.c);
	memset(long_secret, 's', sizeof(long_secret) - 1);
	assert_int_equal(setenv("RESTSIP_MEDIA_TURN_SECRET", long_secret, 1),
			 0);
	load(&l, NULL);
	assert_int_equal(unsetenv("RESTSIP_MEDIA_TURN_SECRET"), 0);
	assert_int_not_equal(l.err, 0);
	assert_non_null(strstr(l.why, "TURN_SECRET"));
	assert_null(strstr(l.why, "sss"));
	config_free(&l.c);
	load(&l, "[database]\nconninfo = host=a,b,c port=1,,65535\n");
	assert_int_equal(l.err, 0);
	config_free(&l.c);
	load(&l, "[database]\nconninfo = postgresql://a@b:5433/c\n");
	assert_int_equal(l.err, 0);
	config_free(&l.c);
}

static void a_file_that_is_not_there_is_an_error(void **state)
{
	struct loaded l;

	(void)state;
	l.err = config_load(&l.c, "/nonexistent/restsip.ini", l.why);
	assert_int_not_equal(l.err, 0);
	assert_non_null(strstr(l.why, "/nonexistent/restsip.ini"));
	config_free(&l.c);
}

static void a_value_may_be_long(void **state)
{
	char text[600] = "[database]\nconninfo = host=";
	const size_t n = strlen(text);
	struct loaded l;

	(void)state;
	memset(text + n, 'h', 500);
	text[n + 500] = '\n';
	load(&l, text);
	/* taken whole or refused, never cut */
	if (!l.err)
		assert_int_equal(strlen(l.c.database.conninfo), 505);
	config_free(&l.c);
}

static void the_example_is_made_of_the_table(void **state)
{
	char *now = NULL, *there = NULL;
	size_t len = 0, size = 0;
	FILE *f = open_memstream(&now, &len);
	ssize_t n;

	(void)state;
	assert_non_null(f);
	assert_int_equal(config_example(f), 0);
	assert_int_equal(fclose(f), 0);
	f = fopen("deploy/restsip.ini.example", "re");
	if (!f) {
		free(now);
		skip(); /* not run from the checkout */
	}
	n = getdelim(&there, &size, '\0', f);
	(void)fclose(f); /* only read from */
	assert_true(n > 0);
	assert_string_equal(there, now);
	free(now);
	free(there);
}

static void the_example_can_be_loaded(void **state)
{
	struct loaded l;

	(void)state;
	l.err = config_load(&l.c, "deploy/restsip.ini.example", l.why);
	if (access("deploy/restsip.ini.example", R_OK)) {
		config_free(&l.c);
		skip();
	}
	assert_string_equal(l.why, "");
	assert_int_equal(l.err, 0);
	config_free(&l.c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_file_there_are_defaults),
		cmocka_unit_test(the_file_is_read),
		cmocka_unit_test(the_environment_stands_above_the_file),
		cmocka_unit_test(what_is_unknown_or_impossible_is_refused),
		cmocka_unit_test(what_libpq_could_only_fail_with_is_refused),
		cmocka_unit_test(a_file_that_is_not_there_is_an_error),
		cmocka_unit_test(a_value_may_be_long),
		cmocka_unit_test(the_example_is_made_of_the_table),
		cmocka_unit_test(the_example_can_be_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
