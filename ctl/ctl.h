/*
 * restsipctl: what an operator does to a running system, over the functions
 * and views of schema inspect. A command is a file of command/; each says what
 * it did in a sentence or, with --json, as one JSON value on standard output.
 * What went wrong is told on standard error.
 */
#ifndef CTL_H
#define CTL_H

#include <stdbool.h>

struct config;
struct db;

/** How the program ends; README.md lists them too. */
enum ctl_exit {
	CTL_DONE = 0,
	CTL_REFUSED = 1,     /**< There is no such user, it is too much, … */
	CTL_USAGE = 2,	     /**< The command line is wrong */
	CTL_UNREACHABLE = 3, /**< No system found, or its database fails */
};

/** What a command gets. */
struct ctl {
	const struct config *config;
	struct db *db;
	char **argv; /**< What stands behind the command's name; NULL ends it */
	int argc;
	bool json;
	bool password; /**< --password: it is asked for */
	bool revoke;
	bool sha256;
	bool yes;
	const char *name; /**< NULL where the option is not there */
	const char *label;
};

void ctl_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
