/*
 * loop_pg.h: the loop, as the database's driver sees it.
 */
#ifndef RESTSIP_LOOP_PG_H
#define RESTSIP_LOOP_PG_H

#include "common/pg/loop.h"
#include "shared/loop.h"

/** @param l  must outlive whoever uses the result */
struct pg_loop loop_pg(struct loop *l);

#endif
