/*
 * inbox.c: messages for an account's streams.
 *
 * Numbers are given in the order of commits, so whoever has read up to one
 * has all below it. Who keeps up gets what is read from `head` on; who is
 * behind reads for itself.
 */
#include "stream/hub/inbox.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/log.h"
#include "common/pgres.h"
#include "shared/body.h"
#include "shared/loop.h"
#include "stream/bytes/render.h"
#include "stream/bytes/stream_pool.h"
#include "stream/hub/sql.h"
#include "stream/hub/topic_parts.h"

enum {
	MESSAGE_MAX = 512 << 10, /* a body of 64 KiB, each byte as \u0001 */
};

struct inbox {
	struct topic *topic;
	struct inbox_seat *seats;
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

static void inbox_bell(struct topic *t);

static struct place *place_of(const struct inbox *b)
{
	return b->topic->all->place;
}

static bool is_idle(const struct topic *t)
{
	const struct inbox *b = t->inbox;

	return !b->seats && !b->nwritten && !b->confirming;
}

static void inbox_close(struct topic *t)
{
	struct inbox *b = t->inbox;

	if (b->query)
		db_forget(b->query);
	loop_cancel(place_of(b)->loop, &b->timer);
	buf_free(&b->numbers);
	free(b->written);
	free(b);
	t->inbox = NULL;
}

int64_t inbox_head(const struct inbox *b)
{
	return b->nlive ? b->head : -1;
}

static struct inbox *inbox_of(struct topic *t)
{
	struct inbox *b = t->inbox;

	if (b)
		return b;
	b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->topic = t;
	buf_init(&b->numbers, 32 * INBOX_CONFIRM_MAX);
	t->inbox = b;
	return b;
}

int inbox_attach(struct inbox_seat *s, struct topic *t)
{
	struct inbox *b = inbox_of(t);

	if (!b)
		return ENOMEM;
	s->inbox = b;
	s->fresh = s->at < 0;
	s->since_s = stream_now_s(place_of(b)->pool);
	s->behind = true;
	s->check = s->at >= 0;
	s->next = b->seats;
	s->prev = &b->seats;
	if (s->next)
		s->next->prev = &s->next;
	b->seats = s;
	return 0;
}

/* Let the topic go, if the inbox was the last that held it. */
static void inbox_release(struct inbox *b)
{
	if (is_idle(b->topic))
		topic_release(b->topic);
}

void inbox_detach(struct inbox_seat *s)
{
	struct inbox *b = s->inbox;

	if (!b)
		return;
	inbox_fall_behind(s);
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->inbox = NULL;
	inbox_release(b);
}

void inbox_fall_behind(struct inbox_seat *s)
{
	if (s->behind || !s->inbox)
		return;
	s->behind = true;
	s->inbox->nlive--;
}

void inbox_join(struct inbox_seat *s)
{
	struct inbox *b = s->inbox;
	bool rung = b->bells != s->bells || s->at > b->head;

	if (b->nlive && s->at < b->head)
		return; /* it reads once more */
	s->behind = s->fresh = false;
	if (!b->nlive++)
		b->head = s->at;
	if (rung)
		inbox_bell(b->topic);
}

/* ---- said once it was written ---- */

static void confirm_ask(void *arg);

static void confirm_soon(struct inbox *b)
{
	if (b->confirming || !b->nwritten || loop_pending(&b->timer))
		return;
	loop_after(place_of(b)->loop, &b->timer, 0, confirm_ask, b);
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
	struct place *place = place_of(b);
	struct pg_args args = {0};

	if (b->confirming || !b->nwritten || !place->db)
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
	pg_arg_int(&args, place->process);
	pg_arg_int(&args, b->topic->id);
	pg_arg_text(&args, b->numbers.p);
	b->confirming = db_ask(place->db, &sql_inbox_written, &args, confirmed,
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

static void inbox_retry(struct topic *t)
{
	confirm_soon(t->inbox);
}

/* ---- reading ---- */

/* since_s: what was not delivered by then; 0: all. */
static struct pg_query *read_ask(struct inbox *b, int64_t after,
				 uint32_t since_s, pg_answer_h *answered,
				 void *arg)
{
	struct place *place = place_of(b);
	struct pg_args args = {0};

	if (!place->db)
		return NULL;
	pg_arg_int(&args, b->topic->id);
	if (after < 0)
		pg_arg_null(&args);
	else
		pg_arg_int(&args, after);
	pg_arg_int(&args, INBOX_PAGE);
	if (since_s)
		pg_arg_int(&args, stream_now_s(place->pool) - since_s);
	else
		pg_arg_null(&args);
	return db_ask(place->db, &sql_inbox_read, &args, answered, arg);
}

struct pg_query *inbox_ask(struct inbox_seat *s, pg_answer_h *answered,
			   void *arg)
{
	s->bells = s->inbox->bells;
	return read_ask(s->inbox, s->check ? -1 : s->at,
			s->fresh ? s->since_s : 0, answered, arg);
}

int inbox_rows(const struct pg_answer *a)
{
	/* A lone row without one only tells the head. */
	return pgres_null(a->res, 0, "inbox") ? 0 : PQntuples(a->res);
}

int64_t inbox_number(const struct pg_answer *a, int row)
{
	return pgres_int(a->res, row, "inbox");
}

/* A body that says it is JSON, and is; null: otherwise, or no memory. */
static const char *body_as_json(struct arena *a, const struct message *m)
{
	static const char json[] = "application/json";
	const size_t n = sizeof(json) - 1;
	struct body_error e;
	const struct json *v;

	if (strncasecmp(m->content_type, json, n) != 0 ||
	    (m->content_type[n] && !strchr("; \t", m->content_type[n])) ||
	    body_parse(&v, a, m->body, m->body_len, &e))
		return NULL;

	return body_text(v, a);
}

void inbox_render(struct buf *out, const struct pg_answer *a, int row)
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
	struct arena *arena = NULL;

	m.body = body;
	buf_init(out, MESSAGE_MAX);
	if (body) {
		arena = arena_new();
		m.json = arena ? body_as_json(arena, &m) : NULL;
		render_message(out, &m);
	} else {
		out->failed = true;
	}
	arena_free(arena);
	if (out->failed)
		log_error_often(0, "message_not_rendered", LOG_INT("n", m.n));
	PQfreemem(body);
}

void inbox_composing(struct inbox *b, const char *data, size_t n)
{
	uint64_t event = ++place_of(b)->events;

	for (struct inbox_seat *s = b->seats; s; s = s->next)
		if (!s->behind)
			s->ops->composing(s, data, n, event);
}

static void tell(struct inbox *b, const struct pg_answer *a, int row)
{
	int64_t number = inbox_number(a, row);
	uint64_t event = ++place_of(b)->events;
	struct buf data;

	inbox_render(&data, a, row);
	for (struct inbox_seat *s = b->seats; s && !data.failed; s = s->next) {
		if (s->behind || s->at >= number)
			continue;
		if (!s->ops->message(s, number, data.p, data.len, event))
			inbox_fall_behind(s);
	}
	buf_free(&data);
	b->head = number;
}

static void on_read(const struct pg_answer *a, void *arg)
{
	struct inbox *b = arg;
	int rows = a->end == PG_OK ? inbox_rows(a) : 0;
	int64_t head;

	b->query = NULL;
	if (a->end != PG_OK)
		return; /* the poll comes by */
	if (b->asked != b->head) {
		/* All for whom it was asked have gone, and who has come since
		   may lack what is before it. */
		inbox_bell(b->topic);
		return;
	}
	head = pgres_int(a->res, 0, "head");
	for (int i = 0; i < rows; i++)
		tell(b, a, i);
	if (rows < INBOX_PAGE && head > b->head)
		b->head = head; /* what is between was cancelled */
	for (struct inbox_seat *s = b->seats; s; s = s->next)
		if (!s->behind && s->at < b->head)
			s->at = b->head;
	if (b->again || rows == INBOX_PAGE)
		inbox_bell(b->topic);
}

static void inbox_bell(struct topic *t)
{
	struct inbox *b = t->inbox;

	b->bells++;
	if (b->query) {
		b->again = true;
		return;
	}
	b->again = false;
	b->asked = b->head;
	if (b->nlive)
		b->query = read_ask(b, b->head, 0, on_read, b);
}

const struct feed_ops inbox_feed = {
	.close = inbox_close,
	.is_idle = is_idle,
	.bell = inbox_bell,
	.retry = inbox_retry,
};
