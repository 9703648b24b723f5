/*
 * Hashes by the thread beside the loop: what is told where there is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/hasher.h"

enum {
	LIMIT_MS = 30000,
	YESCRYPT = 8 << 20, /* it takes more at once, and nobody else does */
};

/* Read by the hasher's thread as well, which has nothing to do when it is
 * written. */
static bool has_no_memory;

void *mmap(void *p, size_t n, int prot, int flags, int fd, off_t off)
{
	if (has_no_memory && n > YESCRYPT) {
		errno = ENOMEM;
		return MAP_FAILED;
	}

	return (void *)syscall(SYS_mmap, p, n, prot, flags, fd, off);
}

struct rig {
	struct loop *loop;
	struct hasher *hasher;
	int told, err;
	char hash[HASHER_HASH_MAX];
};

static int setup(void **state)
{
	static struct rig rig;

	memset(&rig, 0, sizeof(rig));
	*state = &rig;
	if (loop_new(&rig.loop))
		return -1;

	return hasher_new(&rig.hasher, rig.loop);
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	has_no_memory = false;
	hasher_free(rig->hasher);
	loop_free(rig->loop);

	return 0;
}

static void on_hash(int err, const char *hash, void *arg)
{
	struct rig *rig = arg;

	rig->told++;
	rig->err = err;
	rig->hash[0] = '\0';
	if (hash)
		(void)strncpy(rig->hash, hash, sizeof(rig->hash) - 1);
	loop_stop(rig->loop);
}

static void late(void *arg)
{
	loop_stop(((struct rig *)arg)->loop);
}

/* @return what is told; the hash is in rig */
static int hash(struct rig *rig, const char *setting)
{
	struct loop_timer limit = {.fired = NULL};
	const struct hasher_job job = {
		.password = "secret",
		.setting = setting,
		.source = "192.0.2.1",
		.done = on_hash,
		.arg = rig,
	};

	rig->told = 0;
	assert_int_equal(hasher_ask(rig->hasher, &job), 0);
	loop_after(rig->loop, &limit, LIMIT_MS, late, rig);
	assert_int_equal(loop_run(rig->loop), 0);
	loop_cancel(rig->loop, &limit);
	assert_int_equal(rig->told, 1);

	return rig->err;
}

static void without_memory_that_is_what_is_told(void **state)
{
	struct rig *rig = *state;
	char made[HASHER_HASH_MAX];

	assert_int_equal(hash(rig, NULL), 0);
	memcpy(made, rig->hash, sizeof(made));
	assert_int_equal(hash(rig, made), 0);
	assert_string_equal(rig->hash, made);

	has_no_memory = true;
	assert_int_equal(hash(rig, made), ENOMEM);
	assert_int_equal(hash(rig, NULL), ENOMEM);
	has_no_memory = false;
	assert_int_equal(hash(rig, made), 0);
	assert_string_equal(rig->hash, made);
}

static void what_is_no_setting_is_no_lack_of_memory(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(hash(rig, "*"), EINVAL);
	assert_int_equal(hash(rig, "$no$such"), EINVAL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(without_memory_that_is_what_is_told),
		TEST(what_is_no_setting_is_no_lack_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
