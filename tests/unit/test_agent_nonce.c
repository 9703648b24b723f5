/*
 * Nonces: fresh, stale, foreign, and each count only once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gate/nonce.h"

enum {
	NOW = 10000000,
	HERE = 1,
	THERE = 2,
	ALICE = 1,
	BOB = 2,
	ROOM = 2 * NONCE_ACCOUNT_MAX,
};

static int setup(void **state)
{
	return nonce_pool_alloc((struct nonce_pool **)state, ROOM);
}

static int teardown(void **state)
{
	mem_deref(*state);

	return 0;
}

static struct pl make(struct nonce_pool *np, char *text, enum digest_alg alg,
		      uint64_t now_ms)
{
	assert_int_equal(nonce_make(np, text, NONCE_SIZE, alg, HERE, now_ms),
			 0);

	return (struct pl){text, strlen(text)};
}

static void a_nonce_is_good_for_an_hour(void **state)
{
	enum digest_alg alg = DIGEST_MD5;
	char text[NONCE_SIZE];
	struct pl pl = make(*state, text, DIGEST_SHA256, NOW);

	assert_int_equal(nonce_check(*state, &pl, HERE, &alg, NOW), NONCE_GOOD);
	assert_int_equal(alg, DIGEST_SHA256);
	assert_int_equal(
		nonce_check(*state, &pl, HERE, &alg, NOW + NONCE_LIFE_MS),
		NONCE_GOOD);
	assert_int_equal(
		nonce_check(*state, &pl, HERE, &alg, NOW + NONCE_LIFE_MS + 1),
		NONCE_STALE);
}

static void a_nonce_of_the_future_is_stale(void **state)
{
	enum digest_alg alg;
	char text[NONCE_SIZE];
	struct pl pl = make(*state, text, DIGEST_MD5, NOW);

	assert_int_equal(nonce_check(*state, &pl, HERE, &alg, NOW - 1),
			 NONCE_STALE);
}

static void a_nonce_of_another_process_is_stale(void **state)
{
	struct nonce_pool *other;
	enum digest_alg alg;
	char text[NONCE_SIZE];
	struct pl pl;

	assert_int_equal(nonce_pool_alloc(&other, ROOM), 0);
	pl = make(other, text, DIGEST_MD5, NOW);
	assert_int_equal(nonce_check(*state, &pl, HERE, &alg, NOW),
			 NONCE_STALE);
	mem_deref(other);
}

static void a_changed_nonce_is_stale(void **state)
{
	enum digest_alg alg;
	char text[NONCE_SIZE];
	struct pl pl = make(*state, text, DIGEST_MD5, NOW);

	for (size_t i = 0; i < pl.l; i++) {
		const char was = text[i];

		text[i] = was == '0' ? '1' : '0';
		assert_int_equal(nonce_check(*state, &pl, HERE, &alg, NOW),
				 NONCE_STALE);
		text[i] = was;
	}
}

static void what_no_agent_makes_is_foreign(void **state)
{
	enum digest_alg alg;
	const struct pl empty = PL_INIT, text = PL("abc");
	const struct pl upper = PL("0123456789ABCDEF0123456789ABCDEF0123456789"
				   "ABCDEF0123456789ABCDEF01");

	assert_int_equal(nonce_check(*state, &empty, HERE, &alg, NOW),
			 NONCE_FOREIGN);
	assert_int_equal(nonce_check(*state, &text, HERE, &alg, NOW),
			 NONCE_FOREIGN);
	assert_int_equal(nonce_check(*state, &upper, HERE, &alg, NOW),
			 NONCE_FOREIGN);
}

static void a_count_is_used_once(void **state)
{
	char text[NONCE_SIZE];
	struct pl pl = make(*state, text, DIGEST_MD5, NOW);

	assert_false(nonce_count(*state, &pl, 0, HERE, ALICE, NOW));
	assert_true(nonce_count(*state, &pl, 1, HERE, ALICE, NOW));
	assert_false(nonce_count(*state, &pl, 1, HERE, ALICE, NOW));
	assert_true(nonce_count(*state, &pl, 2, HERE, ALICE, NOW));
	assert_false(nonce_count(*state, &pl, 1, HERE, ALICE, NOW));
	assert_false(nonce_count(*state, &pl, 2, HERE, ALICE, NOW));
}

static void counts_may_come_out_of_order(void **state)
{
	char text[NONCE_SIZE];
	struct pl pl = make(*state, text, DIGEST_MD5, NOW);

	assert_true(nonce_count(*state, &pl, 10, HERE, ALICE, NOW));
	assert_true(nonce_count(*state, &pl, 8, HERE, ALICE, NOW));
	assert_false(nonce_count(*state, &pl, 8, HERE, ALICE, NOW));
	assert_true(nonce_count(*state, &pl, 9, HERE, ALICE, NOW));
	assert_true(nonce_count(*state, &pl, 200, HERE, ALICE, NOW));
	assert_false(nonce_count(*state, &pl, 100, HERE, ALICE, NOW));
	assert_true(nonce_count(*state, &pl, 137, HERE, ALICE, NOW));
	assert_false(nonce_count(*state, &pl, 136, HERE, ALICE, NOW));
}

static void counts_are_kept_for_each_nonce(void **state)
{
	char a[NONCE_SIZE], b[NONCE_SIZE];
	struct pl pa = make(*state, a, DIGEST_MD5, NOW);
	struct pl pb = make(*state, b, DIGEST_MD5, NOW);

	assert_true(nonce_count(*state, &pa, 1, HERE, ALICE, NOW));
	assert_true(nonce_count(*state, &pb, 1, HERE, ALICE, NOW));
	assert_false(nonce_count(*state, &pa, 1, HERE, ALICE, NOW));
}

static void a_nonce_of_another_source_is_stale(void **state)
{
	enum digest_alg alg;
	char text[NONCE_SIZE];
	struct pl pl = make(*state, text, DIGEST_MD5, NOW);

	assert_int_equal(nonce_check(*state, &pl, THERE, &alg, NOW),
			 NONCE_STALE);
	assert_true(nonce_count(*state, &pl, 1, HERE, ALICE, NOW));
	/* nor once it is in use */
	assert_int_equal(nonce_check(*state, &pl, THERE, &alg, NOW),
			 NONCE_STALE);
	assert_int_equal(nonce_check(*state, &pl, HERE, &alg, NOW), NONCE_GOOD);
}

/* Uses so many for an account, each made a millisecond later */
static unsigned use(struct nonce_pool *np, char (*textv)[NONCE_SIZE],
		    unsigned count, int64_t account, uint64_t from_ms)
{
	unsigned used = 0;

	for (unsigned i = 0; i < count; i++) {
		struct pl pl = make(np, textv[i], DIGEST_MD5, from_ms + i);

		used += nonce_count(np, &pl, 1, HERE, account, from_ms + i);
	}

	return used;
}

static void what_is_forgotten_cannot_be_replayed(void **state)
{
	static char textv[NONCE_ACCOUNT_MAX + 2][NONCE_SIZE];
	const unsigned count = NONCE_ACCOUNT_MAX + 2;

	assert_int_equal(use(*state, textv, count, ALICE, NOW), count);
	/* the last are remembered; the first two are stale, not new */
	for (unsigned i = 0; i < count; i++) {
		const struct pl pl = {textv[i], strlen(textv[i])};

		assert_false(
			nonce_count(*state, &pl, 1, HERE, ALICE, NOW + count));
		assert_int_equal(
			nonce_count(*state, &pl, 2, HERE, ALICE, NOW + count),
			i >= 2);
	}
}

static void no_account_makes_another_forget(void **state)
{
	static char textv[10 * ROOM][NONCE_SIZE], text[NONCE_SIZE];
	const uint64_t later = NOW + 10 * ROOM + 1;
	const struct pl pl = make(*state, text, DIGEST_MD5, NOW);

	assert_true(nonce_count(*state, &pl, 1, HERE, BOB, NOW));
	assert_int_equal(use(*state, textv, 10 * ROOM, ALICE, NOW + 1),
			 10 * ROOM);
	assert_false(nonce_count(*state, &pl, 1, HERE, BOB, later));
	assert_true(nonce_count(*state, &pl, 2, HERE, BOB, later));
}

/* Where there is no room for all, it is who has most that makes it */
static void who_has_most_makes_room(void **state)
{
	static char textv[NONCE_ACCOUNT_MAX][NONCE_SIZE], text[NONCE_SIZE];
	const struct pl pl = make(*state, text, DIGEST_MD5, NOW);

	assert_true(nonce_count(*state, &pl, 1, HERE, BOB, NOW));
	for (int64_t account = 10; account < 14; account++)
		assert_int_equal(use(*state, textv, NONCE_ACCOUNT_MAX, account,
				     NOW + (uint64_t)account * 100),
				 NONCE_ACCOUNT_MAX);
	assert_true(nonce_count(*state, &pl, 2, HERE, BOB, NOW + 2000));
}

static void an_hour_later_there_is_room_again(void **state)
{
	static char textv[ROOM][NONCE_SIZE];
	const uint64_t later = NOW + NONCE_LIFE_MS + ROOM + 1;

	assert_int_equal(use(*state, textv, NONCE_ACCOUNT_MAX, ALICE, NOW),
			 NONCE_ACCOUNT_MAX);
	assert_int_equal(use(*state, textv, ROOM, BOB, later), ROOM);
	assert_int_equal(use(*state, textv, 1, ALICE, later + ROOM), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_nonce_is_good_for_an_hour),
		T(a_nonce_of_the_future_is_stale),
		T(a_nonce_of_another_process_is_stale),
		T(a_changed_nonce_is_stale),
		T(what_no_agent_makes_is_foreign),
		T(a_count_is_used_once),
		T(counts_may_come_out_of_order),
		T(counts_are_kept_for_each_nonce),
		T(what_is_forgotten_cannot_be_replayed),
		T(a_nonce_of_another_source_is_stale),
		T(no_account_makes_another_forget),
		T(who_has_most_makes_room),
		T(an_hour_later_there_is_room_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
