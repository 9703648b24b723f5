/*
 * Doorbells: collected from what was committed, rung together. Nobody here
 * looks into one. One that is lost is harmless, for everybody polls as well.
 */
#ifndef PG_BELLS_H
#define PG_BELLS_H

#include <libpq-fe.h>

#include "common/pg/loop.h"
#include "common/pg/pg.h"

enum {
	PG_BELLS_MS = 5,	 /* at most one ring in this time */
	PG_BELLS_MAX = 64 << 10, /* bytes of bells that wait */
};

struct pg_bells;

/** api.ring(), whose one parameter is the text of an array */
extern const struct pg_stmt pg_stmt_ring;

/** Ring these; the text of an array, borrowed during the call */
typedef void(pg_ring_h)(const char *array, void *arg);

/** @return 0 or ENOMEM */
int pg_bells_new(struct pg_bells **out, const struct pg_loop *loop,
		 pg_ring_h *ring, void *arg);
void pg_bells_free(struct pg_bells *b);

/**
 * Ring soon, with others.
 *
 * @param array  `{a,b,"c d"}`; anything else is ignored. It may be null
 */
void pg_bells_add(struct pg_bells *b, const char *array);

/** Those in the column `bell` of what a statement has answered */
void pg_bells_collect(struct pg_bells *b, const PGresult *res);

#endif
