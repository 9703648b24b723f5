/*
 * What is known of addresses: who has spoken, for how long, who has not, and
 * never more of either than asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "transaction/address.h"

enum {
	HOUR_MS = ADDRESS_ANSWERED_S * 1000,
	PAUSE_MS = ADDRESS_PAUSE_S * 1000,
	SUSPENDED_MS = ADDRESS_SUSPENDED_S * 1000,
};

static struct address_book *open_book(size_t proven_max, size_t silent_max)
{
	struct address_book *b = NULL;

	assert_int_equal(address_book_alloc(&b, proven_max, silent_max), 0);

	return b;
}

static struct address udp(const char *text)
{
	struct address a = {.tp = SIP_TRANSP_UDP};

	assert_int_equal(sa_decode(&a.sa, text, strlen(text)), 0);

	return a;
}

static void who_has_spoken_is_proven_for_a_while(void **state)
{
	struct address_book *b = open_book(8, 8);
	const struct address a = udp("192.0.2.1:5060");

	(void)state;
	assert_false(address_is_proven(b, &a, 1));
	address_prove(b, &a, ADDRESS_ANSWERED_S, 1);
	assert_true(address_is_proven(b, &a, HOUR_MS));
	address_prove(b, &a, 1, 2); /* does not shorten it */
	assert_true(address_is_proven(b, &a, HOUR_MS));
	assert_false(address_is_proven(b, &a, HOUR_MS + 1));
	assert_false(address_is_proven(b, &a, 1));
	mem_deref(b);
}

static void host_port_and_transport_are_the_address(void **state)
{
	struct address_book *b = open_book(8, 8);
	const struct address a = udp("192.0.2.1:5060"),
			     port = udp("192.0.2.1:5061"),
			     host = udp("192.0.2.2:5060"),
			     six = udp("[2001:db8::1]:5060");
	struct address tcp = a, refused = a;

	(void)state;
	tcp.tp = SIP_TRANSP_TCP;
	refused.refused = true;
	address_prove(b, &a, 60, 1);
	address_prove(b, &six, 60, 1);
	assert_true(address_is_proven(b, &a, 1));
	assert_true(address_is_proven(b, &six, 1));
	assert_false(address_is_proven(b, &tcp, 1));
	assert_false(address_is_proven(b, &refused, 1));
	assert_false(address_is_proven(b, &port, 1));
	assert_false(address_is_proven(b, &host, 1));
	mem_deref(b);
}

static void what_has_ended_proves_nothing(void **state)
{
	struct address_book *b = open_book(8, 8);
	const struct address a = udp("192.0.2.1:5060");

	(void)state;
	address_forget(b, &a);
	address_prove(b, &a, 60, 1);
	address_forget(b, &a);
	assert_false(address_is_proven(b, &a, 1));
	mem_deref(b);
}

static void who_is_silent_twice_is_left_alone(void **state)
{
	struct address_book *b = open_book(8, 8);
	const struct address a = udp("192.0.2.1:5060");

	(void)state;
	assert_false(address_is_suspended(b, &a, 1));
	address_silent(b, &a, 1); /* for all that wait at this moment */
	assert_true(address_is_suspended(b, &a, 1));
	assert_true(address_is_suspended(b, &a, PAUSE_MS));
	assert_false(address_is_suspended(b, &a, PAUSE_MS + 1));
	address_silent(b, &a, 20000);
	assert_true(address_is_suspended(b, &a, 20000));
	assert_true(address_is_suspended(b, &a, SUSPENDED_MS + 19999));
	assert_false(address_is_suspended(b, &a, SUSPENDED_MS + 20000));

	/* and then it has two tries again */
	address_silent(b, &a, SUSPENDED_MS + 20000);
	assert_false(
		address_is_suspended(b, &a, SUSPENDED_MS + PAUSE_MS + 20000));
	mem_deref(b);
}

static void an_answer_ends_the_silence(void **state)
{
	struct address_book *b = open_book(8, 8);
	const struct address a = udp("192.0.2.1:5060");

	(void)state;
	address_silent(b, &a, 1);
	address_silent(b, &a, 1);
	address_prove(b, &a, 60, 2);
	assert_false(address_is_suspended(b, &a, 2));
	assert_true(address_is_proven(b, &a, 2));
	mem_deref(b);
}

static void a_host_is_asked_at_so_many_ports(void **state)
{
	struct address_book *b = open_book(8, 8);
	const struct address other = udp("192.0.2.2:5060");
	struct address a = udp("192.0.2.1:1");
	const uint64_t every = ADDRESS_HOST_EVERY_S * 1000;

	(void)state;
	for (uint16_t i = 0; i < ADDRESS_HOST_BURST; i++) {
		sa_set_port(&a.sa, (uint16_t)(i + 1));
		assert_true(address_may_ask(b, &a, 1));
	}
	assert_false(address_may_ask(b, &a, 1));
	assert_false(address_may_ask(b, &a, every));
	assert_true(address_may_ask(b, &other, 1));
	assert_true(address_may_ask(b, &a, every + 1));
	assert_false(address_may_ask(b, &a, every + 1));

	address_answered(b, &a, every + 1); /* which costs nothing */
	assert_true(address_may_ask(b, &a, every + 1));
	assert_false(address_may_ask(b, &a, every + 1));
	mem_deref(b);
}

static void a_site_with_ipv6_is_one_host(void **state)
{
	struct address_book *b = open_book(8, 8);
	struct address a = udp("[2001:db8::1]:5060"),
		       same = udp("[2001:db8::7]:5060"),
		       other = udp("[2001:db8:0:1::1]:5060");

	(void)state;
	for (unsigned i = 0; i < ADDRESS_HOST_BURST; i++)
		assert_true(address_may_ask(b, i % 2 ? &a : &same, 1));
	assert_false(address_may_ask(b, &a, 1));
	assert_false(address_may_ask(b, &same, 1));
	assert_true(address_may_ask(b, &other, 1));
	mem_deref(b);
}

static void a_full_table_forgets_the_oldest(void **state)
{
	struct address_book *b = open_book(2, 1);
	const struct address one = udp("192.0.2.1:5060"),
			     two = udp("192.0.2.2:5060"),
			     three = udp("192.0.2.3:5060");

	(void)state;
	address_prove(b, &one, 60, 1);
	address_prove(b, &two, 60, 1);
	address_prove(b, &one, 60, 2); /* heard of again */
	address_prove(b, &three, 60, 3);
	assert_true(address_is_proven(b, &one, 3));
	assert_false(address_is_proven(b, &two, 3));
	assert_true(address_is_proven(b, &three, 3));

	address_silent(b, &one, 3);
	address_silent(b, &one, 3);
	address_silent(b, &two, 3);
	assert_false(address_is_suspended(b, &one, 3));
	assert_true(address_is_suspended(b, &two, 3));
	assert_true(address_is_proven(b, &three, 3));
	mem_deref(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_has_spoken_is_proven_for_a_while),
		cmocka_unit_test(host_port_and_transport_are_the_address),
		cmocka_unit_test(what_has_ended_proves_nothing),
		cmocka_unit_test(who_is_silent_twice_is_left_alone),
		cmocka_unit_test(an_answer_ends_the_silence),
		cmocka_unit_test(a_host_is_asked_at_so_many_ports),
		cmocka_unit_test(a_site_with_ipv6_is_one_host),
		cmocka_unit_test(a_full_table_forgets_the_oldest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
