/*
 * reply.c: an answer's last steps.
 */
#include "shared/reply.h"

#include <string.h>

#include "common/log.h"
#include "shared/browser.h"
#include "shared/cors.h"

struct problem reply_of_error(enum app_err err)
{
	const struct app_err_info *info = app_err_info(err);

	return (struct problem){
		.status = info->status,
		.slug = info->slug,
		.detail = info->detail,
	};
}

struct problem reply_of_answer(const struct pg_answer *a)
{
	return (struct problem){
		.status = a->status,
		.slug = a->slug,
		.detail = a->detail,
		.pointer = a->pointer,
		.retry_s = a->retry_s,
	};
}

struct problem reply_of_auth(enum auth_result result, const struct principal *p)
{
	struct problem why;

	switch (result) {
	case AUTH_DENIED:
		return reply_of_error(APP_UNAUTHORIZED);
	case AUTH_MALFORMED:
		return (struct problem){
			.status = 400,
			.detail = "The Authorization header is malformed: it "
				  "is `Basic` and base64 of email:password, or "
				  "`Bearer` and a token of POST /session.",
		};
	case AUTH_BUSY:
		return reply_of_error(APP_BUSY);
	case AUTH_THROTTLED:
		why = reply_of_error(APP_TOO_MANY_GUESSES);
		why.retry_s = p->retry_s;
		return why;
	case AUTH_UNAVAILABLE:
		return reply_of_error(APP_UNAVAILABLE);
	case AUTH_DONE:
		break;
	}
	return reply_of_error(APP_INTERNAL);
}

void reply_problem(struct response *res, const struct request *req,
		   struct problem p)
{
	p.request_id = req->id;
	p.ask = browser_may_ask(req);
	problem_answer(res, &p);
}

void reply_headers(struct response *res, const struct request *req,
		   const char *origins)
{
	const char *allow = NULL;

	for (size_t i = 0; i < res->headers; i++)
		if (!strcmp(res->header[i].name, "Allow"))
			allow = res->header[i].value;
	response_header(res, "X-Request-Id", req->id);
	cors_headers(res, req, origins,
		     req->method == METHOD_OPTIONS ? allow : NULL);
}

/* At a terminal the prompt is to stand on a line of its own. */
static void end_line(struct response *res)
{
	struct buf *b = &res->body;

	if (b->len && !res->exact && b->p[b->len - 1] != '\n')
		buf_char(b, '\n');
}

/* What was asked for may have been done before. */
static struct problem why_failed(const struct response *res)
{
	struct problem p = reply_of_error(APP_OUTCOME_UNKNOWN);

	if (!res->no_memory && !res->body.no_memory)
		return (struct problem){.status = 500};
	p.detail = "There was no memory for the answer: it may or may not "
		   "have been done.";
	return p;
}

void reply_send(struct fcgi_request *r, struct response *res,
		const struct request *req, const char *origins)
{
	struct buf head;
	bool body;

	end_line(res);
	reply_headers(res, req, origins);
	if (res->failed || res->body.failed) {
		log_error_often(1, "answer_failed",
				LOG_INT("status", res->status),
				LOG_STR("request_id", req->id),
				LOG_STR("path", req->path));
		reply_problem(res, req, why_failed(res));
		reply_headers(res, req, origins);
	}
	body = req->method != METHOD_HEAD && res->status != 204 &&
	       res->status != 304 && res->body.len;
	buf_init(&head, RESPONSE_HEAD_MAX);
	response_head(res, &head);
	/* A peer that has gone is noticed by fcgi_finish(). */
	if (head.failed || res->failed || res->body.failed)
		(void)fcgi_write_busy(r);
	else if (!fcgi_write(r, head.p, head.len) && body)
		(void)fcgi_write(r, res->body.p, res->body.len);
	buf_free(&head);
}
