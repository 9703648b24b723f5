/*
 * stream.c: bytes of an open answer, and the one clock for all of them.
 */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	RECORD_MAX = 65528, /* of content; a multiple of 8 needs no padding */
	RECORD_HEADER = 8,
	TYPE_ABORT = 2, /* FastCGI 1.0, section 8 */
	TYPE_END = 3,
	TYPE_STDOUT = 6,
	WHEEL = 16, /* seconds; more than STREAM_HEARTBEAT_S */
	QUEUE_FIRST = 1024,
	READ_SIZE = 4096,
};

enum stream_state {
	STREAM_OPEN,
	STREAM_FINISHING, /* the end is queued */
	STREAM_DEAD,	  /* waits for the reaper */
};

struct stream {
	struct loop_fd watch;
	struct stream_pool *pool;
	const struct stream_ops *ops;
	void *arg;
	struct stream *next, **prev; /* in a slot of the wheel, or of the dead */
	char *queue;
	size_t off, len, size; /* of the queue: out already, filled, there */
	uint64_t sent;
	uint32_t deadline_s; /* 0: none */
	uint32_t wrote_s;    /* when something was written last */
	uint32_t moved_s;    /* when bytes went out last, or nothing had to */
	uint32_t skip;	     /* of the peer's record: bytes that are left */
	uint16_t id;
	uint8_t state;
	uint8_t head_len;
	uint8_t head[RECORD_HEADER]; /* of the peer's record */
};

struct stream_pool {
	struct loop *loop;
	struct loop_timer tick, reap;
	struct stream *slot[WHEEL];
	struct stream *visiting, *dead;
	size_t count;
	uint64_t began_ms;
	uint32_t ticked_s;
	loop_h *empty;
	void *empty_arg;
};

/* ---- lists ---- */

static void stream_unlink(struct stream *s)
{
	if (!s->prev)
		return;
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->prev = NULL;
}

static void stream_link(struct stream *s, struct stream **list)
{
	stream_unlink(s);
	s->next = *list;
	if (s->next)
		s->next->prev = &s->next;
	s->prev = list;
	*list = s;
}

static void stream_destroy(struct stream *s)
{
	struct stream_pool *pool = s->pool;

	stream_unlink(s);
	loop_unwatch(pool->loop, &s->watch);
	(void)close(s->watch.fd); /* what counts was said, or cannot be */
	free(s->queue);
	free(s);
	pool->count--;
}

static void pool_reap(void *arg)
{
	struct stream_pool *pool = arg;

	while (pool->dead) {
		struct stream *s = pool->dead;

		s->ops->closed(s->arg);
		stream_destroy(s);
	}
	if (!pool->count && pool->empty)
		pool->empty(pool->empty_arg);
}

static void stream_die(struct stream *s)
{
	struct stream_pool *pool = s->pool;

	if (s->state == STREAM_DEAD)
		return;
	s->state = STREAM_DEAD;
	loop_unwatch(pool->loop, &s->watch);
	stream_link(s, &pool->dead);
	if (!loop_pending(&pool->reap))
		(void)loop_after(pool->loop, &pool->reap, 0, pool_reap,
			pool); /* else the next tick does it */
}

/* ---- the clock ---- */

uint32_t stream_now_s(const struct stream_pool *pool)
{
	return (uint32_t)((loop_now_ms(pool->loop) - pool->began_ms) / 1000) +
		1;
}

/* Put into the slot of the second in which it is to be looked at next. */
static void stream_schedule(struct stream *s)
{
	uint32_t now_s = stream_now_s(s->pool);
	uint32_t at_s = s->wrote_s + STREAM_HEARTBEAT_S;

	if (s->len)
		at_s = now_s + 1;
	if (s->deadline_s && s->deadline_s < at_s)
		at_s = s->deadline_s;
	if (at_s <= now_s)
		at_s = now_s + 1;
	stream_link(s, &s->pool->slot[at_s % WHEEL]);
}

void stream_deadline(struct stream *s, uint32_t at_s)
{
	s->deadline_s = at_s;
	if (s->state != STREAM_DEAD)
		stream_schedule(s);
}

static void stream_visit(struct stream *s, uint32_t now_s)
{
	uint32_t stall_s = s->state == STREAM_FINISHING ? STREAM_END_S
							: STREAM_STALL_S;

	if (s->len && now_s - s->moved_s >= stall_s) {
		stream_die(s);
		return;
	}
	stream_schedule(s);
	if (s->state != STREAM_OPEN)
		return;
	if (now_s - s->wrote_s >= STREAM_HEARTBEAT_S && !s->len) {
		const char *text = s->ops->heartbeat(s->arg);

		stream_write(s, text, strlen(text));
	}
	if (s->state == STREAM_OPEN && s->deadline_s &&
		s->deadline_s <= now_s) {
		s->deadline_s = 0;
		s->ops->due(s->arg);
	}
}

static void pool_tick(void *arg)
{
	struct stream_pool *pool = arg;
	uint32_t now_s = stream_now_s(pool);
	uint32_t from_s = pool->ticked_s;

	if (now_s - from_s > WHEEL)
		from_s = now_s - WHEEL;
	pool->ticked_s = now_s;
	for (uint32_t at_s = from_s + 1; at_s <= now_s; at_s++) {
		/* Who is looked at goes to a later slot, perhaps this one. */
		while (pool->slot[at_s % WHEEL])
			stream_link(pool->slot[at_s % WHEEL], &pool->visiting);
		while (pool->visiting)
			stream_visit(pool->visiting, now_s);
	}
	pool_reap(pool);
	(void)loop_after(pool->loop, &pool->tick, 1000, pool_tick,
		pool); /* its place in the heap was just given back */
}

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
	return s->sent + stream_pending(s);
}

static void head_make(uint8_t h[RECORD_HEADER], uint8_t type, uint16_t id,
	size_t n)
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
	uint8_t head[RECORD_HEADER];
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

/* The peer's records: only that it aborts is of interest. */
static void stream_feed(struct stream *s, const uint8_t *p, size_t n)
{
	while (n && s->state != STREAM_DEAD) {
		size_t some = n < s->skip ? n : s->skip;

		p += some;
		n -= some;
		s->skip -= (uint32_t)some;
		for (; n && !s->skip && s->head_len < RECORD_HEADER; n--)
			s->head[s->head_len++] = *p++;
		if (s->head_len < RECORD_HEADER)
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
	const struct fcgi_stream *fs, const struct stream_ops *ops, void *arg)
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

void stream_free(struct stream *s)
{
	if (s)
		stream_destroy(s);
}

int stream_pool_new(struct stream_pool **out, struct loop *l)
{
	struct stream_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return ENOMEM;
	pool->loop = l;
	pool->began_ms = loop_now_ms(l);
	pool->ticked_s = stream_now_s(pool);
	if (loop_after(l, &pool->tick, 1000, pool_tick, pool)) {
		free(pool);
		return ENOMEM;
	}
	*out = pool;
	return 0;
}

void stream_pool_free(struct stream_pool *pool)
{
	if (!pool)
		return;
	for (size_t i = 0; i < WHEEL; i++)
		while (pool->slot[i])
			stream_destroy(pool->slot[i]);
	while (pool->dead)
		stream_destroy(pool->dead);
	loop_cancel(pool->loop, &pool->tick);
	loop_cancel(pool->loop, &pool->reap);
	free(pool);
}

size_t stream_pool_count(const struct stream_pool *pool)
{
	return pool->count;
}

void stream_pool_on_empty(struct stream_pool *pool, loop_h *empty, void *arg)
{
	pool->empty = empty;
	pool->empty_arg = arg;
}
