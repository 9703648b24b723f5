/*
 * pg_play.h: for pg_*.c, the driver of PostgreSQL against a real one:
 * RESTSIP_TEST_PG is the conninfo of a superuser. tests/sql/race_driver.py runs
 * them.
 */
#ifndef PG_PLAY_H
#define PG_PLAY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/pg/lane.h"
#include "common/pgres.h"
#include "shared/loop_pg.h"

enum {
	ASKED_MAX = 64,
	DEADLINE_MS = 30000,
	LIMIT_MS = 10000,
};

/* One that asks: its statement, and what it was told. */
struct asked {
	struct pg_job job;
	struct pg_conn *conn;
	unsigned times, agains;
	enum pg_end end;
	enum app_err err;
	int64_t n; /* of column n */
};

static struct loop *loop;
static struct loop_timer deadline;
static struct pg_server server;
static struct asked asked[ASKED_MAX];
static size_t nasked, answers, wanted;
static unsigned ups, losses;

static void too_late(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static inline void run_until(const unsigned *count, unsigned n)
{
	loop_after(loop, &deadline, DEADLINE_MS, too_late, NULL);
	while (*count < n && loop_pending(&deadline))
		assert_int_equal(loop_run(loop), 0);
	assert_true(*count >= n);
	loop_cancel(loop, &deadline);
}

static void answered(const struct pg_answer *ans, void *arg)
{
	struct asked *a = arg;

	a->times++;
	a->end = ans->end;
	a->err = ans->err;
	a->n = ans->end == PG_OK ? pgres_int(ans->res, 0, "n") : 0;
	answers++;
	if (answers == wanted)
		loop_stop(loop);
}

static void on_lost(void *arg)
{
	(void)arg;
	losses++;
	loop_stop(loop);
}

static inline void forget_all(void)
{
	nasked = answers = 0;
	ups = losses = 0;
	memset(asked, 0, sizeof(asked));
}

static inline void run_until_answered(void)
{
	wanted = nasked;
	loop_after(loop, &deadline, DEADLINE_MS, too_late, NULL);
	while (answers < nasked && loop_pending(&deadline))
		assert_int_equal(loop_run(loop), 0);
	assert_int_equal(answers, nasked);
	loop_cancel(loop, &deadline);
}

static inline void each_was_told_once(void)
{
	for (size_t i = 0; i < nasked; i++)
		assert_int_equal(asked[i].times, 1);
}

/* False where there is no database to ask. */
static inline bool play_begin(void)
{
	if (!getenv("RESTSIP_TEST_PG") || loop_new(&loop))
		return false;
	server = (struct pg_server){
		.loop = loop_pg(loop),
		.conninfo = getenv("RESTSIP_TEST_PG"),
		.user = "postgres",
		.application = "driver",
	};
	return !pg_server_open(&server);
}

static inline void play_end(void)
{
	pg_server_close(&server);
	loop_free(loop);
}

/* clang-format off */
#define STMT(text) \
	{ \
		.name = "s", .sql = (text) \
	}
#define WRITE(text) \
	{ \
		.name = "s", .sql = (text), .write = true \
	}

/* clang-format on */

#endif
