#include "common/config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/aor.h"
#include "common/cidr.h"

enum {
	NAME_MAX_BYTES = 128,
	PORT_MAX = 65535,
	PORT_DIGITS_MAX = 5,
	TURN_SECRET_MAX = 256, /* bytes */
};

enum type {
	TYPE_CIDR,     /* text that is a list of networks */
	TYPE_CONNINFO, /* text that libpq understands */
	TYPE_INT,      /* from min to max */
	TYPE_LEVEL,    /* of the log */
	TYPE_SECRET,   /* text that is not told */
	TYPE_SIGNUP,   /* open or closed */
	TYPE_TEXT,
};

struct setting {
	const char *section;
	const char *key;
	enum type type;
	size_t offset;
	const char *initial;
	int min;
	int max;
	const char *doc;
};

#define AT(member) offsetof(struct config, member)

/* Alphabetical; the environment's names follow from section and key. */
static const struct setting settings[] = {
	{"agent", "aliases", TYPE_TEXT, AT(agent.aliases), "", 0, 0,
	 "names and addresses that stand for the domain in SIP, as the agent's "
	 "own addresses and its host's name do, with blanks or commas between; only where one "
	 "domain is hosted"},
	{"agent", "bad_burst", TYPE_INT, AT(agent.bad_burst), "200", 1, 1000000,
	 "malformed messages and wrong digests of one address at once; then it "
	 "is not listened to until bad_per_s has made up for them"},
	{"agent", "bad_per_s", TYPE_INT, AT(agent.bad_per_s), "20", 1, 1000000,
	 "the same for the long run, a second"},
	{"agent", "bind_deny", TYPE_CIDR, AT(agent.bind_deny),
	 "0.0.0.0/32, 169.254.0.0/16, 224.0.0.0/4, 255.255.255.255/32, "
	 "::/128, fe80::/10, ff00::/8",
	 0, 0,
	 "networks that no contact may be in; the agent's own addresses and "
	 "ports are refused anyway"},
	{"agent", "connections", TYPE_INT, AT(agent.connections), "50000", 1,
	 60000,
	 "connections at once, in all; fewer where the process may not open "
	 "as many files"},
	{"agent", "default_expires_s", TYPE_INT, AT(agent.default_expires_s),
	 "3600", 1, 604800, "lifetime of a binding that asks for none, in s"},
	{"agent", "listen", TYPE_TEXT, AT(agent.listen), "127.0.0.1:5060", 0, 0,
	 "concrete addresses for SIP, UDP and TCP on each, with commas "
	 "between"},
	{"agent", "max_expires_s", TYPE_INT, AT(agent.max_expires_s), "7200", 1,
	 604800, "longer lifetimes are shortened to this, in s"},
	{"agent", "min_expires_s", TYPE_INT, AT(agent.min_expires_s), "60", 1,
	 604800, "shorter lifetimes are refused (423), in s"},
	{"agent", "name", TYPE_TEXT, AT(agent.name), "", 0, 0,
	 "what the agent is called in the database; empty: its first address"},
	{"agent", "queries", TYPE_INT, AT(agent.queries), "4", 2, 16,
	 "database connections for what a phone waits for, and as many for what "
	 "may wait for a lock; five more do the rest"},
	{"agent", "requests", TYPE_INT, AT(agent.requests), "20000", 1, 1000000,
	 "requests that wait for an answer at once, in all; more get 503"},
	{"agent", "rest_send_allow", TYPE_CIDR, AT(agent.rest_send_allow),
	 "0.0.0.0/1, 128.0.0.0/2, 192.0.0.0/3, ::/0", 0, 0,
	 "networks that contacts may be in that were made over HTTP, beside "
	 "send_allow; private ones only where listed here by a network inside "
	 "them"},
	{"agent", "send_allow", TYPE_CIDR, AT(agent.send_allow),
	 "0.0.0.0/1, 128.0.0.0/2, 192.0.0.0/3, ::/0", 0, 0,
	 "networks that may be sent to, checked after DNS at every send; "
	 "loopback and link-local only where listed here by a network inside "
	 "them, this host only by its addresses"},
	{"agent", "session_expires_s", TYPE_INT, AT(agent.session_expires_s),
	 "1200", 3, 86400,
	 "how long a call is good unless a phone refreshes it, or the agent "
	 "where the phone would not, in s; of phones that know session timers "
	 "(RFC 4028)"},
	{"agent", "session_min_s", TYPE_INT, AT(agent.session_min_s), "90", 1,
	 86400,
	 "phones that want it to be good for less are refused (422), in s; "
	 "less than 90 is for tests"},
	{"agent", "session_probe_s", TYPE_INT, AT(agent.session_probe_s), "600",
	 1, 86400,
	 "how often a phone in a call that knows no session timers is asked "
	 "whether it is there, in s; two silences end the call"},
	{"agent", "source_connections", TYPE_INT, AT(agent.source_connections),
	 "5000", 1, 60000, "connections at once of one address"},
	{"agent", "source_requests", TYPE_INT, AT(agent.source_requests),
	 "10000", 1, 1000000,
	 "requests that wait for an answer at once of one address; more get "
	 "503"},
	{"agent", "tls_authorities", TYPE_TEXT, AT(agent.tls_authorities), "",
	 0, 0,
	 "PEM file: whose certificates count, beside those of the system's "
	 "authorities, where a TLS connection is opened to a contact"},
	{"agent", "tls_certificate", TYPE_TEXT, AT(agent.tls_certificate), "",
	 0, 0,
	 "PEM file: the certificate for SIP over TLS, and its chain; read "
	 "again when it changes and on SIGHUP"},
	{"agent", "tls_key", TYPE_TEXT, AT(agent.tls_key), "", 0, 0,
	 "PEM file: the certificate's key"},
	{"agent", "tls_listen", TYPE_TEXT, AT(agent.tls_listen), "", 0, 0,
	 "concrete addresses for SIP over TLS, with commas between; empty: "
	 "none"},
	{"agent", "trace_bytes", TYPE_INT, AT(agent.trace_bytes), "16384", 0,
	 65536,
	 "bytes of one phone's messages in a call, without what is secret, that "
	 "are kept for GET /call/{id}/trace; 0: none"},
	{"agent", "unproven_burst", TYPE_INT, AT(agent.unproven_burst), "2000",
	 1, 1000000,
	 "requests without credentials of one address at once; each that is "
	 "authentic later makes up for two"},
	{"agent", "unproven_per_s", TYPE_INT, AT(agent.unproven_per_s), "200",
	 1, 1000000, "the same for the long run, a second"},
	{"api", "listen", TYPE_TEXT, AT(api.listen), "unix:/run/restsip/api", 0,
	 0,
	 "FastCGI socket of a worker, unix:/path or host:port, unless the "
	 "service manager passes one"},
	{"api", "readers", TYPE_INT, AT(api.readers), "3", 1, 8,
	 "database connections of a worker for reading"},
	{"api", "writers", TYPE_INT, AT(api.writers), "4", 1, 16,
	 "database connections of a worker for writing"},
	{"database", "conninfo", TYPE_CONNINFO, AT(database.conninfo),
	 "host=/run/postgresql dbname=restsip", 0, 0,
	 "libpq connection string; each program adds its own role"},
	{"http", "cors_origins", TYPE_TEXT, AT(http.cors_origins), "", 0, 0,
	 "origins whose pages may call the API, with blanks between; * is any, "
	 "by token alone"},
	{"http", "domains", TYPE_TEXT, AT(http.domains), "example.net", 0, 0,
	 "domains that are hosted here, with blanks or commas between"},
	{"http", "signup", TYPE_SIGNUP, AT(http.signup_open), "open", 0, 0,
	 "open or closed: whether anyone may make an account"},
	{"limits", "handshake_s", TYPE_INT, AT(limits.handshake_s), "8", 1, 600,
	 "how long a TLS handshake with the agent may take, in s"},
	{"limits", "handshakes", TYPE_INT, AT(limits.handshakes), "2000", 1,
	 60000,
	 "TLS handshakes with the agent that are not finished, in all; more "
	 "end the oldest of who has most"},
	{"limits", "read_ms", TYPE_INT, AT(limits.read_ms), "1000", 10, 60000,
	 "how long a read may take in the database, in ms; then 503 too-slow"},
	{"limits", "source_handshakes", TYPE_INT, AT(limits.source_handshakes),
	 "250", 1, 60000,
	 "TLS handshakes of one address that are not finished; more are "
	 "closed"},
	{"limits", "write_ms", TYPE_INT, AT(limits.write_ms), "5000", 10, 60000,
	 "how long a write may take in the database, in ms; then 503 "
	 "too-slow"},
	{"log", "level", TYPE_LEVEL, AT(log.level), "info", 0, 0,
	 "error, warn, info or debug"},
	{"media", "ice_servers", TYPE_TEXT, AT(media.ice_servers), "", 0, 0,
	 "STUN and TURN servers that GET /session names to pages, as "
	 "stun:stun.example.net or turn:turn.example.net:3478?transport=tcp, "
	 "with commas between, at most 8"},
	{"media", "rtpengine", TYPE_TEXT, AT(media.rtpengine), "", 0, 0,
	 "concrete addresses where rtpengines listen for the ng protocol, with "
	 "commas between: they relay media between WebRTC and phones; empty: "
	 "such calls end with 488"},
	{"media", "turn_secret", TYPE_SECRET, AT(media.turn_secret), "", 0,
	 TURN_SECRET_MAX,
	 "what the TURN servers have as static-auth-secret (coturn); it is "
	 "never told"},
	{"stream", "listen", TYPE_TEXT, AT(stream.listen),
	 "unix:/run/restsip/stream", 0, 0,
	 "FastCGI socket of the stream process, as for the workers"},
	{"stream", "name", TYPE_TEXT, AT(stream.name), "", 0, 0,
	 "what the stream process is called in the database; empty: the "
	 "host's name"},
};

enum {
	SETTINGS = sizeof(settings) / sizeof(*settings),
};

struct loading {
	struct config *c;
	char *why;
};

static void say(char *why, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void say(char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, CONFIG_WHY_SIZE, fmt, ap);
	va_end(ap);
}

static int set_text(char **member, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return ENOMEM;
	free(*member);
	*member = copy;

	return 0;
}

static int set_cidr(char **member, const char *value)
{
	struct cidr_list *list = NULL;
	int err = cidr_list_parse(&list, value);

	if (err)
		return err;
	cidr_list_free(list);

	return set_text(member, value);
}

static int set_int(int *member, const struct setting *s, const char *value)
{
	char *end = NULL;
	long n;

	errno = 0;
	n = strtol(value, &end, 10);
	if (errno || end == value || *end || n < s->min || n > s->max)
		return EINVAL;
	*member = (int)n;

	return 0;
}

static int set_signup(bool *open, const char *value)
{
	if (strcmp(value, "open") && strcmp(value, "closed"))
		return EINVAL;
	*open = !strcmp(value, "open");

	return 0;
}

/* One for each host, with commas between; an empty one is the usual one. */
static bool are_ports(const char *s)
{
	for (;;) {
		const size_t n = strcspn(s, ",");
		const long port = strtol(s, NULL, 10);

		if (n > PORT_DIGITS_MAX || strspn(s, "0123456789") != n)
			return false;
		if (n && (port < 1 || port > PORT_MAX))
			return false;
		if (!s[n])
			return true;
		s += n + 1;
	}
}

static bool has_ports(const PQconninfoOption *options)
{
	for (const PQconninfoOption *o = options; o->keyword; o++)
		if (!strcmp(o->keyword, "port") && o->val)
			return are_ports(o->val);
	return true;
}

/* With a connection string that is wrong by itself a program would try for
 * ever. @return what is wrong with it, in words of ours: libpq's may repeat a
 * password. NULL: nothing that can be seen without connecting. */
static const char *conninfo_fault(const char *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	const char *fault = NULL;

	if (!options)
		return "not a connection string of libpq";
	if (!has_ports(options))
		fault = "port: not a number from 1 to 65535";
	PQconninfoFree(options);
	return fault;
}

static int set(struct config *c, const struct setting *s, const char *value)
{
	void *member = (char *)c + s->offset;

	switch (s->type) {
	case TYPE_CIDR:
		return set_cidr(member, value);
	case TYPE_CONNINFO:
		return conninfo_fault(value) ? EINVAL : set_text(member, value);
	case TYPE_INT:
		return set_int(member, s, value);
	case TYPE_LEVEL:
		return log_level_parse(member, value);
	case TYPE_SECRET:
		return strlen(value) <= (size_t)s->max ? set_text(member, value)
						       : EINVAL;
	case TYPE_SIGNUP:
		return set_signup(member, value);
	case TYPE_TEXT:
		return set_text(member, value);
	}

	return EINVAL;
}

/* @param name  Of the setting, as whoever wrote it knows it */
static void say_no(char *why, const char *name, const struct setting *s,
		   const char *value)
{
	/* That one may have a password. */
	const char *fault = s->type == TYPE_CONNINFO ? conninfo_fault(value)
						     : NULL;

	if (fault)
		say(why, "%s: %s", name, fault);
	else if (s->type == TYPE_SECRET)
		say(why, "%s: longer than %d bytes", name, s->max);
	else
		say(why, "%s: not a value it can have: %.100s", name, value);
}

/* One line of the file; 0 ends the reading (libinih's convention). */
static int on_line(void *arg, const char *section, const char *key,
		   const char *value)
{
	struct loading *l = arg;
	char name[NAME_MAX_BYTES];

	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];

		if (strcmp(s->section, section) || strcmp(s->key, key))
			continue;
		if (!set(l->c, s, value))
			return 1;
		(void)snprintf(name, sizeof(name), "[%s] %s", section, key);
		say_no(l->why, name, s, value);
		return 0;
	}
	say(l->why, "[%.50s] %.50s: there is no such setting", section, key);

	return 0;
}

static int load_environment(struct config *c, char *why)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];
		char name[NAME_MAX_BYTES];
		const char *value;

		(void)snprintf(name, sizeof(name), "RESTSIP_%s_%s", s->section,
			       s->key);
		for (char *p = name; *p; p++)
			*p = (char)toupper((unsigned char)*p);
		value = getenv(name);
		if (value && set(c, s, value)) {
			say_no(why, name, s, value);
			return EINVAL;
		}
	}

	return 0;
}

/**
 * Reads the settings: what is built in, then the file, then the environment.
 *
 * @param c     Set up in any case: config_free() after a failure too
 * @param file  NULL: no file
 * @param why   A sentence about the failure
 * @return  0 or errno
 */
int config_load(struct config *c, const char *file,
		char why[static CONFIG_WHY_SIZE])
{
	struct loading l = {.c = c, .why = why};
	int err;

	*c = (struct config){.http = {.signup_open = true}};
	why[0] = '\0';
	for (size_t i = 0; i < SETTINGS; i++) {
		err = set(c, &settings[i], settings[i].initial);
		if (err) {
			say(why, "%s: bad initial value", settings[i].key);
			return err;
		}
	}
	if (file) {
		const int line = ini_parse(file, on_line, &l);

		if (line) {
			if (!why[0])
				say(why,
				    line < 0 ? "%.200s: cannot be read"
					     : "%.200s: not an INI file",
				    file);
			return line < 0 ? ENOENT : EINVAL;
		}
	}

	return load_environment(c, why);
}

void config_free(struct config *c)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];

		if (s->type == TYPE_TEXT || s->type == TYPE_CIDR ||
		    s->type == TYPE_CONNINFO || s->type == TYPE_SECRET)
			free(*(char **)(void *)((char *)c + s->offset));
	}
	*c = (struct config){.http = {.signup_open = true}};
}

/**
 * The next item of a setting that is a list, with blanks or commas between
 *
 * @param list  Where it goes on; advanced behind the item
 * @return  The bytes of the item, which list stands behind; 0: no more
 */
size_t config_item(const char **list)
{
	size_t n;

	*list += strspn(*list, ", \t");
	n = strcspn(*list, ", \t");
	*list += n;

	return n;
}

/** @return  Whether a domain, as domain_parse() gives it, is hosted here */
bool config_hosts(const struct config *c, const char *domain)
{
	const char *p = c->http.domains;
	char one[AOR_BUF];
	size_t n;

	while ((n = config_item(&p))) {
		if (!domain_parse(one, p - n, n) && !strcmp(one, domain))
			return true;
	}

	return false;
}

/**
 * The domain that is hosted here, where it is one alone
 *
 * @param out  As domain_parse() gives it; written only where there is one
 * @return  Whether there is
 */
bool config_only_domain(const struct config *c, char out[static AOR_BUF])
{
	const char *p = c->http.domains;
	const size_t n = config_item(&p);
	const char *rest = p;

	return n && !config_item(&rest) && !domain_parse(out, p - n, n);
}

/** Writes an INI file of all settings with what they mean */
int config_example(FILE *f)
{
	const char *section = "";

	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];

		if (strcmp(section, s->section)) {
			fprintf(f, "%s[%s]\n", i ? "\n" : "", s->section);
			section = s->section;
		}
		fprintf(f, "; %s\n;%s = %s\n", s->doc, s->key, s->initial);
	}

	return ferror(f) ? EIO : 0;
}
