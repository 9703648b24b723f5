/*
 * routes.h: every endpoint of restsip, for both programs; routes.def is the
 * table.
 */
#ifndef RESTSIP_ROUTES_H
#define RESTSIP_ROUTES_H

#include "shared/router.h"

/** The table; the last one has no pattern. */
const struct route *routes_table(void);

/** Print method, pattern and names of the query, a line each. */
void routes_print(void);

#endif
