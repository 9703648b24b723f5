/*
 * inbox.c: messages for an account's streams.
 *
 * Numbers are given in the order of commits, so whoever has read up to one
 * has all below it. Who keeps up gets what is read from `head` on; who is
 * behind reads for itself.
 */
#include "stream/inbox.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/pgres.h"
#include "stream/sql.h"
#include "stream/watch.h"

enum {
	MESSAGE_MAX = 512 << 10, /* a body of 64 KiB, each byte as \u0001 */
};

struct inbox {
	struct resource *resource;
	int64_t account;
	struct viewer *viewers;
	size_t nlive;
	int64_t head;  /* all have it that keep up */
	int64_t asked; /* what it was when query was asked */
	struct pg_query *query;
	bool again;
	uint32_t bells;
	struct loop_timer timer;
	int64_t *written; /* to be said */
	size_t nwritten, written_size;
	bool confirming; /* the first nasked of them */
	size_t nasked;
	struct buf numbers; /* the parameter, while it is asked */
};

struct inbox *inbox_new(struct resource *r, int64_t account)
{
	struct inbox *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->resource = r;
	b->account = account;
	buf_init(&b->numbers, 32 * INBOX_CONFIRM_MAX);
	return b;
}

bool inbox_is_idle(const struct inbox *b)
{
	return !b->viewers && !b->nwritten && !b->confirming;
}

void inbox_free(struct inbox *b)
{
	if (!b)
		return;
	if (b->query)
		db_forget(b->query);
	loop_cancel(b->resource->hub->loop, &b->timer);
	buf_free(&b->numbers);
	free(b->written);
	free(b);
}

void inbox_release(struct inbox *b)
{
	if (inbox_is_idle(b))
		resource_release(b->resource);
}

int64_t inbox_head(const struct inbox *b)
{
	return b->nlive ? b->head : -1;
}

void inbox_attach(struct inbox *b, struct viewer *v)
{
	v->inbox = b;
	v->inbox_new = v->inbox_at < 0;
	v->inbox_since_s = stream_now_s(b->resource->hub->pool);
	v->inbox_behind = true;
	v->inbox_check = v->inbox_at >= 0;
	v->inbox_next = b->viewers;
	v->inbox_prev = &b->viewers;
	if (v->inbox_next)
		v->inbox_next->inbox_prev = &v->inbox_next;
	b->viewers = v;
}

void inbox_detach(struct viewer *v)
{
	inbox_fall_behind(v);
	*v->inbox_prev = v->inbox_next;
	if (v->inbox_next)
		v->inbox_next->inbox_prev = v->inbox_prev;
	v->inbox = NULL;
}

void inbox_fall_behind(struct viewer *v)
{
	if (v->inbox_behind)
		return;
	v->inbox_behind = true;
	v->inbox->nlive--;
}

static void inbox_catch_up(struct viewer *v)
{
	struct inbox *b = v->inbox;
	bool rung = b->bells != v->inbox_bells || v->inbox_at > b->head;

	if (b->nlive && v->inbox_at < b->head)
		return; /* it reads once more */
	v->inbox_behind = v->inbox_new = false;
	if (!b->nlive++)
		b->head = v->inbox_at;
	if (rung)
		inbox_bell(b);
}

/* ---- said once it was written ---- */

static void confirm_ask(void *arg);

static void confirm_soon(struct inbox *b)
{
	if (b->confirming || !b->nwritten || loop_pending(&b->timer))
		return;
	(void)loop_after(b->resource->hub->loop, &b->timer, 0, confirm_ask,
			 b); /* else the poll does */
}

static void confirmed(const struct pg_answer *a, void *arg)
{
	struct inbox *b = arg;
	bool lost = a->end == PG_AWAY;

	b->confirming = false;
	if (!lost) {
		b->nwritten -= b->nasked;
		for (size_t i = 0; i < b->nwritten; i++)
			b->written[i] = b->written[i + b->nasked];
		confirm_soon(b);
	}
	if (!b->nwritten) {
		free(b->written);
		b->written = NULL;
		b->written_size = 0;
	}
	inbox_release(b);
}

static void confirm_ask(void *arg)
{
	struct inbox *b = arg;
	struct hub *hub = b->resource->hub;
	struct pg_args args = {0};

	if (b->confirming || !b->nwritten || !hub->db)
		return;
	b->nasked = 0;
	buf_reset(&b->numbers);
	while (b->nasked < b->nwritten && b->nasked < INBOX_CONFIRM_MAX) {
		buf_fmt(&b->numbers, "%c%" PRId64, b->nasked ? ',' : '{',
			b->written[b->nasked]);
		b->nasked++;
	}
	buf_char(&b->numbers, '}');
	if (b->numbers.failed)
		return;
	pg_arg_int(&args, hub->process);
	pg_arg_int(&args, b->account);
	pg_arg_text(&args, b->numbers.p);
	b->confirming = db_ask(hub->db, &sql_inbox_written, &args, confirmed,
			       b) != NULL;
}

void inbox_confirm(struct inbox *b, int64_t number)
{
	for (size_t i = b->nwritten; i > 0; i--)
		if (b->written[i - 1] == number)
			return;
	if (b->nwritten == b->written_size) {
		size_t size = b->written_size ? 2 * b->written_size : 8;
		int64_t *written = realloc(b->written, size * sizeof(*written));

		if (!written)
			return; /* it will be shown again */
		b->written = written;
		b->written_size = size;
	}
	b->written[b->nwritten++] = number;
	confirm_soon(b);
}

void inbox_retry(struct inbox *b)
{
	confirm_soon(b);
}

/* ---- reading ---- */

/* since_s: what was not delivered by then; 0: all. */
static struct pg_query *inbox_ask(struct inbox *b, int64_t after,
				  uint32_t since_s, pg_answer_h *answered,
				  void *arg)
{
	struct hub *hub = b->resource->hub;
	struct db *db = hub->db;
	struct pg_args args = {0};

	if (!db)
		return NULL;
	pg_arg_int(&args, b->account);
	if (after < 0)
		pg_arg_null(&args);
	else
		pg_arg_int(&args, after);
	pg_arg_int(&args, INBOX_PAGE);
	if (since_s)
		pg_arg_int(&args, stream_now_s(hub->pool) - since_s);
	else
		pg_arg_null(&args);
	return db_ask(db, &sql_inbox_read, &args, answered, arg);
}

/* Rows with a message: a lone row without one only tells the head. */
static int rows_of(const struct pg_answer *a)
{
	return pgres_null(a->res, 0, "inbox") ? 0 : PQntuples(a->res);
}

static void row_render(struct buf *out, const struct pg_answer *a, int row)
{
	const char *type = pgres_text(a->res, row, "content_type");
	const char *from = pgres_text(a->res, row, "sender");
	const char *at = pgres_text(a->res, row, "sent_at");
	struct message m = {
		.n = pgres_int(a->res, row, "n"),
		.from = from ? from : "",
		.content_type = type ? type : "",
		.sent_at = at ? at : "",
	};
	unsigned char *body = pgres_bytes(a->res, row, "body", &m.body_len);

	m.body = body;
	buf_init(out, MESSAGE_MAX);
	if (body)
		render_message(out, &m);
	else
		out->failed = true;
	if (out->failed)
		log_error("message_not_rendered", LOG_INT("n", m.n));
	PQfreemem(body);
}

static void inbox_broadcast(struct inbox *b, const struct pg_answer *a, int row)
{
	int64_t number = pgres_int(a->res, row, "inbox");
	uint64_t event = ++b->resource->hub->events;
	struct viewer *v, *next;
	struct buf data;

	row_render(&data, a, row);
	for (v = b->viewers; v && !data.failed; v = next) {
		next = v->inbox_next;
		if (v->inbox_behind || v->inbox_at >= number)
			continue;
		if (!viewer_message(v, number, data.p, data.len, event))
			inbox_fall_behind(v);
	}
	buf_free(&data);
	b->head = number;
}

static void inbox_is_read(const struct pg_answer *a, void *arg)
{
	struct inbox *b = arg;
	struct resource *r = b->resource;
	int rows = a->end == PG_OK ? rows_of(a) : 0;
	int64_t head;

	b->query = NULL;
	if (a->end != PG_OK)
		return; /* the poll comes by */
	if (b->asked != b->head) {
		/* All for whom it was asked have gone, and who has come since
		   may lack what is before it. */
		inbox_bell(b);
		return;
	}
	r->busy++;
	head = pgres_int(a->res, 0, "head");
	for (int i = 0; i < rows; i++)
		inbox_broadcast(b, a, i);
	if (rows < INBOX_PAGE && head > b->head)
		b->head = head; /* what is between was cancelled */
	for (struct viewer *v = b->viewers; v; v = v->inbox_next)
		if (!v->inbox_behind && v->inbox_at < b->head)
			v->inbox_at = b->head;
	if (b->again || rows == INBOX_PAGE)
		inbox_bell(b);
	r->busy--;
	resource_release(r);
}

void inbox_bell(struct inbox *b)
{
	b->bells++;
	if (b->query) {
		b->again = true;
		return;
	}
	b->again = false;
	b->asked = b->head;
	if (b->nlive)
		b->query = inbox_ask(b, b->head, 0, inbox_is_read, b);
}

/* ---- one that is behind ---- */

/* It has come back with a number: what it had by then it has got, even if
   we died before we could say so. */
static void inbox_checked(struct viewer *v, const struct pg_answer *a,
			  int64_t head)
{
	int rows = rows_of(a);

	v->inbox_check = false;
	if (v->inbox_at > head) {
		v->inbox_at = -1; /* that was no number of ours */
		v->inbox_new = true;
		return;
	}
	for (int i = 0; i < rows; i++) {
		int64_t number = pgres_int(a->res, i, "inbox");

		if (number <= v->inbox_at)
			inbox_confirm(v->inbox, number);
	}
}

/* @return whether all of the page was written */
static bool inbox_replay(struct viewer *v, const struct pg_answer *a)
{
	int rows = rows_of(a);

	for (int i = 0; i < rows; i++) {
		int64_t number = pgres_int(a->res, i, "inbox");
		struct buf data;
		bool fits = true;

		if (v->state != VIEWER_OPEN)
			return false;
		if (number <= v->inbox_at)
			continue;
		row_render(&data, a, i);
		if (!data.failed)
			fits = viewer_message(v, number, data.p, data.len,
					      ++v->hub->events);
		buf_free(&data);
		if (!fits)
			return false;
	}
	return rows < INBOX_PAGE;
}

static void inbox_loaded(const struct pg_answer *a, void *arg)
{
	struct viewer *v = arg;
	int64_t head;

	v->query = NULL;
	if (a->end != PG_OK) {
		if (v->state == VIEWER_LOADING)
			viewer_refuse(v, a);
		return; /* the poll comes by */
	}
	head = pgres_int(a->res, 0, "head");
	if (v->inbox_check) {
		inbox_checked(v, a, head);
		if (v->inbox_at != head) { /* read from there on */
			viewer_step(v);
			return;
		}
	}
	if (v->inbox_at < 0 &&
	    !viewer_inbox_known(
		    v, rows_of(a) ? pgres_int(a->res, 0, "inbox") - 1 : head))
		return;
	if (v->inbox_behind && inbox_replay(v, a)) {
		if (v->inbox_at < head)
			v->inbox_at = head;
		inbox_catch_up(v);
	}
	viewer_step(v);
}

void inbox_load(struct viewer *v)
{
	int64_t after = v->inbox_check ? -1 : v->inbox_at;

	v->inbox_bells = v->inbox->bells;
	v->query = inbox_ask(v->inbox, after,
			     v->inbox_new ? v->inbox_since_s : 0, inbox_loaded,
			     v);
}
