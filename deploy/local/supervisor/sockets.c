#include "sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "list.h"
#include "say.h"

enum {
	BACKLOG = 1024,
	PORTS_TRIED_MAX = 2000,
};

void sockets_open(struct supervisor *s)
{
	for (int i = 0; i < s->n_sockets; i++) {
		struct shared_socket *sock = &s->sockets[i];
		struct sockaddr_un sun = {.sun_family = AF_UNIX};

		if (strlen(sock->path) >= sizeof(sun.sun_path))
			die("socket path too long: %s", sock->path);
		memcpy(sun.sun_path, sock->path, strlen(sock->path) + 1);
		(void)unlink(sock->path); /* of an earlier run, if any */
		sock->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (sock->fd < 0 ||
		    bind(sock->fd, (struct sockaddr *)&sun, sizeof(sun)) ||
		    chmod(sock->path, 0600) || listen(sock->fd, BACKLOG))
			die("%s: %s", sock->path, strerror(errno));
	}
}

void sockets_close(struct supervisor *s)
{
	for (int i = 0; i < s->n_sockets; i++) {
		(void)close(s->sockets[i].fd);
		(void)unlink(s->sockets[i].path); /* nobody is left to use it */
	}
}

/* Is the port free on 127.0.0.1, for TCP and UDP? */
static bool port_free(int port)
{
	static const int type[] = {SOCK_STREAM, SOCK_DGRAM};
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_port = htons((in_port_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	bool ok = true;

	for (int i = 0; i < 2 && ok; i++) {
		int fd = socket(AF_INET, type[i] | SOCK_CLOEXEC, 0), on = 1;

		/* As servers do: connections in TIME_WAIT do not count. */
		if (type[i] == SOCK_STREAM)
			(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on,
					 sizeof(on));
		ok = fd >= 0 &&
		     !bind(fd, (struct sockaddr *)&sin, sizeof(sin)) &&
		     (type[i] == SOCK_DGRAM || !listen(fd, 1));
		if (fd >= 0)
			(void)close(fd);
	}
	return ok;
}

int port_print(const char *first)
{
	long port = strtol(first, NULL, 10);

	for (long i = 0; i < PORTS_TRIED_MAX && port + i <= 65535; i++)
		if (port > 0 && port_free((int)(port + i))) {
			printf("%ld\n", port + i);
			return 0;
		}
	die("no free port from %s on", first);
}
