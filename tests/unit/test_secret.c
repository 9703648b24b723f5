/*
 * Random tokens, digests and base64, against published values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/hex.h"
#include "common/secret.h"

static void a_token_is_43_characters_of_base64url(void **state)
{
	char a[TOKEN_SIZE], b[TOKEN_SIZE];

	(void)state;
	assert_int_equal(random_token(a), 0);
	assert_int_equal(random_token(b), 0);
	assert_int_equal(strlen(a), 43);
	assert_int_equal(strspn(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz0123456789-_"),
			 43);
	assert_string_not_equal(a, b);
}

static void every_bit_of_a_token_may_vary(void **state)
{
	char seen[TOKEN_SIZE][128] = {{0}};

	(void)state;
	for (int i = 0; i < 2000; i++) {
		char t[TOKEN_SIZE];

		assert_int_equal(random_token(t), 0);
		for (size_t k = 0; k < TOKEN_SIZE - 1; k++)
			seen[k][(unsigned char)t[k]] = 1;
	}
	for (size_t k = 0; k < TOKEN_SIZE - 1; k++) {
		int kinds = 0;

		for (size_t c = 0; c < 128; c++)
			kinds += seen[k][c];
		/* 43 * 6 is 258: the last has 4 bits of its own */
		assert_int_equal(kinds, k == 42 ? 16 : 64);
	}
}

static void digests_are_those_of_the_standards(void **state)
{
	uint8_t d[SHA256_SIZE];
	char hex[2 * SHA256_SIZE + 1];

	(void)state;
	assert_int_equal(sha256(d, "abc", 3), 0);
	hex_encode(hex, d, sizeof(d));
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223"
				 "b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(sha256(d, "", 0), 0);
	hex_encode(hex, d, sizeof(d));
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb924"
				 "27ae41e4649b934ca495991b7852b855");
	/* RFC 4231, test case 2 */
	assert_int_equal(
		hmac_sha256(d, "Jefe", 4, "what do ya want for nothing?", 28),
		0);
	hex_encode(hex, d, sizeof(d));
	assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c7"
				 "5a003f089d2739839dec58b964ec3843");
}

static void hmac_sha1_is_that_of_the_standard(void **state)
{
	uint8_t d[SHA1_SIZE];
	char hex[2 * SHA1_SIZE + 1], base64[BASE64_SIZE(SHA1_SIZE)];

	(void)state;
	/* RFC 2202, test case 2 */
	assert_int_equal(secret_hmac_sha1(d, "Jefe", 4,
					  "what do ya want for nothing?", 28),
			 0);
	hex_encode(hex, d, sizeof(d));
	assert_string_equal(hex, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
	secret_base64_encode(base64, d, sizeof(d));
	assert_string_equal(base64, "7/zfauXrL6LSdBbV8YTfnCWafHk=");
}

static void assert_decodes(const char *text, const char *bytes, size_t n)
{
	uint8_t out[64];
	size_t len = 0;

	assert_int_equal(secret_base64_decode(out, sizeof(out), &len, text,
					      strlen(text)),
			 0);
	assert_int_equal(len, n);
	assert_memory_equal(out, bytes, n);
}

static void base64_is_decoded(void **state)
{
	(void)state;
	assert_decodes("Zg==", "f", 1);
	assert_decodes("Zm8=", "fo", 2);
	assert_decodes("Zm9v", "foo", 3);
	assert_decodes("AAD/", "\0\0\xff", 3);
	assert_decodes("dXNlcjpwYXNz", "user:pass", 9);
}

static void what_is_no_base64_is_refused(void **state)
{
	static const char *const all[] = {
		"",	"Z",	 "Zg",	 "Zg=",	       "Zg==Zg==",
		"=Zg=", "Z===",	 "====", "Zm9 ",       "Zm9\n",
		"Zm-_", "Zm9vZ", "Zm=v", "\xc3\xa4==",
	};
	uint8_t out[64];
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (!secret_base64_decode(out, sizeof(out), &len, all[i],
					  strlen(all[i])))
			fail_msg("%s was taken", all[i]);
	assert_int_not_equal(secret_base64_decode(out, 2, &len, "Zm9v", 4), 0);
}

static void comparing_tells_equal_from_not(void **state)
{
	(void)state;
	assert_true(secret_equal("abc", "abc", 3));
	assert_false(secret_equal("abc", "abd", 3));
	assert_true(secret_equal("abc", "abd", 2));
}

static void wiping_leaves_zeroes(void **state)
{
	char text[] = "password";

	(void)state;
	secret_wipe(text, sizeof(text));
	for (size_t i = 0; i < sizeof(text); i++)
		assert_int_equal(text[i], 0);
}

static void hashes_for_tables_tell_bytes_and_salts_apart(void **state)
{
	(void)state;
	assert_true(table_hash('a', "x", 1) == table_hash('a', "x", 1));
	assert_true(table_hash('a', "x", 1) != table_hash('b', "x", 1));
	assert_true(table_hash('a', "xy", 2) != table_hash('a', "xz", 2));
	assert_true(table_hash('a', "xy", 2) != table_hash('a', "xy", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_43_characters_of_base64url),
		cmocka_unit_test(every_bit_of_a_token_may_vary),
		cmocka_unit_test(digests_are_those_of_the_standards),
		cmocka_unit_test(hmac_sha1_is_that_of_the_standard),
		cmocka_unit_test(base64_is_decoded),
		cmocka_unit_test(what_is_no_base64_is_refused),
		cmocka_unit_test(comparing_tells_equal_from_not),
		cmocka_unit_test(wiping_leaves_zeroes),
		cmocka_unit_test(hashes_for_tables_tell_bytes_and_salts_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
