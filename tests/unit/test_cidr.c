/*
 * Lists of networks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cmocka.h>

#include "common/cidr.h"

static bool has(const char *list, const char *address)
{
	struct sockaddr_storage ss = {.ss_family = AF_UNSPEC};
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)&ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)&ss;
	struct cidr_list *l = NULL;
	bool found;

	if (inet_pton(AF_INET, address, &in->sin_addr) == 1)
		ss.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, address, &in6->sin6_addr) == 1)
		ss.ss_family = AF_INET6;
	assert_int_equal(cidr_list_parse(&l, list), 0);
	found = cidr_list_match(l, (struct sockaddr *)&ss);
	cidr_list_free(l);
	return found;
}

static void networks_of_both_families_match(void **state)
{
	(void)state;
	assert_true(has("127.0.0.0/8, ::1/128", "127.255.255.255"));
	assert_false(has("127.0.0.0/8, ::1/128", "128.0.0.0"));
	assert_true(has("127.0.0.0/8, ::1/128", "::1"));
	assert_false(has("127.0.0.0/8, ::1/128", "::2"));
	assert_true(has("10.0.0.0/9", "10.127.1.1"));
	assert_false(has("10.0.0.0/9", "10.128.0.0"));
	assert_true(has("192.0.2.1/31", "192.0.2.0"));
	assert_true(has("fe80::/10", "febf::1"));
	assert_false(has("fe80::/10", "fec0::"));
}

static void a_network_of_length_zero_is_its_whole_family(void **state)
{
	(void)state;
	assert_true(has("0.0.0.0/0", "255.255.255.255"));
	assert_false(has("0.0.0.0/0", "2001:db8::1"));
	assert_true(has("::/0", "2001:db8::1"));
}

static void an_address_alone_is_itself(void **state)
{
	(void)state;
	assert_true(has("192.0.2.1", "192.0.2.1"));
	assert_false(has("192.0.2.1", "192.0.2.2"));
	assert_true(has("2001:db8::1", "2001:db8::1"));
	assert_false(has("2001:db8::1", "2001:db8::2"));
}

static void ipv4_within_ipv6_is_that_ipv4_address(void **state)
{
	(void)state;
	assert_true(has("127.0.0.0/8", "::ffff:127.0.0.1"));
	assert_false(has("127.0.0.0/8", "::ffff:128.0.0.1"));
	assert_false(has("127.0.0.0/8", "::127.0.0.1"));
}

static void an_empty_list_has_nothing(void **state)
{
	struct cidr_list *l = NULL;

	(void)state;
	assert_int_equal(cidr_list_parse(&l, " , "), 0);
	assert_true(cidr_list_empty(l));
	cidr_list_free(l);
	assert_false(has("", "127.0.0.1"));
	assert_false(has("0.0.0.0/0", "no address"));
}

static void what_is_no_network_is_refused(void **state)
{
	static const char *const all[] = {
		"x",
		"127.0.0.1/33",
		"127.0.0.1/",
		"127.0.0.1/-1",
		"127.0.0.1/ 8",
		"127.0.0/8",
		"::1/129",
		"::1/x",
		"1.2.3.4/8x",
		"[::1]",
		"1.2.3.4;::1",
		"localhost",
		"127.0.0.1/99999999999999999999",
		"/8",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct cidr_list *l = NULL;

		if (!cidr_list_parse(&l, all[i]))
			fail_msg("%s was taken", all[i]);
		assert_null(l);
	}
}

static void too_many_networks_are_refused(void **state)
{
	struct cidr_list *l = NULL;
	char text[8 * 100 + 1] = "";

	(void)state;
	for (int i = 0; i < 100; i++)
		memcpy(text + i * 8, "1.2.3.4 ", 9);
	assert_int_not_equal(cidr_list_parse(&l, text), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(networks_of_both_families_match),
		cmocka_unit_test(a_network_of_length_zero_is_its_whole_family),
		cmocka_unit_test(an_address_alone_is_itself),
		cmocka_unit_test(ipv4_within_ipv6_is_that_ipv4_address),
		cmocka_unit_test(an_empty_list_has_nothing),
		cmocka_unit_test(what_is_no_network_is_refused),
		cmocka_unit_test(too_many_networks_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
