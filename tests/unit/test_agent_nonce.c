/*
 * Nonces: fresh, stale, foreign, and each count only once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "nonce.h"

enum { NOW = 1000000 };

static int setup(void **state)
{
	return nonce_pool_alloc((struct nonce_pool **)state, 4);
}

static int teardown(void **state)
{
	mem_deref(*state);

	return 0;
}

static struct pl make(struct nonce_pool *np, char *text, enum digest_alg alg,
		      uint64_t now_ms)
{
	assert_int_equal(nonce_make(np, text, NONCE_SIZE, alg, now_ms), 0);

	return (struct pl){text, strlen(text)};
}

static void a_nonce_is_good_for_five_minutes(void **state)
{
	enum digest_alg alg = DIGEST_MD5;
	char text[NONCE_SIZE];
	struct pl pl = make(*state, text, DIGEST_SHA256, NOW);

	assert_int_equal(nonce_check(*state, &pl, &alg, NOW), NONCE_GOOD);
	assert_int_equal(alg, DIGEST_SHA256);
	assert_int_equal(nonce_check(*state, &pl, &alg, NOW + NONCE_LIFE_MS),
			 NONCE_GOOD);
	assert_int_equal(
		nonce_check(*state, &pl, &alg, NOW + NONCE_LIFE_MS + 1),
		NONCE_STALE);
}

static void a_nonce_of_the_future_is_stale(void **state)
{
	enum digest_alg alg;
	char text[NONCE_SIZE];
	struct pl pl = make(*state, text, DIGEST_MD5, NOW);

	assert_int_equal(nonce_check(*state, &pl, &alg, NOW - 1), NONCE_STALE);
}

static void a_nonce_of_another_process_is_stale(void **state)
{
	struct nonce_pool *other;
	enum digest_alg alg;
	char text[NONCE_SIZE];
	struct pl pl;

	assert_int_equal(nonce_pool_alloc(&other, 4), 0);
	pl = make(other, text, DIGEST_MD5, NOW);
	assert_int_equal(nonce_check(*state, &pl, &alg, NOW), NONCE_STALE);
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
		assert_int_equal(nonce_check(*state, &pl, &alg, NOW),
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

	assert_int_equal(nonce_check(*state, &empty, &alg, NOW), NONCE_FOREIGN);
	assert_int_equal(nonce_check(*state, &text, &alg, NOW), NONCE_FOREIGN);
	assert_int_equal(nonce_check(*state, &upper, &alg, NOW), NONCE_FOREIGN);
}

static void a_count_is_used_once(void **state)
{
	char text[NONCE_SIZE];
	struct pl pl = make(*state, text, DIGEST_MD5, NOW);

	assert_false(nonce_count(*state, &pl, 0, NOW));
	assert_true(nonce_count(*state, &pl, 1, NOW));
	assert_false(nonce_count(*state, &pl, 1, NOW));
	assert_true(nonce_count(*state, &pl, 2, NOW));
	assert_false(nonce_count(*state, &pl, 1, NOW));
	assert_false(nonce_count(*state, &pl, 2, NOW));
}

static void counts_may_come_out_of_order(void **state)
{
	char text[NONCE_SIZE];
	struct pl pl = make(*state, text, DIGEST_MD5, NOW);

	assert_true(nonce_count(*state, &pl, 10, NOW));
	assert_true(nonce_count(*state, &pl, 8, NOW));
	assert_false(nonce_count(*state, &pl, 8, NOW));
	assert_true(nonce_count(*state, &pl, 9, NOW));
	assert_true(nonce_count(*state, &pl, 200, NOW));
	assert_false(nonce_count(*state, &pl, 100, NOW));
	assert_true(nonce_count(*state, &pl, 137, NOW));
	assert_false(nonce_count(*state, &pl, 136, NOW));
}

static void counts_are_kept_for_each_nonce(void **state)
{
	char a[NONCE_SIZE], b[NONCE_SIZE];
	struct pl pa = make(*state, a, DIGEST_MD5, NOW);
	struct pl pb = make(*state, b, DIGEST_MD5, NOW);

	assert_true(nonce_count(*state, &pa, 1, NOW));
	assert_true(nonce_count(*state, &pb, 1, NOW));
	assert_false(nonce_count(*state, &pa, 1, NOW));
}

static void what_is_forgotten_cannot_be_replayed(void **state)
{
	char textv[6][NONCE_SIZE];
	struct pl plv[6];

	for (unsigned i = 0; i < 6; i++) {
		plv[i] = make(*state, textv[i], DIGEST_MD5, NOW + i);
		assert_true(nonce_count(*state, &plv[i], 1, NOW + i));
	}
	/* four are remembered; the first two are stale, not new */
	for (unsigned i = 0; i < 6; i++)
		assert_false(nonce_count(*state, &plv[i], 1, NOW + 10));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_nonce_is_good_for_five_minutes),
		T(a_nonce_of_the_future_is_stale),
		T(a_nonce_of_another_process_is_stale),
		T(a_changed_nonce_is_stale),
		T(what_no_agent_makes_is_foreign),
		T(a_count_is_used_once),
		T(counts_may_come_out_of_order),
		T(counts_are_kept_for_each_nonce),
		T(what_is_forgotten_cannot_be_replayed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
