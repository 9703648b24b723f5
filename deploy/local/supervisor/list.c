#include "list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "say.h"

enum { LINE_MAX_BYTES = 8192 };

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

static bool is_watched(const char *field)
{
	if (!strcmp(field, "watched"))
		return true;
	if (!strcmp(field, "-"))
		return false;
	die("neither watched nor -: %s", field);
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

	if (n < 6 || s->n_programs == PROGRAMS_MAX)
		die("bad program line, or too many");
	p->name = must(strdup(field[1]));
	p->stop_signal = signal_number(field[2]);
	p->socket = socket_index(s, field[3]);
	p->is_watched = is_watched(field[4]);
	for (int i = 5; i < n; i++)
		p->argv[i - 5] = must(strdup(field[i]));
	if (wait_path)
		p->wait_path = must(strdup(wait_path));
	p->retry_ms = RETRY_FIRST_MS;
	s->n_programs++;
}

void list_read(struct supervisor *s, const char *path)
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
