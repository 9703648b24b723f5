/*
 * sql.c: every statement of restsip-stream.
 */
#include "stream/hub/sql.h"

const struct pg_stmt sql_stream_start = {
	.name = "stream_start",
	.sql = "select * from api.stream_start($1)",
	.nparams = 1,
	.write = true,
	.session = true,
};

const struct pg_stmt sql_stream_beat = {
	.name = "stream_beat",
	.sql = "select api.stream_beat($1) as alive",
	.nparams = 1,
	.write = true,
	.session = true,
};

const struct pg_stmt sql_watch_open = {
	.name = "watch_open",
	.sql = "select * from api.watch_open($1, $2, $3, $4, $5, $6, $7)",
	.nparams = 7,
	.write = true,
	.session = true,
};

const struct pg_stmt sql_watch_close = {
	.name = "watch_close",
	.sql = "select api.watch_close($1, $2, $3, $4)",
	.nparams = 4,
	.write = true,
	.session = true,
};

const struct pg_stmt sql_watch_read = {
	.name = "watch_read",
	.sql = "select * from api.watch_read($1, $2, $3, false, $4, $5, $6, "
	       "$7)",
	.nparams = 7,
};

/* On a connection for writers: readers do not wait behind it. */
const struct pg_stmt sql_watch_read_locked = {
	.name = "watch_read_locked",
	.sql = "select * from api.watch_read($1, $2, $3, true, $4, $5, $6, "
	       "$7)",
	.nparams = 7,
	.write = true,
};

const struct pg_stmt sql_watch_poll = {
	.name = "watch_poll",
	.sql = "select place, version from api.watch_poll($1, $2, $3, $4)",
	.nparams = 4,
};

/* These mark the watch row: that whoever did not see it has ended. */
const struct pg_stmt sql_list_page = {
	.name = "list_page",
	.sql = "select * from api.list_page($1, $2, $3, $4, $5)",
	.nparams = 5,
	.write = true,
};

const struct pg_stmt sql_list_rest = {
	.name = "list_rest",
	.sql = "select * from api.list_rest($1, $2, $3, $4, $5)",
	.nparams = 5,
};

const struct pg_stmt sql_list_read = {
	.name = "list_read",
	.sql = "select * from api.list_read($1, $2, $3, $4, $5, $6)",
	.nparams = 6,
	.write = true,
};

/* What is read is claimed: it is shown after that is committed. */
const struct pg_stmt sql_inbox_read = {
	.name = "inbox_read",
	.sql = "select * from api.inbox_read($1, $2, $3, $4)",
	.nparams = 4,
	.write = true,
};

const struct pg_stmt sql_inbox_written = {
	.name = "inbox_written",
	.sql = "select * from api.inbox_written($1, $2, $3)",
	.nparams = 3,
	.write = true,
};
