#include "watchdog.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "list.h"
#include "say.h"

enum {
	MESSAGE_MAX_BYTES = 4096,
	FROZEN_MS = 2000, /* a look that is so late: nobody could speak */
};

/* An abstract socket with a name of the kernel's choice: a path may be too
 * long, and anybody may write to it, but the kernel says who did. */
void watchdog_open(struct supervisor *s)
{
	const char *seconds = getenv("RESTSIP_WATCHDOG_S");
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(sun);
	const int on = 1;

	s->watchdog_ms = 1000 *
			 (seconds ? strtol(seconds, NULL, 10) : WATCHDOG_S);
	s->watchdog_fd = socket(AF_UNIX,
				SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->watchdog_fd < 0 ||
	    setsockopt(s->watchdog_fd, SOL_SOCKET, SO_PASSCRED, &on,
		       sizeof(on)) ||
	    bind(s->watchdog_fd, (struct sockaddr *)&sun,
		 sizeof(sun.sun_family)) ||
	    getsockname(s->watchdog_fd, (struct sockaddr *)&sun, &len))
		die("notify socket: %s", strerror(errno));
	(void)snprintf(s->notify_socket, sizeof(s->notify_socket), "@%.*s",
		       (int)(len - offsetof(struct sockaddr_un, sun_path) - 1),
		       sun.sun_path + 1);
}

void watchdog_env(const struct supervisor *s)
{
	char text[32];

	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	if (s->watchdog_ms <= 0)
		return;
	(void)setenv("NOTIFY_SOCKET", s->notify_socket, 1);
	(void)snprintf(text, sizeof(text), "%lld", s->watchdog_ms * 1000);
	(void)setenv("WATCHDOG_USEC", text, 1);
	(void)snprintf(text, sizeof(text), "%d", getpid());
	(void)setenv("WATCHDOG_PID", text, 1);
}

/* Whose process wrote it, which the kernel has looked at; 0: nobody knows */
static pid_t sender(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	struct ucred who;

	if (!c || c->cmsg_level != SOL_SOCKET ||
	    c->cmsg_type != SCM_CREDENTIALS)
		return 0;
	memcpy(&who, CMSG_DATA(c), sizeof(who));
	return who.pid;
}

/* One assignment a line. */
static bool says_it_turns(const char *text)
{
	static const char word[] = "WATCHDOG=1";

	for (const char *at = text; (at = strstr(at, word)); at++) {
		const char after = at[sizeof(word) - 1];

		if ((at == text || at[-1] == '\n') &&
		    (after == '\n' || after == '\0'))
			return true;
	}
	return false;
}

void watchdog_hear(struct supervisor *s)
{
	char text[MESSAGE_MAX_BYTES];
	union {
		struct cmsghdr first;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec iov = {.iov_base = text, .iov_len = sizeof(text) - 1};
	ssize_t n;

	for (;;) {
		struct msghdr msg = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = &control,
				     .msg_controllen = sizeof(control)};
		pid_t pid;

		n = recvmsg(s->watchdog_fd, &msg, MSG_CMSG_CLOEXEC);
		if (n < 0)
			return;
		text[n] = '\0';
		pid = sender(&msg);
		for (int i = 0; i < s->n_programs; i++)
			if (pid && s->programs[i].pid == pid &&
			    s->programs[i].is_watched && says_it_turns(text)) {
				s->programs[i].heard_ms = now_ms();
				s->programs[i].has_spoken = true;
			}
	}
}

/* This one stood still, and the programs with it perhaps: all begin anew. */
static void forgive(struct supervisor *s, long long now)
{
	for (int i = 0; i < s->n_programs; i++)
		if (s->programs[i].heard_ms)
			s->programs[i].heard_ms = now;
}

long long watchdog_look(struct supervisor *s)
{
	const long long now = now_ms();
	long long next = -1;

	if (s->look_ms && now > s->look_ms + FROZEN_MS)
		forgive(s, now);
	for (int i = 0; i < s->n_programs; i++) {
		struct program *p = &s->programs[i];
		const long long limit_ms = s->watchdog_ms *
					   (p->has_spoken ? 1 : WATCHDOG_START);
		const long long left = p->heard_ms + limit_ms - now;

		if (!p->pid || !p->heard_ms)
			continue;
		if (left > 0) {
			if (next < 0 || left < next)
				next = left;
			continue;
		}
		log_line("error", "event=hangs name=%s pid=%d silent_ms=%lld",
			 p->name, p->pid, now - p->heard_ms);
		p->heard_ms = 0;
		(void)kill(-p->pid, SIGKILL);
	}
	s->look_ms = next < 0 ? 0 : now + next;
	return next;
}
