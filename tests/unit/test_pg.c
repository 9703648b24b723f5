/*
 * What needs no server of the driver of PostgreSQL: parameters, answers, and
 * doorbells, with the loop played here. pg_conn.c and pg_lane.c have the rest.
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

#include "common/pg/bells.h"
#include "common/pg/job.h"

/* ---- the loop ---- */

static pg_timer_h *fired;
static void *fired_arg;
static unsigned started;

static void after(void *loop, struct pg_room *room, uint64_t ms, pg_timer_h *h,
		  void *arg)
{
	(void)loop;
	(void)room;
	assert_true(ms <= PG_BELLS_MS);
	fired = h;
	fired_arg = arg;
	started++;
}

static void cancel(void *loop, struct pg_room *room)
{
	(void)loop;
	(void)room;
	fired = NULL;
}

static const struct pg_loop loop = {NULL, NULL, after, cancel};

static void time_passes(void)
{
	pg_timer_h *h = fired;

	fired = NULL;
	assert_non_null(h);
	h(fired_arg);
}

/* ---- doorbells ---- */

static char rung[PG_BELLS_MAX + 1];
static unsigned rings;

static void ring(const char *array, void *arg)
{
	(void)arg;
	assert_true(strlen(array) < sizeof(rung));
	memcpy(rung, array, strlen(array) + 1);
	rings++;
}

static struct pg_bells *bells_make(void)
{
	struct pg_bells *b;

	rings = started = 0;
	rung[0] = '\0';
	assert_int_equal(pg_bells_new(&b, &loop, ring, NULL), 0);
	return b;
}

/* So that what comes now is not rung at once. */
static void bells_warm(struct pg_bells *b)
{
	while (!fired)
		pg_bells_add(b, "{x}");
	time_passes();
	while (!fired)
		pg_bells_add(b, "{first}");
}

static void the_first_bell_is_rung_at_once(void **state)
{
	struct pg_bells *b = bells_make();

	(void)state;
	pg_bells_add(b, "{a}");
	assert_int_equal(rings, 1);
	assert_string_equal(rung, "{a}");
	pg_bells_free(b);
}

static void bells_are_joined_as_they_are(void **state)
{
	struct pg_bells *b = bells_make();
	unsigned before;

	(void)state;
	bells_warm(b);
	before = rings;
	pg_bells_add(b, NULL);
	pg_bells_add(b, "");
	pg_bells_add(b, "{}");
	pg_bells_add(b, "nonsense");
	pg_bells_add(b, "{restsip_job|}");
	pg_bells_add(b, "{\"a,b\",c}");
	assert_int_equal(rings, before);
	time_passes();
	assert_int_equal(rings, before + 1);
	assert_string_equal(rung, "{first,restsip_job|,\"a,b\",c}");
	pg_bells_free(b);
}

static void too_many_bells_are_rung_sooner(void **state)
{
	struct pg_bells *b = bells_make();
	char one[1000];
	unsigned before;

	(void)state;
	memset(one, 'x', sizeof(one));
	one[0] = '{';
	one[sizeof(one) - 2] = '}';
	one[sizeof(one) - 1] = '\0';
	bells_warm(b);
	before = rings;
	for (int i = 0; i < 100; i++)
		pg_bells_add(b, one);
	assert_true(rings > before);
	assert_int_equal(rung[strlen(rung) - 1], '}');
	pg_bells_free(b);
}

static void no_bell_is_rung_at_the_end(void **state)
{
	struct pg_bells *b = bells_make();
	unsigned before;

	(void)state;
	bells_warm(b);
	before = rings;
	pg_bells_free(b);
	assert_null(fired);
	assert_int_equal(rings, before);
}

/* ---- parameters ---- */

static void numbers_of_a_copy_are_its_own(void **state)
{
	struct pg_args from = {.n = 0}, to = {.n = 0};

	(void)state;
	pg_arg_int(&from, -7);
	pg_arg_text(&from, "text");
	pg_arg_null(&from);
	pg_arg_bytea(&from, "a\0b", 3);
	pg_args_copy(&to, &from);
	memset(&from, 0, sizeof(from));
	assert_int_equal(to.n, 4);
	assert_string_equal(to.value[0], "-7");
	assert_string_equal(to.value[1], "text");
	assert_null(to.value[2]);
	assert_int_equal(to.length[3], 3);
	assert_int_equal(to.format[3], 1);
	assert_false(to.failed);
}

static void too_many_parameters_fail(void **state)
{
	struct pg_args args = {.n = 0};

	(void)state;
	for (int i = 0; i < PG_ARGS_MAX; i++)
		pg_arg_int(&args, i);
	assert_false(args.failed);
	pg_arg_int(&args, 1);
	assert_true(args.failed);
}

/* ---- answers ---- */

static unsigned answers;
static struct pg_answer last;

static void answered(const struct pg_answer *ans, void *arg)
{
	(void)arg;
	last = *ans;
	answers++;
}

static const struct pg_stmt stmt = {.name = "s", .sql = "select 1"};

static struct pg_job job_with(PGresult *res)
{
	answers = 0;
	return (struct pg_job){.stmt = &stmt, .h = answered, .res = res};
}

static void who_asked_is_told_once(void **state)
{
	struct pg_job job = job_with(
		PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK));

	(void)state;
	assert_int_equal(pg_job_tell(&job), APP_OK);
	assert_int_equal(last.end, PG_OK);
	assert_non_null(last.res);
	(void)pg_job_fail(&job, APP_UNAVAILABLE);
	assert_int_equal(answers, 1);
	assert_null(job.res);
}

static void what_went_wrong_has_its_end(void **state)
{
	static const struct {
		enum app_err err;
		enum pg_end end;
		const char *slug;
	} cases[] = {
		{APP_UNAVAILABLE, PG_AWAY, "unavailable"},
		{APP_BUSY, PG_AWAY, "busy"},
		{APP_OUTCOME_UNKNOWN, PG_AWAY, "outcome-unknown"},
		{APP_INTERNAL, PG_BUG, "internal-error"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		/* even where rows had come already */
		struct pg_job job = job_with(
			PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK));

		assert_int_equal(pg_job_fail(&job, cases[i].err), cases[i].err);
		assert_int_equal(last.end, cases[i].end);
		assert_string_equal(last.slug, cases[i].slug);
		assert_null(last.res);
	}
}

/* How many failures are logged while a job is told. */
static size_t failures_logged(struct pg_job *job)
{
	FILE *f = tmpfile();
	const int before = dup(STDERR_FILENO);
	char text[4096] = "";
	size_t found = 0;

	assert_non_null(f);
	assert_true(before >= 0 && dup2(fileno(f), STDERR_FILENO) >= 0);
	(void)pg_job_tell(job);
	(void)fflush(stderr);
	(void)dup2(before, STDERR_FILENO);
	(void)close(before);
	rewind(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	(void)fclose(f);
	for (const char *at = text; (at = strstr(at, "event=sql_failed")); at++)
		found++;
	return found;
}

static void what_its_asker_logs_is_not_logged_twice(void **state)
{
	struct pg_job loud = job_with(
		PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR));
	struct pg_job quiet = job_with(
		PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR));

	(void)state;
	quiet.quiet = true;
	assert_int_equal(failures_logged(&quiet), 0);
	assert_int_equal(last.end, PG_BUG);
	assert_int_equal(failures_logged(&loud), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_bell_is_rung_at_once),
		cmocka_unit_test(bells_are_joined_as_they_are),
		cmocka_unit_test(too_many_bells_are_rung_sooner),
		cmocka_unit_test(no_bell_is_rung_at_the_end),
		cmocka_unit_test(numbers_of_a_copy_are_its_own),
		cmocka_unit_test(too_many_parameters_fail),
		cmocka_unit_test(who_asked_is_told_once),
		cmocka_unit_test(what_went_wrong_has_its_end),
		cmocka_unit_test(what_its_asker_logs_is_not_logged_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
