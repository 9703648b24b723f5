/*
 * Claiming, leases and settling, of a kind of the test's own.  The database and
 * the way out are played here.
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

#include "agent.h"
#include "common/json_write.h"
#include "pg/pgloop.h"
#include "work/claimer.h"

enum {
	ASKED_MAX = 128,
	SENT_MAX = 128,
	STORM = 99,
	ROWS_MAX = 3,
	HELD = -1,
	BAD = 13,
	WHOSE = 77
};

/* --- the database --------------------------------------------------------- */

static struct asked {
	char name[16];
	char valv[PG_ARGS_MAX][2048];
	uint64_t whose;
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
	return ans->res ? PQntuples(ans->res) : 0;
}

int pgloop_query_in(struct pgloop *pl, enum pg_line which, uint64_t whose,
		    const struct pg_stmt *stmt, const struct pg_val *valv,
		    pg_answer_h *h, void *arg)
{
	struct asked *a = &asked[askedc];

	(void)pl;
	assert_int_equal(which,
			 strcmp(stmt->name, "settle") ? PG_CLAIM : PG_SETTLE);
	if (query_err)
		return query_err;
	assert_true(askedc < ASKED_MAX);
	memset(a, 0, sizeof(*a));
	(void)snprintf(a->name, sizeof(a->name), "%s", stmt->name);
	for (int i = 0; i < stmt->nparams; i++) {
		assert_true(valv[i].len < sizeof(a->valv[i]));
		if (valv[i].p)
			memcpy(a->valv[i], valv[i].p, valv[i].len);
		else
			(void)snprintf(a->valv[i], sizeof(a->valv[i]), "%s",
				       *valv[i].num ? valv[i].num : "null");
	}
	a->whose = whose;
	a->h = h;
	a->arg = arg;
	askedc++;

	return 0;
}

/* Each is answered once */
static void tell(size_t which, const struct pg_answer *ans)
{
	pg_answer_h *h = asked[which].h;

	assert_non_null(h);
	asked[which].h = NULL;
	h(ans, asked[which].arg);
}

static void answer(size_t which, const int *ids, int n)
{
	static char id[] = "id", again[] = "again";
	PGresAttDesc columns[] = {{.name = id}, {.name = again}};
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	const struct pg_answer ans = {.end = PG_OK,
				      .res = (const void *)res,
				      .slug = "",
				      .detail = "",
				      .sqlstate = ""};
	char text[16], yes[] = "t";

	assert_true(which < askedc);
	assert_true(res && PQsetResultAttrs(res, 2, columns));
	for (int i = 0; i < n; i++) {
		const bool held = ids[i] == HELD;
		const int len = snprintf(text, sizeof(text), "%d", ids[i]);

		assert_true(PQsetvalue(res, i, 0, held ? NULL : text,
				       held ? -1 : len));
		assert_true(PQsetvalue(res, i, 1, yes, held ? 1 : -1));
	}
	tell(which, &ans);
	PQclear(res);
}

/* The first n of the items that it settles */
static void answer_settled(size_t which, int n)
{
	static char i[] = "i";
	PGresAttDesc column = {.name = i};
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	const struct pg_answer ans = {.end = PG_OK,
				      .res = (const void *)res,
				      .slug = "",
				      .detail = "",
				      .sqlstate = ""};
	char text[16];

	assert_true(which < askedc);
	assert_true(res && PQsetResultAttrs(res, 1, &column));
	for (int k = 0; k < n; k++)
		assert_true(PQsetvalue(res, k, 0, text,
				       snprintf(text, sizeof(text), "%d", k)));
	tell(which, &ans);
	PQclear(res);
}

static void answer_away(size_t which)
{
	const struct pg_answer ans = {
		.end = PG_AWAY, .slug = "", .detail = "", .sqlstate = ""};

	tell(which, &ans);
}

/* --- the way out ---------------------------------------------------------- */

struct uac {
	uac_end_h *h;
	void *arg;
};

static struct uac *sent[SENT_MAX];
static size_t sentc, let_go;

static void uac_destructor(void *arg)
{
	(void)arg;
	let_go++;
}

int uac_alloc(struct uac **up, struct agent *ag, const struct uac_request *req,
	      uac_end_h *h, void *arg)
{
	(void)ag;
	assert_string_equal(req->method, "PLAY");
	assert_true(sentc < SENT_MAX);
	*up = mem_zalloc(sizeof(**up), uac_destructor);
	assert_non_null(*up);
	(*up)->h = h;
	(*up)->arg = arg;
	sent[sentc++] = *up;

	return 0;
}

void uac_start(struct uac *u)
{
	(void)u;
}

bool uac_went_out(const struct uac *u)
{
	return u != NULL;
}

void uac_flow_failed(struct uac *u)
{
	u->h(430, "Flow failed", NULL, u->arg);
}

static void phone_answers(size_t which, int code)
{
	struct sip_msg msg = {.scode = (uint16_t)code};

	sent[which]->h(code, "So", &msg, sent[which]->arg);
}

/* --- the kind ------------------------------------------------------------- */

struct play {
	struct job job;
	int tag;
};

static int last_claimed, settledc;
static size_t body_len;

static int claim_values(struct pg_val *valv, void *arg)
{
	(void)arg;
	valv[0] = pg_text("mine");

	return 0;
}

static void claimed(const struct pg_answer *ans, int row, void *arg)
{
	(void)arg;
	last_claimed = (int)pgres_int((const void *)ans->res, row, "id");
}

static int read_row(struct job *job, const struct pg_answer *ans, int row,
		    void *arg)
{
	struct play *p = (struct play *)job;
	char *flow;

	(void)ans;
	(void)row;
	(void)arg;
	p->tag = (int)job->id * 10;
	job->whose = WHOSE;
	job->req.method = "PLAY";
	job->req.body_len = body_len;
	assert_int_equal(re_sdprintf(&flow, "flow%d", (int)job->id), 0);
	job->req.flow = flow;

	return job->id == BAD ? EINVAL : 0;
}

static void ended(struct job *job, const struct sip_msg *msg, void *arg)
{
	(void)arg;
	assert_true(job->answered == (msg != NULL));
	assert_non_null(job->req.flow);
}

static void settle_item(struct buf *item, const struct job *job)
{
	json_member_int(item, "tag", ((const struct play *)job)->tag);
	if (job->code)
		json_member_int(item, "code", job->code);
	json_member(item, "reason", job->reason);
}

static void settled(const struct job *job, const struct pg_answer *ans,
		    void *arg)
{
	(void)job;
	(void)ans;
	(void)arg;
	settledc++;
}

static const struct pg_stmt stmt_claim = {.name = "claim", .nparams = 5},
			    stmt_renew = {.name = "renew", .nparams = 3},
			    stmt_settle = {.name = "settle", .nparams = 2};
static struct claimer_kind plays = {
	.claim = &stmt_claim,
	.renew = &stmt_renew,
	.settle = &stmt_settle,
	.id = "id",
	.job_size = sizeof(struct play),
	.rows_max = ROWS_MAX,
	.claim_values = claim_values,
	.claimed = claimed,
	.read = read_row,
	.ended = ended,
	.settle_item = settle_item,
	.settled = settled,
};

/* --- helpers -------------------------------------------------------------- */

static struct agent agent;
static struct claimer *cl;

static int set_up(void **state)
{
	(void)state;
	askedc = sentc = let_go = 0;
	last_claimed = settledc = 0;
	query_err = 0;
	body_len = 1;
	ready = true;
	plays.is_series = false;

	return claimer_alloc(&cl, &agent, &plays, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	ready = false;
	for (size_t i = 0; i < askedc; i++) {
		if (asked[i].h)
			answer_away(i);
	}
	cl = mem_deref(cl);

	return 0;
}

#define CLAIM(...) \
	do { \
		const int ids[] = {__VA_ARGS__}; \
\
		answer(askedc - 1, ids, (int)(sizeof(ids) / sizeof(*ids))); \
	} while (0)

static void stop(void *arg)
{
	(void)arg;
	re_cancel();
}

static bool until_asked(size_t n)
{
	struct tmr tmr;

	tmr_init(&tmr);
	for (int i = 0; i < 500 && askedc < n; i++) {
		tmr_start(&tmr, 10, stop, NULL);
		assert_int_equal(re_main(NULL), 0);
	}
	tmr_cancel(&tmr);

	return askedc >= n;
}

/* What has ended is on its way to the database, once the loop has turned */
static void assert_settling(size_t which, const char *items)
{
	assert_true(until_asked(which + 1));
	assert_string_equal(asked[which].name, "settle");
	assert_string_equal(asked[which].valv[1], items);
}

/* --- tests ---------------------------------------------------------------- */

static void a_row_is_sent_and_its_answer_settled(void **state)
{
	(void)state;
	claimer_kick(cl);
	assert_int_equal(askedc, 1);
	assert_string_equal(asked[0].name, "claim");
	assert_string_equal(asked[0].valv[0], "7");
	assert_string_equal(asked[0].valv[1], "3");
	assert_string_equal(asked[0].valv[2], "30");
	assert_string_equal(asked[0].valv[3], "f");
	assert_string_equal(asked[0].valv[4], "mine");

	CLAIM(4);
	assert_int_equal(last_claimed, 4);
	assert_int_equal(sentc, 1);
	phone_answers(0, 200);
	assert_int_equal(let_go, 1);
	assert_settling(1, "[{\"i\":0,\"tag\":40,\"code\":200,"
			   "\"reason\":\"So\"}]");
	assert_int_equal(claimer_drain(cl), 1);
	answer_settled(1, 1);
	assert_int_equal(settledc, 1);
	assert_int_equal(claimer_drain(cl), 0);
}

static void one_claim_is_under_way_at_a_time(void **state)
{
	(void)state;
	claimer_kick(cl);
	claimer_kick(cl);
	assert_int_equal(askedc, 1);
	CLAIM(1);
	assert_int_equal(askedc, 2); /* for the second kick */
	answer(1, NULL, 0);
	assert_int_equal(askedc, 2);
}

static void a_full_claim_is_followed_by_another(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1, 2, 3);
	assert_int_equal(askedc, 2);
	answer(1, NULL, 0);
	assert_int_equal(askedc, 2);
}

static void what_was_held_back_is_claimed_when_something_has_ended(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1, HELD);
	assert_int_equal(askedc, 2); /* its row said: again */
	for (size_t i = 1; i < CLAIMER_EMPTY_MAX; i++)
		CLAIM(HELD);
	assert_int_equal(askedc, 1 + CLAIMER_EMPTY_MAX);
	CLAIM(HELD);
	assert_int_equal(askedc, 1 + CLAIMER_EMPTY_MAX);
	assert_int_equal(sentc, 1);

	phone_answers(0, 200);
	assert_true(until_asked(2 + CLAIMER_EMPTY_MAX));
	answer_settled(askedc - 1, 1);
	assert_string_equal(asked[askedc - 1].name, "claim");
}

static void a_series_goes_on_when_one_has_ended(void **state)
{
	(void)state;
	plays.is_series = true;
	claimer_kick(cl);
	CLAIM(1);
	phone_answers(0, 200);
	assert_true(until_asked(2));
	answer_settled(1, 1);
	assert_int_equal(askedc, 3);
	assert_string_equal(asked[2].name, "claim");
}

static void there_is_no_room_for_more_bytes_than_may_be(void **state)
{
	(void)state;
	body_len = CLAIMER_BODY_MAX;
	claimer_kick(cl);
	CLAIM(1);
	claimer_kick(cl);
	assert_int_equal(askedc, 1);
	phone_answers(0, 200);
	claimer_kick(cl);
	assert_int_equal(askedc, 2);
	assert_string_equal(asked[1].name, "claim");
}

static void a_row_that_cannot_be_sent_is_refused(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(BAD);
	assert_int_equal(sentc, 0);
	assert_settling(1, "[{\"i\":0,\"tag\":130,\"code\":400,\"reason\":"
			   "\"Cannot be written as a header\"}]");
	assert_int_equal(claimer_drain(cl), 1);
	answer_settled(1, 1);
	assert_int_equal(claimer_drain(cl), 0);
}

#define BUSY_1 "[{\"i\":0,\"tag\":10,\"code\":486,\"reason\":\"So\"}]"
#define BUSY_1_ALONE \
	"[{\"i\":0,\"tag\":10,\"code\":486,\"reason\":\"So\",\"waits\":true}]"

static void a_settlement_is_repeated_until_the_database_has_it(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1);
	phone_answers(0, 486);
	assert_settling(1, BUSY_1);
	answer_away(1);
	assert_settling(2, BUSY_1);
	query_err = EAGAIN;
	answer_away(2);
	assert_int_equal(claimer_drain(cl), 1);
	query_err = 0;
	assert_settling(3, BUSY_1);
	answer_settled(3, 1);
	assert_int_equal(settledc, 1);
}

static void what_ends_together_is_settled_together(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1, 2, HELD);
	answer_away(1);
	phone_answers(0, 200);
	phone_answers(1, 480);
	assert_settling(2, "[{\"i\":0,\"tag\":10,\"code\":200,"
			   "\"reason\":\"So\"},{\"i\":1,\"tag\":20,"
			   "\"code\":480,\"reason\":\"So\"}]");
	assert_int_equal(askedc, 3);
	answer_settled(2, 2);
	assert_int_equal(settledc, 2);
}

/* Somebody holds what it needs: the others are settled, and it waits by itself
   in a statement that is known for whose it is */
static void what_is_left_out_is_settled_alone(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1, 2);
	phone_answers(1, 200);
	phone_answers(0, 486);
	assert_true(until_asked(2));
	assert_true(asked[1].whose == 0);
	answer_settled(1, 1);
	assert_int_equal(settledc, 1);
	assert_settling(2, BUSY_1_ALONE);
	assert_true(asked[2].whose == WHOSE);
	answer_settled(2, 1);
	assert_int_equal(settledc, 2);
	assert_int_equal(claimer_drain(cl), 0);
}

static void a_storm_of_ends_has_one_statement_under_way(void **state)
{
	size_t first;

	(void)state;
	claimer_kick(cl);
	for (int n = 0; n < STORM / ROWS_MAX; n++)
		CLAIM(3 * n + 20, 3 * n + 21, 3 * n + 22);
	answer(askedc - 1, NULL, 0);
	first = askedc;
	for (size_t i = 0; i < STORM; i++)
		phone_answers(i, 408);
	for (size_t left = STORM, n; left > 0; left -= n, first++) {
		assert_true(until_asked(first + 1));
		assert_int_equal(askedc, first + 1);
		assert_string_equal(asked[first].name, "settle");
		n = left < CLAIMER_SETTLE_MAX ? left : CLAIMER_SETTLE_MAX;
		answer_settled(first, (int)n);
	}
	assert_int_equal(settledc, STORM);
	assert_int_equal(askedc, first);
}

static void a_lost_flow_ends_what_went_over_it(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1, 2);
	claimer_flow_lost(cl, "flow2");
	assert_settling(1, "[{\"i\":0,\"tag\":20,\"code\":430,"
			   "\"reason\":\"Flow failed\"}]");
}

static void leases_are_renewed_before_more_is_claimed(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1, 2);
	phone_answers(0, 200);
	assert_true(until_asked(2));
	answer_away(1);
	ready = false;
	claimer_ready(cl);
	assert_int_equal(askedc, 2);
	ready = true;
	claimer_ready(cl);
	assert_int_equal(askedc, 5);
	assert_string_equal(asked[2].name, "renew");
	assert_string_equal(asked[2].valv[1], "{2}");
	assert_string_equal(asked[3].name, "renew"); /* not settled yet */
	assert_string_equal(asked[3].valv[1], "{1}");
	assert_string_equal(asked[4].name, "claim");
	answer_away(4);
}

static void a_poll_looks_for_what_was_lost(void **state)
{
	(void)state;
	assert_true(until_asked(1));
	assert_string_equal(asked[0].name, "claim");
	assert_string_equal(asked[0].valv[3], "t");
	answer_away(0);
}

static void what_is_held_is_renewed_before_that(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1);
	assert_true(until_asked(3));
	assert_string_equal(asked[1].name, "renew");
	assert_string_equal(asked[1].valv[1], "{1}");
	assert_string_equal(asked[2].name, "claim");
	assert_string_equal(asked[2].valv[3], "t");
	answer_away(1);
	answer_away(2);
}

static void what_has_no_answer_is_given_back(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1, 2);
	claimer_kick(cl); /* which brings something later */
	assert_int_equal(claimer_drain(cl), 3); /* with the claim */
	claimer_give_back(cl);
	assert_int_equal(let_go, 2);
	assert_settling(2, "[{\"i\":0,\"tag\":10,\"reason\":\"\"},"
			   "{\"i\":1,\"tag\":20,\"reason\":\"\"}]");
	answer_settled(2, 2);

	answer(1, (const int[]){3}, 1);
	assert_int_equal(sentc, 2); /* nothing more */
	assert_settling(3, "[{\"i\":0,\"tag\":30,\"reason\":\"\"}]");
	claimer_kick(cl);
	assert_int_equal(askedc, 4);
}

static void one_that_goes_while_the_database_works_leaves_nothing(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1, 2);
	phone_answers(0, 200);
	assert_true(until_asked(2));
	cl = mem_deref(cl);
	assert_int_equal(let_go, 2);
	answer_away(1);
	assert_int_equal(settledc, 0);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_row_is_sent_and_its_answer_settled),
		TEST(one_claim_is_under_way_at_a_time),
		TEST(a_full_claim_is_followed_by_another),
		TEST(what_was_held_back_is_claimed_when_something_has_ended),
		TEST(a_series_goes_on_when_one_has_ended),
		TEST(there_is_no_room_for_more_bytes_than_may_be),
		TEST(a_row_that_cannot_be_sent_is_refused),
		TEST(a_settlement_is_repeated_until_the_database_has_it),
		TEST(what_ends_together_is_settled_together),
		TEST(what_is_left_out_is_settled_alone),
		TEST(a_storm_of_ends_has_one_statement_under_way),
		TEST(a_lost_flow_ends_what_went_over_it),
		TEST(leases_are_renewed_before_more_is_claimed),
		TEST(a_poll_looks_for_what_was_lost),
		TEST(what_is_held_is_renewed_before_that),
		TEST(what_has_no_answer_is_given_back),
		TEST(one_that_goes_while_the_database_works_leaves_nothing),
	};
	int err;

	if (libre_init())
		return 1;
	err = cmocka_run_group_tests(tests, NULL, NULL);
	libre_close();

	return err;
}
