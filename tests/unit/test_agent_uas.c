/*
 * An INVITE that is served, over a socket: provisional answers, bodies, CANCEL.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent.h"
#include "agent_play.h"
#include "gate/budget.h"
#include "gate/trust.h"
#include "transaction/answer.h"
#include "transaction/strans.h"
#include "transaction/uas.h"

enum { CAME_MAX = 16, TEXT_MAX = 2048, WAIT_MS = 5000 };

static struct agent ag;
static struct sip_lsnr *lsnr;
static struct uas *served;
static unsigned cancelled;
static bool by_default;

/* --- the phone ------------------------------------------------------------ */

static struct udp_sock *phone;
static struct sa server;
static char came[CAME_MAX][TEXT_MAX];
static size_t camec, expected;

static void on_datagram(const struct sa *src, struct mbuf *mb, void *arg)
{
	const size_t len = mbuf_get_left(mb);

	(void)src;
	(void)arg;
	assert_true(camec < CAME_MAX && len < TEXT_MAX);
	memcpy(came[camec], mbuf_buf(mb), len);
	came[camec++][len] = '\0';
	if (camec >= expected)
		re_cancel();
}

static void late(void *arg)
{
	(void)arg;
	re_cancel();
}

/* Runs the loop until that many answers have come, or a request */
static void run(size_t n)
{
	struct tmr tmr;

	expected = n;
	tmr_init(&tmr);
	tmr_start(&tmr, WAIT_MS, late, NULL);
	assert_int_equal(re_main(NULL), 0);
	tmr_cancel(&tmr);
}

static void send_as(const char *method, const char *branch)
{
	struct mbuf *mb = mbuf_alloc(512);
	struct sa laddr;

	assert_non_null(mb);
	assert_int_equal(udp_local_get(phone, &laddr), 0);
	assert_int_equal(
		mbuf_printf(mb,
			    "%s sip:alice@127.0.0.1 SIP/2.0\r\n"
			    "Via: SIP/2.0/UDP %J;branch=z9hG4bK%s;rport\r\n"
			    "Record-Route: <sip:p1.example;lr>\r\n"
			    "From: <sip:bob@b.example>;tag=bobs\r\n"
			    "To: <sip:alice@a.example>\r\n"
			    "Call-ID: %s@test\r\n"
			    "CSeq: 1 %s\r\n"
			    "Max-Forwards: 70\r\n"
			    "Content-Length: 0\r\n\r\n",
			    method, &laddr, branch, branch, method),
		0);
	mbuf_set_pos(mb, 0);
	assert_int_equal(udp_send(phone, &server, mb), 0);
	mem_deref(mb);
}

static void assert_came(size_t which, const char *line)
{
	assert_true(which < camec);
	assert_memory_equal(came[which], line, strlen(line));
}

static bool has(size_t which, const char *text)
{
	assert_true(which < camec);

	return strstr(came[which], text) != NULL;
}

/* --- the server ----------------------------------------------------------- */

static void on_cancel(struct uas *u, void *arg)
{
	assert_ptr_equal(u, served);
	assert_ptr_equal(arg, &ag);
	cancelled++;
}

static bool on_request(const struct sip_msg *msg, void *arg)
{
	(void)arg;
	if (!pl_strcmp(&msg->met, "ACK"))
		return true;
	assert_null(served);
	assert_int_equal(uas_alloc(&served, &ag, msg), 0);
	uas_set_proven(served);
	if (!by_default)
		uas_set_cancel(served, on_cancel, &ag);
	re_cancel();

	return true;
}

static int set_up(void **state)
{
	const struct budget_conf conf = {
		.bad_burst = 100,
		.bad_per_s = 1,
		.unproven_burst = 100,
		.unproven_per_s = 1,
		.most = {10, 10, 10, 10},
		.total = {10, 10, 10, 10},
	};
	struct sa laddr;

	(void)state;
	camec = 0;
	cancelled = 0;
	by_default = false;
	assert_int_equal(sa_set_str(&laddr, "127.0.0.1", 0), 0);
	assert_int_equal(budget_alloc(&ag.budget, &conf), 0);
	assert_int_equal(trust_alloc(&ag.trust), 0);
	assert_int_equal(strans_alloc(&ag.strans), 0);
	assert_int_equal(uas_list_alloc(&ag.uas), 0);
	assert_int_equal(
		sip_alloc(&ag.sip, NULL, 16, 16, 16, "test", NULL, NULL), 0);
	assert_int_equal(sip_transp_add(ag.sip, SIP_TRANSP_UDP, &laddr), 0);
	assert_int_equal(
		sip_transp_laddr(ag.sip, &server, SIP_TRANSP_UDP, &laddr), 0);
	assert_int_equal(sip_listen(&lsnr, ag.sip, true, on_request, NULL), 0);

	return udp_listen(&phone, &laddr, on_datagram, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	served = mem_deref(served);
	phone = mem_deref(phone);
	lsnr = mem_deref(lsnr);
	sip_close(ag.sip, true);
	ag.sip = mem_deref(ag.sip);
	ag.uas = mem_deref(ag.uas);
	ag.strans = mem_deref(ag.strans);
	ag.trust = mem_deref(ag.trust);
	ag.budget = mem_deref(ag.budget);

	return 0;
}

static void serve(const char *method, const char *branch)
{
	send_as(method, branch);
	run(CAME_MAX);
	assert_non_null(served);
}

static void answer(uint16_t scode)
{
	uas_answer(served, &(struct answer){.scode = scode});
}

/* --- tests ---------------------------------------------------------------- */

static void provisional_answers_go_before_the_final_one(void **state)
{
	(void)state;
	serve("INVITE", "p1");
	answer(100);
	uas_set_tag(served, "00000000000000aa");
	uas_answer(served, &(struct answer){.scode = 180,
					    .dialog = true,
					    .hdrs = "Contact: <sip:x>\r\n"});
	assert_false(uas_is_answered(served));
	uas_reply(served, 486, "Busy Here", NULL);
	assert_true(uas_is_answered(served));
	answer(180);
	run(3);
	assert_int_equal(camec, 3);

	assert_came(0, "SIP/2.0 100 Trying\r\n");
	assert_true(has(0, "To: <sip:alice@a.example>\r\n"));
	assert_false(has(0, "Record-Route"));
	assert_came(1, "SIP/2.0 180 Ringing\r\n");
	assert_true(has(1, "To: <sip:alice@a.example>;tag=00000000000000aa"));
	assert_true(has(1, "Record-Route: <sip:p1.example;lr>\r\n"));
	assert_true(has(1, "Contact: <sip:x>\r\n"));
	assert_came(2, "SIP/2.0 486 Busy Here\r\n");
	assert_true(has(2, "To: <sip:alice@a.example>;tag=00000000000000aa"));
}

static void an_answer_has_a_body(void **state)
{
	static const char sdp[] = "v=0\r\n";

	(void)state;
	serve("INVITE", "b1");
	uas_answer(served, &(struct answer){.scode = 200,
					    .dialog = true,
					    .content_type = "application/sdp",
					    .body = {sdp, sizeof(sdp) - 1}});
	run(1);
	assert_came(0, "SIP/2.0 200 OK\r\n");
	assert_true(has(0, "Content-Type: application/sdp\r\n"
			   "Content-Length: 5\r\n\r\nv=0\r\n"));
}

static void an_invite_that_comes_again_gets_the_last_answer_again(void **state)
{
	(void)state;
	serve("INVITE", "r1");
	answer(180);
	run(1);
	send_as("INVITE", "r1");
	run(2);
	assert_int_equal(camec, 2);
	assert_string_equal(came[0], came[1]);
}

static void a_refusal_is_final_whatever_its_code(void **state)
{
	(void)state;
	serve("INVITE", "n1");
	uas_refuse(served, 0);
	run(1);
	assert_came(0, "SIP/2.0 500 Server Internal Error\r\n");
	assert_true(uas_is_answered(served));
}

static void a_cancel_is_told_to_who_serves_it(void **state)
{
	(void)state;
	serve("INVITE", "c1");
	answer(180);
	run(1);
	send_as("CANCEL", "c1");
	run(2);
	assert_came(1, "SIP/2.0 200 OK\r\n");
	assert_true(has(1, "CSeq: 1 CANCEL\r\n"));
	assert_int_equal(cancelled, 1);
	assert_false(uas_is_answered(served));
	uas_refuse(served, 487);
	run(3);
	assert_came(2, "SIP/2.0 487 Request Terminated\r\n");
	assert_true(has(2, "CSeq: 1 INVITE\r\n"));
}

static void a_cancel_ends_what_nobody_has_taken_on(void **state)
{
	(void)state;
	by_default = true;
	serve("INVITE", "d1");
	send_as("CANCEL", "d1");
	run(2);
	assert_came(0, "SIP/2.0 200 OK\r\n");
	assert_came(1, "SIP/2.0 487 Request Terminated\r\n");
	assert_true(uas_is_answered(served));
}

static void a_cancel_after_the_answer_does_nothing(void **state)
{
	(void)state;
	serve("INVITE", "e1");
	answer(200);
	run(1);
	send_as("CANCEL", "e1");
	run(2);
	assert_true(has(1, "CSeq: 1 CANCEL\r\n"));
	assert_int_equal(cancelled, 0);
}

/* RFC 4320 section 4.1 */
static void others_than_invite_have_no_provisional_answers(void **state)
{
	(void)state;
	serve("MESSAGE", "m1");
	answer(100);
	answer(200);
	run(1);
	assert_int_equal(camec, 1);
	assert_came(0, "SIP/2.0 200 OK\r\n");
}

static void who_waits_for_people_takes_no_place(void **state)
{
	(void)state;
	serve("INVITE", "w1");
	assert_int_equal(uas_list_count(ag.uas), 1);
	assert_int_equal(budget_count(ag.budget, BUDGET_REQUESTS,
				      &uas_msg(served)->src, tmr_jiffies()),
			 1);
	uas_set_waiting(served);
	uas_set_waiting(served);
	assert_int_equal(uas_list_count(ag.uas), 0);
	assert_int_equal(budget_count(ag.budget, BUDGET_REQUESTS,
				      &uas_msg(served)->src, tmr_jiffies()),
			 0);
	send_as("CANCEL", "w1");
	run(1);
	assert_int_equal(cancelled, 1);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(provisional_answers_go_before_the_final_one),
		TEST(an_answer_has_a_body),
		TEST(an_invite_that_comes_again_gets_the_last_answer_again),
		TEST(a_refusal_is_final_whatever_its_code),
		TEST(a_cancel_is_told_to_who_serves_it),
		TEST(a_cancel_ends_what_nobody_has_taken_on),
		TEST(a_cancel_after_the_answer_does_nothing),
		TEST(others_than_invite_have_no_provisional_answers),
		TEST(who_waits_for_people_takes_no_place),
	};

	return cmocka_run_group_tests(tests, libre_begin, libre_end);
}
