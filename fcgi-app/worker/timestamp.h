/*
 * timestamp.h: points in time from outside (RFC 3339, section 5.6).
 */
#ifndef RESTSIP_TIMESTAMP_H
#define RESTSIP_TIMESTAMP_H

#include "common/arena.h"

/**
 * Check a timestamp, so that PostgreSQL can have no objection. A blank in the
 * place of the offset's plus, which a query's decoding makes of it, counts.
 *
 * @return text for a timestamptz, borrowed from a or from s; null: it is none
 */
const char *timestamp_check(struct arena *a, const char *s);

#endif
