/*
 * A request that goes out, over a socket: provisional answers and CANCEL.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent.h"
#include "agent_play.h"
#include "settings/settings.h"
#include "transaction/address.h"
#include "transaction/flow.h"
#include "transaction/uac.h"

enum { CAME_MAX = 16, WAIT_MS = 5000, FLOW_SIZE = 64 };

static struct agent ag;
static struct settings *set;

/* --- the phone ------------------------------------------------------------ */

static struct udp_sock *phone;
static struct sip_msg *came[CAME_MAX];
static struct sa from[CAME_MAX];
static size_t camec;

static bool is_repeat(const struct sip_msg *msg)
{
	for (size_t i = 0; i < camec; i++) {
		if (!pl_cmp(&came[i]->met, &msg->met) &&
		    !pl_cmp(&came[i]->via.branch, &msg->via.branch))
			return true;
	}

	return false;
}

static void on_datagram(const struct sa *src, struct mbuf *mb, void *arg)
{
	struct sip_msg *msg;

	(void)arg;
	assert_true(camec < CAME_MAX);
	assert_int_equal(sip_msg_decode(&msg, mb), 0);
	if (is_repeat(msg)) {
		mem_deref(msg);
		return;
	}
	came[camec] = msg;
	from[camec++] = *src;
	re_cancel();
}

/* Answers a request that has come */
static void answer(size_t which, unsigned code, const char *reason)
{
	struct mbuf *mb = mbuf_alloc(512);
	const struct sip_msg *msg = came[which];

	assert_non_null(mb);
	assert_int_equal(
		mbuf_printf(mb,
			    "SIP/2.0 %u %s\r\n"
			    "Via: %r\r\n"
			    "From: %r\r\n"
			    "To: %r;tag=phones\r\n"
			    "Call-ID: %r\r\n"
			    "CSeq: %u %r\r\n"
			    "Content-Length: 0\r\n\r\n",
			    code, reason, &sip_msg_hdr(msg, SIP_HDR_VIA)->val,
			    &sip_msg_hdr(msg, SIP_HDR_FROM)->val,
			    &sip_msg_hdr(msg, SIP_HDR_TO)->val, &msg->callid,
			    msg->cseq.num, &msg->cseq.met),
		0);
	mbuf_set_pos(mb, 0);
	assert_int_equal(udp_send(phone, &from[which], mb), 0);
	mem_deref(mb);
}

/* --- who sends ------------------------------------------------------------ */

static struct uac *u;
static unsigned progress[CAME_MAX], ends, code;
static size_t progressc;
static bool let_go;

static void on_progress(const struct sip_msg *msg, void *arg)
{
	assert_ptr_equal(arg, &ag);
	assert_true(progressc < CAME_MAX);
	progress[progressc++] = msg->scode;
	if (let_go)
		u = mem_deref(u);
	re_cancel();
}

static void on_end(int scode, const char *reason, const struct sip_msg *msg,
		   void *arg)
{
	(void)reason;
	(void)msg;
	assert_ptr_equal(arg, &ag);
	ends++;
	code = (unsigned)scode;
	u = mem_deref(u);
	re_cancel();
}

static void late(void *arg)
{
	*(bool *)arg = true;
	re_cancel();
}

/* Until the next thing has happened */
static bool happened(void)
{
	bool is_late = false;
	struct tmr tmr;

	tmr_init(&tmr);
	tmr_start(&tmr, WAIT_MS, late, &is_late);
	assert_int_equal(re_main(NULL), 0);
	tmr_cancel(&tmr);

	return !is_late;
}

static char flow[FLOW_SIZE];

static void invite(void)
{
	struct uac_request req = {
		.method = "INVITE",
		.uri = "sip:phone@127.0.0.1",
		.flow = flow,
		.mb = mbuf_alloc(256),
	};

	assert_non_null(req.mb);
	assert_int_equal(mbuf_write_str(req.mb, "To: <sip:phone@127.0.0.1>\r\n"
						"From: <sip:x@b>;tag=ours\r\n"
						"Call-ID: x@y\r\n"
						"CSeq: 5 INVITE\r\n"
						"Max-Forwards: 70\r\n"
						"Content-Length: 0\r\n\r\n"),
			 0);
	assert_int_equal(uac_alloc(&u, &ag, &req, on_end, &ag), 0);
	memset(flow, 'x', sizeof(flow) - 1); /* whose it was has another now */
	uac_set_progress(u, on_progress);
	uac_start(u);
	mem_deref(req.mb); /* libre has it */
	assert_true(happened());
	assert_int_equal(camec, 1);
	assert_int_equal(pl_strcmp(&came[0]->met, "INVITE"), 0);
}

static void on_flow_lost(const char *text, void *arg)
{
	(void)text;
	(void)arg;
}

static int set_up(void **state)
{
	struct sa laddr;

	(void)state;
	camec = progressc = 0;
	ends = code = 0;
	let_go = false;
	assert_int_equal(sa_set_str(&laddr, "127.0.0.1", 0), 0);
	(void)setenv("RESTSIP_AGENT_SEND_ALLOW", "127.0.0.1/32", 1);
	assert_int_equal(settings_alloc(&set, "/dev/null"), 0);
	ag.set = set;
	assert_int_equal(address_book_alloc(&ag.addresses, 16, 16), 0);
	assert_int_equal(flow_table_alloc(&ag.flows, "b", on_flow_lost, NULL),
			 0);
	assert_int_equal(
		sip_alloc(&ag.sip, NULL, 16, 16, 16, "test", NULL, NULL), 0);
	assert_int_equal(sip_transp_add(ag.sip, SIP_TRANSP_UDP, &laddr), 0);
	assert_int_equal(udp_listen(&phone, &laddr, on_datagram, NULL), 0);
	assert_int_equal(udp_local_get(phone, &laddr), 0);
	(void)re_snprintf(flow, sizeof(flow), "udp:%J", &laddr);

	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	u = mem_deref(u);
	for (size_t i = 0; i < camec; i++)
		came[i] = mem_deref(came[i]);
	phone = mem_deref(phone);
	sip_close(ag.sip, true);
	ag.sip = mem_deref(ag.sip);
	ag.flows = mem_deref(ag.flows);
	ag.addresses = mem_deref(ag.addresses);
	set = mem_deref(set);

	return 0;
}

/* --- tests ---------------------------------------------------------------- */

/* Its phone may go on over another connection while a request is under way */
static void flow_is_its_own(void **state)
{
	(void)state;
	invite();
	uac_flow_failed(u);
	assert_int_equal(ends, 1);
	assert_int_equal(code, 430);
}

static void provisional_answers_are_told_before_the_end(void **state)
{
	(void)state;
	invite();
	answer(0, 100, "Trying");
	assert_true(happened());
	answer(0, 180, "Ringing");
	assert_true(happened());
	assert_int_equal(progressc, 2);
	assert_int_equal(progress[0], 100);
	assert_int_equal(progress[1], 180);
	assert_int_equal(ends, 0);

	answer(0, 200, "OK");
	assert_true(happened());
	assert_int_equal(ends, 1);
	assert_int_equal(code, 200);
}

static void cancel_goes_where_the_invite_went(void **state)
{
	(void)state;
	invite();
	answer(0, 180, "Ringing");
	assert_true(happened());
	uac_cancel(u, NULL);
	uac_cancel(u, NULL);
	assert_true(happened());
	assert_int_equal(camec, 2);
	assert_int_equal(pl_strcmp(&came[1]->met, "CANCEL"), 0);
	assert_int_equal(pl_cmp(&came[1]->via.branch, &came[0]->via.branch), 0);
	assert_int_equal(came[1]->cseq.num, 5);

	answer(1, 200, "OK");
	answer(0, 487, "Request Terminated");
	while (!ends)
		assert_true(happened());
	assert_int_equal(code, 487);
	while (camec < 3) /* the ACK, which is libre's */
		assert_true(happened());
	assert_int_equal(pl_strcmp(&came[2]->met, "ACK"), 0);
}

/* Section 9.1: before that it would overtake the INVITE */
static void cancel_waits_for_a_provisional_answer(void **state)
{
	(void)state;
	invite();
	uac_cancel(u, NULL);
	answer(0, 100, "Trying");
	assert_true(happened());
	while (camec < 2)
		assert_true(happened());
	assert_int_equal(pl_strcmp(&came[camec - 1]->met, "CANCEL"), 0);
	assert_int_equal(ends, 0);
}

static void an_answer_may_be_quicker_than_cancel(void **state)
{
	(void)state;
	invite();
	answer(0, 180, "Ringing");
	assert_true(happened());
	uac_cancel(u, NULL);
	assert_true(happened());
	answer(0, 200, "OK");
	assert_true(happened());
	assert_int_equal(ends, 1);
	assert_int_equal(code, 200);
}

static void who_is_told_may_let_go(void **state)
{
	(void)state;
	invite();
	let_go = true;
	answer(0, 180, "Ringing");
	assert_true(happened());
	assert_null(u);
	while (camec < 2)
		assert_true(happened());
	assert_int_equal(pl_strcmp(&came[camec - 1]->met, "CANCEL"), 0);
	assert_int_equal(ends, 0);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(flow_is_its_own),
		TEST(provisional_answers_are_told_before_the_end),
		TEST(cancel_goes_where_the_invite_went),
		TEST(cancel_waits_for_a_provisional_answer),
		TEST(an_answer_may_be_quicker_than_cancel),
		TEST(who_is_told_may_let_go),
	};

	return cmocka_run_group_tests(tests, libre_begin, libre_end);
}
