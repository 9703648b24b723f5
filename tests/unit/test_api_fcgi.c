/*
 * FastCGI in a readiness loop: kept connections, bodies and their limits,
 * peers that hang up or speak nonsense, letting go, draining.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/fcgi.h"

enum {
	BEGIN = 1,
	END = 3,
	PARAMS = 4,
	STDIN = 5,
	STDOUT = 6,
	BODY_MAX = 1000,
};

struct rig {
	struct loop *loop;
	struct fcgi_server *server;
	struct loop_timer limit;
	char path[64];
	int client;
	int requests, gone, idle;
	int body_err;
	size_t body_len;
	bool hold, detach; /* do not answer; let go instead */
	struct fcgi_request *held;
	struct fcgi_stream stream;
};

static void stop(void *arg)
{
	struct rig *rig = arg;

	loop_stop(rig->loop);
}

/* Serve for a while: everything is on this host. */
static void turn(struct rig *rig)
{
	loop_after(rig->loop, &rig->limit, 30, stop, rig);
	assert_int_equal(loop_run(rig->loop), 0);
}

static void on_gone(void *arg)
{
	struct rig *rig = arg;

	rig->gone++;
}

static void on_idle(void *arg)
{
	struct rig *rig = arg;

	rig->idle++;
}

static void on_request(struct fcgi_request *r, void *arg)
{
	static const char head[] = "Status: 200 OK\r\n\r\n";
	const char *uri = fcgi_param(r, "REQUEST_URI");
	struct rig *rig = arg;
	struct buf body;

	rig->requests++;
	buf_init(&body, BODY_MAX);
	rig->body_err = fcgi_read_body(r, &body, BODY_MAX);
	rig->body_len = body.len;
	buf_free(&body);
	fcgi_on_gone(r, on_gone, rig);
	if (rig->hold) {
		rig->held = r;
		return;
	}
	if (rig->detach) {
		assert_int_equal(
			fcgi_detach(r, head, sizeof(head) - 1, &rig->stream),
			0);
		return;
	}
	(void)fcgi_write(r, head, sizeof(head) - 1);
	if (uri)
		(void)fcgi_write(r, uri, strlen(uri));
	fcgi_finish(r);
}

static int client_connect(const struct rig *rig)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", rig->path);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	char where[80];

	assert_non_null(rig);
	(void)snprintf(rig->path, sizeof(rig->path), "/tmp/test_fcgi.%ld",
		       (long)getpid());
	(void)snprintf(where, sizeof(where), "unix:%s", rig->path);
	assert_int_equal(loop_new(&rig->loop), 0);
	assert_int_equal(fcgi_server_new(&rig->server, rig->loop, where,
					 on_request, rig),
			 0);
	rig->client = client_connect(rig);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	(void)close(rig->client);
	fcgi_server_free(rig->server);
	loop_free(rig->loop);
	(void)unlink(rig->path);
	free(rig);
	return 0;
}

static void record(struct buf *b, int type, const void *p, size_t n)
{
	const char head[8] = {1, (char)type, 0, 1, (char)(n >> 8), (char)n};

	buf_add(b, head, sizeof(head));
	buf_add(b, p, n);
}

/* A whole request; keep: FCGI_KEEP_CONN */
static void request(struct buf *b, bool keep, size_t body)
{
	const char begin[8] = {0, 1, keep ? 1 : 0};
	static const char params[] = "\x0b\x05REQUEST_URI/path";
	char bytes[4 * BODY_MAX];

	memset(bytes, 'x', sizeof(bytes));
	buf_init(b, 65536);
	record(b, BEGIN, begin, sizeof(begin));
	record(b, PARAMS, params, sizeof(params) - 1);
	record(b, PARAMS, "", 0);
	if (body)
		record(b, STDIN, bytes, body);
	record(b, STDIN, "", 0);
}

static void send_request(int fd, bool keep, size_t body)
{
	struct buf b;

	request(&b, keep, body);
	assert_int_equal(write(fd, b.p, b.len), b.len);
	buf_free(&b);
}

/* What has come; 0: the end, -1: nothing. */
static ssize_t receive(int fd, char *p, size_t n)
{
	return recv(fd, p, n, MSG_DONTWAIT);
}

static void expect_answer(int fd)
{
	char p[512];
	ssize_t n = receive(fd, p, sizeof(p));

	assert_true(n > 16);
	assert_int_equal(p[1], STDOUT);
	assert_memory_equal(p + 8, "Status: 200 OK\r\n\r\n/path", 23);
	assert_int_equal(p[n - 16 + 1], END);
}

static void kept_connection_serves_again(void **state)
{
	struct rig *rig = *state;

	for (int i = 1; i <= 3; i++) {
		send_request(rig->client, true, 10);
		turn(rig);
		assert_int_equal(rig->requests, i);
		assert_int_equal(rig->body_len, 10);
		expect_answer(rig->client);
	}
	assert_int_equal(fcgi_server_busy(rig->server), 0);
}

static void other_connection_is_closed(void **state)
{
	struct rig *rig = *state;
	char c;

	send_request(rig->client, false, 0);
	turn(rig);
	expect_answer(rig->client);
	assert_int_equal(receive(rig->client, &c, 1), 0);
}

static void idle_connections_starve_nobody(void **state)
{
	struct rig *rig = *state;
	int idle[50];

	for (int i = 0; i < 50; i++)
		idle[i] = client_connect(rig);
	send_request(rig->client, true, 0);
	turn(rig);
	expect_answer(rig->client);
	for (int i = 0; i < 50; i++) {
		send_request(idle[i], true, 0);
		if (i % 2)
			(void)shutdown(idle[i], SHUT_WR);
	}
	turn(rig);
	for (int i = 0; i < 50; i++) {
		if (i % 2 == 0)
			expect_answer(idle[i]);
		(void)close(idle[i]);
	}
}

static void too_long_a_body_is_told_and_read(void **state)
{
	struct rig *rig = *state;

	send_request(rig->client, true, 3 * BODY_MAX);
	turn(rig);
	assert_int_equal(rig->body_err, EMSGSIZE);
	expect_answer(rig->client);
	send_request(rig->client, true, BODY_MAX);
	turn(rig);
	assert_int_equal(rig->body_err, 0);
	assert_int_equal(rig->body_len, BODY_MAX);
	expect_answer(rig->client);
}

static void hang_up_is_told(void **state)
{
	struct rig *rig = *state;

	rig->hold = true;
	send_request(rig->client, true, 0);
	turn(rig);
	assert_int_equal(rig->gone, 0);
	assert_int_equal(fcgi_server_busy(rig->server), 1);
	(void)close(rig->client);
	rig->client = client_connect(rig);
	turn(rig);
	assert_int_equal(rig->gone, 1);
	assert_true(fcgi_is_gone(rig->held));
	assert_int_equal(fcgi_write(rig->held, "x", 1), EPIPE);
	fcgi_finish(rig->held);
	assert_int_equal(fcgi_server_busy(rig->server), 0);
}

static void two_requests_at_once_are_served_in_turn(void **state)
{
	struct rig *rig = *state;

	rig->hold = true;
	send_request(rig->client, true, 0);
	turn(rig);
	send_request(rig->client, true, 0); /* nginx would not */
	turn(rig);
	assert_int_equal(rig->requests, 1);
	rig->hold = false;
	fcgi_finish(rig->held);
	turn(rig);
	assert_int_equal(rig->requests, 2);
}

static void nonsense_ends_its_connection_only(void **state)
{
	struct rig *rig = *state;
	struct buf b;

	request(&b, true, 20);
	for (size_t cut = 1; cut < b.len; cut++) {
		int fd = client_connect(rig);

		/* A byte is wrong, and the rest is missing. */
		assert_int_equal(write(fd, b.p, cut - 1), cut - 1);
		assert_int_equal(write(fd, "\x7f", 1), 1);
		(void)close(fd);
		if (cut % 16 == 0)
			turn(rig);
	}
	buf_free(&b);
	turn(rig);
	send_request(rig->client, true, 0);
	turn(rig);
	expect_answer(rig->client);
	assert_int_equal(fcgi_server_busy(rig->server), 0);
}

static void detached_stream_is_the_callers(void **state)
{
	static const char more[8] = {1, STDOUT, 0, 1, 0, 2};
	struct rig *rig = *state;
	char p[128];

	rig->detach = true;
	send_request(rig->client, false, 0);
	turn(rig);
	assert_int_equal(fcgi_server_busy(rig->server), 0);
	assert_int_equal(rig->stream.id, 1);
	assert_true(receive(rig->client, p, sizeof(p)) > 8);
	assert_memory_equal(p + 8, "Status: 200 OK", 14);
	assert_int_equal(write(rig->stream.fd, more, 8), 8);
	assert_int_equal(write(rig->stream.fd, "hi", 2), 2);
	assert_int_equal(receive(rig->client, p, sizeof(p)), 10);
	(void)close(rig->stream.fd);
	assert_int_equal(receive(rig->client, p, sizeof(p)), 0);
}

static void draining_finishes_what_is_under_way(void **state)
{
	struct rig *rig = *state;
	int idle = client_connect(rig);
	int late = client_connect(rig);
	char c;

	rig->hold = true;
	send_request(rig->client, true, 0);
	turn(rig);
	rig->hold = false;
	send_request(late, true, 0); /* there, but not looked at yet */
	fcgi_server_drain(rig->server, on_idle, rig);
	assert_int_equal(rig->idle, 0);
	expect_answer(late);
	assert_int_equal(receive(late, &c, 1), 0);
	assert_int_equal(receive(idle, &c, 1), 0);
	fcgi_finish(rig->held);
	assert_int_equal(rig->idle, 1);
	(void)close(idle);
	(void)close(late);
}

/* ---- without descriptors ---- */

/* The soft limit; @return what it was */
static rlim_t limit_set(rlim_t most)
{
	struct rlimit limit;
	rlim_t before;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	before = limit.rlim_cur;
	limit.rlim_cur = most;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return before;
}

static rlim_t lowest_free(void)
{
	int fd = dup(STDIN_FILENO);

	assert_true(fd >= 0);
	(void)close(fd);
	return (rlim_t)fd;
}

static void expect_busy(int fd)
{
	char p[512] = {0};

	assert_true(receive(fd, p, sizeof(p) - 1) > 16);
	assert_memory_equal(p + 8, "Status: 503", 11);
	assert_non_null(strstr(p + 8, "Retry-After: "));
	assert_int_equal(receive(fd, p, sizeof(p)), 0);
}

static bool has_come(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

/* Many that wait: each is answered, one after the other. */
static void without_descriptors_each_request_is_refused(void **state)
{
	struct rig *rig = *state;
	int fd[20];
	rlim_t before;

	turn(rig); /* the first connection is there */
	for (int i = 0; i < 20; i++) {
		fd[i] = client_connect(rig);
		send_request(fd[i], true, 10);
	}
	before = limit_set(lowest_free());
	for (int i = 0, turns = 0; i < 20; i++) {
		while (!has_come(fd[i]) && turns++ < 200)
			turn(rig);
		expect_busy(fd[i]);
	}
	assert_int_equal(rig->requests, 0);
	send_request(rig->client, true, 0);
	turn(rig);
	expect_answer(rig->client);
	(void)limit_set(before);
	for (int i = 0; i < 20; i++)
		(void)close(fd[i]);
	fd[0] = client_connect(rig);
	send_request(fd[0], true, 0);
	turn(rig);
	expect_answer(fd[0]);
	(void)close(fd[0]);
}

/* Meanwhile the loop does not come round and round for who is waiting. */
static void who_says_nothing_makes_room_for_who_does(void **state)
{
	struct rig *rig = *state;
	int silent, other;
	clock_t began;
	rlim_t before;

	turn(rig); /* the first connection is there */
	silent = client_connect(rig);
	other = client_connect(rig);
	send_request(other, true, 0);
	before = limit_set(lowest_free());
	began = clock();
	for (int i = 0; i < 200 && !has_come(other); i++)
		turn(rig);
	assert_true(clock() - began < CLOCKS_PER_SEC / 2);
	(void)limit_set(before);
	expect_busy(other);
	assert_true(has_come(silent));
	(void)close(silent);
	(void)close(other);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(kept_connection_serves_again),
		TEST(other_connection_is_closed),
		TEST(idle_connections_starve_nobody),
		TEST(too_long_a_body_is_told_and_read),
		TEST(hang_up_is_told),
		TEST(two_requests_at_once_are_served_in_turn),
		TEST(nonsense_ends_its_connection_only),
		TEST(detached_stream_is_the_callers),
		TEST(draining_finishes_what_is_under_way),
		TEST(without_descriptors_each_request_is_refused),
		TEST(who_says_nothing_makes_room_for_who_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
