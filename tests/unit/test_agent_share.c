/*
 * Places that accounts share: one may have all, and however many want all of
 * them, the next gets some.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>

#include <cmocka.h>

#include "transaction/share.h"

enum {
	PLACES = 512,
	STRANGERS = 100,
	UNDER_WAY = 64, /* that one account has at most */
};

/* Who has taken a place, and whether it was lost since. */
struct taker {
	struct share *share;
	int lost;
};

static struct shares *open_shares(size_t max)
{
	struct shares *s = NULL;

	assert_int_equal(shares_alloc(&s, max), 0);

	return s;
}

static void lost(void *arg)
{
	struct taker *t = arg;

	t->lost++;
	t->share = mem_deref(t->share);
}

static int take(struct taker *t, struct shares *s, int64_t account)
{
	*t = (struct taker){0};

	return share_take(&t->share, s, account, lost, t);
}

static void give(struct taker *t)
{
	t->share = mem_deref(t->share);
}

static void one_alone_may_have_all(void **state)
{
	static struct taker t[PLACES];
	struct shares *s = open_shares(PLACES);
	struct taker more;

	(void)state;
	for (int i = 0; i < PLACES; i++)
		assert_int_equal(take(&t[i], s, 7), 0);
	assert_int_equal(take(&more, s, 7), ENOSPC);
	give(&t[3]);
	assert_int_equal(take(&t[3], s, 7), 0); /* and again */
	for (int i = 0; i < PLACES; i++) {
		assert_int_equal(t[i].lost, 0);
		give(&t[i]);
	}
	mem_deref(s);
}

static void many_leave_as_many_to_the_next(void **state)
{
	static struct taker t[STRANGERS][UNDER_WAY], mine[UNDER_WAY];
	struct shares *s = open_shares(PLACES);
	int n = 0;

	(void)state;
	for (int i = 0; i < STRANGERS; i++)
		for (int k = 0; k < UNDER_WAY; k++)
			(void)take(&t[i][k], s, i + 1);
	while (n < UNDER_WAY && !take(&mine[n], s, -1))
		n++;
	assert_in_range(n, PLACES / STRANGERS, PLACES / STRANGERS + 1);
	/* However much the others ask for, it keeps what it has. */
	for (int i = 0; i < STRANGERS; i++) {
		struct taker again;

		if (!take(&again, s, i + 1))
			give(&again);
	}
	for (int i = 0; i < n; i++) {
		assert_int_equal(mine[i].lost, 0);
		give(&mine[i]);
	}
	for (int i = 0; i < STRANGERS; i++)
		for (int k = 0; k < UNDER_WAY; k++)
			give(&t[i][k]);
	mem_deref(s);
}

static void who_has_most_loses_the_oldest(void **state)
{
	struct shares *s = open_shares(3);
	struct taker a[3], b, c, d;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(take(&a[i], s, 1), 0);
	assert_int_equal(take(&b, s, 2), 0);
	assert_int_equal(a[0].lost, 1);
	assert_int_equal(take(&c, s, 3), 0);
	assert_int_equal(a[1].lost, 1);
	assert_int_equal(take(&d, s, 4), ENOSPC); /* nobody has two */
	assert_int_equal(a[2].lost + b.lost + c.lost, 0);
	give(&b);
	assert_int_equal(take(&d, s, 4), 0);
	mem_deref(s); /* what is taken holds it */
	give(&a[2]);
	give(&c);
	give(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_alone_may_have_all),
		cmocka_unit_test(many_leave_as_many_to_the_next),
		cmocka_unit_test(who_has_most_loses_the_oldest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
