/*
 * That libre calls what the agent puts in the place of its own functions, and
 * what its sockets are set to.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent_play.h"
#include "transport/libre_seam.h"

static struct tcp_conn *accepted;
static time_t clock_ahead_s;

/* In the place of the C library's, for libre too: somebody sets the clock */
int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	(void)zone;
	tv->tv_sec = time(NULL) + clock_ahead_s;
	tv->tv_usec = 0;

	return 0;
}

static void on_estab(void *arg)
{
	(void)arg;
}

static void on_recv(struct mbuf *mb, void *arg)
{
	(void)mb;
	(void)arg;
}

static void on_close(int err, void *arg)
{
	(void)err;
	(void)arg;
}

static int tcp_handler(struct tcp_conn **tcp, struct tcp_sock *ts,
		       const struct seam_conn *libre, void *arg)
{
	const int err = seam_accept(tcp, ts, libre);

	assert_ptr_equal(arg, &accepted);
	assert_int_equal(err, 0);
	accepted = mem_ref(*tcp);
	re_cancel();

	return err;
}

static void udp_handler(struct udp_sock *us, udp_recv_h *rh, void *rarg,
			void *arg)
{
	(void)rarg;
	assert_non_null(us);
	assert_non_null(rh);
	++*(int *)arg;
}

static void late(void *arg)
{
	(void)arg;
	re_cancel();
}

static bool sends_at_once(const struct tcp_conn *tc)
{
	int yes = 0;
	socklen_t len = sizeof(yes);

	assert_int_equal(getsockopt(tcp_conn_fd(tc), IPPROTO_TCP, TCP_NODELAY,
				    &yes, &len),
			 0);

	return yes;
}

/* Of the one socket that listens here */
static unsigned queue_length(void)
{
	for (int fd = 0; fd < 64; fd++) {
		struct tcp_info info;
		socklen_t len = sizeof(info);

		if (!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) &&
		    info.tcpi_state == TCP_LISTEN)
			return info.tcpi_sacked;
	}

	return 0;
}

static unsigned queue_most(void)
{
	FILE *f = fopen("/proc/sys/net/core/somaxconn", "r");
	unsigned n = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u", &n), 1);
	(void)fclose(f);

	return n < SEAM_QUEUE ? n : SEAM_QUEUE;
}

/* --- tests ---------------------------------------------------------------- */

static void libre_calls_what_is_put_in_its_place(void **state)
{
	(void)state;
	assert_int_equal(seam_check(), 0);
	assert_int_equal(seam_check(), 0);
}

static void udp_sockets_are_shown(void **state)
{
	struct sip *sip;
	struct sa laddr;
	int seen = 0;

	(void)state;
	assert_int_equal(sa_set_str(&laddr, "127.0.0.1", 0), 0);
	assert_int_equal(sip_alloc(&sip, NULL, 1, 1, 1, "test", NULL, NULL), 0);
	seam_set_udp(udp_handler, &seen);
	assert_int_equal(sip_transp_add(sip, SIP_TRANSP_UDP, &laddr), 0);
	seam_set_udp(NULL, NULL);
	assert_int_equal(seen, 1);
	sip_close(sip, true);
	mem_deref(sip);
}

static void connections_send_at_once_and_queues_are_long(void **state)
{
	struct tcp_conn *made;
	struct sip *sip;
	struct sa laddr;
	struct tmr tmr;

	(void)state;
	tmr_init(&tmr);
	assert_int_equal(sa_set_str(&laddr, "127.0.0.1", 0), 0);
	assert_int_equal(sip_alloc(&sip, NULL, 1, 1, 1, "test", NULL, NULL), 0);
	assert_int_equal(sip_transp_add(sip, SIP_TRANSP_TCP, &laddr), 0);
	assert_int_equal(sip_transp_laddr(sip, &laddr, SIP_TRANSP_TCP, &laddr),
			 0);
	assert_true(queue_length() < queue_most());
	seam_lengthen_queues();
	assert_int_equal(queue_length(), queue_most());

	seam_set_tcp(tcp_handler, &accepted);
	assert_int_equal(
		tcp_connect(&made, &laddr, on_estab, on_recv, on_close, NULL),
		0);
	tmr_start(&tmr, 5000, late, NULL);
	assert_int_equal(re_main(NULL), 0);
	tmr_cancel(&tmr);
	seam_set_tcp(NULL, NULL);
	assert_non_null(accepted);
	assert_true(sends_at_once(made));
	assert_true(sends_at_once(accepted));

	mem_deref(made);
	sip_close(sip, true);
	mem_deref(sip);
	accepted = mem_deref(accepted);
}

static void timers_do_not_go_by_the_time_of_day(void **state)
{
	static const time_t steps[] = {3600, -3600, 0};
	struct tmr tmr;
	uint64_t left, before = 60000;

	(void)state;
	tmr_init(&tmr);
	tmr_start(&tmr, 60000, late, NULL);
	for (size_t i = 0; i < 3; i++) {
		const uint64_t was = tmr_jiffies();

		clock_ahead_s = steps[i];
		left = tmr_get_expire(&tmr);
		assert_in_range(left, 1, before);
		assert_in_range(tmr_jiffies(), was, was + 59000);
		before = left;
	}
	tmr_cancel(&tmr);
}

/* --- without descriptors -------------------------------------------------- */

static void limit_set(rlim_t most)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = most ? most : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static rlim_t lowest_free(void)
{
	const int fd = dup(STDIN_FILENO);

	assert_true(fd >= 0);
	(void)close(fd);

	return (rlim_t)fd;
}

static bool is_closed(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

struct waiting {
	struct tmr tmr;
	int fdv[8];
};

/* Ends when all have been told, without having used a core for it */
static void wait_handler(void *arg)
{
	struct waiting *w = arg;

	tmr_start(&w->tmr, 10, wait_handler, w);
	for (int i = 0; i < 8; i++) {
		if (!is_closed(w->fdv[i]))
			return;
	}
	re_cancel();
}

static void without_descriptors_connections_are_closed(void **state)
{
	struct waiting w;
	struct sip *sip;
	struct sa laddr;
	struct tmr tmr;
	clock_t began;

	(void)state;
	tmr_init(&tmr);
	tmr_init(&w.tmr);
	assert_int_equal(sa_set_str(&laddr, "127.0.0.1", 0), 0);
	assert_int_equal(sip_alloc(&sip, NULL, 1, 1, 1, "test", NULL, NULL), 0);
	assert_int_equal(sip_transp_add(sip, SIP_TRANSP_TCP, &laddr), 0);
	assert_int_equal(sip_transp_laddr(sip, &laddr, SIP_TRANSP_TCP, &laddr),
			 0);
	seam_lengthen_queues();
	assert_int_equal(seam_keep_spare(), 0);
	for (int i = 0; i < 8; i++) {
		w.fdv[i] = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(connect(w.fdv[i], &laddr.u.sa, laddr.len), 0);
		assert_int_equal(send(w.fdv[i], "x", 1, 0), 1);
	}

	limit_set(lowest_free());
	began = clock();
	tmr_start(&tmr, 5000, late, NULL);
	wait_handler(&w);
	assert_int_equal(re_main(NULL), 0);
	limit_set(0);
	assert_true(tmr_isrunning(&tmr));
	assert_true(clock() - began < CLOCKS_PER_SEC / 2);

	tmr_cancel(&tmr);
	tmr_cancel(&w.tmr);
	for (int i = 0; i < 8; i++)
		(void)close(w.fdv[i]);
	sip_close(sip, true);
	mem_deref(sip);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(libre_calls_what_is_put_in_its_place),
		cmocka_unit_test(udp_sockets_are_shown),
		cmocka_unit_test(connections_send_at_once_and_queues_are_long),
		cmocka_unit_test(timers_do_not_go_by_the_time_of_day),
		cmocka_unit_test(without_descriptors_connections_are_closed),
	};

	return cmocka_run_group_tests(tests, libre_begin, libre_end);
}
