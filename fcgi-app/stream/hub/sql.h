/*
 * sql.h: every statement of restsip-stream (see sql/README.md).
 */
#ifndef RESTSIP_STREAM_SQL_H
#define RESTSIP_STREAM_SQL_H

#include "shared/db.h"

/*
 * stream_start, watch_open and watch_close run on the connection that LISTENs
 * and in the order in which they are asked.
 */
extern const struct pg_stmt sql_stream_start;	   /* name */
extern const struct pg_stmt sql_stream_beat;	   /* process */
extern const struct pg_stmt sql_watch_open;	   /* process, who, proof,
						      ticket, kind, key,
						      quiet */
extern const struct pg_stmt sql_watch_close;	   /* process, kind, id,
						      only_owner */
extern const struct pg_stmt sql_watch_read;	   /* kind, id, since,
						      inside, n, base,
						      limit */
extern const struct pg_stmt sql_watch_read_locked; /* the same: waits for who
						      writes */
extern const struct pg_stmt sql_watch_poll;	   /* kinds, ids, versions,
						      inboxes */
extern const struct pg_stmt
	sql_list_page; /* process, list, caller, after, limit */
extern const struct pg_stmt
	sql_list_rest; /* process, list, caller, after, limit */
extern const struct pg_stmt
	sql_list_read; /* process, list, from, upto, n, limit */
extern const struct pg_stmt sql_inbox_read;    /* account, after, limit,
						  opened_s */
extern const struct pg_stmt sql_inbox_written; /* process, account, numbers */

#endif
