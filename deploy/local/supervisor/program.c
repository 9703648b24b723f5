#include "program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "list.h"
#include "say.h"
#include "watchdog.h"

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
	watchdog_env(s);
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
	p->has_spoken = false;
	p->heard_ms = p->is_watched && s->watchdog_ms > 0 ? p->started_ms : 0;
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
void orphans_kill(const struct supervisor *s)
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

void programs_reap(struct supervisor *s, bool stopping)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int i = 0; i < s->n_programs; i++)
			if (s->programs[i].pid == pid)
				program_died(s, &s->programs[i], status,
					     stopping);
}

long long programs_start(struct supervisor *s)
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
