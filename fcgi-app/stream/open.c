/*
 * open.c: asking the database for a watch.
 *
 * Opening and closing go over one connection, so the order in which they are
 * asked is the order in which they happen. A close that was asked after an
 * open, before it was known what that would open, has undone it: it is asked
 * once more.
 */
#include "stream/open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/pgres.h"
#include "common/secret.h"
#include "stream/sql.h"
#include "stream/watch.h"

enum {
	EXPIRES_MAX_S = 400 * 86400,
};

struct proof {
	unsigned refs;
	uint32_t who_size; /* with the NUL; 0: a token */
	uint32_t proof_len;
	char bytes[]; /* who, then the proof */
};

struct opening {
	struct opening *next;
	struct hub *hub;
	struct viewer *viewer; /* null: has gone meanwhile */
	struct proof *proof;   /* null with a ticket */
	const char *kind;
	char *key;
	int64_t n;
	uint64_t asked_ms, seq, epoch;
	bool ticket_used, quiet;
	uint8_t ticket[SHA256_SIZE];
};

struct proof *proof_new(const struct principal *who)
{
	size_t size = who->who ? strlen(who->who) + 1 : 0;
	struct proof *p = malloc(sizeof(*p) + size + who->proof_len);

	if (!p)
		return NULL;
	p->refs = 1;
	p->who_size = (uint32_t)size;
	p->proof_len = (uint32_t)who->proof_len;
	if (size)
		memcpy(p->bytes, who->who, size);
	if (who->proof_len)
		memcpy(p->bytes + size, who->proof, who->proof_len);
	return p;
}

struct proof *proof_ref(struct proof *p)
{
	if (p)
		p->refs++;
	return p;
}

void proof_free(struct proof *p)
{
	if (!p || --p->refs)
		return;
	secret_wipe(p->bytes, p->who_size + p->proof_len);
	free(p);
}

static void opening_free(struct opening *o)
{
	if (o->viewer)
		o->viewer->opening = NULL;
	proof_free(o->proof);
	secret_wipe(o->ticket, sizeof(o->ticket));
	free(o->key);
	free(o);
}

static void queue_add(struct open_queue *q, struct opening *o)
{
	o->next = NULL;
	if (q->last)
		q->last->next = o;
	else
		q->first = o;
	q->last = o;
}

static struct opening *queue_take(struct open_queue *q)
{
	struct opening *o = q->first;

	if (!o)
		return NULL;
	q->first = o->next;
	if (!q->first)
		q->last = NULL;
	return o;
}

static void pump_soon(void *arg)
{
	struct hub *hub = arg;

	if (hub->started)
		open_pump(hub);
}

int open_add(struct hub *hub, struct viewer *v, const struct view *view,
	     const uint8_t *ticket)
{
	struct opening *o = calloc(1, sizeof(*o));

	if (!o)
		return ENOMEM;
	o->hub = hub;
	o->kind = view->kind;
	o->n = view->n;
	o->key = strdup(view->key);
	if (!o->key) {
		free(o);
		return ENOMEM;
	}
	if (ticket) {
		memcpy(o->ticket, ticket, sizeof(o->ticket));
		o->ticket_used = true;
	}
	o->proof = proof_ref(v->proof);
	o->quiet = v->quiet;
	o->viewer = v;
	v->opening = o;
	o->asked_ms = loop_now_ms(hub->loop);
	queue_add(&hub->opens, o);
	/* Not now: who asks does not expect an answer before this returns. */
	if (!loop_pending(&hub->opens.soon))
		(void)loop_after(hub->loop, &hub->opens.soon, 0, pump_soon,
				 hub); /* else the poll does it */
	return 0;
}

void open_forget(struct opening *o)
{
	if (o)
		o->viewer = NULL;
}

/* ---- answers ---- */

/* Seconds from now; 0: never. `2026-01-02T03:04:05.678Z` */
static uint32_t expires_in_s(const char *text)
{
	struct tm tm = {0};
	time_t now = time(NULL), at;

	if (!text || !strptime(text, "%Y-%m-%dT%H:%M:%S", &tm))
		return 0;
	at = timegm(&tm);
	if (at <= now)
		return 1;
	return at - now < EXPIRES_MAX_S ? (uint32_t)(at - now) : EXPIRES_MAX_S;
}

/* A ticket is used up: from now on its session stands for it. */
static void keep_session(struct opening *o, const struct pg_answer *a)
{
	struct principal who = {0};
	unsigned char *bytes;

	if (o->proof)
		return;
	bytes = pgres_bytes(a->res, 0, "session", &who.proof_len);
	who.proof = bytes;
	if (bytes)
		o->proof = proof_new(&who);
	o->ticket_used = false;
	if (o->viewer && !o->viewer->proof)
		o->viewer->proof = proof_ref(o->proof);
	PQfreemem(bytes);
}

/* The account's row: that it has streams here. */
static struct resource *session_of(struct opening *o, const struct pg_answer *a)
{
	const char *caller = pgres_text(a->res, 0, "caller");
	const struct view view = {
		.kind = "session",
		.key = caller ? caller : "",
		.id = pgres_int(a->res, 0, "caller"),
	};
	struct resource *r = resource_get(o->hub, &view);

	if (r && !r->nsubs)
		r->version = pgres_int(a->res, 0, "access");
	return r;
}

/* Once more, if there is something to be shown for it. */
static bool ask_once_more(struct opening *o)
{
	if (!o->proof || !o->hub->started || o->hub->draining)
		return false;
	queue_add(&o->hub->opens, o);
	return true;
}

/* @return whether o is still in use */
static bool opened(struct opening *o, const struct pg_answer *a)
{
	struct hub *hub = o->hub;
	struct viewer *v = o->viewer;
	const char *key = pgres_text(a->res, 0, "key");
	bool mine = pgres_bool(a->res, 0, "mine") && !strcmp(o->kind, "login");
	struct resource *r, *session;
	uint32_t in_s = expires_in_s(pgres_text(a->res, 0, "expires_at"));
	const struct view view = {
		.kind = o->kind,
		.key = key ? key : "",
		.id = pgres_int(a->res, 0, "id"),
		.inside = pgres_bool(a->res, 0, "inside"),
		.n = o->n,
	};

	keep_session(o, a);
	session = session_of(o, a);
	r = resource_get(hub, &view);
	if (!r || !session) {
		if (v)
			viewer_refuse_unavailable(v);
		return false;
	}
	if (v && (resource_was_closed(r, o->seq, mine) ||
		  resource_was_closed(session, o->seq, false))) {
		if (ask_once_more(o))
			return true;
		viewer_refuse_unavailable(v);
		return false;
	}
	r->busy++;
	session->busy++;
	session->watched = true;
	if (!v) {
		r->watched = true;
		r->watched_mine = r->watched_mine || mine;
	} else {
		o->viewer = NULL;
		v->opening = NULL;
		v->ends_s = in_s ? stream_now_s(hub->pool) + in_s : 0;
		v->checked = pgres_int(a->res, 0, "version");
		viewer_opened(v, r, session, mine);
	}
	r->busy--;
	session->busy--;
	resource_release(r);
	resource_release(session);
	return false;
}

static void on_answer(const struct pg_answer *a, void *arg)
{
	struct opening *o = arg;
	struct hub *hub = o->hub;
	struct viewer *v = o->viewer;
	bool again = false;

	hub->opens.asked--;
	/* Of an earlier start: the rows of then are gone. */
	if (a->end == PG_OK && o->epoch == hub->epoch && hub->started)
		again = opened(o, a);
	else if (!v)
		again = false;
	else if (a->end == PG_REFUSED || a->end == PG_BUG)
		viewer_refuse(v, a);
	else if (v->state == VIEWER_ASKING)
		viewer_refuse_unavailable(v);
	else
		again = ask_once_more(o); /* else all is opened at the start */
	if (!again)
		opening_free(o);
	if (hub->started)
		open_pump(hub);
}

static bool open_ask(struct opening *o)
{
	struct hub *hub = o->hub;
	const struct proof *p = o->proof;
	struct pg_args args = {0};

	pg_arg_int(&args, hub->process);
	pg_arg_text(&args, p && p->who_size ? p->bytes : NULL);
	if (p)
		pg_arg_bytea(&args, p->bytes + p->who_size, p->proof_len);
	else
		pg_arg_null(&args);
	if (o->ticket_used)
		pg_arg_bytea(&args, o->ticket, sizeof(o->ticket));
	else
		pg_arg_null(&args);
	pg_arg_text(&args, o->kind);
	pg_arg_text(&args, o->key);
	pg_arg_bool(&args, o->quiet);
	if (!db_ask(hub->db, &sql_watch_open, &args, on_answer, o))
		return false;
	o->seq = ++hub->opens.seq;
	o->epoch = hub->epoch;
	hub->opens.asked++;
	return true;
}

void open_pump(struct hub *hub)
{
	struct open_queue *q = &hub->opens;
	uint64_t now = loop_now_ms(hub->loop);

	while (hub->db && q->first && q->asked < OPEN_WINDOW) {
		struct opening *o = queue_take(q);
		struct viewer *v = o->viewer;
		bool late = v && v->state == VIEWER_ASKING &&
			    now - o->asked_ms >= OPEN_WAIT_MS;

		if (v && !late && open_ask(o))
			continue;
		if (v && v->state == VIEWER_ASKING)
			viewer_refuse_unavailable(v);
		else if (v) { /* the poll comes by */
			queue_add(q, o);
			break;
		}
		opening_free(o);
	}
}

void open_lost(struct hub *hub)
{
	struct opening *o;

	while ((o = queue_take(&hub->opens))) {
		struct viewer *v = o->viewer;

		if (v && v->state == VIEWER_ASKING)
			viewer_refuse_unavailable(v);
		opening_free(o);
	}
}

void open_clear(struct hub *hub)
{
	struct opening *o;

	while ((o = queue_take(&hub->opens)))
		opening_free(o);
}
