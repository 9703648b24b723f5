/*
 * Where phones have proved who they are, and the share that they have there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gate/trust.h"

enum { START_MS = 1000000 };

static struct sa address(const char *text, uint16_t port)
{
	struct sa sa;

	assert_int_equal(sa_set_str(&sa, text, port), 0);

	return sa;
}

static int setup(void **state)
{
	return trust_alloc((struct trust **)state);
}

static int teardown(void **state)
{
	mem_deref(*state);

	return 0;
}

static void a_phone_has_a_share_of_its_own(void **state)
{
	const struct sa phone = address("192.0.2.1", 5060),
			forged = address("192.0.2.1", 5061);

	assert_false(trust_spend(*state, &phone, false, START_MS));
	trust_add(*state, &phone, false, START_MS);
	for (unsigned i = 0; i < TRUST_BURST; i++) {
		assert_false(trust_spend(*state, &forged, false, START_MS));
		assert_false(trust_spend(*state, &phone, true, START_MS));
		assert_true(trust_spend(*state, &phone, false, START_MS));
	}
	assert_false(trust_spend(*state, &phone, false, START_MS));
	assert_true(trust_spend(*state, &phone, false,
				START_MS + 1000 / TRUST_PER_S));
	assert_false(trust_spend(*state, &phone, false,
				 START_MS + 1000 / TRUST_PER_S));
}

static void a_source_is_known_for_a_day(void **state)
{
	const struct sa phone = address("2001:db8::1", 5060),
			near = address("2001:db8::2", 1),
			far = address("2001:db8:0:1::1", 5060);

	trust_add(*state, &phone, true, START_MS);
	assert_true(trust_has_source(*state, &near, START_MS));
	assert_false(trust_has_source(*state, &far, START_MS));
	assert_true(trust_has_source(*state, &near, START_MS + TRUST_MS - 1));
	assert_false(trust_has_source(*state, &near, START_MS + TRUST_MS));
	assert_false(trust_spend(*state, &phone, true, START_MS + TRUST_MS));
}

/* One source cannot have all places */
static void a_source_has_so_many_ports(void **state)
{
	unsigned known = 0;

	for (uint32_t port = 1; port < 65536; port++) {
		const struct sa src = address("192.0.2.1", (uint16_t)port);

		trust_add(*state, &src, false, START_MS);
	}
	for (uint32_t port = 1; port < 65536; port++) {
		const struct sa src = address("192.0.2.1", (uint16_t)port);

		known += trust_spend(*state, &src, false, START_MS);
	}
	assert_in_range(known, TRUST_PORTS_MAX / 2, TRUST_PORTS_MAX);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_phone_has_a_share_of_its_own),
		T(a_source_is_known_for_a_day),
		T(a_source_has_so_many_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
