/*
 * Parameters out of what SIP brings, which may be anything.
 */
#ifndef PGVAL_H
#define PGVAL_H

#include <re.h>

#include "common/pg/pg.h"

/** One parameter, as text unless it is bytes */
struct pg_val {
	const char *p; /**< NULL: SQL null */
	size_t len;
	bool bytes;
	char num[PG_DIGITS_SIZE];
};

struct pg_val pg_text(const char *s);
struct pg_val pg_pl(const struct pl *pl);
struct pg_val pg_bytes(const struct pl *pl);
struct pg_val pg_int(int64_t n);
struct pg_val pg_bool(bool b);
struct pg_val pg_null(void);

bool pg_is_text(const char *p, size_t len);
int pg_vals_copy(char **datap, struct pg_args *args, const struct pg_val *valv,
		 int n);

#endif
