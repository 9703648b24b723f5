/*
 * What goes to PostgreSQL: parameters, doorbells, and how answers are taken.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pg/bells.h"
#include "pg/pgjob.h"
#include "pg/pgloop.h"
#include "transaction/codes.h"

static const struct pg_stmt stmt = {"s", "select $1, $2, $3", 3, 1u << 1};
static int answers;
static enum pg_end last_end;

static void on_answer(const struct pg_answer *ans, void *arg)
{
	(void)arg;
	answers++;
	last_end = ans->end;
}

static void parameters_are_copied(void **state)
{
	char text[] = "text", bytes[] = "a\0\xff";
	const struct pl pl = {bytes, 3};
	const struct pg_val valv[] = {pg_text(text), pg_pl(&pl), pg_int(-7)};
	struct pg_job *job;

	(void)state;
	assert_int_equal(pg_job_alloc(&job, &stmt, valv, 0, on_answer, NULL),
			 0);
	text[0] = bytes[0] = 'X';
	assert_string_equal(job->valv[0], "text");
	assert_memory_equal(job->valv[1], "a\0\xff", 3);
	assert_int_equal(job->lenv[1], 3);
	assert_int_equal(job->fmtv[1], 1);
	assert_string_equal(job->valv[2], "-7");
	mem_deref(job);
}

static void what_is_not_set_is_null(void **state)
{
	const struct pl empty = {"", 0}, unset = PL_INIT;
	const struct pg_val valv[] = {pg_null(), pg_pl(&unset), pg_pl(&empty)};
	struct pg_job *job;

	(void)state;
	assert_int_equal(pg_job_alloc(&job, &stmt, valv, 0, on_answer, NULL),
			 0);
	assert_null(job->valv[0]);
	assert_null(job->valv[1]);
	assert_string_equal(job->valv[2], "");
	mem_deref(job);
}

static void what_is_no_text_is_refused(void **state)
{
	static const struct pl bad[] = {PL("a\0b"), PL("\xff"), PL("\xc3"),
					PL("\xed\xa0\x80"), PL("\xc0\x80")};
	struct pg_job *job;

	(void)state;
	answers = 0;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		const struct pg_val valv[] = {pg_pl(&bad[i]), pg_null(),
					      pg_null()};

		assert_int_equal(
			pg_job_alloc(&job, &stmt, valv, 0, on_answer, NULL),
			EILSEQ);
	}
	assert_int_equal(answers, 0);
}

static void who_asked_is_answered_once(void **state)
{
	const struct pg_val valv[] = {pg_null(), pg_null(), pg_null()};
	struct pg_job *job;

	(void)state;
	answers = 0;
	assert_int_equal(pg_job_alloc(&job, &stmt, valv, 0, on_answer, NULL),
			 0);
	pg_job_fail(job, "why");
	pg_job_fail(job, "again");
	mem_deref(job);
	assert_int_equal(answers, 1);
	assert_int_equal(last_end, PG_AWAY);

	assert_int_equal(pg_job_alloc(&job, &stmt, valv, 0, on_answer, NULL),
			 0);
	mem_deref(job); /* nobody will answer: say so */
	assert_int_equal(answers, 2);

	assert_int_equal(pg_job_alloc(&job, &stmt, valv, 0, on_answer, NULL),
			 0);
	pg_job_disown(job);
	mem_deref(job);
	assert_int_equal(answers, 2);
}

static void bells_are_joined_as_they_are(void **state)
{
	struct bells *b;

	(void)state;
	assert_int_equal(bells_alloc(&b), 0);
	assert_null(bells_text(b));
	bells_add(b, "{}");
	bells_add(b, "");
	bells_add(b, "nonsense");
	assert_null(bells_text(b));
	bells_add(b, "{restsip_job|}");
	bells_add(b, "{\"a,b\",c}");
	assert_string_equal(bells_text(b), "{restsip_job|,\"a,b\",c}");
	bells_clear(b);
	assert_null(bells_text(b));
	mem_deref(b);
}

static void too_many_bells_are_dropped(void **state)
{
	char one[1000];
	struct bells *b;

	(void)state;
	memset(one, 'x', sizeof(one));
	one[0] = '{';
	one[sizeof(one) - 2] = '}';
	one[sizeof(one) - 1] = '\0';
	assert_int_equal(bells_alloc(&b), 0);
	for (int i = 0; i < 1000; i++)
		bells_add(b, one);
	assert_true(strlen(bells_text(b)) < BELLS_SIZE);
	assert_int_equal(bells_text(b)[strlen(bells_text(b)) - 1], '}');
	mem_deref(b);
}

static void each_refusal_has_its_code(void **state)
{
	static const struct {
		struct pg_answer ans;
		uint16_t scode;
	} cases[] = {
		{{.end = PG_OK}, 200},
		{{.end = PG_AWAY}, 503},
		{{.end = PG_BUG}, 500},
		{{.end = PG_REFUSED, .status = 403}, 403},
		{{.end = PG_REFUSED, .status = 404}, 404},
		{{.end = PG_REFUSED, .status = 409}, 480},
		{{.end = PG_REFUSED, .status = 429}, 480},
		{{.end = PG_REFUSED, .status = 507}, 480},
		{{.end = PG_REFUSED, .status = 418}, 500},
		{{.end = PG_REFUSED, .status = -1}, 500},
		{{.end = PG_REFUSED, .status = 10000}, 500},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(codes_of_answer(&cases[i].ans),
				 cases[i].scode);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parameters_are_copied),
		cmocka_unit_test(what_is_not_set_is_null),
		cmocka_unit_test(what_is_no_text_is_refused),
		cmocka_unit_test(who_asked_is_answered_once),
		cmocka_unit_test(bells_are_joined_as_they_are),
		cmocka_unit_test(too_many_bells_are_dropped),
		cmocka_unit_test(each_refusal_has_its_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
