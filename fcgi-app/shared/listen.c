/*
 * listen.c: listening sockets by name.
 */
#include "shared/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	HOST_MAX = 256,
};

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

int listen_open(int *out, const char *where, int backlog)
{
	if (!where)
		return EINVAL;
	if (!strncmp(where, "unix:", 5))
		return open_unix(out, where + 5, backlog);
	return open_tcp(out, where, backlog);
}

int listen_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC))
		return errno;
	return 0;
}
