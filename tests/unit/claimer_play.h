/*
 * claimer_play.h: for test_agent_claimer.c: the database and the way out
 * played, and a kind of work of the test's own. What is asked, and what is
 * sent, waits until the test answers it.
 */
#ifndef CLAIMER_PLAY_H
#define CLAIMER_PLAY_H

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

#endif
