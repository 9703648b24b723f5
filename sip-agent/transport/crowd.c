#include "transport/crowd.h"

#include <errno.h>

#include "common/source.h"

/** Add; leaves by crowd_leave() alone */
void crowd_enter(struct crowd *cr, struct crowd_member *m,
		 const struct sa *peer, void *arg, uint64_t now_ms)
{
	m->peer = peer;
	m->arg = arg;
	m->since_ms = now_ms;
	list_append(&cr->members, &m->le, m);
}

/** It has said something: its time begins again */
void crowd_touch(struct crowd *cr, struct crowd_member *m, uint64_t now_ms)
{
	if (!m->le.list)
		return;
	list_unlink(&m->le);
	m->since_ms = now_ms;
	list_append(&cr->members, &m->le, m);
}

void crowd_leave(struct crowd_member *m)
{
	list_unlink(&m->le);
}

static void end(struct crowd *cr, struct crowd_member *m, int err)
{
	void *arg = m->arg;

	list_unlink(&m->le); /* so that nobody comes by it twice */
	cr->end(arg, err);
}

/** End those whose time is over */
void crowd_sweep(struct crowd *cr, uint64_t now_ms)
{
	struct crowd_member *m;

	while ((m = list_ledata(list_head(&cr->members))) &&
	       now_ms - m->since_ms >= cr->most_ms)
		end(cr, m, ETIMEDOUT);
}

static struct crowd_member *oldest_of(const struct crowd *cr,
				      const struct sa *peer)
{
	const uint64_t source = source_key(&peer->u.sa);

	for (struct le *le = list_head(&cr->members); le; le = le->next) {
		struct crowd_member *m = le->data;

		if (source_key(&m->peer->u.sa) == source)
			return m;
	}

	return NULL;
}

/* One of the oldest whose source has more connections than the newcomer's will
   have; else the oldest, if it has had its time */
static struct crowd_member *dispensable(struct crowd *cr, const struct sa *peer,
					uint64_t now_ms)
{
	const uint32_t own = budget_count(cr->budget, cr->counter, peer,
					  now_ms);
	struct crowd_member *oldest = list_ledata(list_head(&cr->members));
	struct le *le = list_head(&cr->members);

	for (unsigned i = 0; le && i < CROWD_LOOKED_AT; i++, le = le->next) {
		struct crowd_member *m = le->data;

		if (budget_count(cr->budget, cr->counter, m->peer, now_ms) >
		    own + 1)
			return m;
	}

	return oldest && now_ms - oldest->since_ms >= CROWD_ROOM_MS ? oldest
								    : NULL;
}

/**
 * End one to make room for another
 *
 * @param peer      Address of the newcomer
 * @param of_source Whether the newcomer's own source has too many
 *
 * @return Whether one was ended
 */
bool crowd_make_room(struct crowd *cr, const struct sa *peer, bool of_source,
		     uint64_t now_ms)
{
	struct crowd_member *m = of_source ? oldest_of(cr, peer)
					   : dispensable(cr, peer, now_ms);

	if (!m)
		return false;
	end(cr, m, ECONNABORTED);

	return true;
}
