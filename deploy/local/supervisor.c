/*
 * restsip-supervisor: keeps the programs of a local system alive.
 *
 * It owns the listening FastCGI sockets, which it binds once and hands to
 * every worker the way systemd does (sd_listen_fds(3)): a dead worker costs
 * no refused connection. Programs depend on nothing; whichever dies is
 * started again within a second, for ever.
 *
 *   restsip-supervisor [-d] LIST PIDS LOGS LOCK
 *   restsip-supervisor -f PORT
 *
 * -d ends it together with its parent. -f prints the first port from PORT on
 * that is free for UDP and TCP on 127.0.0.1. LIST has one entry a line, its
 * fields separated by tabs:
 *
 *   socket   NAME  PATH
 *   program  NAME  SIGNAL  SOCKET  COMMAND  [ARGUMENT ...]
 *   wait     PATH
 *
 * SIGNAL (TERM, INT, QUIT) asks the program to stop; SOCKET is the name of
 * one above, or -. What stands after a wait line is started once PATH exists.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	PROGRAMS_MAX = 128,
	SOCKETS_MAX = 8,
	FIELDS_MAX = 32,
	LINE_MAX_BYTES = 8192,
	PATH_MAX_BYTES = 4096,
	BACKLOG = 1024,
	RETRY_FIRST_MS = 100,
	RETRY_MAX_MS = 1000,
	SETTLED_MS = 5000, /* who lived this long starts at RETRY_FIRST_MS */
	WAIT_POLL_MS = 50,
	STOP_DEADLINE_MS = 8000,
	PORTS_TRIED_MAX = 2000,
};

struct shared_socket {
	char *name;
	char *path;
	int fd;
};

struct program {
	char *argv[FIELDS_MAX];
	char *name;
	char *wait_path; /* or NULL: start at once */
	int stop_signal;
	int socket; /* index, or -1 */
	pid_t pid;  /* 0: not running */
	long long started_ms;
	long long retry_at_ms;
	int retry_ms;
};

struct supervisor {
	struct program programs[PROGRAMS_MAX];
	struct shared_socket sockets[SOCKETS_MAX];
	int n_programs;
	int n_sockets;
	const char *pids;
	const char *logs;
	sigset_t signals;
};

static long long now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

__attribute__((format(printf, 2, 3))) static void log_line(const char *level,
							   const char *fmt, ...)
{
	char text[1024], when[32];
	time_t now = time(NULL);
	struct tm tm;
	va_list ap;

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s level=%s prog=restsip-supervisor %s\n", when, level,
		text);
}

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *fmt,
								...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_line("error", "event=refused reason=\"%s\"", text);
	exit(1);
}

static void *must(void *p)
{
	if (!p)
		die("out of memory");
	return p;
}

static void path_join(char *out, const char *dir, const char *name,
		      const char *suffix)
{
	int n = snprintf(out, PATH_MAX_BYTES, "%s/%s%s", dir, name, suffix);

	if (n < 0 || n >= PATH_MAX_BYTES)
		die("path too long: %s/%s", dir, name);
}

/* ---- the list ---- */

static int signal_number(const char *name)
{
	if (!strcmp(name, "TERM"))
		return SIGTERM;
	if (!strcmp(name, "INT"))
		return SIGINT;
	if (!strcmp(name, "QUIT"))
		return SIGQUIT;
	die("unknown signal %s", name);
}

static int socket_index(const struct supervisor *s, const char *name)
{
	if (!strcmp(name, "-"))
		return -1;
	for (int i = 0; i < s->n_sockets; i++)
		if (!strcmp(s->sockets[i].name, name))
			return i;
	die("unknown socket %s", name);
}

static void socket_add(struct supervisor *s, char **field, int n)
{
	struct shared_socket *sock = &s->sockets[s->n_sockets];

	if (n != 3 || s->n_sockets == SOCKETS_MAX)
		die("bad socket line, or too many");
	sock->name = must(strdup(field[1]));
	sock->path = must(strdup(field[2]));
	sock->fd = -1;
	s->n_sockets++;
}

static void program_add(struct supervisor *s, char **field, int n,
			const char *wait_path)
{
	struct program *p = &s->programs[s->n_programs];

	if (n < 5 || s->n_programs == PROGRAMS_MAX)
		die("bad program line, or too many");
	p->name = must(strdup(field[1]));
	p->stop_signal = signal_number(field[2]);
	p->socket = socket_index(s, field[3]);
	for (int i = 4; i < n; i++)
		p->argv[i - 4] = must(strdup(field[i]));
	if (wait_path)
		p->wait_path = must(strdup(wait_path));
	p->retry_ms = RETRY_FIRST_MS;
	s->n_programs++;
}

static void list_read(struct supervisor *s, const char *path)
{
	char line[LINE_MAX_BYTES], wait_path[LINE_MAX_BYTES] = "";
	FILE *f = fopen(path, "re");

	if (!f)
		die("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		char *field[FIELDS_MAX], *rest = line;
		int n = 0;

		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '\0' || line[0] == '#')
			continue;
		while (n < FIELDS_MAX && (field[n] = strsep(&rest, "\t")))
			n++;
		if (rest)
			die("too many fields: %s", field[1]);
		if (!strcmp(field[0], "socket"))
			socket_add(s, field, n);
		else if (!strcmp(field[0], "program"))
			program_add(s, field, n,
				    wait_path[0] ? wait_path : NULL);
		else if (!strcmp(field[0], "wait") && n == 2)
			snprintf(wait_path, sizeof(wait_path), "%s", field[1]);
		else
			die("unknown line: %s", field[0]);
	}
	fclose(f);
}

/* ---- sockets ---- */

static void sockets_open(struct supervisor *s)
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

static void sockets_close(struct supervisor *s)
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

static int port_print(const char *first)
{
	long port = strtol(first, NULL, 10);

	for (long i = 0; i < PORTS_TRIED_MAX && port + i <= 65535; i++)
		if (port > 0 && port_free((int)(port + i))) {
			printf("%ld\n", port + i);
			return 0;
		}
	die("no free port from %s on", first);
}

/* ---- programs ---- */

static void pid_write(const struct supervisor *s, const struct program *p)
{
	char path[PATH_MAX_BYTES], part[PATH_MAX_BYTES];
	FILE *f;

	path_join(path, s->pids, p->name, ".pid");
	path_join(part, s->pids, p->name, ".pid.part");
	f = fopen(part, "we");
	if (!f || fprintf(f, "%d\n", p->pid) < 0 || fclose(f) ||
	    rename(part, path))
		log_line("error", "event=pid_file name=%s reason=\"%s\"",
			 p->name, strerror(errno));
}

/* In the child: become the program. */
__attribute__((noreturn)) static void program_exec(const struct supervisor *s,
						   const struct program *p,
						   pid_t parent)
{
	char path[PATH_MAX_BYTES], text[32];
	sigset_t none;
	int log;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGINT, SIG_DFL); /* shells ignore it in the background */
	(void)signal(SIGQUIT, SIG_DFL);
	(void)setpgid(0, 0);
	/* Should the supervisor be killed, nothing is left behind. */
	(void)prctl(PR_SET_PDEATHSIG, p->stop_signal);
	if (getppid() != parent)
		_exit(0);
	path_join(path, s->logs, p->name, ".log");
	log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (log < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) {
		log_line("error", "event=log name=%s reason=\"%s\"", p->name,
			 strerror(errno));
		_exit(127);
	}
	(void)unsetenv("LISTEN_FDS");
	if (p->socket >= 0) {
		int fd = s->sockets[p->socket].fd;

		/* dup2 onto itself would leave close-on-exec set. */
		if ((fd == 3 ? fcntl(3, F_SETFD, 0) : dup2(fd, 3)) < 0)
			_exit(127);
		snprintf(text, sizeof(text), "%d", getpid());
		(void)setenv("LISTEN_PID", text, 1);
		(void)setenv("LISTEN_FDS", "1", 1);
		(void)setenv("LISTEN_FDNAMES", s->sockets[p->socket].name, 1);
	}
	execv(p->argv[0], p->argv);
	log_line("error", "event=exec name=%s reason=\"%s\"", p->name,
		 strerror(errno));
	_exit(127);
}

static void program_start(struct supervisor *s, struct program *p)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0)
		program_exec(s, p, parent);
	p->started_ms = now_ms();
	if (pid < 0) {
		log_line("error", "event=fork name=%s reason=\"%s\"", p->name,
			 strerror(errno));
		p->retry_at_ms = p->started_ms + RETRY_MAX_MS;
		return;
	}
	(void)setpgid(pid, pid); /* the child does it too: no race either way */
	p->pid = pid;
	pid_write(s, p);
	log_line("info", "event=started name=%s pid=%d", p->name, pid);
}

static bool is_program(const struct supervisor *s, pid_t pid)
{
	for (int i = 0; i < s->n_programs; i++)
		if (s->programs[i].pid == pid)
			return true;
	return false;
}

/*
 * Kills what a dead program left behind outside its process group (backends
 * of PostgreSQL have sessions of their own): the children of ours that we
 * never started, for the kernel gives orphans to us.
 */
static void orphans_kill(const struct supervisor *s)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;

	if (!proc)
		return;
	while ((e = readdir(proc))) {
		char path[PATH_MAX_BYTES], stat[512], *after_name;
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
		ssize_t n;
		int fd;

		if (pid <= 0)
			continue;
		path_join(path, "/proc", e->d_name, "/stat");
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		n = read(fd, stat, sizeof(stat) - 1);
		(void)close(fd);
		if (n <= 0)
			continue;
		stat[n] = '\0';
		/* "pid (name) state ppid": the name may hold anything */
		after_name = strrchr(stat, ')');
		if (after_name && strlen(after_name) > 4 &&
		    strtol(after_name + 4, NULL, 10) == getpid() &&
		    !is_program(s, pid))
			(void)kill(pid, SIGKILL);
	}
	closedir(proc);
}

static void program_died(struct supervisor *s, struct program *p, int status,
			 bool stopping)
{
	long long lived_ms = now_ms() - p->started_ms;
	char path[PATH_MAX_BYTES];

	log_line(stopping ? "info" : "warn",
		 "event=died name=%s pid=%d %s=%d lived_ms=%lld", p->name,
		 p->pid, WIFSIGNALED(status) ? "signal" : "exit",
		 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
		 lived_ms);
	path_join(path, s->pids, p->name, ".pid");
	(void)unlink(path);
	(void)kill(-p->pid, SIGKILL); /* the rest of its group, if any */
	p->pid = 0;
	orphans_kill(s);
	if (lived_ms >= SETTLED_MS)
		p->retry_ms = RETRY_FIRST_MS;
	p->retry_at_ms = now_ms() + p->retry_ms;
	p->retry_ms *= 2;
	if (p->retry_ms > RETRY_MAX_MS)
		p->retry_ms = RETRY_MAX_MS;
}

static void reap(struct supervisor *s, bool stopping)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int i = 0; i < s->n_programs; i++)
			if (s->programs[i].pid == pid)
				program_died(s, &s->programs[i], status,
					     stopping);
}

/* Starts what is due; returns after how many ms to look again, or -1. */
static long long start_due(struct supervisor *s)
{
	long long now = now_ms(), next = -1;

	for (int i = 0; i < s->n_programs; i++) {
		struct program *p = &s->programs[i];
		long long left = p->retry_at_ms - now;

		if (p->pid)
			continue;
		if (p->wait_path && access(p->wait_path, F_OK))
			left = WAIT_POLL_MS;
		if (left <= 0)
			program_start(s, p);
		else if (next < 0 || left < next)
			next = left;
	}
	return next;
}

/* Waits for one of our signals; wait_ms < 0: for ever. 0 when none came. */
static int signal_await(const struct supervisor *s, long long wait_ms)
{
	struct timespec ts = {.tv_sec = (time_t)(wait_ms / 1000),
			      .tv_nsec = (long)(wait_ms % 1000) * 1000000};
	int sig = wait_ms < 0 ? sigwaitinfo(&s->signals, NULL)
			      : sigtimedwait(&s->signals, NULL, &ts);

	return sig < 0 ? 0 : sig;
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
		reap(s, true);
	}
}

static void run(struct supervisor *s)
{
	int sig;

	do {
		sig = signal_await(s, start_due(s));
		reap(s, false);
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

int main(int argc, char **argv)
{
	static struct supervisor s;
	bool with_parent = argc > 1 && !strcmp(argv[1], "-d");
	char **arg = argv + (with_parent ? 2 : 1);

	if (argc == 3 && !strcmp(argv[1], "-f"))
		return port_print(argv[2]);
	if (argc - (arg - argv) != 4)
		die("usage: restsip-supervisor [-d] LIST PIDS LOGS LOCK");
	lock_take(arg[3]);
	list_read(&s, arg[0]);
	s.pids = arg[1];
	s.logs = arg[2];
	sigemptyset(&s.signals);
	sigaddset(&s.signals, SIGCHLD);
	sigaddset(&s.signals, SIGTERM);
	sigaddset(&s.signals, SIGINT);
	sigaddset(&s.signals, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &s.signals, NULL) ||
	    prctl(PR_SET_CHILD_SUBREAPER, 1))
		die("%s", strerror(errno));
	if (with_parent)
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	limits_raise();
	sockets_open(&s);
	run(&s);
	sockets_close(&s);
	log_line("info", "event=stopped");
	return 0;
}
