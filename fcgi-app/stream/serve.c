/*
 * serve.c: from a request to a viewer, or to an answer that says why not.
 */
#include "stream/serve.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "common/config.h"
#include "common/error.h"
#include "common/log.h"
#include "shared/auth.h"
#include "shared/browser.h"
#include "shared/reply.h"
#include "shared/request.h"
#include "shared/response.h"
#include "stream/ask.h"
#include "stream/hub/proof.h"
#include "stream/out/single.h"
#include "stream/out/watch.h"

enum {
	HEAD_MAX = 4096,
	TRIM_MS = 1000, /* after a stream was opened: memory is given back */
};

/* A request until it is answered, or has become a stream. */
struct call {
	struct serve *serve;
	struct fcgi_request *fcgi;
	struct arena *arena;
	struct request req;
	struct response res;
	struct ask ask;
	struct principal who;
	struct single single;
	struct watch *watch;	/* instead, of many */
	struct loop_timer wait; /* of a long poll */
	struct proof *proof;	/* ask's, where a ticket is used up already */
	bool asking;		/* who calls is being found out, or counted */
	bool ends;		/* the session will, before the wait */
	bool gone;
};

static const struct outcome_ops outcome_ops;

static void call_free(struct call *c)
{
	loop_cancel(c->serve->app->loop, &c->wait);
	proof_free(c->proof);
	response_free(&c->res);
	arena_free(c->arena);
	free(c);
}

/* ---- answers ---- */

static const char *origins_of(const struct call *c)
{
	return c->serve->app->config->http.cors_origins;
}

static void call_send(struct call *c)
{
	response_header(&c->res, "Vary", "Accept");
	reply_send(c->fcgi, &c->res, &c->req, origins_of(c));
	log_debug("request", LOG_STR("request_id", c->req.id),
		  LOG_STR("path", c->req.path),
		  LOG_INT("status", c->res.status));
	fcgi_finish(c->fcgi);
	call_free(c);
}

static void call_problem(struct call *c, struct problem p)
{
	reply_problem(&c->res, &c->req, p);
	call_send(c);
}

static void call_error(struct call *c, enum app_err err)
{
	call_problem(c, reply_of_error(err));
}

/* ---- what becomes of the viewer ---- */

static void call_watch(struct call *c);

/* What is no contact of a login may be a message that was sent to it. */
static bool call_try_message(struct call *c, const struct pg_answer *why)
{
	struct viewer_ask *ask = &c->ask.one;
	struct proof *proof = viewer_proof(c->single.viewer);
	const char *key;

	if (why->status != 404 || !ask->n || !ask->kind->item)
		return false;
	if (!strcmp(why->slug, "user-not-found"))
		return false;
	key = arena_fmt(c->arena, "%s/%lld", ask->key, (long long)ask->n);
	if (!key)
		return false;
	ask->kind = ask->kind->item;
	ask->key = key;
	ask->n = 0;
	if (ask->ticket && proof) { /* it is used up */
		ask->proof = c->proof = proof_ref(proof);
		ask->ticket = NULL;
	}
	call_watch(c);
	return true;
}

static void on_refused(const struct pg_answer *why, void *arg)
{
	struct call *c = arg;

	if (!c->watch && call_try_message(c, why))
		return;
	c->watch = NULL;
	reply_problem(&c->res, &c->req, reply_of_answer(why));
	if (why->status == 401)
		auth_refused(c->serve->app->auth, &c->who);
	call_send(c);
}

static void on_answer(int64_t version, const char *doc, bool patch, void *arg)
{
	struct call *c = arg;
	const char *tag = arena_fmt(c->arena, "%lld", (long long)version);

	auth_accepted(c->serve->app->auth, &c->who);
	response_bytes(&c->res, 200,
		       patch ? "application/json-patch+json"
			     : "application/json",
		       doc, strlen(doc));
	if (tag)
		response_etag(&c->res, tag);
	call_send(c);
}

static void on_answer_many(const char *id, const char *docs, size_t n,
			   void *arg)
{
	struct call *c = arg;

	c->watch = NULL;
	auth_accepted(c->serve->app->auth, &c->who);
	response_bytes(&c->res, 200, "application/json", docs, n);
	response_etag(&c->res, id);
	call_send(c);
}

static void answer_unchanged(struct call *c)
{
	char place[RENDER_ID_SIZE];
	struct buf id;

	buf_init(&id, HEAD_MAX);
	render_place(place, c->ask.one.version, c->ask.one.upto,
		     c->ask.one.after_n);
	if (c->watch)
		watch_add_id(&id, c->watch);
	else
		buf_str(&id, place);
	response_empty(&c->res, 304);
	if (!id.failed)
		response_etag(&c->res, id.p);
	buf_free(&id);
}

static void on_wait_over(void *arg)
{
	struct call *c = arg;

	if (!c->ends && c->watch && watch_wait_over(c->watch))
		return; /* something has moved after all */
	if (!c->ends)
		answer_unchanged(c);
	single_free(&c->single);
	watch_free(c->watch);
	c->watch = NULL;
	if (c->ends)
		call_error(c, APP_UNAUTHORIZED);
	else
		call_send(c);
}

/* It has what there is: the wait begins. */
static void on_waits(uint32_t ends_s, void *arg)
{
	struct call *c = arg;
	uint32_t wait_s = (uint32_t)c->ask.wait_s;

	if (loop_pending(&c->wait))
		return;
	c->ends = ends_s < wait_s;
	if (c->ends)
		wait_s = ends_s;
	loop_after(c->serve->app->loop, &c->wait, (uint64_t)wait_s * 1000,
		   on_wait_over, c);
}

/* The head of a stream, without a length. */
static void stream_head(struct call *c, struct buf *head)
{
	response_header(&c->res, "Vary", "Accept");
	reply_headers(&c->res, &c->req, origins_of(c));
	buf_fmt(head, "Status: 200 OK\r\nContent-Type: %s\r\n",
		render_type(c->ask.one.format));
	for (size_t i = 0; i < c->res.headers; i++)
		buf_fmt(head, "%s: %s\r\n", c->res.header[i].name,
			c->res.header[i].value);
	buf_str(head, "Cache-Control: no-store\r\n"
		      "X-Content-Type-Options: nosniff\r\n"
		      "X-Accel-Buffering: no\r\n\r\n");
	head->failed = head->failed || c->res.failed;
}

/* A request needs many times what its stream does, and what streams keep lies
   between it, so the C library would not give it back by itself. */
static void trim(void *arg)
{
	(void)arg;
	(void)malloc_trim(0); /* whether there was something */
}

static void trim_later(struct serve *s)
{
	if (!loop_pending(&s->trim))
		loop_after(s->app->loop, &s->trim, TRIM_MS, trim, s);
}

void serve_end(struct serve *s)
{
	if (s->app && s->app->loop)
		loop_cancel(s->app->loop, &s->trim);
}

static int on_open(struct stream **out, const struct stream_ops *ops,
		   void *stream_arg, void *arg)
{
	struct call *c = arg;
	struct stream_pool *pool = c->serve->pool;
	struct fcgi_stream fs;
	struct buf head;
	int err;

	c->watch = NULL;
	trim_later(c->serve);
	auth_accepted(c->serve->app->auth, &c->who);
	buf_init(&head, HEAD_MAX);
	stream_head(c, &head);
	err = head.failed ? ENOMEM : 0;
	log_debug("stream", LOG_STR("request_id", c->req.id),
		  LOG_STR("path", c->req.path), LOG_ERRNO(err));
	if (err)
		fcgi_finish(c->fcgi);
	else if (c->req.method == METHOD_HEAD) {
		(void)fcgi_write(c->fcgi, head.p, head.len); /* as call_send */
		fcgi_finish(c->fcgi);
		err = ECANCELED;
	} else
		err = fcgi_detach(c->fcgi, head.p, head.len, &fs);
	buf_free(&head);
	call_free(c);
	return err ? err : stream_new(out, pool, &fs, ops, stream_arg);
}

static const struct outcome_ops outcome_ops = {
	.refused = on_refused,
	.open = on_open,
	.answer = on_answer,
	.answer_many = on_answer_many,
	.waits = on_waits,
};

/* ---- the way there ---- */

/* By one way or the other. */
static void call_watch(struct call *c)
{
	struct viewers *viewers = c->serve->viewers;
	int err;

	if (c->ask.many)
		err = watch_new(&c->watch, viewers, c->ask.many, c->ask.nmany,
				&outcome_ops, c);
	else
		err = single_ask(&c->single, viewers, &c->ask.one, &outcome_ops,
				 c);
	if (err)
		call_error(c, err == EAGAIN ? APP_UNAVAILABLE : APP_BUSY);
}

static void on_gone(void *arg)
{
	struct call *c = arg;

	c->gone = true;
	if (c->asking)
		return; /* it is looked at then */
	single_free(&c->single);
	watch_free(c->watch);
	fcgi_finish(c->fcgi);
	call_free(c);
}

static void on_auth(enum auth_result result, void *arg)
{
	struct call *c = arg;

	c->asking = false;
	if (c->gone) {
		fcgi_finish(c->fcgi);
		call_free(c);
	} else if (result == AUTH_DONE)
		call_watch(c);
	else
		call_problem(c, reply_of_auth(result, &c->who));
}

/* Who watches: whoever the request says, or the ticket. */
static void call_check(struct call *c)
{
	struct ask *ask = &c->ask;
	const bool ticket = ask->one.ticket != NULL;

	ask->one.who = ticket ? NULL : &c->who;
	for (size_t i = 0; i < ask->nmany; i++)
		ask->many[i].ask.who = ask->one.who;
	c->asking = true;
	auth_check(c->serve->app->auth, &c->req,
		   ticket ? AUTH_NONE : AUTH_REQUIRED, c->arena, &c->who,
		   &c->gone, on_auth, c);
}

static struct call *call_new(struct serve *s, struct fcgi_request *r)
{
	struct call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->arena = arena_new();
	if (!c->arena) {
		free(c);
		return NULL;
	}
	c->serve = s;
	c->fcgi = r;
	response_init(&c->res, c->arena);
	fcgi_on_gone(r, on_gone, c);
	return c;
}

void serve_request(struct fcgi_request *r, void *arg)
{
	struct serve *s = arg;
	const char *detail = "The request is malformed.";
	struct call *c = call_new(s, r);
	struct ask_problem why;
	struct buf none;
	int err;

	if (!c) {
		fcgi_busy(r);
		return;
	}
	/* So that what comes from the peer begins with a record. */
	buf_init(&none, 0);
	(void)fcgi_read_body(r, &none, 0); /* a body is not looked at */
	buf_free(&none);
	err = request_parse(&c->req, c->arena, fcgi_params(r), &detail);
	if (err == EINVAL)
		call_problem(c,
			     (struct problem){.status = 400, .detail = detail});
	else if (err)
		call_error(c, APP_BUSY);
	else if (browser_is_cross_site(&c->req, origins_of(c), true))
		call_error(c, APP_CROSS_SITE);
	else if (ask_parse(&c->ask, &c->req, c->arena, &why)) {
		reply_problem(&c->res, &c->req, why.problem);
		if (why.allow)
			response_header(&c->res, "Allow", why.allow);
		call_send(c);
	} else if (!hub_is_ready(viewers_hub(s->viewers)))
		call_error(c, APP_UNAVAILABLE);
	else
		call_check(c);
}
