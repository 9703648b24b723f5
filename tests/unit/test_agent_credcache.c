/*
 * Credentials that were right: found by their key alone, for a while, and not
 * more of them than asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/credcache.h"

static int64_t found(struct credcache *c, const char *key, uint64_t now_ms)
{
	const struct credcache_entry *e = credcache_find(c, key, now_ms);

	return e ? e->credential : 0;
}

static void keep(struct credcache *c, const char *key, int64_t credential,
		 uint64_t now_ms)
{
	const struct credcache_entry e = {.credential = credential};

	credcache_keep(c, key, &e, now_ms);
}

static void what_is_kept_is_found_by_its_key(void **state)
{
	struct credcache *c;

	(void)state;
	assert_int_equal(credcache_alloc(&c, 10), 0);
	assert_int_equal(found(c, "a", 0), 0);
	keep(c, "a", 1, 0);
	keep(c, "b", 2, 0);
	assert_int_equal(found(c, "a", 1), 1);
	assert_int_equal(found(c, "b", 1), 2);
	assert_int_equal(found(c, "c", 1), 0);
	keep(c, "a", 3, 1);
	assert_int_equal(found(c, "a", 2), 3);
	credcache_drop(c, "a");
	credcache_drop(c, "nobody");
	assert_int_equal(found(c, "a", 2), 0);
	assert_int_equal(found(c, "b", 2), 2);
	mem_deref(c);
}

static void it_is_kept_for_a_while(void **state)
{
	struct credcache *c;

	(void)state;
	assert_int_equal(credcache_alloc(&c, 10), 0);
	keep(c, "a", 1, 1000);
	assert_int_equal(found(c, "a", 1000 + CREDCACHE_LIFE_MS), 1);
	assert_int_equal(found(c, "a", 1001 + CREDCACHE_LIFE_MS), 0);
	assert_int_equal(found(c, "a", 1000), 0);
	mem_deref(c);
}

static void the_oldest_makes_room(void **state)
{
	struct credcache *c;

	(void)state;
	assert_int_equal(credcache_alloc(&c, 2), 0);
	keep(c, "a", 1, 0);
	keep(c, "b", 2, 0);
	keep(c, "a", 1, 0);
	keep(c, "c", 3, 0);
	assert_int_equal(found(c, "a", 0), 1);
	assert_int_equal(found(c, "b", 0), 0);
	assert_int_equal(found(c, "c", 0), 3);
	mem_deref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_kept_is_found_by_its_key),
		cmocka_unit_test(it_is_kept_for_a_while),
		cmocka_unit_test(the_oldest_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
