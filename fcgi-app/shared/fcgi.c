/*
 * fcgi.c: libfcgi in a readiness loop; the only file that knows it. listen.c
 * says who comes.
 *
 * libfcgi reads and writes blocking. That is harmless where it is only called
 * when the peer, nginx, has begun to send a request that it holds complete; a
 * timeout on the descriptor ends what is not so. One FCGX_Request stands for
 * one connection, which has one request at a time.
 */
#include "shared/fcgi.h"

#include <errno.h>
#include <fcgiapp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/log.h"
#include "shared/listen.h"

enum {
	DISCARD_MAX = 8 << 20,	/* bytes of a body that nobody wants */
	REFUSED_MAX = 8,	/* connections that are being refused */
	REFUSED_WAIT_MS = 1000, /* for their request */
	REQUEST_MEMORY = 65536, /* bytes that libfcgi may want of a request */
};

struct fcgi_request {
	FCGX_Request fcgx;
	struct fcgi_server *server;
	struct fcgi_request *next, **link; /* all connections */
	struct loop_fd watch;
	int fd;
	bool busy, is_gone;
	bool is_refused; /* there is no descriptor for it */
	uint64_t began_ms;
	fcgi_gone_h *gone;
	void *gone_arg;
};

struct fcgi_server {
	struct loop *loop;
	fcgi_request_h *h;
	void *arg;
	struct listeners *listeners;
	struct fcgi_request *all;
	size_t conns, busy, refused;
	bool draining;
	bool held; /* connections are left to others */
	loop_h *idle;
	void *idle_arg;
};

static void conn_ready(uint32_t events, void *arg);

static void conn_free(struct fcgi_request *r, bool keep_fd);

static bool has_room(void *arg)
{
	const struct fcgi_server *s = arg;

	return s->conns < FCGI_CONNS_MAX && s->refused < REFUSED_MAX;
}

/* Those whose request does not come, though they are to be refused only. */
static void refused_end(void *arg)
{
	struct fcgi_server *s = arg;
	const uint64_t now_ms = loop_now_ms(s->loop);
	struct fcgi_request *next;

	for (struct fcgi_request *r = s->all; r && s->refused; r = next) {
		next = r->next;
		if (r->is_refused && !r->busy &&
		    now_ms - r->began_ms >= REFUSED_WAIT_MS)
			conn_free(r, false);
	}
}

static void drain_check(struct fcgi_server *s)
{
	loop_h *idle = s->idle;

	if (!s->draining || s->busy || !idle)
		return;
	s->idle = NULL;
	idle(s->idle_arg);
}

/* One that was refused has gone: others can be. */
static void refused_over(struct fcgi_server *s)
{
	s->refused--;
	listeners_resume(s->listeners);
}

/* Take the connection out; its descriptor goes with it unless kept. */
static void conn_free(struct fcgi_request *r, bool keep_fd)
{
	struct fcgi_server *s = r->server;
	const bool is_refused = r->is_refused;

	loop_unwatch(s->loop, &r->watch);
	FCGX_Free(&r->fcgx, 0);
	/* libfcgi sets ipcFd to -1 where it closed the descriptor itself. */
	if (!keep_fd && r->fcgx.ipcFd >= 0)
		(void)close(r->fd);
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
	s->conns--;
	free(r);
	if (is_refused)
		refused_over(s);
}

static void conn_init(struct fcgi_request *r)
{
	(void)FCGX_InitRequest(&r->fcgx, -1, FCGI_FAIL_ACCEPT_ON_INTR);
	/* A broken connection must not make libfcgi accept another one, nor
	 * linger; and ours must survive the first FCGX_Accept_r. */
	r->fcgx.listen_sock = -1;
	r->fcgx.detached = 1;
	r->fcgx.ipcFd = r->fd;
	r->fcgx.keepConnection = 1;
}

/* is_refused: its request is answered with 503, and it is closed. */
static void conn_new(int fd, bool is_refused, void *arg)
{
	struct fcgi_server *s = arg;
	const struct timeval limit = {.tv_sec = FCGI_IO_TIMEOUT_S};
	struct fcgi_request *r = calloc(1, sizeof(*r));

	if (!r) {
		log_error_often(1, "no_memory", LOG_STR("where", "connection"));
		(void)close(fd);
		listeners_resume(s->listeners);
		return;
	}
	r->server = s;
	r->fd = fd;
	r->is_refused = is_refused;
	r->began_ms = loop_now_ms(s->loop);
	s->refused += is_refused;
	conn_init(r);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	r->next = s->all;
	r->link = &s->all;
	if (s->all)
		s->all->link = &r->next;
	s->all = r;
	s->conns++;
	if (loop_watch(s->loop, &r->watch, fd, EPOLLIN | EPOLLRDHUP, conn_ready,
		       r))
		conn_free(r, false);
}

/* A request is under way: anything now is its end, or too early. */
static void conn_ready_busy(struct fcgi_request *r, uint32_t events)
{
	fcgi_gone_h *gone = r->gone;

	if (!(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
		(void)loop_change(r->server->loop, &r->watch, EPOLLRDHUP);
		return;
	}
	loop_unwatch(r->server->loop, &r->watch);
	r->is_gone = true;
	r->gone = NULL;
	if (gone)
		gone(r->gone_arg);
}

/* Readable, and not for its end alone: a look for every request is dear. */
static bool has_request(const struct fcgi_request *r, uint32_t events)
{
	char c;

	if (!(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
		return true;
	return recv(r->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* libfcgi ends the program, by assert(3), where malloc() fails. */
static bool has_memory(void)
{
	void *volatile p = malloc(REQUEST_MEMORY); /* truly asked for */
	const bool there = p != NULL;

	free(p);
	if (!there)
		log_error_often(1, "no_memory", LOG_STR("where", "request"));
	return there;
}

static void conn_ready(uint32_t events, void *arg)
{
	struct fcgi_request *r = arg;
	struct fcgi_server *s = r->server;

	if (r->busy) {
		conn_ready_busy(r, events);
		return;
	}
	/* A half that is closed may still have sent a request before. */
	if (!has_request(r, events) || !has_memory() ||
	    FCGX_Accept_r(&r->fcgx) < 0) {
		conn_free(r, false);
		return;
	}
	r->busy = true;
	r->is_gone = false;
	r->gone = NULL;
	s->busy++;
	if (r->is_refused)
		fcgi_busy(r);
	else
		s->h(r, s->arg);
}

int fcgi_server_new(struct fcgi_server **out, struct loop *l, const char *where,
		    fcgi_request_h *h, void *arg)
{
	static const struct listen_ops ops = {
		.conns_max = FCGI_CONNS_MAX,
		.has_room = has_room,
		.full = refused_end,
		.come = conn_new,
	};
	struct fcgi_server *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return ENOMEM;
	s->loop = l;
	s->h = h;
	s->arg = arg;
	err = FCGX_Init() ? EIO : 0;
	if (!err)
		err = listeners_new(&s->listeners, l, where, &ops, s);
	if (err)
		fcgi_server_free(s);
	else
		*out = s;
	return err;
}

void fcgi_server_hold(struct fcgi_server *s, bool hold)
{
	if (s->draining || s->held == hold)
		return;
	s->held = hold;
	listeners_hold(s->listeners, hold);
}

void fcgi_server_drain(struct fcgi_server *s, loop_h *idle, void *arg)
{
	struct fcgi_request *next;

	listeners_close(s->listeners);
	s->idle = NULL; /* not before the last connection was looked at */
	s->draining = true;
	for (struct fcgi_request *r = s->all; r; r = next) {
		char c;

		next = r->next;
		/* A request may have come for which no turn was left: it is
		 * served, and the connection closed after it. */
		if (!r->busy &&
		    recv(r->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
			conn_free(r, false);
		else if (!r->busy)
			conn_ready(EPOLLIN, r);
	}
	s->idle = idle;
	s->idle_arg = arg;
	drain_check(s);
}

void fcgi_server_free(struct fcgi_server *s)
{
	if (!s)
		return;
	listeners_close(s->listeners);
	s->draining = true;
	while (s->all)
		conn_free(s->all, false);
	listeners_free(s->listeners);
	free(s);
}

size_t fcgi_server_busy(const struct fcgi_server *s)
{
	return s->busy;
}

const char *fcgi_param(const struct fcgi_request *r, const char *name)
{
	return FCGX_GetParam(name, r->fcgx.envp);
}

char *const *fcgi_params(const struct fcgi_request *r)
{
	return r->fcgx.envp;
}

/* Read what is left of the body. @return whether its end was reached */
static bool body_discard(struct fcgi_request *r)
{
	char trash[4096];
	size_t all = 0;
	int n;

	do {
		n = FCGX_GetStr(trash, sizeof(trash), r->fcgx.in);
		all += n > 0 ? (size_t)n : 0;
	} while (n == (int)sizeof(trash) && all < DISCARD_MAX);
	return n < (int)sizeof(trash) && !FCGX_GetError(r->fcgx.in);
}

/* A body that ended before its Content-Length. */
static bool body_is_short(const struct fcgi_request *r, size_t len)
{
	const char *s = fcgi_param(r, "CONTENT_LENGTH");

	return s && *s && strtoull(s, NULL, 10) > len;
}

int fcgi_read_body(struct fcgi_request *r, struct buf *b, size_t max)
{
	char piece[8192];
	size_t len = 0;
	int n;

	do {
		n = FCGX_GetStr(piece, sizeof(piece), r->fcgx.in);
		if (n <= 0)
			break;
		len += (size_t)n;
		if (len > max) {
			(void)body_discard(r); /* fcgi_finish() looks again */
			return EMSGSIZE;
		}
		buf_add(b, piece, (size_t)n);
		if (b->failed)
			return ENOMEM;
	} while (n == (int)sizeof(piece));
	if (FCGX_GetError(r->fcgx.in) || body_is_short(r, len))
		return EPROTO;
	return 0;
}

void fcgi_on_gone(struct fcgi_request *r, fcgi_gone_h *gone, void *arg)
{
	r->gone = gone;
	r->gone_arg = arg;
}

bool fcgi_is_gone(const struct fcgi_request *r)
{
	return r->is_gone;
}

int fcgi_write(struct fcgi_request *r, const void *p, size_t n)
{
	const char *at = p;

	while (n) {
		int part = n > (1 << 20) ? 1 << 20 : (int)n;

		if (r->is_gone || FCGX_PutStr(at, part, r->fcgx.out) != part)
			return EPIPE;
		at += part;
		n -= (size_t)part;
	}
	return 0;
}

void fcgi_finish(struct fcgi_request *r)
{
	struct fcgi_server *s = r->server;
	bool whole = !r->is_gone && body_discard(r);

	s->busy--;
	r->busy = false;
	r->gone = NULL;
	if (r->is_gone) {
		conn_free(r, false);
		drain_check(s);
		return;
	}
	FCGX_Finish_r(&r->fcgx);
	loop_waited(s->loop);
	r->fcgx.detached = 1; /* it resets that */
	if (!whole || s->draining || s->held || r->is_refused ||
	    r->fcgx.ipcFd < 0 ||
	    loop_change(s->loop, &r->watch, EPOLLIN | EPOLLRDHUP))
		conn_free(r, false);
	drain_check(s);
}

int fcgi_detach(struct fcgi_request *r, const void *head, size_t n,
		struct fcgi_stream *out)
{
	struct fcgi_server *s = r->server;
	struct fcgi_stream stream = {
		.fd = r->fd,
		.id = (uint16_t)r->fcgx.requestId,
	};
	bool sent = !fcgi_write(r, head, n) && FCGX_FFlush(r->fcgx.out) == 0;

	loop_waited(s->loop);
	s->busy--;
	conn_free(r, sent);
	if (sent)
		*out = stream;
	drain_check(s);
	return sent ? 0 : EPIPE;
}

int fcgi_write_busy(struct fcgi_request *r)
{
	static const char answer[] =
		"Status: 503 Service Unavailable\r\n"
		"Content-Type: application/problem+json\r\n"
		"Retry-After: 1\r\nCache-Control: no-store\r\n\r\n"
		"{\"type\":\"/problems/busy\",\"status\":503,"
		"\"title\":\"Too busy for the moment.\"}\n";

	return fcgi_write(r, answer, sizeof(answer) - 1);
}

void fcgi_busy(struct fcgi_request *r)
{
	(void)fcgi_write_busy(r); /* finish notices */
	fcgi_finish(r);
}
