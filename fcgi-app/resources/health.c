/*
 * health.c: /health/live, /health/ready and /metrics, for the operator of this
 * host: they answer on loopback; all others get 404.
 */
#include <string.h>

#include "common/json_write.h"
#include "common/pgres.h"
#include "resources/handlers.h"
#include "worker/body_form.h"
#include "worker/exchange.h"
#include "worker/metrics.h"

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

static void metrics_all(struct exchange *x, const struct pg_result *res)
{
	metrics_write(&x->res.body, x->state, res);
	x->res.type = "text/plain; version=0.0.4; charset=utf-8";
	exchange_answer(x);
}

/* Without its database it answers for itself alone. */
void metrics_get(struct exchange *x)
{
	char *own = metrics_own(x->app->metrics, x->arena);
	struct pg_args args;

	if (!is_operator(x))
		return;
	if (!own) {
		body_form_no_memory(x);
		return;
	}
	x->state = own;
	metrics_args(x->app->metrics, own, &args);
	if (db_is_up(x->app->db))
		exchange_query(x, &metrics_stmt, &args, metrics_all);
	else
		metrics_all(x, NULL);
}
