/*
 * From the agent's parameters to the driver's question.
 */
#include "pg/pgask.h"

#include <errno.h>
#include <stdlib.h>

/**
 * Run a statement on one of the connections of a lane
 *
 * @param whose Key of the account whose rows it may wait for, 0: nobody's
 * @param stmt Statement, const and static
 * @param valv Its parameters, copied
 * @param h    Called exactly once if 0 is returned, never within this call
 * @param arg  Handler argument
 *
 * @return 0; ENOTCONN where the database is away; ENOBUFS where too much
 *         waits already; EILSEQ where a text is not UTF-8; ENOMEM
 */
int pg_ask(struct pg_lane *lane, uint64_t whose, const struct pg_stmt *stmt,
	   const struct pg_val *valv, pg_answer_h *h, void *arg)
{
	struct pg_args args = {.n = 0};
	struct pg_ask ask = {.stmt = stmt,
			     .args = &args,
			     .caller = whose,
			     .target = whose,
			     .h = h,
			     .arg = arg};
	char *data;
	int err;

	if (!pg_lane_is_up(lane))
		return ENOTCONN;
	err = pg_vals_copy(&data, &args, valv, stmt->nparams);
	if (err)
		return err;
	ask.data = data;
	err = pg_lane_ask(NULL, lane, &ask);
	if (err)
		free(data);

	return err == EBUSY ? ENOBUFS : err;
}
