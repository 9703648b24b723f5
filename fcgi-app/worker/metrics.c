/*
 * metrics.c: a worker's figures, kept in the database, and those of all put
 * together. Prometheus wants all samples of a metric in one place.
 */
#include "worker/metrics.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/pgres.h"
#include "shared/db.h"
#include "shared/fcgi.h"
#include "shared/hasher.h"
#include "shared/loop.h"
#include "worker/large.h"

enum { HOST_SIZE = 65 };

struct metrics {
	const struct app *app;
	struct loop_timer timer;
	struct buf put; /* what the statement under way borrows */
	char host[HOST_SIZE];
	int64_t pid;
};

static const struct {
	const char *name, *type, *help;
} metrics[] = {
	{"restsip_process_up", "gauge",
	 "Whether an agent or a stream process is there."},
	{"restsip_certificate_seconds", "gauge",
	 "Until the certificate ends that an agent shows over TLS."},
	{"restsip_transaction_seconds", "gauge",
	 "How long the oldest transaction runs that writes."},
	{"restsip_relay_legs", "gauge",
	 "Phones whose media pass a media relay, by relay."},
	{"restsip_api_responses_total", "counter",
	 "Answers by the first digit of their status."},
	{"restsip_api_response_seconds_total", "counter",
	 "Time that all answers took together."},
	{"restsip_api_requests", "gauge", "Requests under way."},
	{"restsip_api_database_up", "gauge",
	 "Whether there are connections to the database."},
	{"restsip_api_too_slow_total", "counter",
	 "Statements that took longer than they may."},
	{"restsip_api_statements_refused_total", "counter",
	 "Statements that too much stood before."},
	{"restsip_api_statements_forgotten_total", "counter",
	 "Statements not sent, for their client had gone."},
	{"restsip_api_reads_moved_total", "counter",
	 "Reads asked again, from behind a slow one."},
	{"restsip_api_statements_waiting", "gauge",
	 "Statements that wait for their turn."},
	{"restsip_api_hashes_total", "counter", "Passwords that were hashed."},
	{"restsip_api_hashes_refused_total", "counter",
	 "Passwords that too many stood before."},
	{"restsip_api_hashes_forgotten_total", "counter",
	 "Passwords not hashed, for their client had gone."},
	{"restsip_api_hashes_waiting", "gauge",
	 "Passwords that wait for their turn."},
	{"restsip_api_large_waiting", "gauge",
	 "Requests that wait to have much in memory."},
};

/* ---- one's own ---- */

static void label(const struct metrics *m, struct buf *b, const char *name)
{
	buf_fmt(b, "%s{pid=\"%" PRId64 "\",host=\"%s\"", name, m->pid, m->host);
}

static void sample(const struct metrics *m, struct buf *b, const char *name,
		   uint64_t n)
{
	label(m, b, name);
	buf_fmt(b, "} %" PRIu64 "\n", n);
}

static void answers(const struct metrics *m, struct buf *b)
{
	const struct app_stats *stats = &m->app->stats;

	for (size_t i = 1; i < 6; i++) {
		label(m, b, "restsip_api_responses_total");
		buf_fmt(b, ",class=\"%zuxx\"} %" PRIu64 "\n", i,
			stats->answers[i]);
	}
	label(m, b, "restsip_api_response_seconds_total");
	buf_fmt(b, "} %" PRIu64 ".%03" PRIu64 "\n", stats->took_ms / 1000,
		stats->took_ms % 1000);
	sample(m, b, "restsip_api_requests", fcgi_server_busy(m->app->server));
}

/* How many wait for the database, a password's hash or memory, and how many
   were refused. */
static void waits(const struct metrics *m, struct buf *b)
{
	const struct db_stats db = db_stats(m->app->db);
	const struct hasher_stats hasher = hasher_stats(m->app->hasher);

	sample(m, b, "restsip_api_database_up", db_is_up(m->app->db));
	sample(m, b, "restsip_api_too_slow_total", db.too_slow);
	sample(m, b, "restsip_api_statements_refused_total", db.busy);
	sample(m, b, "restsip_api_statements_forgotten_total", db.forgotten);
	sample(m, b, "restsip_api_reads_moved_total", db.moved);
	sample(m, b, "restsip_api_statements_waiting", db.waiting);
	sample(m, b, "restsip_api_hashes_total", hasher.hashed);
	sample(m, b, "restsip_api_hashes_refused_total", hasher.busy);
	sample(m, b, "restsip_api_hashes_forgotten_total", hasher.unwanted);
	sample(m, b, "restsip_api_hashes_waiting", hasher.waiting);
	sample(m, b, "restsip_api_large_waiting",
	       larges_waiting(m->app->larges));
}

static void own_render(const struct metrics *m, struct buf *b)
{
	answers(m, b);
	waits(m, b);
}

/* ---- left in the database ---- */

/* Not before what callers wait for. */
static const struct pg_stmt put_stmt = {
	.name = "metrics_put",
	.sql = "select api.metrics_put($1, $2, $3)",
	.nparams = 3,
	.write = true,
	.health = true,
};

static void put(void *arg);

static void put_later(struct metrics *m)
{
	loop_after(m->app->loop, &m->timer, METRICS_PUT_MS, put, m);
}

/* Where it failed, the next one will do. */
static void on_put(const struct pg_answer *ans, void *arg)
{
	(void)ans;
	put_later(arg);
}

static void put(void *arg)
{
	struct metrics *m = arg;
	struct pg_args args;

	buf_reset(&m->put);
	own_render(m, &m->put);
	metrics_args(m, m->put.p, &args);
	if (m->put.failed || !db_is_up(m->app->db) ||
	    !db_ask(m->app->db, &put_stmt, &args, on_put, m))
		put_later(m);
}

/* What may stand in a label. */
static void host_read(char *host)
{
	if (gethostname(host, HOST_SIZE - 1))
		host[0] = '\0';
	for (char *c = host; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-._", *c))
			*c = '_';
}

int metrics_new(struct metrics **out, const struct app *app)
{
	struct metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return ENOMEM;
	m->app = app;
	m->pid = getpid();
	host_read(m->host);
	buf_init(&m->put, METRICS_OWN_MAX);
	put_later(m);
	*out = m;
	return 0;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	loop_cancel(m->app->loop, &m->timer);
	buf_free(&m->put);
	free(m);
}

/* ---- of all ---- */

const struct pg_stmt metrics_stmt = {
	.name = "metrics",
	.sql = "select figures from api.metrics($1, $2, $3)",
	.nparams = 3,
	.health = true,
};

void metrics_args(const struct metrics *m, const char *own,
		  struct pg_args *args)
{
	*args = (struct pg_args){.n = 0};
	pg_arg_text(args, m->host);
	pg_arg_int(args, m->pid);
	pg_arg_text(args, own);
}

char *metrics_own(const struct metrics *m, struct arena *arena)
{
	char *own = NULL;
	struct buf b;

	buf_init(&b, METRICS_OWN_MAX);
	own_render(m, &b);
	if (!b.failed)
		own = arena_mem(arena, b.p, b.len);
	buf_free(&b);
	return own;
}

/* The lines of a text that are samples of this metric. */
static void pick(struct buf *b, const char *text, const char *name)
{
	const size_t n = strlen(name);

	while (*text) {
		const size_t line = strcspn(text, "\n");

		if (line > n && text[n] == '{' && !strncmp(text, name, n)) {
			buf_add(b, text, line);
			buf_char(b, '\n');
		}
		text += line + (text[line] == '\n');
	}
}

void metrics_write(struct buf *b, const char *own, const struct pg_result *res)
{
	const int others = res ? PQntuples(res) : 0;

	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
		const char *name = metrics[i].name;

		buf_fmt(b, "# HELP %s %s\n# TYPE %s %s\n", name,
			metrics[i].help, name, metrics[i].type);
		pick(b, own, name);
		for (int row = 0; row < others; row++)
			pick(b, pgres_text(res, row, "figures"), name);
	}
}
