/*
 * Passwords: the cache of those that were right, and the thread that hashes;
 * and origins.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shared/auth.h"
#include "shared/auth_cache.h"
#include "shared/cors.h"
#include "shared/hasher.h"

#define SRC "192.0.2.1"

static void cache_knows_only_the_same_password(void **state)
{
	struct auth_cache *c = auth_cache_new();
	uint8_t key[32], other[32];

	(void)state;
	assert_non_null(c);
	assert_int_equal(auth_cache_key(c, key, "a@b.c", SRC, "secret"), 0);
	assert_null(auth_cache_get(c, key));
	auth_cache_put(c, key, "$y$hash");
	assert_string_equal(auth_cache_get(c, key), "$y$hash");
	assert_int_equal(auth_cache_key(c, other, "a@b.c", SRC, "Secret"), 0);
	assert_null(auth_cache_get(c, other));
	/* Email and password are told apart. */
	assert_int_equal(auth_cache_key(c, other, "a@b.cs", SRC, "ecret"), 0);
	assert_null(auth_cache_get(c, other));
	/* So that each source is looked at. */
	assert_int_equal(
		auth_cache_key(c, other, "a@b.c", "192.0.2.2", "secret"), 0);
	assert_null(auth_cache_get(c, other));
	auth_cache_remove(c, key);
	assert_null(auth_cache_get(c, key));
	auth_cache_free(c);
}

static void cache_is_of_bounded_size(void **state)
{
	struct auth_cache *c = auth_cache_new();
	uint8_t key[32];
	int known = 0;

	(void)state;
	assert_non_null(c);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 4 * AUTH_CACHE_MAX; i++) {
			char email[32];

			(void)snprintf(email, sizeof(email), "%d@b.c", i);
			assert_int_equal(
				auth_cache_key(c, key, email, SRC, "x"), 0);
			if (round == 0)
				auth_cache_put(c, key, "$y$hash");
			else if (auth_cache_get(c, key))
				known++;
		}
	assert_in_range(known, AUTH_CACHE_MAX / 2, AUTH_CACHE_MAX);
	auth_cache_free(c);
}

static void cache_keys_differ_between_processes(void **state)
{
	struct auth_cache *a = auth_cache_new(), *b = auth_cache_new();
	uint8_t key_a[32], key_b[32];

	(void)state;
	assert_int_equal(auth_cache_key(a, key_a, "a@b.c", SRC, "x"), 0);
	assert_int_equal(auth_cache_key(b, key_b, "a@b.c", SRC, "x"), 0);
	assert_memory_not_equal(key_a, key_b, 32);
	auth_cache_free(a);
	auth_cache_free(b);
}

struct hashing {
	struct loop *loop;
	char hash[HASHER_HASH_MAX];
	int left;
	bool failed;
};

static void hashed(int err, const char *hash, void *arg)
{
	struct hashing *h = arg;

	h->failed = err != 0;
	(void)snprintf(h->hash, sizeof(h->hash), "%s", hash ? hash : "");
	if (--h->left == 0)
		loop_stop(h->loop);
}

static int ask(struct hasher *hasher, const char *password, const char *setting,
	       struct hashing *h)
{
	return hasher_ask(hasher, &(struct hasher_job){.password = password,
						       .setting = setting,
						       .source = "192.0.2.1",
						       .done = hashed,
						       .arg = h});
}

static void hash_again_is_the_same(void **state)
{
	struct hashing h = {.left = 1};
	char first[HASHER_HASH_MAX];
	struct hasher *hasher;

	(void)state;
	assert_int_equal(loop_new(&h.loop), 0);
	assert_int_equal(hasher_new(&hasher, h.loop), 0);
	assert_int_equal(ask(hasher, "secret", NULL, &h), 0);
	assert_int_equal(loop_run(h.loop), 0);
	assert_false(h.failed);
	assert_memory_equal(h.hash, "$y$", 3);
	memcpy(first, h.hash, sizeof(first));
	h.left = 1;
	assert_int_equal(ask(hasher, "secret", first, &h), 0);
	assert_int_equal(loop_run(h.loop), 0);
	assert_string_equal(h.hash, first);
	h.left = 1;
	assert_int_equal(ask(hasher, "secret", "!none", &h), 0);
	assert_int_equal(loop_run(h.loop), 0);
	assert_true(h.failed);
	hasher_free(hasher);
	loop_free(h.loop);
}

/* What became of many, in the order in which they ended. */
struct order {
	struct loop *loop;
	char ended[HASHER_SOURCE_MAX * 2 + 8];
	size_t n, until, busy;
};

struct asked {
	struct order *order;
	char name;
	bool gone;
};

static void asked_done(int err, const char *hash, void *arg)
{
	struct asked *a = arg;
	struct order *o = a->order;

	(void)hash;
	o->busy += err == EBUSY;
	o->ended[o->n++] = err == ECANCELED ? '-' : a->name;
	if (o->n == o->until)
		loop_stop(o->loop);
}

static bool asked_wanted(const void *arg)
{
	const struct asked *a = arg;

	return !a->gone;
}

static int ask_as(struct hasher *hasher, const char *source,
		  const char *setting, struct asked *a)
{
	return hasher_ask(hasher, &(struct hasher_job){.password = "secret",
						       .setting = setting,
						       .source = source,
						       .wanted = asked_wanted,
						       .done = asked_done,
						       .arg = a});
}

static const char setting[] = "$5$rounds=1000$salt$"; /* a quick one */

static void logins_are_first_and_sources_in_turn(void **state)
{
	struct order o = {.until = 5};
	struct asked new = {&o, 'n', false}, gone = {&o, 'g', true};
	struct asked a = {&o, 'a', false}, b = {&o, 'b', false};
	struct hasher *hasher;

	(void)state;
	assert_int_equal(loop_new(&o.loop), 0);
	assert_int_equal(hasher_new(&hasher, o.loop), 0);
	assert_int_equal(ask_as(hasher, "192.0.2.1", NULL, &new), 0);
	assert_int_equal(ask_as(hasher, "192.0.2.1", setting, &gone), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(ask_as(hasher, "192.0.2.1", setting, &a), 0);
	assert_int_equal(ask_as(hasher, "192.0.2.2", setting, &b), 0);
	assert_int_equal(loop_run(o.loop), 0);
	/* Whom nobody waits for takes no time, but a place; b is next. */
	assert_memory_equal(o.ended, "-baan", 5);
	assert_int_equal(hasher_stats(hasher).unwanted, 1);
	assert_int_equal(hasher_stats(hasher).hashed, 4);
	hasher_free(hasher);
	loop_free(o.loop);
}

/* However many sign in, who signs up is not left out. */
static void new_passwords_come_to_their_turn(void **state)
{
	struct order o = {.until = 5};
	struct asked new = {&o, 'n', false}, login = {&o, 'l', false};
	struct hasher *hasher;

	(void)state;
	assert_int_equal(loop_new(&o.loop), 0);
	assert_int_equal(hasher_new(&hasher, o.loop), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(ask_as(hasher, "192.0.2.1", setting, &login),
				 0);
	assert_int_equal(ask_as(hasher, "192.0.2.2", NULL, &new), 0);
	assert_int_equal(loop_run(o.loop), 0);
	assert_memory_equal(o.ended, "lllnl", 5);
	hasher_free(hasher);
	loop_free(o.loop);
}

static void a_source_has_a_bounded_queue(void **state)
{
	struct order o = {.until = HASHER_SOURCE_MAX + 1};
	struct asked a = {&o, 'a', false};
	struct hasher *hasher;

	(void)state;
	assert_int_equal(loop_new(&o.loop), 0);
	assert_int_equal(hasher_new(&hasher, o.loop), 0);
	for (int i = 0; i < HASHER_SOURCE_MAX; i++)
		assert_int_equal(ask_as(hasher, "192.0.2.1", setting, &a), 0);
	assert_int_equal(ask_as(hasher, "192.0.2.1", setting, &a), EBUSY);
	assert_int_equal(ask_as(hasher, "192.0.2.2", setting, &a), 0);
	assert_int_equal(hasher_stats(hasher).waiting, HASHER_SOURCE_MAX + 1);
	assert_int_equal(loop_run(o.loop), 0);
	hasher_free(hasher);
	loop_free(o.loop);
}

static void who_gives_way_is_told_by_the_loop(void **state)
{
	struct order o = {.until = HASHER_QUEUE_MAX};
	struct asked a = {&o, 'a', false};
	struct hasher *hasher;
	char source[24];

	(void)state;
	assert_int_equal(loop_new(&o.loop), 0);
	assert_int_equal(hasher_new(&hasher, o.loop), 0);
	for (int i = 0; i < HASHER_QUEUE_MAX; i++) {
		(void)snprintf(source, sizeof(source), "192.0.2.%d",
			       i / HASHER_SOURCE_MAX);
		assert_int_equal(ask_as(hasher, source, setting, &a), 0);
	}
	assert_int_equal(ask_as(hasher, "192.0.2.200", setting, &a), 0);
	assert_int_equal(o.busy, 0);
	o.until = 1;
	assert_int_equal(loop_run(o.loop), 0);
	assert_int_equal(o.busy, 1);
	hasher_free(hasher);
	loop_free(o.loop);
}

/* Thirty seconds of work for one: the others end within their time. */
static void nobody_waits_longer_than_may_be(void **state)
{
	static const char slow[] = "$5$rounds=9999999$salt$";
	struct order o = {.until = 4};
	struct asked a = {&o, 'a', false};
	struct hasher *hasher;

	(void)state;
	assert_int_equal(loop_new(&o.loop), 0);
	assert_int_equal(hasher_new(&hasher, o.loop), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(ask_as(hasher, "192.0.2.1", slow, &a), 0);
	o.until = 3;
	assert_int_equal(loop_run(o.loop), 0);
	assert_true(o.busy >= 2);
	hasher_free(hasher);
	loop_free(o.loop);
}

static void too_long_a_password_is_none(void **state)
{
	char password[HASHER_PASSWORD_MAX + 1];
	struct hashing h = {.left = 0};
	struct hasher *hasher;

	(void)state;
	memset(password, 'x', HASHER_PASSWORD_MAX);
	password[HASHER_PASSWORD_MAX] = '\0';
	assert_int_equal(loop_new(&h.loop), 0);
	assert_int_equal(hasher_new(&hasher, h.loop), 0);
	assert_int_equal(ask(hasher, password, NULL, &h), EINVAL);
	hasher_free(hasher);
	loop_free(h.loop);
}

static void origins_are_compared_whole(void **state)
{
	const char *list = "https://a.example, https://b.example:8443";

	(void)state;
	assert_true(cors_allows(list, "https://a.example"));
	assert_true(cors_allows(list, "https://b.example:8443"));
	assert_false(cors_allows(list, "https://b.example"));
	assert_false(cors_allows(list, "https://a.example.evil"));
	assert_false(cors_allows(list, ""));
	assert_false(cors_allows("", "https://a.example"));
	assert_true(cors_allows("*", "null"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cache_knows_only_the_same_password),
		cmocka_unit_test(cache_is_of_bounded_size),
		cmocka_unit_test(cache_keys_differ_between_processes),
		cmocka_unit_test(hash_again_is_the_same),
		cmocka_unit_test(logins_are_first_and_sources_in_turn),
		cmocka_unit_test(new_passwords_come_to_their_turn),
		cmocka_unit_test(a_source_has_a_bounded_queue),
		cmocka_unit_test(who_gives_way_is_told_by_the_loop),
		cmocka_unit_test(nobody_waits_longer_than_may_be),
		cmocka_unit_test(too_long_a_password_is_none),
		cmocka_unit_test(origins_are_compared_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
