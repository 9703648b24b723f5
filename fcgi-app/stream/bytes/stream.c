/*
 * stream.c: bytes of an open answer.
 */
#include "stream/bytes/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream/bytes/stream_parts.h"
#include "stream/bytes/stream_pool.h"

enum {
	RECORD_MAX = 65528, /* of content; a multiple of 8 needs no padding */
	TYPE_ABORT = 2,	    /* FastCGI 1.0, section 8 */
	TYPE_END = 3,
	TYPE_STDOUT = 6,
	QUEUE_FIRST = 1024,
	READ_SIZE = 4096,
};

/* ---- writing ---- */

size_t stream_pending(const struct stream *s)
{
	return s->len - s->off;
}

uint64_t stream_sent(const struct stream *s)
{
	return s->sent;
}

uint64_t stream_position(const struct stream *s)
{
	/* Writes to a stream that is ending are dropped. */
	return s->state == STREAM_OPEN ? s->sent + stream_pending(s)
				       : UINT64_MAX;
}

static void head_make(uint8_t h[STREAM_RECORD_HEADER], uint8_t type,
		      uint16_t id, size_t n)
{
	h[0] = 1; /* the version */
	h[1] = type;
	h[2] = (uint8_t)(id >> 8);
	h[3] = (uint8_t)id;
	h[4] = (uint8_t)(n >> 8);
	h[5] = (uint8_t)n;
	h[6] = 0;
	h[7] = 0;
}

static bool queue_reserve(struct stream *s, size_t n)
{
	size_t size = s->size ? s->size : QUEUE_FIRST;
	char *queue;

	if (s->off) {
		memmove(s->queue, s->queue + s->off, s->len - s->off);
		s->len -= s->off;
		s->off = 0;
	}
	while (size - s->len < n)
		size *= 2;
	if (size == s->size)
		return true;
	queue = realloc(s->queue, size);
	if (!queue)
		return false;
	s->queue = queue;
	s->size = size;
	return true;
}

static void queue_add(struct stream *s, const void *p, size_t n)
{
	if (!n || s->state == STREAM_DEAD)
		return;
	if (s->size - s->len < n && !queue_reserve(s, n)) {
		stream_die(s);
		return;
	}
	memcpy(s->queue + s->len, p, n);
	s->len += n;
}

/* Bytes of an iovec that the socket took. */
static size_t stream_send(struct stream *s, struct iovec *iov, size_t n)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t did;

	do
		did = sendmsg(s->watch.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (did < 0 && errno == EINTR);
	if (did < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
		stream_die(s);
	if (did <= 0)
		return 0;
	s->sent += (uint64_t)did;
	s->moved_s = stream_now_s(s->pool);
	return (size_t)did;
}

static void stream_record(struct stream *s, uint8_t type, const void *p,
			  size_t n)
{
	uint8_t head[STREAM_RECORD_HEADER];
	size_t did = 0;

	if (s->state == STREAM_DEAD)
		return;
	head_make(head, type, s->id, n);
	if (!stream_pending(s)) {
		struct iovec iov[2] = {
			{.iov_base = head, .iov_len = sizeof(head)},
			{.iov_base = (void *)(uintptr_t)p, .iov_len = n},
		};

		did = stream_send(s, iov, 2);
	}
	if (did < sizeof(head)) {
		queue_add(s, head + did, sizeof(head) - did);
		did = sizeof(head);
	}
	did -= sizeof(head);
	queue_add(s, (const char *)p + did, n - did);
}

/* After writing: whether we want to hear that there is room. */
static void stream_settle(struct stream *s)
{
	uint32_t events = EPOLLIN | EPOLLRDHUP;

	if (s->state == STREAM_DEAD)
		return;
	if (stream_pending(s))
		events |= EPOLLOUT;
	else if (s->state == STREAM_FINISHING)
		stream_die(s);
	if (s->state == STREAM_DEAD)
		return;
	if (loop_change(s->pool->loop, &s->watch, events))
		stream_die(s);
}

void stream_write(struct stream *s, const void *p, size_t n)
{
	const char *at = p;

	if (s->state != STREAM_OPEN)
		return;
	s->wrote_s = stream_now_s(s->pool);
	if (!stream_pending(s))
		s->moved_s = s->wrote_s;
	while (n) {
		size_t some = n < RECORD_MAX ? n : RECORD_MAX;

		stream_record(s, TYPE_STDOUT, at, some);
		at += some;
		n -= some;
	}
	stream_settle(s);
	if (s->state == STREAM_OPEN && stream_pending(s))
		stream_schedule(s); /* whether it moves is looked at */
}

void stream_deadline(struct stream *s, uint32_t at_s)
{
	s->deadline_s = at_s;
	if (s->state != STREAM_DEAD)
		stream_schedule(s);
}

void stream_finish(struct stream *s)
{
	static const uint8_t end[8]; /* status 0, FCGI_REQUEST_COMPLETE */

	if (s->state != STREAM_OPEN)
		return;
	stream_record(s, TYPE_STDOUT, end, 0);
	stream_record(s, TYPE_END, end, sizeof(end));
	if (s->state == STREAM_DEAD)
		return;
	s->state = STREAM_FINISHING;
	stream_settle(s);
	if (s->state != STREAM_DEAD)
		stream_schedule(s);
}

/* ---- what the socket says ---- */

static void stream_flush(struct stream *s)
{
	struct iovec iov = {
		.iov_base = s->queue + s->off,
		.iov_len = s->len - s->off,
	};

	s->off += stream_send(s, &iov, 1);
	if (s->state == STREAM_DEAD || s->off < s->len)
		return;
	free(s->queue);
	s->queue = NULL;
	s->off = s->len = s->size = 0;
}

/* Of the peer's records only an abort is of interest. */
static void stream_feed(struct stream *s, const uint8_t *p, size_t n)
{
	while (n && s->state != STREAM_DEAD) {
		size_t some = n < s->skip ? n : s->skip;

		p += some;
		n -= some;
		s->skip -= (uint32_t)some;
		for (; n && !s->skip && s->head_len < STREAM_RECORD_HEADER; n--)
			s->head[s->head_len++] = *p++;
		if (s->head_len < STREAM_RECORD_HEADER)
			continue;
		if (s->head[1] == TYPE_ABORT)
			stream_die(s);
		s->head_len = 0;
		s->skip = ((uint32_t)s->head[4] << 8 | s->head[5]) +
			  s->head[6]; /* content and padding */
	}
}

static void stream_listen(struct stream *s)
{
	uint8_t data[READ_SIZE];
	ssize_t n = recv(s->watch.fd, data, sizeof(data), MSG_DONTWAIT);

	if (n > 0)
		stream_feed(s, data, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		stream_die(s);
}

static void stream_ready(uint32_t events, void *arg)
{
	struct stream *s = arg;

	if (events & (EPOLLHUP | EPOLLERR)) {
		stream_die(s);
		return;
	}
	if (events & (EPOLLIN | EPOLLRDHUP))
		stream_listen(s);
	if (!(events & EPOLLOUT) || s->state == STREAM_DEAD)
		return;
	stream_flush(s);
	stream_settle(s);
	if (s->state == STREAM_OPEN)
		s->ops->moved(s->arg);
}

/* ---- life ---- */

int stream_new(struct stream **out, struct stream_pool *pool,
	       const struct fcgi_stream *fs, const struct stream_ops *ops,
	       void *arg)
{
	struct stream *s = calloc(1, sizeof(*s));
	int err = s ? 0 : ENOMEM;

	if (!err)
		err = loop_watch(pool->loop, &s->watch, fs->fd,
				 EPOLLIN | EPOLLRDHUP, stream_ready, s);
	if (err) {
		(void)close(fs->fd);
		free(s);
		return err;
	}
	s->pool = pool;
	s->ops = ops;
	s->arg = arg;
	s->id = fs->id;
	s->wrote_s = s->moved_s = stream_now_s(pool);
	pool->count++;
	stream_schedule(s);
	*out = s;
	return 0;
}
