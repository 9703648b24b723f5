/*
 * Settings: one INI file, one table of what may stand in it, the environment
 * above it (RESTSIP_<SECTION>_<KEY>).
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Every setting, typed and within its bounds. Owned by whoever loaded it. */
struct config {
	struct {
		char *bind_deny; /* networks: cidr.h */
		long default_expires_s;
		char *listen; /* host:port */
		long max_expires_s;
		long min_expires_s;
		char *name;
		char *send_allow; /* networks */
	} agent;
	struct {
		char *listen; /* unix:/path or host:port */
		long readers;
		long writers;
	} api;
	struct {
		char *conninfo;
	} database;
	struct {
		char *cors_origins; /* by comma or space */
		char *domains;      /* by comma or space */
		bool signup_open;
	} http;
	struct {
		char *level;
	} log;
	struct {
		char *listen;
		char *name;
	} stream;
};

enum {
	CONFIG_REASON_SIZE = 256,
};

/*
 * Reads path (NULL: no file) and the environment.
 *
 * 0; ENOENT and the like where the file cannot be read; EINVAL for an unknown
 * key or a value out of bounds; reason then says what and where. *cfgp is
 * written only on success, and freed by config_free.
 */
int config_load(struct config **cfgp, const char *path,
	char reason[CONFIG_REASON_SIZE]);
void config_free(struct config *cfg);

/*
 * The command line of every program: -c FILE reads it, -p prints an example
 * file and exits, anything else prints the usage and exits. Never returns
 * without settings: it exits with 2 after a line of log. Sets up the log under
 * the name prog.
 */
struct config *config_main(const char *prog, int argc, char **argv);

/* All settings with their defaults and what they mean, as an INI file. */
void config_print(FILE *f);

/*
 * Whether word is one of a list by comma or space (http.domains); letters of
 * either case.
 */
bool config_list_has(const char *list, const char *word, size_t len);

#endif
