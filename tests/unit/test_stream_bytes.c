/*
 * Bytes of an open answer over a socket pair: framing, the queue, the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "stream/bytes/stream.h"

enum {
	ID = 258, /* 1, 2 */
	LARGE = 3 << 20,
	DEADLINE_MS = 5000,
};

struct fixture {
	struct loop *loop;
	struct stream_pool *pool;
	struct stream *stream;
	struct loop_timer timer;
	int peer;
	int moved, closed, due;
	char *got;
	size_t len;
};

static void give_up(void *arg)
{
	(void)arg;
	fail_msg("not in time");
}

static void stop(void *arg)
{
	loop_stop(arg);
}

static void peer_read(struct fixture *f)
{
	ssize_t n;

	while ((n = recv(f->peer, f->got + f->len, 2 * LARGE - f->len,
			 MSG_DONTWAIT)) > 0)
		f->len += (size_t)n;
}

static void on_moved(void *arg)
{
	struct fixture *f = arg;

	f->moved++;
	peer_read(f);
	if (!stream_pending(f->stream))
		loop_stop(f->loop);
}

static void on_idle(void *arg)
{
	struct fixture *f = arg;

	stream_write(f->stream, ": \n", 3);
}

static void on_due(void *arg)
{
	struct fixture *f = arg;

	f->due++;
	loop_stop(f->loop);
}

static void on_closed(void *arg)
{
	struct fixture *f = arg;

	f->closed++;
	f->stream = NULL;
	loop_stop(f->loop);
}

static const struct stream_ops ops = {
	.moved = on_moved,
	.idle = on_idle,
	.due = on_due,
	.closed = on_closed,
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd[2];
	struct fcgi_stream fs = {.id = ID};

	assert_non_null(f);
	f->got = malloc(2 * LARGE);
	assert_non_null(f->got);
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(stream_pool_new(&f->pool, f->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	fs.fd = fd[0];
	f->peer = fd[1];
	assert_int_equal(stream_new(&f->stream, f->pool, &fs, &ops, f), 0);
	loop_after(f->loop, &f->timer, DEADLINE_MS, give_up, NULL);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	loop_cancel(f->loop, &f->timer);
	stream_pool_free(f->pool);
	loop_free(f->loop);
	(void)close(f->peer);
	free(f->got);
	free(f);
	return 0;
}

/* Let the loop run for a turn. */
static void turn(struct fixture *f)
{
	struct loop_timer now = {0};

	loop_after(f->loop, &now, 0, stop, f->loop);
	assert_int_equal(loop_run(f->loop), 0);
	loop_cancel(f->loop, &now);
}

static void what_is_written_is_a_record(void **state)
{
	static const uint8_t head[] = {1, 6, 1, 2, 0, 5, 0, 0};
	struct fixture *f = *state;

	stream_write(f->stream, "hello", 5);
	peer_read(f);
	assert_int_equal(f->len, 13);
	assert_memory_equal(f->got, head, 8);
	assert_memory_equal(f->got + 8, "hello", 5);
	assert_int_equal(stream_pending(f->stream), 0);
	assert_int_equal(stream_sent(f->stream), 13);
}

/* What the records hold, one after the other; ended: the last one was END. */
static size_t unframe(struct fixture *f, bool *ended)
{
	size_t at = 0, len = 0;

	*ended = false;
	while (at < f->len) {
		const uint8_t *h = (const uint8_t *)f->got + at;
		size_t n = (size_t)h[4] << 8 | h[5];

		assert_false(*ended);
		assert_int_equal(h[0], 1);
		assert_int_equal(h[2] << 8 | h[3], ID);
		assert_int_equal(h[6], 0);
		*ended = h[1] == 3;
		if (!*ended) {
			assert_int_equal(h[1], 6);
			memmove(f->got + len, f->got + at + 8, n);
			len += n;
		}
		at += 8 + n;
	}
	assert_int_equal(at, f->len);
	return len;
}

static void what_does_not_go_out_is_queued(void **state)
{
	struct fixture *f = *state;
	char *data = malloc(LARGE);
	bool ended;

	assert_non_null(data);
	for (size_t i = 0; i < LARGE; i++)
		data[i] = (char)(i * 7 + i / 65536);
	stream_write(f->stream, data, LARGE);
	assert_true(stream_pending(f->stream) > STREAM_QUEUE_MAX);
	assert_int_equal(stream_position(f->stream),
			 stream_sent(f->stream) + stream_pending(f->stream));
	peer_read(f);
	assert_int_equal(loop_run(f->loop), 0);
	peer_read(f);
	assert_int_equal(stream_pending(f->stream), 0);
	assert_true(f->moved > 0);
	assert_int_equal(unframe(f, &ended), LARGE);
	assert_false(ended);
	assert_memory_equal(f->got, data, LARGE);
	free(data);
}

static void the_end_comes_after_the_queue(void **state)
{
	struct fixture *f = *state;
	char *data = calloc(1, LARGE);
	bool ended;

	assert_non_null(data);
	stream_write(f->stream, data, LARGE);
	stream_finish(f->stream);
	stream_write(f->stream, "late", 4); /* is not heard */
	while (!f->closed) {
		peer_read(f);
		turn(f);
	}
	peer_read(f);
	assert_int_equal(unframe(f, &ended), LARGE);
	assert_true(ended);
	assert_int_equal(stream_pool_count(f->pool), 0);
	assert_int_equal(recv(f->peer, data, 1, MSG_DONTWAIT), 0);
	free(data);
}

static void a_peer_that_goes_is_noticed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(shutdown(f->peer, SHUT_RDWR), 0);
	assert_int_equal(loop_run(f->loop), 0);
	assert_int_equal(f->closed, 1);
	assert_int_equal(stream_pool_count(f->pool), 0);
}

static void a_write_to_nobody_closes_later(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(shutdown(f->peer, SHUT_RDWR), 0);
	stream_write(f->stream, "hello", 5);
	assert_int_equal(f->closed, 0);
	turn(f);
	assert_int_equal(f->closed, 1);
}

static void an_abort_in_pieces_closes(void **state)
{
	/* a record of stdin with content and padding, then the abort */
	static const uint8_t records[] = {1,   5,   1,	 2, 0, 3, 5, 0,
					  'a', 'b', 'c', 0, 0, 0, 0, 0,
					  1,   2,   1,	 2, 0, 0, 0, 0};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(records); i++) {
		assert_int_equal(f->closed, 0);
		assert_int_equal(send(f->peer, records + i, 1, 0), 1);
		turn(f);
	}
	turn(f);
	assert_int_equal(f->closed, 1);
}

static void a_deadline_is_told(void **state)
{
	struct fixture *f = *state;

	stream_deadline(f->stream, stream_now_s(f->pool) + 1);
	assert_int_equal(loop_run(f->loop), 0);
	assert_int_equal(f->due, 1);
	assert_int_equal(f->closed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_written_is_a_record,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_does_not_go_out_is_queued,
						setup, teardown),
		cmocka_unit_test_setup_teardown(the_end_comes_after_the_queue,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_peer_that_goes_is_noticed,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_write_to_nobody_closes_later,
						setup, teardown),
		cmocka_unit_test_setup_teardown(an_abort_in_pieces_closes,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_deadline_is_told, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
