/*
 * Requests that come again (RFC 3261 sections 8.2.2.2 and 17.2.2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "transaction/strans.h"

static struct sip_msg *request(const char *method, const char *branch,
			       unsigned cseq, const char *to_tag)
{
	struct mbuf *mb = mbuf_alloc(512);
	struct sip_msg *msg;

	assert_int_equal(
		mbuf_printf(mb,
			    "%s sip:b SIP/2.0\r\n"
			    "Via: SIP/2.0/UDP 192.0.2.1:5062;branch=%s\r\n"
			    "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>%s\r\n"
			    "Call-ID: x@y\r\nCSeq: %u %s\r\n\r\n",
			    method, branch, to_tag, cseq, method),
		0);
	mbuf_set_pos(mb, 0);
	assert_int_equal(sip_msg_decode(&msg, mb), 0);
	mem_deref(mb);
	msg->tp = SIP_TRANSP_UDP;

	return msg;
}

struct all {
	struct strans_table *r;
	struct sip_msg *msg;
	struct strans *rep;
};

static int setup(void **state)
{
	static struct all a;

	assert_int_equal(strans_alloc(&a.r), 0);
	a.msg = request("REGISTER", "z9hG4bK1", 7, "");
	assert_int_equal(strans_begin(&a.rep, a.r, a.msg), 0);
	*state = &a;

	return 0;
}

static int teardown(void **state)
{
	struct all *a = *state;

	a->rep = mem_deref(a->rep);
	mem_deref(a->msg);
	mem_deref(a->r);

	return 0;
}

/* Without a stack, nothing is sent */
static enum strans_verdict look(struct all *a, const char *method,
				const char *branch, unsigned cseq,
				const char *to_tag, uint64_t now_ms)
{
	struct sip_msg *msg = request(method, branch, cseq, to_tag);
	const enum strans_verdict v = strans_look(a->r, NULL, msg, now_ms);

	mem_deref(msg);

	return v;
}

static void answer(struct all *a, uint64_t now_ms)
{
	struct mbuf *mb = mbuf_alloc(16);
	struct sa dst;

	sa_init(&dst, AF_INET);
	strans_keep(a->rep, mb, &dst, now_ms);
	a->rep = NULL;
	mem_deref(mb);
}

static void what_is_being_served_is_known(void **state)
{
	struct all *a = *state;

	assert_int_equal(look(a, "REGISTER", "z9hG4bK1", 7, "", 0),
			 STRANS_SAME);
	assert_int_equal(look(a, "OPTIONS", "z9hG4bK1", 7, "", 0), STRANS_NEW);
	assert_int_equal(look(a, "REGISTER", "z9hG4bK2", 8, "", 0), STRANS_NEW);
}

static void what_was_given_up_is_not(void **state)
{
	struct all *a = *state;

	a->rep = mem_deref(a->rep);
	assert_int_equal(look(a, "REGISTER", "z9hG4bK1", 7, "", 0), STRANS_NEW);
}

static void an_answer_is_kept_for_timer_j(void **state)
{
	struct all *a = *state;

	answer(a, 1000);
	assert_int_equal(look(a, "REGISTER", "z9hG4bK1", 7, "",
			      1000 + STRANS_KEPT_MS - 1),
			 STRANS_SAME);
	assert_int_equal(
		look(a, "REGISTER", "z9hG4bK1", 7, "", 1000 + STRANS_KEPT_MS),
		STRANS_NEW);
}

static void the_same_by_another_way_is_merged(void **state)
{
	struct all *a = *state;

	assert_int_equal(look(a, "REGISTER", "z9hG4bK2", 7, "", 0),
			 STRANS_MERGED);
	assert_int_equal(look(a, "REGISTER", "z9hG4bK2", 7, ";tag=2", 0),
			 STRANS_NEW);
}

static void over_a_connection_nothing_is_kept(void **state)
{
	struct all *a = *state;

	a->rep = mem_deref(a->rep);
	a->msg->tp = SIP_TRANSP_TCP;
	assert_int_equal(strans_begin(&a->rep, a->r, a->msg), 0);
	answer(a, 0);
	assert_int_equal(look(a, "REGISTER", "z9hG4bK1", 7, "", 0), STRANS_NEW);
}

static void a_cancel_finds_what_it_is_of(void **state)
{
	struct all *a = *state;
	struct sip_msg *msg = request("CANCEL", "z9hG4bK1", 7, "");
	struct sip_msg *other = request("CANCEL", "z9hG4bK2", 7, "");

	assert_true(strans_has(a->r, msg));
	assert_false(strans_has(a->r, other));
	mem_deref(msg);
	mem_deref(other);
}

static void the_oldest_makes_room(void **state)
{
	struct all *a = *state;
	char branch[32] = "z9hG4bK1";

	answer(a, 0);
	for (unsigned i = 0; i < STRANS_KEPT_MAX; i++) {
		struct sip_msg *msg;

		(void)snprintf(branch, sizeof(branch), "z9hG4bK-%u", i);
		msg = request("REGISTER", branch, 100 + i, "");
		assert_int_equal(strans_begin(&a->rep, a->r, msg), 0);
		answer(a, 0);
		mem_deref(msg);
	}
	assert_int_equal(look(a, "REGISTER", "z9hG4bK1", 7, "", 0), STRANS_NEW);
	assert_int_equal(look(a, "REGISTER", branch, 100, "", 0), STRANS_SAME);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_being_served_is_known,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_given_up_is_not, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_answer_is_kept_for_timer_j,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_same_by_another_way_is_merged, setup, teardown),
		cmocka_unit_test_setup_teardown(
			over_a_connection_nothing_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cancel_finds_what_it_is_of,
						setup, teardown),
		cmocka_unit_test_setup_teardown(the_oldest_makes_room, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
