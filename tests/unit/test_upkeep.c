/*
 * When a program has been without memory for too long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/upkeep.h"

enum { NEED = 16 << 20 };

static size_t most; /* bytes that mmap() gives in this test; 0: any */

void *mmap(void *p, size_t n, int prot, int flags, int fd, off_t off)
{
	if (most && n > most) {
		errno = ENOMEM;
		return MAP_FAILED;
	}

	return (void *)syscall(SYS_mmap, p, n, prot, flags, fd, off);
}

static void it_ends_after_some_looks_in_a_row(void **state)
{
	struct upkeep u = {.need = NEED};

	(void)state;
	assert_true(upkeep_look(&u));
	most = NEED - 1;
	for (int i = 1; i < UPKEEP_MISSES_MAX; i++)
		assert_true(upkeep_look(&u));
	assert_false(upkeep_look(&u));
	assert_false(upkeep_look(&u));
	most = 0;
}

static void memory_that_comes_back_in_time_is_enough(void **state)
{
	struct upkeep u = {.need = NEED};

	(void)state;
	for (int i = 0; i < 3 * UPKEEP_MISSES_MAX; i++) {
		most = i % UPKEEP_MISSES_MAX ? NEED - 1 : 0;
		assert_true(upkeep_look(&u));
	}
	most = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_ends_after_some_looks_in_a_row),
		cmocka_unit_test(memory_that_comes_back_in_time_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
