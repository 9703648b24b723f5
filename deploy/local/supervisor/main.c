/*
 * restsip-supervisor: keeps the programs of a local system alive.
 *
 * It owns the listening FastCGI sockets, which it binds once and hands to
 * every worker the way systemd does (sd_listen_fds(3)): a dead worker costs
 * no refused connection. Programs depend on nothing; whichever dies is
 * started again within a second, for ever. One that hangs is killed
 * (watchdog.c), and so started again.
 *
 *   restsip-supervisor [-d] LIST PIDS LOGS LOCK
 *   restsip-supervisor -f PORT
 *
 * -d ends it together with its parent. -f prints the first port from PORT on
 * that is free for UDP and TCP on 127.0.0.1. LIST has one entry a line, its
 * fields separated by tabs:
 *
 *   socket   NAME  PATH
 *   program  NAME  SIGNAL  SOCKET  WATCH  COMMAND  [ARGUMENT ...]
 *   wait     PATH
 *
 * SIGNAL (TERM, INT, QUIT) asks the program to stop; SOCKET is the name of
 * one above, or -. WATCH is `watched` for a program that says that its loop
 * turns, else -. What stands after a wait line is started once PATH exists.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/version.h"

#include "list.h"
#include "program.h"
#include "say.h"
#include "sockets.h"
#include "watchdog.h"

enum { STOP_DEADLINE_MS = 8000 };

/*
 * Waits for one of our signals, and hears meanwhile what programs have to say;
 * wait_ms < 0: for ever. 0 when none came.
 */
static int signal_await(struct supervisor *s, long long wait_ms)
{
	struct pollfd fds[] = {
		{.fd = s->signal_fd, .events = POLLIN},
		{.fd = s->watchdog_fd, .events = POLLIN},
	};
	struct signalfd_siginfo info;

	(void)poll(fds, 2, (int)wait_ms);
	watchdog_hear(s);
	if (read(s->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	return (int)info.ssi_signo;
}

static void program_stop(struct supervisor *s, struct program *p)
{
	long long deadline_ms = now_ms() + STOP_DEADLINE_MS;

	if (!p->pid)
		return;
	(void)kill(p->pid, p->stop_signal);
	while (p->pid) {
		long long left = deadline_ms - now_ms();

		if (left <= 0) {
			log_line("warn", "event=kill name=%s pid=%d", p->name,
				 p->pid);
			(void)kill(-p->pid, SIGKILL);
			left = RETRY_MAX_MS;
			deadline_ms = now_ms() + left;
		}
		(void)signal_await(s, left); /* whichever: look who has died */
		programs_reap(s, true);
	}
}

static long long sooner(long long a, long long b)
{
	if (a < 0 || b < 0)
		return a < 0 ? b : a;
	return a < b ? a : b;
}

static void run(struct supervisor *s)
{
	int sig;

	do {
		const long long due_ms = programs_start(s);

		sig = signal_await(s, sooner(due_ms, watchdog_look(s)));
		programs_reap(s, false);
	} while (sig == SIGCHLD || sig == 0);
	log_line("info", "event=stopping signal=%d", sig);
	for (int i = s->n_programs - 1; i >= 0; i--)
		program_stop(s, &s->programs[i]);
	orphans_kill(s);
}

static void lock_take(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	/* Held, by the descriptor, for as long as we live. */
	if (flock(fd, LOCK_EX | LOCK_NB))
		die("already running: %s is locked", path);
	if (ftruncate(fd, 0) || dprintf(fd, "%d\n", getpid()) < 0)
		die("%s: %s", path, strerror(errno));
}

/* Many streams are many descriptors: ask for all that we may have. */
static void limits_raise(void)
{
	struct rlimit r;

	if (!getrlimit(RLIMIT_NOFILE, &r)) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &r); /* else: as it was */
	}
}

static void signals_open(struct supervisor *s)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &signals, NULL))
		die("%s", strerror(errno));
	s->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	if (s->signal_fd < 0)
		die("%s", strerror(errno));
}

int main(int argc, char **argv)
{
	static struct supervisor s;
	bool with_parent = argc > 1 && !strcmp(argv[1], "-d");
	char **arg = argv + (with_parent ? 2 : 1);

	if (version_is_asked(argc, argv, "restsip-supervisor"))
		return 0;
	if (argc == 3 && !strcmp(argv[1], "-f"))
		return port_print(argv[2]);
	if (argc - (arg - argv) != 4)
		die("usage: restsip-supervisor [-d] LIST PIDS LOGS LOCK");
	lock_take(arg[3]);
	list_read(&s, arg[0]);
	s.pids = arg[1];
	s.logs = arg[2];
	signals_open(&s);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		die("%s", strerror(errno));
	if (with_parent)
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	limits_raise();
	sockets_open(&s);
	watchdog_open(&s);
	run(&s);
	sockets_close(&s);
	log_line("info", "event=stopped");
	return 0;
}
