#include "common/watchdog.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

enum {
	TURNS = 3, /* while one is waited for: two may be late */
	ASKED_MS = 60 * 1000,
};

uint64_t watchdog_period_ms(void)
{
	uint64_t limit_us = 0;

	if (!getenv("NOTIFY_SOCKET"))
		return 0;
	if (sd_watchdog_enabled(0, &limit_us) <= 0)
		return ASKED_MS; /* that it serves is all they want to know */
	return limit_us / 1000 / TURNS;
}

/* That it serves may be said more than once; who does not listen any more is
 * left alone. sd_notify() would wait for one that stands still, and its queue
 * is short. */
void watchdog_turn(void)
{
	static const char text[] = "READY=1\nWATCHDOG=1";
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	const size_t n = name ? strlen(name) : 0;
	int fd;

	if (!n || n >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, name, n);
	if (name[0] == '@')
		to.sun_path[0] = '\0'; /* an abstract one */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL,
		     (struct sockaddr *)&to,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	(void)close(fd);
}
