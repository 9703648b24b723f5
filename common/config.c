/*
 * Settings: the table, and reading them by libinih.
 */

#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cidr.h"
#include "config.h"
#include "log.h"

enum setting_type {
	SETTING_TEXT,
	SETTING_NUMBER,   /* min to max */
	SETTING_CHOICE,   /* one of the words of choices */
	SETTING_SWITCH,   /* the first word of choices means true */
	SETTING_NETWORKS, /* cidr.h */
};

struct setting {
	const char *name; /* section.key */
	enum setting_type type;
	size_t offset;
	const char *fallback; /* NULL: must be given, by whoever needs it */
	long min, max;
	const char *choices;
	const char *doc;
};

#define AT(member) offsetof(struct config, member)

/* By name. deploy/restsip.ini.example is made of this; a test compares. */
static const struct setting settings[] = {
	{"agent.bind_deny", SETTING_NETWORKS, AT(agent.bind_deny), "", 0, 0,
		NULL, "networks whose addresses may not be bound as contacts"},
	{"agent.default_expires_s", SETTING_NUMBER, AT(agent.default_expires_s),
		"3600", 1, 604800, NULL,
		"lifetime of a registration that asks for none, in seconds"},
	{"agent.listen", SETTING_TEXT, AT(agent.listen), "127.0.0.1:5060", 0, 0,
		NULL, "address and port for SIP over UDP and TCP"},
	{"agent.max_expires_s", SETTING_NUMBER, AT(agent.max_expires_s), "7200",
		1, 604800, NULL, "longest lifetime that a phone is granted"},
	{"agent.min_expires_s", SETTING_NUMBER, AT(agent.min_expires_s), "60",
		1, 86400, NULL,
		"shortest lifetime that a phone may ask for (else 423)"},
	{"agent.name", SETTING_TEXT, AT(agent.name), "", 0, 0, NULL,
		"what the agent is called in the database; empty: as agent.listen"},
	{"agent.send_allow", SETTING_NETWORKS, AT(agent.send_allow), "", 0, 0,
		NULL, "networks that the agent may send SIP to; empty: all"},
	{"api.listen", SETTING_TEXT, AT(api.listen),
		"unix:/run/restsip/api.sock", 0, 0, NULL,
		"unix:/path or host:port, where no socket is handed over"},
	{"api.readers", SETTING_NUMBER, AT(api.readers), "1", 1, 16, NULL,
		"connections of a worker to the database, for reading"},
	{"api.writers", SETTING_NUMBER, AT(api.writers), "4", 1, 64, NULL,
		"connections of a worker to the database, for writing"},
	{"database.conninfo", SETTING_TEXT, AT(database.conninfo),
		"dbname=restsip", 0, 0, NULL,
		"libpq's words; the user is the program's own role unless given"},
	{"http.cors_origins", SETTING_TEXT, AT(http.cors_origins), "", 0, 0,
		NULL,
		"origins whose pages may call, such as https://app.example.net"},
	{"http.domains", SETTING_TEXT, AT(http.domains), "", 0, 0, NULL,
		"domains whose accounts live here; empty: any may sign up"},
	{"http.signup", SETTING_SWITCH, AT(http.signup_open), "open", 0, 0,
		"open closed", "whether anybody may make an account"},
	{"log.level", SETTING_CHOICE, AT(log.level), "info", 0, 0,
		"error warn info debug", "how much to log"},
	{"stream.listen", SETTING_TEXT, AT(stream.listen),
		"unix:/run/restsip/stream.sock", 0, 0, NULL,
		"as api.listen, for streams"},
	{"stream.name", SETTING_TEXT, AT(stream.name), "", 0, 0, NULL,
		"what the stream process is called; empty: host name and socket"},
};

enum {
	SETTINGS = sizeof(settings) / sizeof(*settings),
	NAME_MAX_BYTES = 64,
	LINE_MAX_BYTES = 200, /* libinih as Debian builds it */
};

struct loading {
	struct config *cfg;
	char *reason;
	bool seen[SETTINGS];
	int err;
};

__attribute__((format(printf, 2, 3))) static int refuse(
	struct loading *l, const char *fmt, ...)
{
	va_list ap;

	if (!l->err) {
		va_start(ap, fmt);
		(void)vsnprintf(l->reason, CONFIG_REASON_SIZE, fmt, ap);
		va_end(ap);
		l->err = EINVAL;
	}
	return EINVAL;
}

static bool word_has(
	const char *list, const char *between, const char *word, size_t len)
{
	while (*list) {
		const size_t n = strcspn(list, between);

		if (n == len && n && !strncasecmp(list, word, len))
			return true;
		list += n;
		list += strspn(list, between);
	}
	return false;
}

bool config_list_has(const char *list, const char *word, size_t len)
{
	return word_has(list, ", \t", word, len);
}

static int set_text(
	struct loading *l, const struct setting *s, const char *value)
{
	char **at = (char **)(void *)((char *)l->cfg + s->offset);
	char *copy = strdup(value);

	if (!copy) {
		l->err = ENOMEM;
		return ENOMEM;
	}
	free(*at);
	*at = copy;
	return 0;
}

static int set_number(
	struct loading *l, const struct setting *s, const char *value)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(value, &end, 10);
	if (errno || end == value || *end || n < s->min || n > s->max)
		return refuse(l, "%s is a number from %ld to %ld, not '%s'",
			s->name, s->min, s->max, value);
	*(long *)(void *)((char *)l->cfg + s->offset) = n;
	return 0;
}

static int set_value(
	struct loading *l, const struct setting *s, const char *value)
{
	struct cidr_list *networks;

	switch (s->type) {
	case SETTING_NUMBER:
		return set_number(l, s, value);
	case SETTING_NETWORKS:
		if (cidr_list_alloc(&networks, value))
			return refuse(l, "%s is a list of networks, not '%s'",
				s->name, value);
		cidr_list_free(networks);
		break;
	case SETTING_CHOICE:
	case SETTING_SWITCH:
		if (!word_has(s->choices, " ", value, strlen(value)))
			return refuse(l, "%s is one of %s, not '%s'", s->name,
				s->choices, value);
		break;
	case SETTING_TEXT:
		break;
	}
	if (s->type == SETTING_SWITCH) {
		*(bool *)((char *)l->cfg + s->offset) = !strcasecmp(
			value, "open");
		return 0;
	}
	return set_text(l, s, value);
}

/* libinih's: 0 stops. */
static int on_pair(
	void *arg, const char *section, const char *key, const char *value)
{
	struct loading *l = arg;
	char name[NAME_MAX_BYTES];
	const int n = snprintf(name, sizeof(name), "%s.%s", section, key);

	for (size_t i = 0; n < (int)sizeof(name) && i < SETTINGS; i++) {
		if (strcmp(settings[i].name, name))
			continue;
		if (l->seen[i])
			return !refuse(l, "%s is given twice", name);
		l->seen[i] = true;
		return !set_value(l, &settings[i], value);
	}
	return !refuse(l, "unknown setting [%s] %s", section, key);
}

struct lines {
	FILE *f;
	struct loading *l;
};

/* As fgets, but a line that libinih would cut in two is an error. */
static char *read_line(char *to, int size, void *arg)
{
	struct lines *in = arg;
	char *got = fgets(to, size, in->f);

	if (got && !strchr(got, '\n') && !feof(in->f)) {
		(void)refuse(in->l, "a line is longer than %d bytes", size - 2);
		return NULL;
	}
	return got;
}

static int read_file(struct loading *l, const char *path)
{
	struct lines in = {.f = fopen(path, "re"), .l = l};
	int line;

	if (!in.f) {
		const int err = errno;

		(void)refuse(l, "%s: %s", path, strerror(err));
		l->err = err;
		return err;
	}
	line = ini_parse_stream(read_line, &in, on_pair, l);
	(void)fclose(in.f); /* only read from */
	if (line && !l->err)
		(void)refuse(l,
			"%s, line %d: neither [section] nor key = value", path,
			line);
	return l->err;
}

static int read_environment(struct loading *l)
{
	for (size_t i = 0; i < SETTINGS && !l->err; i++) {
		char name[NAME_MAX_BYTES + 8];
		const char *value;
		char *p;

		(void)snprintf(
			name, sizeof(name), "RESTSIP_%s", settings[i].name);
		for (p = name; *p; p++)
			*p = *p == '.'                   ? '_'
				: *p >= 'a' && *p <= 'z' ? (char)(*p - 32)
							 : *p;
		value = getenv(name);
		if (value)
			(void)set_value(l, &settings[i], value);
	}
	return l->err;
}

int config_load(
	struct config **cfgp, const char *path, char reason[CONFIG_REASON_SIZE])
{
	struct loading l = {.reason = reason};

	reason[0] = '\0';
	l.cfg = calloc(1, sizeof(*l.cfg));
	if (!l.cfg)
		return ENOMEM;
	for (size_t i = 0; i < SETTINGS && !l.err; i++)
		(void)set_value(&l, &settings[i], settings[i].fallback);
	if (!l.err && path)
		(void)read_file(&l, path);
	if (!l.err)
		(void)read_environment(&l);
	if (!l.err && !*l.cfg->agent.name)
		(void)set_value(&l, &settings[5], l.cfg->agent.listen);
	if (l.err) {
		config_free(l.cfg);
		return l.err;
	}
	*cfgp = l.cfg;
	return 0;
}

void config_free(struct config *cfg)
{
	if (!cfg)
		return;
	for (size_t i = 0; i < SETTINGS; i++) {
		if (settings[i].type == SETTING_NUMBER ||
			settings[i].type == SETTING_SWITCH)
			continue;
		free(*(char **)(void *)((char *)cfg + settings[i].offset));
	}
	free(cfg);
}

void config_print(FILE *f)
{
	const char *section = "";

	fputs("; Settings of restsip-api, restsip-stream and restsip-agent, with their\n"
	      "; defaults. RESTSIP_<SECTION>_<KEY> in the environment stands above this.\n",
		f);
	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];
		const char *key = strchr(s->name, '.') + 1;
		const size_t len = (size_t)(key - s->name);

		if (strncmp(section, s->name, len))
			fprintf(f, "\n[%.*s]\n", (int)len - 1, s->name);
		section = s->name;
		fprintf(f, "; %s", s->doc);
		if (s->type == SETTING_NUMBER)
			fprintf(f, " (%ld to %ld)", s->min, s->max);
		if (s->choices)
			fprintf(f, " (%s)", s->choices);
		fprintf(f, "\n;%s = %s\n", key, s->fallback);
	}
}

struct config *config_main(const char *prog, int argc, char **argv)
{
	char reason[CONFIG_REASON_SIZE];
	struct config *cfg = NULL;
	const char *path = NULL;
	int opt;

	log_init(prog, "info");
	while ((opt = getopt(argc, argv, "c:p")) != -1) {
		switch (opt) {
		case 'c':
			path = optarg;
			break;
		case 'p':
			config_print(stdout);
			exit(0);
		default:
			fprintf(stderr, "usage: %s [-c FILE] [-p]\n", prog);
			exit(2);
		}
	}
	if (config_load(&cfg, path, reason)) {
		log_error("settings", LOG_STR("reason", reason));
		exit(2);
	}
	log_init(prog, cfg->log.level);
	return cfg;
}
