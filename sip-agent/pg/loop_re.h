/*
 * libre's loop, as the database's driver sees it.
 */
#ifndef LOOP_RE_H
#define LOOP_RE_H

#include "common/pg/loop.h"

struct pg_loop loop_re(void);

#endif
