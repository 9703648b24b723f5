/*
 * Questions that share a statement: which go together, and who gets which rows
 * of the answer.  The database is played here.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <libpq-fe.h>

#include <cmocka.h>

#include "agent_play.h"
#include "common/json_write.h"
#include "pg/pgbatch.h"

enum { ASKED_MAX = 16, TOLD_MAX = 512, ITEMS_MAX = 100 };

/* --- the database --------------------------------------------------------- */

static struct asked {
	char items[8192];
	pg_answer_h *h;
	void *arg;
} asked[ASKED_MAX];
static size_t askedc;
static bool ready;
static int query_err;

bool pgloop_is_ready(const struct pgloop *pl)
{
	(void)pl;
	return ready;
}

int pgloop_agent(const struct pgloop *pl)
{
	(void)pl;
	return 7;
}

int pg_rows(const struct pg_answer *ans)
{
	return PQntuples(ans->res);
}

int pgloop_query_in(struct pgloop *pl, enum pg_line which, uint64_t whose,
		    const struct pg_stmt *stmt, const struct pg_val *valv,
		    pg_answer_h *h, void *arg)
{
	struct asked *a = &asked[askedc];

	(void)pl;
	assert_int_equal(which, PG_SETTLE);
	assert_true(whose == 0);
	assert_string_equal(stmt->name, "many");
	if (query_err)
		return query_err;
	assert_true(askedc < ASKED_MAX);
	assert_true(valv[1].len < sizeof(a->items));
	memcpy(a->items, valv[1].p, valv[1].len);
	a->items[valv[1].len] = '\0';
	a->h = h;
	a->arg = arg;
	askedc++;

	return 0;
}

/* Answers with rows of these numbers, in a column i */
static void answer(size_t which, const int *numbers, int n)
{
	static char name[] = "i";
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc column = {.name = name};
	const struct pg_answer ans = {.end = PG_OK,
				      .res = res,
				      .slug = "",
				      .detail = "",
				      .sqlstate = ""};
	char text[16];

	assert_true(res && PQsetResultAttrs(res, 1, &column));
	for (int i = 0; i < n; i++) {
		const int len = snprintf(text, sizeof(text), "%d", numbers[i]);

		assert_true(PQsetvalue(res, i, 0, text, len));
	}
	asked[which].h(&ans, asked[which].arg);
	PQclear(res);
}

static void refuse(size_t which, enum pg_end end, const char *sqlstate)
{
	const struct pg_answer ans = {
		.end = end, .slug = "", .detail = "", .sqlstate = sqlstate};

	asked[which].h(&ans, asked[which].arg);
}

/* --- who asks ------------------------------------------------------------- */

static struct told {
	enum pg_end end;
	int row, rows;
	unsigned times;
} told[TOLD_MAX];

static void on_answer(const struct pg_answer *ans, int row, int rows, void *arg)
{
	struct told *t = arg;

	t->end = ans->end;
	t->row = row;
	t->rows = rows;
	t->times++;
}

static int ask(struct pgbatch *b, int k)
{
	struct buf item;
	int err;

	buf_init(&item, 256);
	json_member_int(&item, "k", k);
	buf_char(&item, '}');
	err = pgbatch_ask(b, &item, on_answer, &told[k]);
	buf_free(&item);

	return err;
}

static void stop(void *arg)
{
	(void)arg;
	re_cancel();
}

/* One turn of the loop: what is there is sent */
static void turn(void)
{
	struct tmr tmr;

	tmr_init(&tmr);
	tmr_start(&tmr, 1, stop, NULL);
	assert_int_equal(re_main(NULL), 0);
	tmr_cancel(&tmr);
}

static const struct pg_stmt stmt = {
	.name = "many",
	.sql = "select",
	.nparams = 2,
};

static struct pgbatch *make(unsigned at_once)
{
	const struct pgbatch_conf conf = {.stmt = &stmt,
					  .line = PG_SETTLE,
					  .at_once = at_once,
					  .items = ITEMS_MAX};
	struct pgbatch *b = NULL;

	memset(told, 0, sizeof(told));
	askedc = 0;
	ready = true;
	query_err = 0;
	assert_int_equal(pgbatch_alloc(&b, NULL, &conf), 0);

	return b;
}

/* --- tests ---------------------------------------------------------------- */

static void what_comes_together_shares_a_statement(void **state)
{
	struct pgbatch *b = make(1);
	static const int rows[] = {0, 0, 2};

	(void)state;
	for (int k = 0; k < 3; k++)
		assert_int_equal(ask(b, k), 0);
	assert_int_equal(askedc, 0);
	turn();
	assert_int_equal(askedc, 1);
	assert_string_equal(asked[0].items,
			    "[{\"i\":0,\"k\":0},{\"i\":1,\"k\":1"
			    "},{\"i\":2,\"k\":2}]");
	assert_int_equal(told[0].times, 0);

	/* two rows of the first, none of the second, one of the third */
	answer(0, rows, 3);
	assert_int_equal(told[0].row, 0);
	assert_int_equal(told[0].rows, 2);
	assert_int_equal(told[1].rows, 0);
	assert_int_equal(told[2].row, 2);
	assert_int_equal(told[2].rows, 1);
	for (int k = 0; k < 3; k++) {
		assert_int_equal(told[k].times, 1);
		assert_int_equal(told[k].end, PG_OK);
	}
	mem_deref(b);
}

static void what_comes_meanwhile_goes_with_the_next(void **state)
{
	struct pgbatch *b = make(1);
	static const int row = 0;

	(void)state;
	assert_int_equal(ask(b, 0), 0);
	turn();
	assert_int_equal(ask(b, 1), 0);
	assert_int_equal(ask(b, 2), 0);
	turn();
	assert_int_equal(askedc, 1);
	answer(0, &row, 1);
	turn();
	assert_int_equal(askedc, 2);
	assert_string_equal(asked[1].items,
			    "[{\"i\":0,\"k\":1},{\"i\":1,\"k\":2}]");
	answer(1, NULL, 0);
	assert_int_equal(told[1].times + told[2].times, 2);
	mem_deref(b);
}

static void no_more_than_so_many_are_under_way(void **state)
{
	struct pgbatch *b = make(2);

	(void)state;
	for (int k = 0; k < 3; k++) {
		assert_int_equal(ask(b, k), 0);
		turn();
	}
	assert_int_equal(askedc, 2);
	answer(1, NULL, 0);
	turn();
	assert_int_equal(askedc, 3);
	answer(0, NULL, 0);
	answer(2, NULL, 0);
	for (int k = 0; k < 3; k++)
		assert_int_equal(told[k].times, 1);
	mem_deref(b);
}

static void a_statement_has_so_many_items(void **state)
{
	struct pgbatch *b = make(1);

	(void)state;
	for (int k = 0; k < ITEMS_MAX + 1; k++)
		assert_int_equal(ask(b, k), 0);
	turn();
	answer(0, NULL, 0);
	turn();
	assert_int_equal(askedc, 2);
	assert_int_equal(told[ITEMS_MAX - 1].times, 1);
	assert_int_equal(told[ITEMS_MAX].times, 0);
	answer(1, NULL, 0);
	assert_int_equal(told[ITEMS_MAX].times, 1);
	mem_deref(b);
}

static void what_is_refused_as_a_whole_is_asked_for_alone(void **state)
{
	struct pgbatch *b = make(1);

	(void)state;
	assert_int_equal(ask(b, 0), 0);
	turn();
	refuse(0, PG_REFUSED, "40001");
	assert_int_equal(told[0].end, PG_OK);
	assert_int_equal(told[0].rows, 0);

	/* but of what was lost one does not know whether it was done */
	assert_int_equal(ask(b, 1), 0);
	turn();
	refuse(1, PG_AWAY, "");
	assert_int_equal(told[1].end, PG_AWAY);
	mem_deref(b);
}

static void who_cannot_ask_is_told(void **state)
{
	struct pgbatch *b = make(1);
	struct buf item;

	(void)state;
	ready = false;
	assert_int_equal(ask(b, 0), ENOTCONN);
	ready = true;
	buf_init(&item, 256);
	buf_str(&item, "\"k\":\"\xff\"}");
	assert_int_equal(pgbatch_ask(b, &item, on_answer, &told[0]), EILSEQ);
	buf_free(&item);
	assert_int_equal(told[0].times, 0);

	query_err = ENOBUFS;
	assert_int_equal(ask(b, 1), 0);
	turn();
	assert_int_equal(told[1].times, 1);
	assert_int_equal(told[1].end, PG_AWAY);
	mem_deref(b);
}

static void who_waits_at_the_end_is_answered(void **state)
{
	struct pgbatch *b = make(1);

	(void)state;
	assert_int_equal(ask(b, 0), 0);
	mem_deref(b);
	assert_int_equal(told[0].times, 1);
	assert_int_equal(told[0].end, PG_AWAY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_together_shares_a_statement),
		cmocka_unit_test(what_comes_meanwhile_goes_with_the_next),
		cmocka_unit_test(no_more_than_so_many_are_under_way),
		cmocka_unit_test(a_statement_has_so_many_items),
		cmocka_unit_test(what_is_refused_as_a_whole_is_asked_for_alone),
		cmocka_unit_test(who_cannot_ask_is_told),
		cmocka_unit_test(who_waits_at_the_end_is_answered),
	};

	return cmocka_run_group_tests(tests, libre_begin, libre_end);
}
