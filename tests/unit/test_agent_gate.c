/*
 * What the gate answers where it has no memory for a request.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dlfcn.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent.h"
#include "agent_play.h"
#include "gate/budget.h"
#include "gate/gate.h"
#include "gate/nonce.h"
#include "gate/trust.h"
#include "settings/settings.h"

enum { BAD_BURST = 3 };

/* How many more allocations are to fail */
static unsigned failing;

/* In the place of libre's, which calls it too */
void *mem_zalloc(size_t size, mem_destroy_h *dh)
{
	union {
		void *p;
		void *(*f)(size_t size, mem_destroy_h *dh);
	} real = {.p = dlsym(RTLD_NEXT, "mem_zalloc")};

	if (failing) {
		failing--;
		return NULL;
	}

	return real.f(size, dh);
}

struct rig {
	struct agent ag;
	struct settings *set;
	struct gate *gate;
	struct udp_sock *us;
	int fd; /* who sends */
	struct sa src;
};

static void on_datagram(const struct sa *src, struct mbuf *mb, void *arg)
{
	(void)src;
	(void)mb;
	(void)arg;
}

static int setup(void **state)
{
	static const struct budget_conf conf = {
		.bad_burst = BAD_BURST,
		.bad_per_s = 1,
		.unproven_burst = 1000,
		.unproven_per_s = 1000,
	};
	static struct rig rig;
	struct sa laddr;

	memset(&rig, 0, sizeof(rig));
	*state = &rig;
	assert_int_equal(sa_set_str(&laddr, "127.0.0.1", 0), 0);
	assert_int_equal(settings_alloc(&rig.set, NULL), 0);
	assert_int_equal(budget_alloc(&rig.ag.budget, &conf), 0);
	assert_int_equal(trust_alloc(&rig.ag.trust), 0);
	assert_int_equal(nonce_pool_alloc(&rig.ag.nonces, 16), 0);
	rig.ag.set = rig.set;
	assert_int_equal(gate_alloc(&rig.gate, &rig.ag), 0);
	assert_int_equal(udp_listen(&rig.us, &laddr, on_datagram, NULL), 0);

	rig.fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_true(rig.fd >= 0);
	assert_int_equal(bind(rig.fd, &laddr.u.sa, laddr.len), 0);
	rig.src.len = sizeof(rig.src.u);
	assert_int_equal(getsockname(rig.fd, &rig.src.u.sa, &rig.src.len), 0);

	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	failing = 0;
	(void)close(rig->fd);
	mem_deref(rig->us);
	mem_deref(rig->gate);
	mem_deref(rig->ag.nonces);
	mem_deref(rig->ag.trust);
	mem_deref(rig->ag.budget);
	mem_deref(rig->set);

	return 0;
}

static struct mbuf *request(const char *method, unsigned n)
{
	struct mbuf *mb = mbuf_alloc(1024);

	assert_non_null(mb);
	assert_int_equal(
		mbuf_printf(mb,
			    "%s sip:example.net SIP/2.0\r\n"
			    "Via: SIP/2.0/UDP 127.0.0.1;rport;"
			    "branch=z9hG4bK%u\r\n"
			    "From: <sip:alice@example.net>;tag=1\r\n"
			    "To: <sip:alice@example.net>\r\n"
			    "Call-ID: %u\r\nCSeq: 1 %s\r\n"
			    "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
			    method, n, n, method),
		0);
	mbuf_set_pos(mb, 0);

	return mb;
}

static enum gate_verdict show(struct rig *rig, struct mbuf *mb)
{
	struct sip_msg *msg = NULL;
	enum gate_verdict verdict;

	verdict = gate_datagram(rig->gate, rig->us, &rig->src, mb, &msg);
	mem_deref(msg);
	mem_deref(mb);

	return verdict;
}

static void expect_503(const struct rig *rig)
{
	char p[2048] = {0};

	assert_true(recv(rig->fd, p, sizeof(p) - 1, MSG_DONTWAIT) > 0);
	assert_memory_equal(p, "SIP/2.0 503 Service Unavailable\r\n", 33);
	assert_non_null(strstr(p, "\r\nRetry-After: "));
	assert_null(strstr(strstr(p, "Retry-After: ") + 1, "Retry-After: "));
}

static void without_memory_a_request_gets_503(void **state)
{
	static const char *const methods[] = {"REGISTER", "INVITE"};
	struct rig *rig = *state;

	/* more often than one may be wrong: it is held against nobody */
	for (unsigned i = 0; i < 4 * BAD_BURST; i++) {
		struct mbuf *mb = request(methods[i % 2], i);

		failing = 1;
		assert_int_equal(show(rig, mb), GATE_DONE);
		assert_int_equal(failing, 0);
		expect_503(rig);
	}
	assert_int_equal(show(rig, request("REGISTER", 100)), GATE_REQUEST);
	assert_int_equal(show(rig, request("INVITE", 101)), GATE_LIBRE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			without_memory_a_request_gets_503, setup, teardown),
	};

	return cmocka_run_group_tests(tests, libre_begin, libre_end);
}
