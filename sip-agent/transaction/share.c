#include "transaction/share.h"

#include <errno.h>

enum {
	BUCKETS = 256,
};

struct shares {
	struct hash *by_account;
	struct list holders;
	size_t taken, max;
};

struct holder {
	struct le he;
	struct le le;
	int64_t account;
	struct list taken; /* struct share, the oldest first */
	size_t count;
};

/* One place, until it is lost */
struct share {
	struct le le;
	struct shares *shares; /* referenced */
	struct holder *holder; /* referenced; NULL: it is lost */
	share_lost_h *h;
	void *arg;
};

static void destructor(void *arg)
{
	struct shares *s = arg;

	mem_deref(s->by_account);
}

static void holder_destructor(void *arg)
{
	struct holder *h = arg;

	hash_unlink(&h->he);
	list_unlink(&h->le);
}

static void give_back(struct share *share)
{
	if (!share->holder)
		return;

	list_unlink(&share->le);
	share->holder->count--;
	share->shares->taken--;
	share->holder = mem_deref(share->holder);
}

static void share_destructor(void *arg)
{
	struct share *share = arg;

	give_back(share);
	mem_deref(share->shares);
}

/**
 * Allocate
 *
 * @param sp  Set to the places, owned by the caller
 * @param max How many there are
 */
int shares_alloc(struct shares **sp, size_t max)
{
	struct shares *s = mem_zalloc(sizeof(*s), destructor);
	int err;

	if (!s)
		return ENOMEM;

	s->max = max;
	err = hash_alloc(&s->by_account, BUCKETS);
	if (err)
		mem_deref(s);
	else
		*sp = s;

	return err;
}

static bool account_handler(struct le *le, void *arg)
{
	const struct holder *h = le->data;

	return h->account == *(const int64_t *)arg;
}

/* Referenced; NULL where memory is short */
static struct holder *holder_of(struct shares *s, int64_t account)
{
	struct holder *h = list_ledata(hash_lookup(
		s->by_account, (uint32_t)account, account_handler, &account));

	if (h)
		return mem_ref(h);

	h = mem_zalloc(sizeof(*h), holder_destructor);
	if (!h)
		return NULL;

	h->account = account;
	hash_append(s->by_account, (uint32_t)account, &h->he, h);
	list_append(&s->holders, &h->le, h);

	return h;
}

static struct holder *who_has_most(const struct shares *s)
{
	struct holder *most = NULL;
	struct le *le;

	LIST_FOREACH(&s->holders, le)
	{
		struct holder *h = le->data;

		if (!most || h->count > most->count)
			most = h;
	}

	return most;
}

/* @return Whether a place is free now */
static bool make_room(struct shares *s, const struct holder *h)
{
	struct holder *most;
	struct share *lost;

	if (s->taken < s->max)
		return true;

	most = who_has_most(s);
	if (!most || most->count <= h->count + 1)
		return false;

	/* the place that was taken longest ago */
	lost = list_ledata(list_head(&most->taken));
	give_back(lost);
	lost->h(lost->arg);

	return true;
}

/**
 * Take a place
 *
 * @param sp      Set to the place; freeing it gives it back
 * @param account Whose it is; 0 is an account like others
 * @param h       Called when the place goes to another account
 *
 * @return 0; ENOSPC where none is free and nobody has more; ENOMEM
 */
int share_take(struct share **sp, struct shares *s, int64_t account,
	       share_lost_h *h, void *arg)
{
	struct share *share = mem_zalloc(sizeof(*share), share_destructor);
	struct holder *holder = holder_of(s, account);
	int err = 0;

	if (!share || !holder)
		err = ENOMEM;
	else if (!make_room(s, holder))
		err = ENOSPC;
	if (err) {
		mem_deref(holder);
		mem_deref(share);
		return err;
	}

	share->shares = mem_ref(s);
	share->holder = holder;
	share->h = h;
	share->arg = arg;
	list_append(&holder->taken, &share->le, share);
	holder->count++;
	s->taken++;
	*sp = share;

	return 0;
}
