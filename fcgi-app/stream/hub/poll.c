/*
 * poll.c: what a doorbell has missed.
 */
#include "stream/hub/poll.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/pgres.h"
#include "stream/hub/inbox.h"
#include "stream/hub/sql.h"
#include "stream/hub/topic_parts.h"

enum {
	ARRAY_MAX = 32 * POLL_STEP_MAX, /* bytes; a number has 20 */
};

struct poll {
	struct topics *topics;
	size_t credit; /* topics times milliseconds */
	/* Those that are asked for; null: freed meanwhile. */
	struct topic *place[POLL_STEP_MAX];
	size_t n;
	bool asked;
	struct buf kinds, ids, versions, inboxes; /* while it is asked */
};

int poll_new(struct poll **out, struct topics *topics)
{
	struct poll *p = calloc(1, sizeof(*p));

	if (!p)
		return ENOMEM;
	p->topics = topics;
	buf_init(&p->kinds, ARRAY_MAX);
	buf_init(&p->ids, ARRAY_MAX);
	buf_init(&p->versions, ARRAY_MAX);
	buf_init(&p->inboxes, ARRAY_MAX);
	*out = p;
	return 0;
}

void poll_free(struct poll *p)
{
	if (!p)
		return;
	buf_free(&p->kinds);
	buf_free(&p->ids);
	buf_free(&p->versions);
	buf_free(&p->inboxes);
	free(p);
}

static void topic_moved(struct topic *t, int64_t version)
{
	if (t->kind->feed->moved)
		t->kind->feed->moved(t, version);
	else
		topic_ring(t);
}

static void poll_end(struct poll *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->place[i])
			p->place[i]->place = NULL;
	p->n = 0;
	p->asked = false;
}

static void on_answer(const struct pg_answer *a, void *arg)
{
	struct poll *p = arg;
	int rows = a->end == PG_OK ? PQntuples(a->res) : 0;

	for (int i = 0; i < rows; i++) {
		int64_t place = pgres_int(a->res, i, "place");

		if (place >= 1 && place <= (int64_t)p->n && p->place[place - 1])
			topic_moved(p->place[place - 1],
				    pgres_int(a->res, i, "version"));
	}
	poll_end(p);
}

static void array_begin(struct buf *b)
{
	buf_reset(b);
	buf_char(b, '{');
}

static void poll_add(struct poll *p, struct topic *t)
{
	const char *comma = p->n ? "," : "";
	int64_t head = t->inbox ? inbox_head(t->inbox) : -1;

	buf_fmt(&p->kinds, "%s%s", comma, t->kind->name);
	buf_fmt(&p->ids, "%s%" PRId64, comma, t->id);
	buf_fmt(&p->versions, "%s%" PRId64, comma, t->version);
	if (head < 0)
		buf_fmt(&p->inboxes, "%snull", comma);
	else
		buf_fmt(&p->inboxes, "%s%" PRId64, comma, head);
	t->place = &p->place[p->n];
	p->place[p->n++] = t;
}

/* One that is due: what cannot be asked with others is done at once. */
static void poll_look(struct poll *p, struct topic *t)
{
	if (!t->nseats) {
		if (t->inbox) /* what went out is to be told all the same */
			t->kind->mail->retry(t);
		topic_release(t);
		return;
	}
	for (struct seat *s = t->seats; s; s = s->next)
		s->ops->retry(s);
	if (t->inbox)
		t->kind->mail->retry(t);
	if (t->kind->feed->alone || (t->nlive && topic_must_lock(t)))
		topic_bell(t);
	else if ((t->nlive || (t->inbox && inbox_head(t->inbox) >= 0)) &&
		 !t->place)
		poll_add(p, t);
}

static void poll_ask(struct poll *p)
{
	struct db *db = p->topics->place->db;
	struct pg_args args = {0};
	struct buf *arrays[] = {&p->kinds, &p->ids, &p->versions, &p->inboxes};

	for (size_t i = 0; i < sizeof(arrays) / sizeof(*arrays); i++) {
		buf_char(arrays[i], '}');
		if (arrays[i]->failed) {
			poll_end(p);
			return;
		}
		pg_arg_text(&args, arrays[i]->p);
	}
	p->asked = db_ask(db, &sql_watch_poll, &args, on_answer, p) != NULL;
	if (!p->asked)
		poll_end(p);
}

void poll_step(struct poll *p)
{
	struct topics *topics = p->topics;
	size_t due;

	if (p->asked || !place_is_open(topics->place))
		return; /* the next time there are more */
	p->credit += topics->count * POLL_STEP_MS;
	due = p->credit / (POLL_S * 1000);
	p->credit %= POLL_S * 1000;
	if (due > POLL_STEP_MAX)
		due = POLL_STEP_MAX;
	array_begin(&p->kinds);
	array_begin(&p->ids);
	array_begin(&p->versions);
	array_begin(&p->inboxes);
	while (due--) {
		struct topic *t = topics->polled ? topics->polled
						 : topics->first;

		if (!t)
			break;
		topics->polled = t->next;
		poll_look(p, t);
	}
	if (p->n)
		poll_ask(p);
}
