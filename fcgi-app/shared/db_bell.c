/*
 * db_bell.c: doorbells: collected from what was committed, rung together.
 * One that is lost is harmless, for everybody polls as well.
 */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "shared/db_conn.h"

static const struct db_stmt ring = {
	.name = "ring",
	.sql = "select api.ring($1::text[])",
	.nparams = 1,
	.write = true,
};

static void ring_answered(const struct db_answer *a, void *arg)
{
	(void)a; /* nothing depends on it */
	free(arg);
}

static bool writer_is_up(const struct db *db)
{
	for (size_t i = 0; i < db->conns; i++)
		if (db->conn[i].lane == LANE_WRITE &&
		    db->conn[i].state == CONN_UP)
			return true;
	return false;
}

static void bells_ring(void *arg)
{
	struct db *db = arg;
	struct db_args args = {.n = 0};
	char *text;

	db->rung_ms = clock_ms();
	buf_char(&db->bells, '}');
	text = db->bells.failed || !writer_is_up(db) ? NULL
						     : strdup(db->bells.p);
	buf_reset(&db->bells);
	if (!text)
		return;
	db_arg_text(&args, text);
	if (!db_ask(db, &ring, &args, ring_answered, text))
		free(text);
}

/* bells is the text of an array of one dimension: {a,b,"c d"} or {}. */
void db_ring(struct db *db, const char *bells)
{
	size_t n = bells ? strlen(bells) : 0;
	uint64_t since = clock_ms() - db->rung_ms;

	if (n < 3 || bells[0] != '{' || bells[n - 1] != '}')
		return;
	if (db->bells.len + n + 2 > DB_BELLS_MAX) {
		loop_cancel(db->loop, &db->bell_timer);
		bells_ring(db);
	}
	buf_char(&db->bells, db->bells.len ? ',' : '{');
	buf_add(&db->bells, bells + 1, n - 2);
	if (loop_pending(&db->bell_timer))
		return;
	if (since >= DB_BELL_MS)
		bells_ring(db);
	else if (loop_after(db->loop, &db->bell_timer, DB_BELL_MS - since,
			    bells_ring, db))
		bells_ring(db);
}

void db_bell_collect(struct db *db, const PGresult *res)
{
	int column = PQfnumber(res, "bell");
	const char *last = "";

	if (column < 0)
		return;
	for (int row = 0; row < PQntuples(res); row++) {
		const char *bells = PQgetvalue(res, row, column);

		/* Usually each row has the same. */
		if (!PQgetisnull(res, row, column) && strcmp(bells, last))
			db_ring(db, bells);
		last = bells;
	}
}
