/*
 * topic.c: what is watched: the table of it, its rows in the database, and who
 * looks at it.
 */
#include "stream/hub/topic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stream/bytes/render.h"
#include "stream/hub/sql.h"
#include "stream/hub/topic_parts.h"

/* ---- the table, by name ---- */

/* FNV-1a; names are made of emails that exist, by who may sign up. */
static size_t name_hash(const char *s)
{
	uint64_t h = 14695981039346656037u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return (size_t)(h ^ h >> 32);
}

static struct topic **table_slot(const struct topics *all, const char *name)
{
	return &all->table[name_hash(name) & (all->table_size - 1)];
}

static void table_grow(struct topics *all)
{
	size_t size = 2 * all->table_size;
	struct topic **table = calloc(size, sizeof(struct topic *));

	if (!table)
		return; /* slower, not wrong */
	free(all->table);
	all->table = table;
	all->table_size = size;
	for (struct topic *t = all->first; t; t = t->next) {
		struct topic **slot = table_slot(all, t->name);

		t->hash_next = *slot;
		*slot = t;
	}
}

static struct topic *with_name(struct topic *t, const char *name)
{
	while (t && strcmp(t->name, name) != 0)
		t = t->hash_next;
	return t;
}

struct topic *topic_first(const struct topics *all, const char *name)
{
	return with_name(*table_slot(all, name), name);
}

struct topic *topic_next(const struct topic *t)
{
	return with_name(t->hash_next, t->name);
}

static char *name_make(const char *kind, const char *key)
{
	struct buf b;

	buf_init(&b, 4096);
	buf_fmt(&b, "%s/%s", kind, key);
	if (b.failed) {
		buf_free(&b);
		return NULL;
	}
	return b.p;
}

static void topic_link(struct topic *t)
{
	struct topics *all = t->all;
	struct topic **slot;

	if (all->count >= all->table_size)
		table_grow(all);
	slot = table_slot(all, t->name);
	t->hash_next = *slot;
	*slot = t;
	t->next = all->first;
	t->prev = &all->first;
	if (t->next)
		t->next->prev = &t->next;
	all->first = t;
	all->count++;
}

/* It takes over name. */
static struct topic *topic_new(struct topics *all, const struct view *view,
			       char *name)
{
	struct topic *t = calloc(1, sizeof(*t));

	if (!t) {
		free(name);
		return NULL;
	}
	t->all = all;
	t->kind = view->kind;
	t->id = view->id;
	t->inside = view->inside;
	t->n = view->n;
	t->name = name;
	if (t->kind->feed->open && t->kind->feed->open(t)) {
		free(name);
		free(t);
		return NULL;
	}
	topic_link(t);
	return t;
}

struct topic *topic_get(struct topics *all, const struct view *view)
{
	char *name = name_make(view->kind->name, view->key);
	struct topic *t = name ? topic_first(all, name) : NULL;

	while (t && (t->id != view->id || t->inside != view->inside ||
		     t->n != view->n))
		t = topic_next(t);
	if (!t && name)
		return topic_new(all, view, name);
	free(name);
	return t;
}

static void topic_free(struct topic *t)
{
	struct topics *all = t->all;
	struct topic **at = table_slot(all, t->name);

	while (*at != t)
		at = &(*at)->hash_next;
	*at = t->hash_next;
	if (all->polled == t)
		all->polled = t->next;
	if (t->place)
		*t->place = NULL;
	*t->prev = t->next;
	if (t->next)
		t->next->prev = t->prev;
	all->count--;
	if (t->query)
		db_forget(t->query);
	if (t->inbox)
		t->kind->mail->close(t);
	if (t->kind->feed->close)
		t->kind->feed->close(t);
	free(t->base);
	free(t->name);
	free(t);
}

struct view topic_view(const struct topic *t)
{
	return (struct view){
		.kind = t->kind,
		.key = t->name + strlen(t->kind->name) + 1,
		.id = t->id,
		.inside = t->inside,
		.n = t->n,
	};
}

int64_t topic_id(const struct topic *t)
{
	return t->id;
}

int topics_init(struct topics *all, struct place *place)
{
	all->place = place;
	all->table = calloc(TOPICS_FIRST, sizeof(struct topic *));
	all->table_size = TOPICS_FIRST;
	buf_init(&all->patch, FRAME_MAX);
	return all->table ? 0 : ENOMEM;
}

void topics_clear(struct topics *all)
{
	while (all->first)
		topic_free(all->first);
	free(all->table);
	buf_free(&all->patch);
}

void topics_forget(struct topics *all)
{
	for (struct topic *t = all->first; t; t = t->next) {
		t->watched = t->watched_mine = false;
		t->locked = t->locked_mine = false;
		if (t->query)
			db_forget(t->query);
		t->query = NULL;
		t->again = false;
	}
}

void topics_release(struct topics *all)
{
	struct topic *t, *next;

	for (t = all->first; t; t = next) {
		next = t->next;
		topic_release(t);
	}
}

/* ---- its row in the database ---- */

static void watch_closed(const struct pg_answer *a, void *arg)
{
	struct topic *t = arg;

	(void)a; /* where it failed, the row goes with the connection */
	t->closes--;
	topic_release(t);
}

/* Whether another view needs the row. */
static bool row_is_needed(const struct topic *t, bool mine)
{
	const struct topic *o = topic_first(t->all, t->name);

	for (; o; o = topic_next(o))
		if (o != t && o->id == t->id && (mine ? o->nmine : o->nseats))
			return true;
	return false;
}

bool topic_was_closed(const struct topic *t, uint64_t seq, bool mine)
{
	const struct topic *o = topic_first(t->all, t->name);

	for (; o; o = topic_next(o))
		if (o->id == t->id &&
		    (o->closed_seq > seq || (mine && o->closed_mine_seq > seq)))
			return true;
	return false;
}

/* Say that nobody looks any more; or only that the owner does not. */
static void topic_close(struct topic *t, bool only_owner)
{
	struct place *place = t->all->place;
	struct pg_args args = {0};

	if (!only_owner && row_is_needed(t, false)) {
		/* Others look at it, but perhaps no owner any more. */
		t->watched = t->locked = false;
		if (!t->watched_mine)
			return;
		only_owner = true;
	}
	if (only_owner && row_is_needed(t, true)) {
		t->watched_mine = t->locked_mine = false;
		return;
	}
	pg_arg_int(&args, place->process);
	pg_arg_text(&args, t->kind->name);
	pg_arg_int(&args, t->id);
	pg_arg_bool(&args, only_owner);
	if (!db_ask(place->db, &sql_watch_close, &args, watch_closed, t))
		return; /* the poll comes by again */
	t->closes++;
	t->closed_mine_seq = ++place->seq;
	t->watched_mine = t->locked_mine = false;
	if (only_owner)
		return;
	t->closed_seq = place->seq;
	t->watched = t->locked = false;
}

void topic_release(struct topic *t)
{
	bool open = place_is_open(t->all->place);

	if (open && t->watched && !t->nseats)
		topic_close(t, false);
	else if (open && t->watched_mine && !t->nmine)
		topic_close(t, true);
	if (t->nseats || t->closes || (open && (t->watched || t->watched_mine)))
		return;
	if (!t->inbox || t->kind->mail->is_idle(t))
		topic_free(t);
}

bool topic_must_lock(const struct topic *t)
{
	return t->kind->feed->locks &&
	       (!t->locked || (t->nmine && !t->locked_mine));
}

enum lock topic_lock(const struct topic *t)
{
	if (!topic_must_lock(t))
		return LOCK_NO;
	if (!t->watched)
		return LOCK_VAIN;
	return t->watched_mine ? LOCK_MINE : LOCK_ALL;
}

void topic_locked(struct topic *t, enum lock lock)
{
	if (lock == LOCK_ALL || lock == LOCK_MINE)
		t->locked = t->watched;
	if (lock == LOCK_MINE)
		t->locked_mine = t->watched_mine;
}

void topic_opened(struct topic *t, bool mine)
{
	t->watched = true;
	if (mine)
		t->watched_mine = true;
	if (!t->nlive || !topic_must_lock(t))
		return;
	t->then_mail = true;
	topic_bell(t);
}

void topic_bell(struct topic *t)
{
	t->bells++;
	if (t->query) {
		t->again = true;
		return;
	}
	t->again = false;
	if (t->nlive) /* seats that are behind see that the doorbell rang */
		t->kind->feed->bell(t);
}

void topic_ring(struct topic *t)
{
	topic_bell(t);
	if (t->inbox)
		t->kind->mail->bell(t);
}

/* ---- who looks at it ---- */

void seat_attach(struct seat *s, struct topic *t, bool mine)
{
	s->topic = t;
	s->behind = true;
	s->mine = mine;
	s->next = t->seats;
	s->prev = &t->seats;
	if (s->next)
		s->next->prev = &s->next;
	t->seats = s;
	t->nseats++;
	t->nmine += s->mine;
	t->ndiff += s->diff;
}

void seat_attach_live(struct seat *s, struct topic *t)
{
	seat_attach(s, t, false);
	s->version = t->version;
	s->bells = t->bells;
	(void)seat_join(s); /* it has what there is */
}

void seat_take_whole(struct seat *s)
{
	struct topic *t = s->topic;

	if (!s->diff)
		return;
	s->diff = false;
	if (!t || --t->ndiff)
		return;
	free(t->base);
	t->base = NULL;
}

void seat_detach(struct seat *s)
{
	struct topic *t = s->topic;
	bool diff = s->diff;

	if (!t)
		return;
	seat_fall_behind(s);
	seat_take_whole(s);
	s->diff = diff; /* of the next topic too */
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->topic = NULL;
	t->nseats--;
	t->nmine -= s->mine;
	topic_release(t);
}

void seat_fall_behind(struct seat *s)
{
	if (s->behind || !s->topic)
		return;
	s->behind = true;
	s->topic->nlive--;
}

void seat_reads(struct seat *s)
{
	s->bells = s->topic->bells;
}

bool seat_join(struct seat *s)
{
	struct topic *t = s->topic;
	const struct feed_ops *feed = t->kind->feed;
	bool rung = t->bells != s->bells || s->version > t->version;

	if (t->nlive && s->version < t->version)
		return false;
	if (t->nlive && feed->may_join && !feed->may_join(t, s))
		return false;
	s->behind = false;
	if (!t->nlive++) {
		t->version = s->version;
		if (feed->begin)
			feed->begin(t);
	}
	if (rung)
		topic_bell(t);
	return true;
}
