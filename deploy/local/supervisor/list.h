/*
 * What is to be run: the list that main.c describes, read once.
 */
#ifndef LIST_H
#define LIST_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

enum {
	PROGRAMS_MAX = 128,
	SOCKETS_MAX = 8,
	FIELDS_MAX = 32,
	RETRY_FIRST_MS = 100,
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
	int socket;	 /* index, or -1 */
	bool is_watched; /* it says that its loop turns */
	pid_t pid;	 /* 0: not running */
	bool has_spoken; /* since it was started */
	long long started_ms;
	long long heard_ms; /* or was started; 0: nobody waits for its word */
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
	int watchdog_fd;
	long long watchdog_ms; /* 0: whoever hangs, hangs */
	long long look_ms;     /* when it is looked at next; 0: not known */
	char notify_socket[32];
	int signal_fd;
};

void list_read(struct supervisor *s, const char *path);

#endif
