/*
 * health.c: /health/live, /health/ready and /metrics, for the operator of this
 * host: they answer on loopback; all others get 404.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/json_write.h"
#include "common/pgres.h"
#include "resources/handlers.h"
#include "worker/exchange.h"

static const struct pg_stmt ready_stmt = {
	.name = "ready",
	.sql = "select schema_version, agents, streams, writable "
	       "from api.ready()",
	.nparams = 0,
	.health = true,
};

static bool is_loopback(const char *addr)
{
	return !strncmp(addr, "127.", 4) || !strcmp(addr, "::1") ||
	       !strncmp(addr, "::ffff:127.", 11);
}

static bool is_operator(struct exchange *x)
{
	if (is_loopback(x->req.remote))
		return true;
	exchange_problem(x, 404, NULL, NULL);

	return false;
}

void health_live(struct exchange *x)
{
	if (!is_operator(x))
		return;
	response_json(&x->res, 200, "{\"status\":\"live\"}");
	exchange_answer(x);
}

static void ready(struct exchange *x, const struct pg_result *res)
{
	const int64_t agents = pgres_int(res, 0, "agents");
	const bool writable = pgres_bool(res, 0, "writable");
	struct buf *b = &x->res.body;

	buf_char(b, '{');
	json_member(b, "status",
		    !writable ? "no-writes"
		    : agents  ? "ready"
			      : "no-agent");
	json_member_int(b, "schema_version",
			pgres_int(res, 0, "schema_version"));
	json_member_int(b, "agents", agents);
	json_member_int(b, "streams", pgres_int(res, 0, "streams"));
	buf_char(b, '}');
	x->res.status = writable && agents ? 200 : 503;
	x->res.type = "application/json";
	if (x->res.status != 200)
		response_header(&x->res, "Retry-After", "1");
	exchange_answer(x);
}

void health_ready(struct exchange *x)
{
	struct pg_args args = {.n = 0};

	if (!is_operator(x))
		return;
	if (db_is_up(x->app->db))
		exchange_query(x, &ready_stmt, &args, ready);
	else
		exchange_problem(
			x, 503, "unavailable",
			"The database is away, or of another version.");
}

static void add_metric(struct buf *b, const char *name, const char *type,
		       const char *help)
{
	buf_fmt(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_count(struct buf *b, long pid, const char *name,
		      const char *type, const char *help, uint64_t n)
{
	add_metric(b, name, type, help);
	buf_fmt(b, "%s{pid=\"%ld\"} %" PRIu64 "\n", name, pid, n);
}

/* How many wait for the database, a password's hash or memory, and how many
   were refused. */
static void add_waits(struct exchange *x, struct buf *b, long pid)
{
	const struct db_stats db = db_stats(x->app->db);
	const struct hasher_stats hasher = hasher_stats(x->app->hasher);

	add_count(b, pid, "restsip_api_too_slow_total", "counter",
		  "Statements that took longer than they may.", db.too_slow);
	add_count(b, pid, "restsip_api_statements_refused_total", "counter",
		  "Statements that too much stood before.", db.busy);
	add_count(b, pid, "restsip_api_statements_forgotten_total", "counter",
		  "Statements not sent, for their client had gone.",
		  db.forgotten);
	add_count(b, pid, "restsip_api_reads_moved_total", "counter",
		  "Reads asked again, from behind a slow one.", db.moved);
	add_count(b, pid, "restsip_api_statements_waiting", "gauge",
		  "Statements that wait for their turn.", db.waiting);
	add_count(b, pid, "restsip_api_hashes_total", "counter",
		  "Passwords that were hashed.", hasher.hashed);
	add_count(b, pid, "restsip_api_hashes_refused_total", "counter",
		  "Passwords that too many stood before.", hasher.busy);
	add_count(b, pid, "restsip_api_hashes_forgotten_total", "counter",
		  "Passwords not hashed, for their client had gone.",
		  hasher.unwanted);
	add_count(b, pid, "restsip_api_hashes_waiting", "gauge",
		  "Passwords that wait for their turn.", hasher.waiting);
	add_count(b, pid, "restsip_api_large_waiting", "gauge",
		  "Requests that wait to have much in memory.",
		  larges_waiting(x->app->larges));
}

/* Prometheus' text format. One worker answers for itself: hence the pid. */
void metrics_get(struct exchange *x)
{
	const struct app_stats *stats = &x->app->stats;
	const long pid = (long)getpid();
	struct buf *b = &x->res.body;

	if (!is_operator(x))
		return;
	add_metric(b, "restsip_api_responses_total", "counter",
		   "Answers by the first digit of their status.");
	for (size_t i = 1; i < 6; i++)
		buf_fmt(b,
			"restsip_api_responses_total{pid=\"%ld\","
			"class=\"%zuxx\"} %" PRIu64 "\n",
			pid, i, stats->answers[i]);
	add_metric(b, "restsip_api_response_seconds_total", "counter",
		   "Time that all answers took together.");
	buf_fmt(b,
		"restsip_api_response_seconds_total{pid=\"%ld\"} %" PRIu64
		".%03" PRIu64 "\n",
		pid, stats->took_ms / 1000, stats->took_ms % 1000);
	add_metric(b, "restsip_api_requests", "gauge", "Requests under way.");
	buf_fmt(b, "restsip_api_requests{pid=\"%ld\"} %zu\n", pid,
		fcgi_server_busy(x->app->server));
	add_metric(b, "restsip_api_database_up", "gauge",
		   "Whether there are connections to the database.");
	buf_fmt(b, "restsip_api_database_up{pid=\"%ld\"} %d\n", pid,
		db_is_up(x->app->db));
	add_waits(x, b, pid);
	x->res.type = "text/plain; version=0.0.4; charset=utf-8";
	exchange_answer(x);
}
