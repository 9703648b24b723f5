/*
 * poll.c: what stands behind the doorbells: every resource is looked at every
 * HUB_POLL_S, many by one query that says which of them have moved.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/pgres.h"
#include "stream/sql.h"
#include "stream/watch.h"

enum {
	ARRAY_MAX = 32 * HUB_POLL_STEP_MAX, /* bytes; a number has 20 */
};

struct poll {
	struct hub *hub;
	size_t credit; /* resources times milliseconds */
	struct resource *place[HUB_POLL_STEP_MAX]; /* kept, see busy */
	size_t n;
	bool asked;
	struct buf kinds, ids, versions, inboxes; /* while it is asked */
};

int poll_new(struct hub *hub)
{
	struct poll *p = calloc(1, sizeof(*p));

	if (!p)
		return ENOMEM;
	p->hub = hub;
	buf_init(&p->kinds, ARRAY_MAX);
	buf_init(&p->ids, ARRAY_MAX);
	buf_init(&p->versions, ARRAY_MAX);
	buf_init(&p->inboxes, ARRAY_MAX);
	hub->polling = p;
	return 0;
}

void poll_free(struct hub *hub)
{
	struct poll *p = hub->polling;

	if (!p)
		return;
	buf_free(&p->kinds);
	buf_free(&p->ids);
	buf_free(&p->versions);
	buf_free(&p->inboxes);
	free(p);
	hub->polling = NULL;
}

/* It has moved. */
static void resource_moved(struct resource *r, const struct pg_result *res,
			   int row)
{
	if (resource_is_session(r)) {
		r->version = pgres_int(res, row, "version");
		resource_recheck(r);
		return;
	}
	resource_bell(r);
	if (r->inbox)
		inbox_bell(r->inbox);
}

static void poll_end(struct poll *p)
{
	for (size_t i = 0; i < p->n; i++) {
		p->place[i]->busy--;
		resource_release(p->place[i]);
	}
	p->n = 0;
	p->asked = false;
}

static void poll_answered(const struct pg_answer *a, void *arg)
{
	struct poll *p = arg;
	int rows = a->end == PG_OK ? PQntuples(a->res) : 0;

	for (int i = 0; i < rows; i++) {
		int64_t place = pgres_int(a->res, i, "place");

		if (place >= 1 && place <= (int64_t)p->n)
			resource_moved(p->place[place - 1], a->res, i);
	}
	poll_end(p);
}

static void array_begin(struct buf *b)
{
	buf_reset(b);
	buf_char(b, '{');
}

static void poll_add(struct poll *p, struct resource *r)
{
	const char *comma = p->n ? "," : "";
	int64_t head = r->inbox ? inbox_head(r->inbox) : -1;

	buf_fmt(&p->kinds, "%s%s", comma, r->kind);
	buf_fmt(&p->ids, "%s%" PRId64, comma, r->id);
	buf_fmt(&p->versions, "%s%" PRId64, comma, r->version);
	if (head < 0)
		buf_fmt(&p->inboxes, "%snull", comma);
	else
		buf_fmt(&p->inboxes, "%s%" PRId64, comma, head);
	r->busy++;
	p->place[p->n++] = r;
}

/* One that is due: what cannot be asked with others is done at once. */
static void poll_look(struct poll *p, struct resource *r)
{
	struct sub *s, *next;

	if (!r->nsubs) {
		resource_release(r);
		return;
	}
	if (resource_is_session(r)) {
		poll_add(p, r);
		return;
	}
	r->busy++;
	for (s = r->subs; s; s = next) {
		next = s->next;
		viewer_step(s->viewer);
	}
	if (r->inbox)
		inbox_retry(r->inbox);
	r->busy--;
	if (r->list || (r->nlive && resource_must_lock(r)))
		resource_bell(r);
	else if (r->nlive || (r->inbox && inbox_head(r->inbox) >= 0))
		poll_add(p, r);
}

static void poll_ask(struct poll *p)
{
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
	p->asked = db_ask(p->hub->db, &sql_watch_poll, &args, poll_answered,
			  p) != NULL;
	if (!p->asked)
		poll_end(p);
}

void poll_step(struct hub *hub)
{
	struct poll *p = hub->polling;
	size_t due;

	if (p->asked || !hub->db || !hub->started)
		return; /* the next time there are more */
	p->credit += hub->resources * HUB_POLL_STEP_MS;
	due = p->credit / (HUB_POLL_S * 1000);
	p->credit %= HUB_POLL_S * 1000;
	if (due > HUB_POLL_STEP_MAX)
		due = HUB_POLL_STEP_MAX;
	array_begin(&p->kinds);
	array_begin(&p->ids);
	array_begin(&p->versions);
	array_begin(&p->inboxes);
	while (due--) {
		struct resource *r = hub->polled ? hub->polled : hub->first;

		if (!r)
			break;
		hub->polled = r->next;
		poll_look(p, r);
	}
	if (p->n)
		poll_ask(p);
}
