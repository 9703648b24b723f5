/*
 * Sources: an IPv4 address or a /64.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/source.h"

static uint64_t key(const char *address)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
		return source_key((const struct sockaddr *)&in);
	assert_int_equal(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);

	return source_key((const struct sockaddr *)&in6);
}

static void a_network_of_ipv6_is_one_source(void **state)
{
	(void)state;
	assert_int_equal(key("2001:db8::1"), key("2001:db8::ffff:2"));
	assert_int_not_equal(key("2001:db8::1"), key("2001:db8:0:1::1"));
	assert_int_equal(key("::ffff:192.0.2.1"), key("192.0.2.1"));
	assert_int_not_equal(key("192.0.2.1"), key("192.0.2.2"));
	assert_int_not_equal(key("::1"), 0);
}

static void a_source_has_one_name(void **state)
{
	static const struct {
		const char *address, *text;
	} is[] = {
		{"192.0.2.1", "192.0.2.1"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"2001:db8::ffff:2", "2001:db8::"},
		{"2001:DB8:0:1:2:3:4:5", "2001:db8:0:1::"},
		{"::1", "::"},
		{"unix:", "unix:"},
		{"", ""},
	};
	char text[SOURCE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(is) / sizeof(*is); i++) {
		source_of_text(text, is[i].address);
		assert_string_equal(text, is[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_network_of_ipv6_is_one_source),
		cmocka_unit_test(a_source_has_one_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
