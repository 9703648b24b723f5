/*
 * restsipctl: reads the command line, finds the system, and runs one command.
 */
#include <ctype.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/config.h"
#include "common/version.h"
#include "ctl/command/command.h"
#include "ctl/db.h"
#include "ctl/output.h"
#include "ctl/place.h"

/* Options beside -c, --json and --help. */
enum option_name {
	LABEL = 1 << 0,
	NAME = 1 << 1,
	PASSWORD = 1 << 2,
	REVOKE = 1 << 3,
	SHA256 = 1 << 4,
	YES = 1 << 5,
};

struct command {
	const char *word, *second; /* second: "" where it has one word */
	const char *args;
	int least, most; /* how many of these */
	unsigned options;
	command_h *run;
	const char *does;
};

#define COMMAND(word, second, args, least, most, options, run, does) \
	{word, second, args, least, most, options, run, does},

static const struct command commands[] = {
#include "ctl/command/commands.def"
};

enum {
	COMMANDS = sizeof(commands) / sizeof(*commands),
	DOES_AT = 48, /* column */
	LINE_SIZE = 2048,
};

/** Tell what is wrong, in one line on standard error */
void ctl_say(const char *fmt, ...)
{
	char line[LINE_SIZE];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	for (char *p = line; *p; p++) {
		if (iscntrl((unsigned char)*p))
			*p = ' ';
	}
	(void)fputs("restsipctl: ", stderr);
	output_text(stderr, line);
}

static void print_usage(FILE *f)
{
	(void)fputs("usage: restsipctl [-c FILE] [--json] COMMAND\n"
		    "       restsipctl --help | --version\n",
		    f);
	for (size_t i = 0; i < COMMANDS; i++) {
		const struct command *k = &commands[i];
		const int n = fprintf(f, "  %s%s%s %s", k->word,
				      *k->second ? " " : "", k->second,
				      k->args);

		(void)fprintf(f, "%*s%s\n", n < DOES_AT ? DOES_AT - n : 2, "",
			      k->does);
	}
	(void)fputs(
		"A password is made and shown; with --password it is asked "
		"for, or read from standard\n"
		"input where that is no terminal. N is a number of `user "
		"show`.\n"
		"-c FILE: settings of the system; else RESTSIP_SETTINGS, those "
		"of the checkout that\n"
		"this was built in, or those that are installed.\n"
		"Exit codes: 0 done, 1 refused, 2 wrong command line, 3 no "
		"system or a failing database.\n",
		f);
}

static int words_of(const struct command *k)
{
	return *k->second ? 2 : 1;
}

static const struct command *find(int argc, char *const *argv)
{
	const char *word = argc > 0 ? argv[0] : "";
	const char *second = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < COMMANDS; i++) {
		const struct command *k = &commands[i];

		if (!strcmp(k->word, word) &&
		    (!*k->second || !strcmp(k->second, second)))
			return k;
	}
	if (*word)
		ctl_say("there is no command `%s%s%s`; restsipctl --help has "
			"them",
			word, *second ? " " : "", second);
	else
		ctl_say("what is to be done? restsipctl --help has the "
			"commands");

	return NULL;
}

static bool is_complete(const struct command *k, const struct ctl *c,
			unsigned options)
{
	const char *why = NULL;

	if (c->argc < k->least)
		why = "something is missing";
	else if (c->argc > k->most)
		why = "that is too much";
	else if (options & ~k->options)
		why = "it has no such option";
	if (why)
		ctl_say("%s: restsipctl %s%s%s %s", why, k->word,
			*k->second ? " " : "", k->second, k->args);

	return !why;
}

/* @return  whether it goes on; if not, *end is how it ends */
static bool read_options(struct ctl *c, int argc, char **argv,
			 const char **file, unsigned *given, enum ctl_exit *end)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"json", no_argument, NULL, 'j'},
		{"label", required_argument, NULL, 'l'},
		{"name", required_argument, NULL, 'n'},
		{"password", no_argument, NULL, 'p'},
		{"revoke", no_argument, NULL, 'r'},
		{"sha256", no_argument, NULL, 's'},
		{"yes", no_argument, NULL, 'y'},
		{NULL, 0, NULL, 0},
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			*file = optarg;
			break;
		case 'j':
			c->json = true;
			break;
		case 'l':
			c->label = optarg;
			*given |= LABEL;
			break;
		case 'n':
			c->name = optarg;
			*given |= NAME;
			break;
		case 'p':
			c->password = true;
			*given |= PASSWORD;
			break;
		case 'r':
			c->revoke = true;
			*given |= REVOKE;
			break;
		case 's':
			c->sha256 = true;
			*given |= SHA256;
			break;
		case 'y':
			c->yes = true;
			*given |= YES;
			break;
		case 'h':
			print_usage(stdout);
			*end = CTL_DONE;
			return false;
		default:
			*end = CTL_USAGE; /* getopt has said why */
			return false;
		}
	}

	return true;
}

static enum ctl_exit run(const struct command *k, struct ctl *c,
			 const char *file)
{
	char path[PLACE_MAX];
	struct config config;
	struct db *db = NULL;
	enum ctl_exit end;

	if (place_find(path, file))
		return CTL_UNREACHABLE;
	if (place_load(&config, path)) {
		config_free(&config);
		return CTL_UNREACHABLE;
	}
	end = db_open(&db, config.database.conninfo);
	if (!end) {
		c->config = &config;
		c->db = db;
		end = k->run(c);
	}
	db_close(db);
	config_free(&config);
	if (fflush(stdout) && !end) {
		ctl_say("what was done could not be written out");
		end = CTL_UNREACHABLE;
	}

	return end;
}

int main(int argc, char **argv)
{
	struct ctl c = {.argc = 0};
	const struct command *k;
	const char *file = NULL;
	unsigned options = 0;
	enum ctl_exit end;

	if (version_is_asked(argc, argv, "restsipctl"))
		return CTL_DONE;
	if (!read_options(&c, argc, argv, &file, &options, &end))
		return (int)end;
	argv += optind;
	argc -= optind;
	k = find(argc, argv);
	if (!k)
		return CTL_USAGE;
	c.argv = argv + words_of(k);
	c.argc = argc - words_of(k);
	if (!is_complete(k, &c, options))
		return CTL_USAGE;

	return (int)run(k, &c, file);
}
