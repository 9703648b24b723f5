/*
 * Places of those that are asked whether they speak: accounts that fill them
 * shut nobody else out. The addresses are such that may not be sent to, which
 * take a place as all others do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "transaction/address.h"
#include "transaction/probe.h"

enum {
	STRANGERS = 64,
	CONTACTS = 64,
};

static void nothing(bool answered, void *arg)
{
	(void)answered;
	(void)arg;
}

static void count(bool answered, void *arg)
{
	int *said = arg;

	(void)answered;
	++*said;
}

static void stop(void *arg)
{
	(void)arg;
	re_cancel();
}

static struct address address_at(enum sip_transp tp, int64_t account, int port)
{
	struct address a = {.tp = tp, .refused = true};

	sa_set_in(&a.sa, 0x0a000000 + (uint32_t)account, (uint16_t)port);

	return a;
}

static int ask(struct prober *p, enum sip_transp tp, int64_t account, int port,
	       struct probe_wait **wp)
{
	const struct address a = address_at(tp, account, port);

	return probe_ask(wp, p, &a, account, false, nothing, NULL);
}

static void strangers_leave_places(enum sip_transp tp, int victims)
{
	static struct probe_wait *wait[STRANGERS + 1][CONTACTS];
	struct address_book *book;
	struct prober *p;

	assert_int_equal(libre_init(), 0);
	assert_int_equal(address_book_alloc(&book, 8, 8), 0);
	assert_int_equal(prober_alloc(&p, book, NULL, NULL), 0);
	for (int64_t account = 1; account <= STRANGERS; account++)
		for (int i = 0; i < CONTACTS; i++)
			(void)ask(p, tp, account, i + 1, &wait[account - 1][i]);
	for (int i = 0; i < victims; i++)
		assert_int_equal(
			ask(p, tp, STRANGERS + 1, i + 1, &wait[STRANGERS][i]),
			0);
	for (int n = 0; n <= STRANGERS; n++)
		for (int i = 0; i < CONTACTS; i++)
			wait[n][i] = mem_deref(wait[n][i]);
	mem_deref(p);
	mem_deref(book);
	libre_close();
}

/* Who waits with a stranger does not lose with it: else a stranger could ask
   first where a victim will, and have that end. */
static void who_waits_with_a_stranger_keeps_its_place(void **state)
{
	static struct probe_wait *wait[PROBES_MAX], *other, *joined;
	struct address_book *book;
	struct prober *p;
	struct tmr end;
	int said = 0;

	(void)state;
	assert_int_equal(libre_init(), 0);
	assert_int_equal(address_book_alloc(&book, 8, 8), 0);
	assert_int_equal(prober_alloc(&p, book, NULL, NULL), 0);
	for (int i = 0; i < PROBES_MAX; i++)
		assert_int_equal(ask(p, SIP_TRANSP_UDP, 1, i + 1, &wait[i]), 0);
	const struct address a = address_at(SIP_TRANSP_UDP, 1, 1);
	assert_int_equal(probe_ask(&joined, p, &a, 2, false, count, &said), 0);
	assert_int_equal(ask(p, SIP_TRANSP_UDP, 3, 1, &other), 0);
	tmr_init(&end);
	tmr_start(&end, 200, stop, NULL);
	(void)re_main(NULL);
	assert_int_equal(said, 0);
	for (int i = 0; i < PROBES_MAX; i++)
		mem_deref(wait[i]);
	mem_deref(joined);
	mem_deref(other);
	mem_deref(p);
	mem_deref(book);
	libre_close();
}

static void over_udp(void **state)
{
	(void)state;
	strangers_leave_places(SIP_TRANSP_UDP, PROBES_MAX / (STRANGERS + 1));
}

static void over_tls(void **state)
{
	(void)state;
	strangers_leave_places(SIP_TRANSP_TLS,
			       PROBES_TLS_MAX / (STRANGERS + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(over_udp),
		cmocka_unit_test(over_tls),
		cmocka_unit_test(who_waits_with_a_stranger_keeps_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
