/*
 * A destination that has answered lately may have any amount under way.  For
 * all others the database gives out little at a time (api.delivery_claim), so
 * that phones that do not answer hold up nobody else.
 */
#include "transaction/destination.h"

#include <errno.h>
#include <string.h>

enum {
	BUCKETS = 4096,
};

struct destinations {
	struct hash *by_name;
	struct list busy; /* struct destination: something is under way */
	struct list idle; /* the other destinations, the one that answered last
			     at the end */
	size_t idle_count;
	size_t under_way;
};

struct destination {
	struct le he;
	struct le le;
	struct destinations *ds;
	char *name;
	size_t under_way;
	uint64_t answered_ms; /* 0: not, or not the last time */
};

static void destructor(void *arg)
{
	struct destination *d = arg;

	hash_unlink(&d->he);
	list_unlink(&d->le);
	mem_deref(d->name);
}

static void table_destructor(void *arg)
{
	struct destinations *ds = arg;

	list_flush(&ds->busy);
	list_flush(&ds->idle);
	mem_deref(ds->by_name);
}

/** Allocate an empty table; owned by the caller */
int destinations_alloc(struct destinations **dsp)
{
	struct destinations *ds = mem_zalloc(sizeof(*ds), table_destructor);
	int err;

	if (!ds)
		return ENOMEM;

	err = hash_alloc(&ds->by_name, BUCKETS);
	if (err)
		mem_deref(ds);
	else
		*dsp = ds;

	return err;
}

static bool name_handler(struct le *le, void *arg)
{
	const struct destination *d = le->data;

	return !strcmp(d->name, arg);
}

static int add(struct destination **dp, struct destinations *ds,
	       const char *name)
{
	struct destination *d = mem_zalloc(sizeof(*d), destructor);
	int err;

	if (!d)
		return ENOMEM;

	d->ds = ds;
	err = str_dup(&d->name, name);
	if (err) {
		mem_deref(d);
		return err;
	}
	hash_append(ds->by_name, hash_joaat_str(name), &d->he, d);
	*dp = d;

	return 0;
}

/**
 * Something is sent to a destination
 *
 * @param dp Set to it, borrowed until destination_end
 */
int destination_begin(struct destination **dp, struct destinations *ds,
		      const char *name)
{
	struct destination *d = list_ledata(hash_lookup(
		ds->by_name, hash_joaat_str(name), name_handler, (void *)name));
	int err;

	if (!d) {
		err = add(&d, ds, name);
		if (err)
			return err;
	} else if (!d->under_way) {
		ds->idle_count--;
	}

	ds->under_way++;
	if (!d->under_way++) {
		list_unlink(&d->le);
		list_append(&ds->busy, &d->le, d);
	}
	*dp = d;

	return 0;
}

static void keep(struct destination *d)
{
	struct destinations *ds = d->ds;

	list_unlink(&d->le);
	if (!d->answered_ms) {
		mem_deref(d);
		return;
	}

	list_append(&ds->idle, &d->le, d);
	if (++ds->idle_count > DESTINATIONS_MAX) {
		ds->idle_count--;
		mem_deref(list_ledata(list_head(&ds->idle)));
	}
}

/**
 * A delivery to a destination has ended
 *
 * @param d        NULL for none
 * @param answered Whether something there has answered, whatever it said
 */
void destination_heard(struct destination *d, bool answered, uint64_t now_ms)
{
	if (d)
		d->answered_ms = answered ? now_ms : 0;
}

/** The database knows that too; NULL for none */
void destination_end(struct destination *d)
{
	if (!d)
		return;

	d->ds->under_way--;
	if (!--d->under_way)
		keep(d);
}

static bool is_lively(const struct destination *d, uint64_t now_ms)
{
	return d->answered_ms &&
	       d->answered_ms + DESTINATION_LATELY_MS > now_ms;
}

static int print_name(struct mbuf *mb, const char *name)
{
	int err = mbuf_write_u8(mb, '"');

	for (; *name; name++) {
		if (*name == '"' || *name == '\\')
			err |= mbuf_write_u8(mb, '\\');
		err |= mbuf_write_u8(mb, (uint8_t)*name);
	}

	return err | mbuf_write_u8(mb, '"');
}

static size_t count_lively(const struct destinations *ds, uint64_t now_ms)
{
	struct le *le;
	size_t n = 0;

	LIST_FOREACH(&ds->busy, le)
	n += is_lively(le->data, now_ms);

	return n;
}

/**
 * Write, as an array of SQL, the destinations that answer and have work under
 * way
 *
 * Where they are too many, only those with more than the mean under way are
 * told, which cannot be too many.  The others are far below what the database
 * lets any have.
 */
int destinations_print(struct mbuf *mb, const struct destinations *ds,
		       uint64_t now_ms)
{
	const size_t least = count_lively(ds, now_ms) <= DESTINATIONS_TOLD_MAX
				     ? 0
				     : ds->under_way / DESTINATIONS_TOLD_MAX;
	struct le *le;
	unsigned n = 0;
	int err = mbuf_write_u8(mb, '{');

	LIST_FOREACH(&ds->busy, le)
	{
		const struct destination *d = le->data;

		if (!is_lively(d, now_ms) || d->under_way <= least)
			continue;
		if (n++)
			err |= mbuf_write_u8(mb, ',');
		err |= print_name(mb, d->name);
	}

	return err | mbuf_write_u8(mb, '}');
}
