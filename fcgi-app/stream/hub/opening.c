/*
 * opening.c: asking the database for a watch.
 *
 * Opening and closing go over one connection, so the order in which they are
 * asked is the order in which they happen. A close that was asked after an
 * open, before it was known what that would open, has undone it: it is asked
 * once more.
 */
#include "stream/hub/opening.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/pgres.h"
#include "common/secret.h"
#include "stream/bytes/stream_pool.h"
#include "stream/hub/kinds.h"
#include "stream/hub/proof.h"
#include "stream/hub/sql.h"
#include "stream/hub/topic_parts.h"

enum {
	EXPIRES_MAX_S = 400 * 86400,
};

struct opening {
	struct opening *next;
	struct openings *queue;
	const struct opening_ops *ops; /* null: nobody waits for it */
	void *arg;
	struct proof *proof; /* null with a ticket */
	const struct topic_kind *kind;
	char *key;
	int64_t n;
	uint64_t added_ms, seq, epoch;
	bool asked, again, first, quiet, ticket_used;
	uint8_t ticket[SHA256_SIZE];
};

static void opening_free(struct opening *o)
{
	proof_free(o->proof);
	secret_wipe(o->ticket, sizeof(o->ticket));
	free(o->key);
	free(o);
}

void opening_forget(struct opening *o)
{
	if (o)
		o->ops = NULL;
}

static void opening_is_lost(struct opening *o)
{
	const struct opening_ops *ops = o->ops;

	o->ops = NULL;
	if (ops)
		ops->lost(o->arg);
}

static void queue_add(struct openings *q, struct opening *o)
{
	o->next = NULL;
	if (q->last)
		q->last->next = o;
	else
		q->first = o;
	q->last = o;
}

static struct opening *queue_take(struct openings *q)
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
	openings_pump(arg);
}

int opening_add(struct opening **out, struct openings *q,
		const struct opening_ask *ask, const struct opening_ops *ops,
		void *arg)
{
	struct opening *o = calloc(1, sizeof(*o));

	if (!o)
		return ENOMEM;
	o->key = strdup(ask->key);
	if (!o->key) {
		free(o);
		return ENOMEM;
	}
	o->queue = q;
	o->ops = ops;
	o->arg = arg;
	o->kind = ask->kind;
	o->n = ask->n;
	o->proof = proof_ref(ask->proof);
	o->quiet = ask->quiet;
	o->first = ask->first;
	if (ask->ticket) {
		memcpy(o->ticket, ask->ticket, sizeof(o->ticket));
		o->ticket_used = true;
	}
	o->added_ms = loop_now_ms(q->place->loop);
	queue_add(q, o);
	/* Not now: who asks does not expect an answer before this returns. */
	if (!loop_pending(&q->soon))
		loop_after(q->place->loop, &q->soon, 0, pump_soon, q);
	*out = o;
	return 0;
}

void opening_again(struct opening *o)
{
	if (o)
		o->again = o->asked;
}

/* ---- answers ---- */

/* Seconds from now; 0: never. Counted by the database, whose clock said when
 * the session ends; ours may be set to another time. */
static uint32_t expires_in_s(const struct pg_answer *a)
{
	const int64_t left_s = pgres_int(a->res, 0, "expires_s");

	return left_s < EXPIRES_MAX_S ? (uint32_t)left_s : EXPIRES_MAX_S;
}

/* A ticket is used up: from now on its session stands for it.
 * @return whether there is one, and memory for it */
static bool keep_session(struct opening *o, const struct pg_answer *a)
{
	struct principal who = {0};
	unsigned char *bytes;

	if (o->proof)
		return true;
	bytes = pgres_bytes(a->res, 0, "session", &who.proof_len);
	who.proof = bytes;
	if (bytes)
		o->proof = proof_new(&who);
	o->ticket_used = false;
	PQfreemem(bytes);
	return o->proof != NULL;
}

/* The account's row: that it has streams here. */
static struct topic *session_of(struct opening *o, const struct pg_answer *a)
{
	const char *caller = pgres_text(a->res, 0, "caller");
	const struct view view = {
		.kind = &kind_session,
		.key = caller ? caller : "",
		.id = pgres_int(a->res, 0, "caller"),
	};
	struct topic *t = topic_get(o->queue->topics, &view);

	if (t && !t->nseats)
		t->version = pgres_int(a->res, 0, "access");
	return t;
}

/* What stays for as long as this looks: as whom the caller is in the call, or
 * the session that has logins.
 * @return whether there is memory for it; *out null: nothing */
static bool part_of(struct topic **out, struct opening *o,
		    const struct pg_answer *a)
{
	const bool is_call = !pgres_null(a->res, 0, "participant");
	const char *column = is_call ? "participant" : "bearer";
	const struct view view = {
		.kind = is_call ? &kind_participant : &kind_bearer,
		.key = pgres_text(a->res, 0, column),
		.id = pgres_int(a->res, 0, column),
	};

	*out = view.key ? topic_get(o->queue->topics, &view) : NULL;
	return *out || !view.key;
}

static struct topic *topic_of(struct opening *o, const struct pg_answer *a)
{
	const char *key = pgres_text(a->res, 0, "key");
	const struct view view = {
		.kind = o->kind,
		.key = key ? key : "",
		.id = pgres_int(a->res, 0, "id"),
		.inside = pgres_bool(a->res, 0, "inside"),
		.n = o->n,
	};

	return topic_get(o->queue->topics, &view);
}

/* Once more, if there is something to be shown for it. */
static bool ask_once_more(struct opening *o)
{
	struct place *place = o->queue->place;

	if (!o->proof || !place->started || place->draining)
		return false;
	o->asked = o->again = false;
	queue_add(o->queue, o);
	return true;
}

/* Who asked attaches to what it has opened. */
static void tell(struct opening *o, struct opened *opened,
		 const struct pg_answer *a)
{
	uint32_t in_s = expires_in_s(a);
	const struct opening_ops *ops = o->ops;

	if (in_s)
		opened->ends_s = stream_now_s(o->queue->place->pool) + in_s;
	opened->version = pgres_int(a->res, 0, "version");
	opened->proof = o->proof;
	o->ops = NULL;
	topic_opened(opened->topic, opened->mine);
	ops->opened(opened, o->arg);
}

/* Whether a row that it was answered has been closed since it was asked. */
static bool was_closed(const struct opening *o, const struct opened *opened)
{
	return topic_was_closed(opened->topic, o->seq, opened->mine) ||
	       topic_was_closed(opened->session, o->seq, false) ||
	       (opened->part && topic_was_closed(opened->part, o->seq, false));
}

/* The rows are there. */
static void set_watched(struct opened *opened)
{
	struct topic *t = opened->topic;

	opened->session->watched = t->watched = true;
	t->watched_mine = t->watched_mine || opened->mine;
	if (opened->part)
		opened->part->watched = true;
}

/* @return whether o is still in use */
static bool answer_ok(struct opening *o, const struct pg_answer *a)
{
	struct opened opened = {
		.mine = o->kind->mail && pgres_bool(a->res, 0, "mine"),
	};
	const bool is_kept = keep_session(o, a);

	opened.session = session_of(o, a);
	opened.topic = topic_of(o, a);
	if (!part_of(&opened.part, o, a) || !is_kept || !opened.topic ||
	    !opened.session) {
		opening_is_lost(o);
		return false; /* the poll frees what there is */
	}
	if (o->ops && was_closed(o, &opened)) {
		if (ask_once_more(o))
			return true;
		opening_is_lost(o);
		return false;
	}
	set_watched(&opened);
	if (o->ops && o->again && ask_once_more(o))
		return true; /* the poll frees what that does not find */
	if (o->ops && o->again)
		opening_is_lost(o);
	if (o->ops)
		tell(o, &opened, a);
	topic_release(opened.topic);
	topic_release(opened.session);
	if (opened.part)
		topic_release(opened.part);
	return false;
}

/* Nobody waits long for a lock there, as others want to be asked. */
static bool has_met_lock(const struct pg_answer *a)
{
	return !strcmp(a->sqlstate, "55P03");
}

static void on_answer(const struct pg_answer *a, void *arg)
{
	struct opening *o = arg;
	struct openings *q = o->queue;
	const struct opening_ops *ops = o->ops;
	bool more = false;

	q->asked--;
	/* Of an earlier start: the rows of then are gone. */
	if (a->end == PG_OK && o->epoch == q->place->epoch && q->place->started)
		more = answer_ok(o, a);
	else if (ops && (a->end == PG_REFUSED || a->end == PG_BUG)) {
		o->ops = NULL;
		ops->refused(a, o->arg);
	} else if (ops && (!o->first || has_met_lock(a)))
		more = ask_once_more(o); /* the pump knows who is late */
	if (!more) {
		opening_is_lost(o);
		opening_free(o);
	}
	openings_pump(q);
}

/* ---- the queue ---- */

static bool opening_ask(struct opening *o)
{
	struct place *place = o->queue->place;
	struct pg_args args = {0};

	pg_arg_int(&args, place->process);
	proof_args(&args, o->proof);
	if (o->ticket_used)
		pg_arg_bytea(&args, o->ticket, sizeof(o->ticket));
	else
		pg_arg_null(&args);
	pg_arg_text(&args, o->kind->name);
	pg_arg_text(&args, o->key);
	pg_arg_bool(&args, o->quiet);
	if (!db_ask(place->db, &sql_watch_open, &args, on_answer, o))
		return false;
	o->asked = true;
	o->seq = ++place->seq;
	o->epoch = place->epoch;
	o->queue->asked++;
	return true;
}

void openings_init(struct openings *q, struct place *place,
		   struct topics *topics)
{
	q->place = place;
	q->topics = topics;
}

void openings_pump(struct openings *q)
{
	uint64_t now = loop_now_ms(q->place->loop);

	while (place_is_open(q->place) && q->first &&
	       q->asked < OPENING_WINDOW) {
		struct opening *o = queue_take(q);
		bool late = o->first && now - o->added_ms >= OPENING_WAIT_MS;

		if (o->ops && !late && opening_ask(o))
			continue;
		if (o->ops && !o->first) { /* the poll comes by */
			queue_add(q, o);
			break;
		}
		opening_is_lost(o);
		opening_free(o);
	}
}

void openings_lost(struct openings *q)
{
	struct opening *o;

	while ((o = queue_take(q))) {
		opening_is_lost(o);
		opening_free(o);
	}
}

void openings_clear(struct openings *q)
{
	struct opening *o;

	loop_cancel(q->place->loop, &q->soon);
	while ((o = queue_take(q)))
		opening_free(o);
}
