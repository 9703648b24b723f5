/*
 * metrics.h: what /metrics tells of all processes, whichever worker answers.
 * Each worker leaves its figures in the database every 3 s, and when it is
 * asked: else a counter would go back when another worker is asked next.
 */
#ifndef RESTSIP_METRICS_H
#define RESTSIP_METRICS_H

#include <stddef.h>

#include "common/arena.h"
#include "common/buf.h"
#include "common/pg/pg.h"
#include "shared/app.h"

enum {
	METRICS_PUT_MS = 3000, /* less than the 10 s that they are shown */
	METRICS_OWN_MAX = 8192,
};

struct metrics;

/** @param app  borrowed, complete @return 0 or ENOMEM */
int metrics_new(struct metrics **out, const struct app *app);

/** After db_free(), before loop_free(). */
void metrics_free(struct metrics *m);

/** This worker's own as they are now. @return in arena, null: no memory */
char *metrics_own(const struct metrics *m, struct arena *arena);

/** api.metrics: leaves one's own, and has the `figures` of the others. */
extern const struct pg_stmt metrics_stmt;
void metrics_args(const struct metrics *m, const char *own,
		  struct pg_args *args);

/**
 * Write all of it, in Prometheus' text format.
 *
 * @param res  of metrics_stmt, or null: the database is away
 */
void metrics_write(struct buf *b, const char *own, const struct pg_result *res);

#endif
