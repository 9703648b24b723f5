/*
 * exchange.c: from arrival to answer. Whatever calls a handler ends with
 * exchange_settle(), which alone sends and frees.
 */
#include "worker/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/aor.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/log.h"
#include "common/turn.h"
#include "common/utf8.h"
#include "shared/browser.h"
#include "shared/negotiate.h"
#include "shared/reply.h"
#include "shared/routes.h"

static void exchange_free(struct exchange *x)
{
	large_end(x->app->larges, &x->large);
	buf_free(&x->body);
	response_free(&x->res);
	arena_free(x->arena);
	free(x);
}

static void count(struct exchange *x)
{
	struct app_stats *stats = &x->app->stats;
	uint64_t took_ms = clock_ms() - x->began_ms;
	int status = x->res.status;

	stats->answers[status >= 100 && status < 600 ? status / 100 : 0]++;
	stats->took_ms += took_ms;
	log_debug("request", LOG_STR("request_id", x->req.id),
		  LOG_STR("method", x->req.method_name),
		  LOG_STR("path", x->req.path), LOG_INT("status", status),
		  LOG_INT("ms", took_ms), LOG_INT("gone", x->gone));
}

/* nginx goes on when it has read this, and closes the connection. There are no
 * more headers because it would keep some of them beside the stream's. */
static void send_redirect(struct exchange *x)
{
	static const char head[] = "Status: 200 OK\r\n"
				   "X-Accel-Redirect: @stream\r\n\r\n";

	(void)fcgi_write(x->fcgi, head, sizeof(head) - 1); /* as reply_send() */
}

/* Send what was answered; where nothing was and nothing will be, 500. */
static void exchange_settle(struct exchange *x)
{
	if (x->phase == EXCHANGE_WAITS)
		return;
	if (x->phase == EXCHANGE_RUNS) {
		log_error("no_answer", LOG_STR("request_id", x->req.id),
			  LOG_STR("path", x->req.path));
		exchange_problem(x, 500, NULL, NULL);
	}
	if (x->phase == EXCHANGE_HANDED_OVER)
		send_redirect(x);
	else
		reply_send(x->fcgi, &x->res, &x->req,
			   x->app->config->http.cors_origins);
	count(x);
	fcgi_finish(x->fcgi);
	exchange_free(x);
}

/* The one SQL call */

static void answer_refusal(struct exchange *x, const struct pg_answer *a)
{
	if (a->status >= 500) /* the line before, of the database, has no id */
		log_warn_often(2, "request_failed", LOG_STR("slug", a->slug),
			       LOG_STR("sqlstate", a->sqlstate),
			       LOG_STR("request_id", x->req.id),
			       LOG_STR("method", x->req.method_name),
			       LOG_STR("path", x->req.path));
	exchange_problem_full(x, reply_of_answer(a));
	if (a->status == 401)
		auth_refused(x->app->auth, &x->who);
}

static void check_caller(struct exchange *x);

/* A refusal changed nothing, so the handler may run a second time. */
static void check_caller_again(struct exchange *x)
{
	auth_refused(x->app->auth, &x->who);
	response_reset(&x->res);
	x->state = NULL;
	check_caller(x);
}

static void query_answered(const struct pg_answer *a, void *arg)
{
	struct exchange *x = arg;

	x->query = NULL;
	x->phase = EXCHANGE_RUNS;
	if (a->end == PG_REFUSED && a->status == 401 && x->who.remembered) {
		check_caller_again(x);
		return;
	}
	if (a->end == PG_OK) {
		auth_accepted(x->app->auth, &x->who);
		x->on_result(x, a->res);
	} else
		answer_refusal(x, a);
	exchange_settle(x);
}

void exchange_args(struct exchange *x, struct pg_args *args)
{
	memset(args, 0, sizeof(*args));
	auth_args(args, &x->who);
}

/* What a request is about, as a key: of those on one thing few write at once.
 * `me` is nobody else's way to say it. */
static uint64_t target_of(const struct exchange *x)
{
	const char *email = x->path.email;
	char key[AOR_BUF];

	if (x->path.call)
		return turn_key_of('c', &x->path.call, sizeof(x->path.call));
	if (!email)
		return 0;
	if (!strcmp(email, "me"))
		email = x->who.who;
	if (!email || strlen(email) >= sizeof(key))
		return 0;
	memcpy(key, email, strlen(email) + 1);
	aor_fold(key);

	return turn_key_of('u', key, strlen(key));
}

void exchange_query(struct exchange *x, const struct pg_stmt *st,
		    const struct pg_args *args, exchange_result_h *on_result)
{
	const struct db_whose whose = {.caller = x->who.caller,
				       .target = target_of(x)};

	if (!exchange_may_end(x))
		return;
	x->on_result = on_result;
	x->query = args->failed ? NULL
				: db_ask_as(x->app->db, &whose, st, args,
					    query_answered, x);
	if (x->query)
		x->phase = EXCHANGE_WAITS;
	else if (args->failed)
		exchange_error(x, APP_INTERNAL);
	else
		exchange_error(x, db_is_up(x->app->db) ? APP_BUSY
						       : APP_UNAVAILABLE);
}

static void hash_done(int err, const char *hash, void *arg)
{
	struct exchange *x = arg;

	x->phase = EXCHANGE_RUNS;
	if (!err)
		x->on_hash(x, hash);
	else if (err == EBUSY || err == ECANCELED || err == ENOMEM)
		exchange_error(x, APP_BUSY);
	else
		exchange_error(x, APP_INTERNAL);
	exchange_settle(x);
}

static bool is_wanted(const void *arg)
{
	const struct exchange *x = arg;

	return !x->gone;
}

void exchange_hash(struct exchange *x, const char *password,
		   exchange_hash_h *on_hash)
{
	int err;

	if (!exchange_may_end(x))
		return;
	x->on_hash = on_hash;
	err = hasher_ask(x->app->hasher, &(struct hasher_job){
						 .password = password,
						 .source = x->who.source,
						 .wanted = is_wanted,
						 .done = hash_done,
						 .arg = x,
					 });
	if (!err)
		x->phase = EXCHANGE_WAITS;
	else if (err == EINVAL)
		exchange_problem_at(x, 400, "invalid-member",
				    "The password is too long.", "/password");
	else
		exchange_error(x, APP_BUSY);
}

/* In memory, much at a time */

static void answer_crowded(struct exchange *x)
{
	struct problem p = reply_of_error(APP_BUSY);

	p.detail = "Too much large content is under way.";
	p.retry_s = larges_retry_s(x->app->larges);
	exchange_problem_full(x, p);
}

static void large_done(bool held, void *arg)
{
	struct exchange *x = arg;

	x->phase = EXCHANGE_RUNS;
	if (held)
		x->on_large(x);
	else
		answer_crowded(x);
	exchange_settle(x);
}

void exchange_hold_large(struct exchange *x, route_h *on_large)
{
	int err = 0;

	if (x->large.state == LARGE_NONE)
		err = large_begin(x->app->larges, &x->large, x->who.caller,
				  x->who.source, large_done, x);
	x->on_large = on_large;
	if (err)
		answer_crowded(x);
	else if (x->large.state == LARGE_HOLDS)
		on_large(x);
	else
		x->phase = EXCHANGE_WAITS;
}

/* Arrival */

static void call_handler(struct exchange *x)
{
	x->app->handlers[x->route - routes_table()](x);
}

static void handle_with_body(struct exchange *x)
{
	if (exchange_read_body(x))
		call_handler(x);
}

static void handle(struct exchange *x)
{
	const bool first = x->route->body != BODY_NONE && !x->body_taken;

	x->body_taken = true;
	if (!first)
		call_handler(x);
	else if (exchange_is_large(x))
		exchange_hold_large(x, handle_with_body);
	else
		handle_with_body(x);
}

/* Where only a password will do. */
static bool has_token_for_password(const struct exchange *x)
{
	const char *header = request_header(&x->req, "Authorization");

	return x->route->auth == AUTH_BASIC && header &&
	       !strncasecmp(header, "Bearer", 6);
}

static void auth_done(enum auth_result result, void *arg)
{
	struct exchange *x = arg;

	x->phase = EXCHANGE_RUNS;
	if (result == AUTH_DONE)
		handle(x);
	else if (result == AUTH_DENIED && request_query(&x->req, "ticket"))
		exchange_problem(
			x, 401, NULL,
			"A ticket opens a stream (Accept: "
			"text/event-stream, or ?stream); this asks for "
			"a document, which needs credentials.");
	else if (result == AUTH_DENIED && has_token_for_password(x))
		exchange_problem(x, 401, NULL,
				 "This needs the password: Basic (email and "
				 "password). A token does not do.");
	else
		exchange_problem_full(x, reply_of_auth(result, &x->who));
	exchange_settle(x);
}

/* x may be gone when this returns. */
static void check_caller(struct exchange *x)
{
	x->phase = EXCHANGE_WAITS;
	auth_check(x->app->auth, &x->req, x->route->auth, x->arena, &x->who,
		   &x->gone, auth_done, x);
}

static void answer_no_method(struct exchange *x, const char *allow)
{
	struct problem p = reply_of_error(APP_METHOD_NOT_ALLOWED);

	p.detail = arena_fmt(x->arena, "This takes %s; %.*s is none of them.",
			     allow,
			     utf8_shown(x->req.method_name, REQUEST_SHOWN_MAX),
			     x->req.method_name);
	exchange_problem_full(x, p);
}

static void answer_allow(struct exchange *x, const char *allow, int status)
{
	if (status == 405)
		answer_no_method(x, allow);
	else {
		response_empty(&x->res, status);
		exchange_answer(x);
	}
	response_header(&x->res, "Allow", allow);
}

static bool is_query_known(struct exchange *x)
{
	const char *why = router_unknown_query(x->route, &x->req, x->arena);

	if (why)
		exchange_problem(x, 400, "invalid-parameter", why);
	return !why;
}

/* @return whether there is an endpoint that takes it; if not, it is answered */
static bool find_route(struct exchange *x)
{
	const char *allow = "";

	switch (router_find(routes_table(), &x->req, x->arena, &x->route,
			    &x->path, &allow)) {
	case ROUTE_FOUND:
		return is_query_known(x);
	case ROUTE_NO_PATH:
		exchange_problem(
			x, 404, NULL,
			router_no_path(routes_table(), &x->req, x->arena));
		break;
	case ROUTE_NO_USER:
		exchange_problem(x, 404, "user-not-found",
				 "Users are named by emails such as "
				 "alice@example.net, or `me`.");
		break;
	case ROUTE_NO_METHOD:
		answer_allow(x, allow, 405);
		break;
	case ROUTE_OPTIONS:
		answer_allow(x, allow, 204);
		break;
	case ROUTE_NO_MEMORY:
		exchange_error(x, APP_BUSY);
		break;
	}
	return false;
}

/* nginx itself sees only the plainest of what wants a stream. Whoever says GET
 * by a POST waits for a document.
 *
 * @return whether it was handed over */
static bool hand_over_if_stream(struct exchange *x)
{
	if (!x->route->stream ||
	    !strcmp(request_param(&x->req, "REQUEST_METHOD"), "POST") ||
	    negotiate_form_of(&x->req, x->route->types) == FORM_DOCUMENT)
		return false;
	exchange_hand_over(x);
	return true;
}

static void client_gone(void *arg)
{
	struct exchange *x = arg;

	x->gone = true;
	/* What is under way in the database goes on; what waits does not. */
	if (x->large.state == LARGE_WAITS)
		large_end(x->app->larges, &x->large);
	else if (x->query)
		(void)db_forget(x->query); /* sent or not, no answer comes */
	else
		return;
	x->query = NULL;
	x->phase = EXCHANGE_RUNS;
	exchange_error(x, APP_BUSY); /* for the count */
	exchange_settle(x);
}

static struct exchange *exchange_new(struct fcgi_request *r, struct app *app)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->arena = arena_new();
	if (!x->arena) {
		free(x);
		return NULL;
	}
	x->app = app;
	x->fcgi = r;
	x->began_ms = clock_ms();
	response_init(&x->res, x->arena);
	buf_init(&x->body, BODY_MAIL_MAX + 1);
	fcgi_on_gone(r, client_gone, x);
	return x;
}

/* Whoever asks whether it is well is answered however much else there is. */
static bool is_health(const struct fcgi_request *r)
{
	const char *uri = fcgi_param(r, "REQUEST_URI");

	return uri && !strncmp(uri, "/health/", strlen("/health/"));
}

void exchange_start(struct fcgi_request *r, void *arg)
{
	struct app *app = arg;
	struct exchange *x = NULL;
	const char *detail = "The request is malformed.";
	int err;

	if (fcgi_server_busy(app->server) <= EXCHANGE_BUSY_MAX || is_health(r))
		x = exchange_new(r, app);
	if (!x) {
		fcgi_busy(r);
		return;
	}
	err = request_parse(&x->req, x->arena, fcgi_params(r), &detail);
	if (err == EINVAL)
		exchange_problem(x, 400, NULL, detail);
	else if (err)
		exchange_error(x, APP_BUSY);
	else if (browser_is_cross_site(&x->req, app->config->http.cors_origins,
				       false))
		exchange_error(x, APP_CROSS_SITE);
	else if (find_route(x) && !hand_over_if_stream(x)) {
		check_caller(x);
		return;
	}
	exchange_settle(x);
}
