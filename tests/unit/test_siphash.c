/*
 * SipHash-2-4 against the vectors of its authors' paper and program: the key
 * is 00 01 … 0f, the text 00 01 … of each length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/siphash.h"

static void vectors(void **state)
{
	static const struct {
		size_t n;
		uint64_t hash;
	} known[] = {
		{0, 0x726fdb47dd0e0e31},  {1, 0x74f839c593dc67fd},
		{7, 0xab0200f58b01d137},  {8, 0x93f5f5799a932462},
		{15, 0xa129ca6149be45e5},
	};
	uint8_t key[SIPHASH_KEY_SIZE], text[16];

	(void)state;
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = text[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		assert_true(siphash(key, text, known[i].n) == known[i].hash);
}

static void another_key_is_another_hash(void **state)
{
	uint8_t key[SIPHASH_KEY_SIZE] = {0}, other[SIPHASH_KEY_SIZE] = {0};

	(void)state;
	other[15] = 1;
	assert_true(siphash(key, "a", 1) != siphash(other, "a", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(another_key_is_another_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
