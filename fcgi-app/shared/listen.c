/*
 * listen.c: sockets by name, and connections that come over them.
 */
#include "shared/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/descriptors.h"
#include "common/log.h"

enum {
	HOST_MAX = 256,
	LISTENERS_MAX = 8,
	ACCEPT_PAUSE_MS = 100, /* when not even a refusal is possible */
	HOLD_LOOK_MS = 100,
	HOLD_LOOKS = 4,	    /* then nobody else takes it */
	HOLD_TAKE_MAX = 64, /* at one look */
};

struct listeners {
	struct loop *loop;
	const struct listen_ops *ops;
	void *arg;
	struct loop_fd watch[LISTENERS_MAX];
	int fd[LISTENERS_MAX];
	size_t n;
	int spare;   /* descriptor */
	int last_fd; /* those above it are for the database and the like */
	bool listening, closed;
	struct loop_timer pause;
	bool held; /* connections are left to others */
	struct loop_timer hold;
	int looks; /* at which somebody waited, in a row */
};

/* ---- sockets by name ---- */

static int bind_and_listen(int *out, const struct sockaddr *sa, socklen_t len,
			   int backlog)
{
	const int on = 1;
	int fd, err;

	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (!bind(fd, sa, len) && !listen(fd, backlog)) {
		*out = fd;
		return 0;
	}
	err = errno;
	(void)close(fd);
	return err;
}

static int open_unix(int *out, const char *path, int backlog)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t n = strlen(path);
	int probe;

	if (n >= sizeof(sa.sun_path))
		return ENAMETOOLONG;
	memcpy(sa.sun_path, path, n + 1);
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (probe < 0)
		return errno;
	/* Refused: the socket's owner has died and left it behind. */
	if (connect(probe, (struct sockaddr *)&sa, sizeof(sa)) &&
	    errno == ECONNREFUSED)
		(void)unlink(path);
	(void)close(probe);
	return bind_and_listen(out, (struct sockaddr *)&sa, sizeof(sa),
			       backlog);
}

static int open_tcp(int *out, const char *where, int backlog)
{
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
	};
	const char *colon = strrchr(where, ':');
	size_t n = colon ? (size_t)(colon - where) : 0;
	char host[HOST_MAX];
	struct addrinfo *ai;
	int err;

	if (n >= 2 && where[0] == '[' && where[n - 1] == ']') {
		where++;
		n -= 2;
	}
	if (!colon || !colon[1] || n == 0 || n >= sizeof(host))
		return EINVAL;
	memcpy(host, where, n);
	host[n] = '\0';
	if (getaddrinfo(host, colon + 1, &hints, &ai))
		return EINVAL;
	err = bind_and_listen(out, ai->ai_addr, ai->ai_addrlen, backlog);
	freeaddrinfo(ai);
	return err;
}

static int open_named(int *out, const char *where, int backlog)
{
	if (!where)
		return EINVAL;
	if (!strncmp(where, "unix:", 5))
		return open_unix(out, where + 5, backlog);
	return open_tcp(out, where, backlog);
}

static int nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC))
		return errno;
	return 0;
}

static int inherit(struct listeners *ls)
{
	int n = sd_listen_fds(1);

	if (n < 0)
		return -n;
	if (n > LISTENERS_MAX)
		return E2BIG;
	for (int i = 0; i < n; i++)
		ls->fd[ls->n++] = SD_LISTEN_FDS_START + i;
	return 0;
}

/* ---- who comes ---- */

static void ready(uint32_t events, void *arg);

static void stop(struct listeners *ls)
{
	for (size_t i = 0; i < ls->n; i++)
		loop_unwatch(ls->loop, &ls->watch[i]);
	ls->listening = false;
}

static int start(struct listeners *ls)
{
	for (size_t i = 0; i < ls->n; i++) {
		int err = loop_watch(ls->loop, &ls->watch[i], ls->fd[i],
				     EPOLLIN | EPOLLEXCLUSIVE, ready, ls);

		if (err)
			return err;
	}
	ls->listening = true;
	return 0;
}

static void pause_over(void *arg)
{
	struct listeners *ls = arg;

	if (ls->closed || ls->listening || ls->held)
		return;
	ls->ops->full(ls->arg);
	if (ls->spare < 0)
		(void)spare_open(&ls->spare); /* else in a while */
	if (ls->ops->has_room(ls->arg) && !start(ls))
		return;
	stop(ls);
	loop_after(ls->loop, &ls->pause, ACCEPT_PAUSE_MS, pause_over, ls);
}

static void pause_begin(struct listeners *ls)
{
	stop(ls);
	loop_after(ls->loop, &ls->pause, ACCEPT_PAUSE_MS, pause_over, ls);
}

void listeners_resume(struct listeners *ls)
{
	if (ls->spare < 0)
		(void)spare_open(&ls->spare); /* else when the pause is over */
	if (!ls->listening && !ls->closed)
		loop_after(ls->loop, &ls->pause, 0, pause_over, ls);
}

static void log_refused(const char *why)
{
	log_warn_rarely(1, "connection_refused", LOG_STR("why", why));
}

/* @return whether it was accepted, or there was none */
static bool accept_one(struct listeners *ls, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	int err = fd < 0 ? errno : 0;
	bool is_refused = fd > ls->last_fd;

	if (is_refused)
		err = EMFILE;
	if (fd < 0 && spare_is_needed(err)) {
		fd = spare_accept(&ls->spare, listener, NULL, NULL);
		is_refused = true;
	}
	if (spare_is_needed(err) || err == ENOMEM || err == ENOBUFS)
		log_refused(strerror(err));
	if (fd < 0)
		return err != ENOMEM && err != ENOBUFS && ls->spare >= 0;
	ls->ops->come(fd, is_refused, ls->arg);
	return true;
}

static void ready(uint32_t events, void *arg)
{
	struct listeners *ls = arg;
	bool may = true;

	(void)events;
	for (size_t i = 0; i < ls->n && may; i++)
		may = accept_one(ls, ls->fd[i]) && ls->ops->has_room(ls->arg);
	if (!may)
		pause_begin(ls);
}

/* ---- leaving connections to others ---- */

static bool somebody_waits(const struct listeners *ls)
{
	for (size_t i = 0; i < ls->n; i++) {
		struct pollfd p = {.fd = ls->fd[i], .events = POLLIN};

		if (poll(&p, 1, 0) == 1)
			return true;
	}
	return false;
}

/* Who waits in vain for others is better told by us than by nobody. */
static void hold_look(void *arg)
{
	struct listeners *ls = arg;

	ls->looks = somebody_waits(ls) ? ls->looks + 1 : 0;
	for (int i = 0;
	     ls->looks >= HOLD_LOOKS && i < HOLD_TAKE_MAX && somebody_waits(ls);
	     i++)
		ready(EPOLLIN, ls);
	loop_after(ls->loop, &ls->hold, HOLD_LOOK_MS, hold_look, ls);
}

void listeners_hold(struct listeners *ls, bool hold)
{
	ls->held = hold;
	ls->looks = 0;
	if (hold) {
		stop(ls);
		hold_look(ls);
		return;
	}
	loop_cancel(ls->loop, &ls->hold);
	if (!ls->listening && start(ls))
		pause_begin(ls);
}

/* ---- life ---- */

/* A few are left for connections that are refused, and to the database: they
 * are those with the highest numbers, for the lowest free one is given. */
static int last_fd(size_t limit, size_t conns_max)
{
	const size_t reserve = limit / 4 < LISTEN_RESERVE ? limit / 4
							  : LISTEN_RESERVE;

	(void)descriptors_check(limit, "connections",
				conns_max + LISTEN_RESERVE);
	return (int)(limit - reserve) - 1;
}

int listeners_new(struct listeners **out, struct loop *l, const char *where,
		  const struct listen_ops *ops, void *arg)
{
	struct listeners *ls = calloc(1, sizeof(*ls));
	int err;

	if (!ls)
		return ENOMEM;
	ls->loop = l;
	ls->ops = ops;
	ls->arg = arg;
	ls->last_fd = last_fd(descriptors_raise(), ops->conns_max);
	err = spare_open(&ls->spare);
	if (!err)
		err = inherit(ls);
	if (!err && !ls->n) {
		err = open_named(&ls->fd[0], where, LISTEN_BACKLOG);
		ls->n = err ? 0 : 1;
	}
	for (size_t i = 0; i < ls->n && !err; i++)
		err = nonblock(ls->fd[i]);
	if (!err)
		err = start(ls);
	if (err)
		listeners_free(ls);
	else
		*out = ls;
	return err;
}

void listeners_close(struct listeners *ls)
{
	if (!ls)
		return;
	stop(ls);
	loop_cancel(ls->loop, &ls->pause);
	loop_cancel(ls->loop, &ls->hold);
	for (size_t i = 0; i < ls->n; i++)
		(void)close(ls->fd[i]);
	ls->n = 0;
	ls->closed = true;
}

void listeners_free(struct listeners *ls)
{
	if (!ls)
		return;
	listeners_close(ls);
	if (ls->spare >= 0)
		(void)close(ls->spare);
	free(ls);
}
