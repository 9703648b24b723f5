/*
 * libre listens with a queue of five, which drops connections when phones come
 * back all at once, and keeps its sockets to itself.  To listen again on a
 * socket that listens only changes the length of its queue.
 */
#include "transport/backlog.h"

#include <stdbool.h>
#include <sys/socket.h>

enum {
	QUEUE = 4096, /* the kernel's somaxconn may be less */
};

static bool is_listening(int fd)
{
	int yes = 0;
	socklen_t len = sizeof(yes);

	return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len) && yes;
}

/** To be called once all sockets are there: looks at each open descriptor */
void backlog_lengthen(void)
{
	for (int fd = 0; fd < 1024; fd++) {
		if (is_listening(fd))
			(void)listen(fd, QUEUE);
	}
}
