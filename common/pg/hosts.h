/*
 * Where the database is. The host names of its conninfo are looked up here and
 * not by libpq, in threads: a name server that says nothing holds up no loop.
 * What a name meant last is kept for then.
 */
#ifndef PG_HOSTS_H
#define PG_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

enum {
	PG_HOSTS_MAX = 16,	  /* of a conninfo */
	PG_ADDRESSES_MAX = 8,	  /* of a name */
	PG_HOSTS_FRESH_MS = 1000, /* for so long nobody looks again */
};

struct pg_hosts;

/**
 * Parameters of libpq, of the same length. The name stays beside its address:
 * the server's certificate must have it (sslmode=verify-full).
 */
struct pg_hosts_list {
	size_t n; /**< 0: leave it to libpq */
	struct buf host, hostaddr, port;
};

/**
 * @param conninfo as libpq takes it; what it leaves out is libpq's to know
 * @return 0 or ENOMEM
 */
int pg_hosts_new(struct pg_hosts **out, const char *conninfo);
void pg_hosts_free(struct pg_hosts *h);

/**
 * Look up what names mean now, unless that was done a moment ago; to be called
 * until it has come.
 *
 * @return whether it has come, or could not be found
 */
bool pg_hosts_look(struct pg_hosts *h, uint64_t now_ms);

/** Whether there is anything to connect to */
bool pg_hosts_are_known(const struct pg_hosts *h);

/**
 * All that is known, to try in this order.
 *
 * @param from which address comes first, as a number of any size: one that
 *             says nothing must not stand before the others of its name
 */
void pg_hosts_list(struct pg_hosts_list *list, const struct pg_hosts *h,
		   size_t from);
void pg_hosts_list_free(struct pg_hosts_list *list);

#endif
