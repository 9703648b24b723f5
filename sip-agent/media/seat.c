#include "media/seat.h"

#include <errno.h>

enum {
	BUCKETS = 256,
};

struct seats {
	struct hash *by_account;
};

struct seat {
	struct le le;
	int64_t account;
};

static void seats_destructor(void *arg)
{
	struct seats *s = arg;

	hash_clear(s->by_account); /* their sessions may outlive it */
	mem_deref(s->by_account);
}

static void seat_destructor(void *arg)
{
	struct seat *s = arg;

	hash_unlink(&s->le);
}

/* Of one account, as far as there may be any */
static size_t count(const struct seats *seats, int64_t account)
{
	const struct list *l = hash_list(seats->by_account, (uint32_t)account);
	size_t n = 0;

	for (const struct le *le = list_head(l); le; le = le->next) {
		const struct seat *s = le->data;

		n += s->account == account;
	}

	return n;
}

/**
 * Take a place for a session
 *
 * @param sp      Set to it, owned by the caller, who frees it with the session
 * @param account Who pays for it
 * @param had     It is there already, and only counted
 *
 * @return 0, EDQUOT where that account has SEATS_MAX, or ENOMEM
 */
int seat_take(struct seat **sp, struct seats *seats, int64_t account, bool had)
{
	struct seat *s;

	if (!had && count(seats, account) >= SEATS_MAX)
		return EDQUOT;
	s = mem_zalloc(sizeof(*s), seat_destructor);
	if (!s)
		return ENOMEM;
	s->account = account;
	hash_append(seats->by_account, (uint32_t)account, &s->le, s);
	*sp = s;

	return 0;
}

/** Allocate; sp is set to it, owned by the caller */
int seats_alloc(struct seats **sp)
{
	struct seats *s = mem_zalloc(sizeof(*s), seats_destructor);
	int err;

	if (!s)
		return ENOMEM;
	err = hash_alloc(&s->by_account, BUCKETS);
	if (err)
		mem_deref(s);
	else
		*sp = s;

	return err;
}
