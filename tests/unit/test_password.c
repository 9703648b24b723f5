/*
 * Passwords: counted in characters, made, hashed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/password.h"

static void characters_are_counted(void **state)
{
	(void)state;
	assert_int_equal(password_characters("", 0), 0);
	assert_int_equal(password_characters("abc", 3), 3);
	assert_int_equal(password_characters("\xc3\xb6\xe4\xb8\x96", 5), 2);
}

static void each_that_is_made_is_another(void **state)
{
	char one[PASSWORD_SIZE], other[PASSWORD_SIZE];

	(void)state;
	assert_int_equal(password_make(one), 0);
	assert_int_equal(password_make(other), 0);
	assert_int_equal(strlen(one), PASSWORD_SIZE - 1);
	assert_string_not_equal(one, other);
	assert_int_equal(strspn(one, "abcdefghjkmnpqrstvwxyz234567"),
			 PASSWORD_SIZE - 1);
}

static void a_hash_is_that_of_its_password(void **state)
{
	char made[PASSWORD_HASH_SIZE], again[PASSWORD_HASH_SIZE],
		wrong[PASSWORD_HASH_SIZE], fresh[PASSWORD_HASH_SIZE];

	(void)state;
	assert_int_equal(password_hash(made, "secret", NULL), 0);
	assert_memory_equal(made, "$y$", 3);
	assert_int_equal(password_hash(again, "secret", made), 0);
	assert_string_equal(again, made);
	assert_int_equal(password_hash(wrong, "Secret", made), 0);
	assert_string_not_equal(wrong, made);
	assert_int_equal(password_hash(fresh, "secret", NULL), 0);
	assert_string_not_equal(fresh, made);
}

static void what_is_no_setting_is_refused(void **state)
{
	char hash[PASSWORD_HASH_SIZE] = "as it was";

	(void)state;
	assert_int_not_equal(password_hash(hash, "secret", "*0"), 0);
	assert_int_not_equal(password_hash(hash, "secret", "$nonsense$"), 0);
	assert_string_equal(hash, "as it was");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(characters_are_counted),
		cmocka_unit_test(each_that_is_made_is_another),
		cmocka_unit_test(a_hash_is_that_of_its_password),
		cmocka_unit_test(what_is_no_setting_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
