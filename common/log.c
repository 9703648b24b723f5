#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"

enum {
	LINE_MAX_BYTES = 4096,
	VALUE_MAX_BYTES = 512,
};

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

/* The one thing that is a process's own: who it is, and how much it says. */
static const char *log_program = "restsip";
static enum log_level log_threshold = LOG_LEVEL_INFO;

/**
 * @param program  Name of the program, borrowed for the process's life
 * @param level    The least urgent level that is written
 */
void log_init(const char *program, enum log_level level)
{
	log_program = program;
	log_threshold = level;
}

/** @return  0, or EINVAL for a name that is no level */
int log_level_parse(enum log_level *level, const char *name)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(*level_names);
	     i++) {
		if (!strcmp(level_names[i], name)) {
			*level = (enum log_level)i;
			return 0;
		}
	}

	return EINVAL;
}

struct log_field log_field_str(const char *key, const char *s)
{
	return (struct log_field){
		.key = key, .str = s, .len = s ? strlen(s) : 0, .is_str = 1};
}

/** errno= with its words; of a number that has none, the number */
struct log_field log_field_errno(int err)
{
	const char *words = strerrordesc_np(err); /* from any thread */

	return words ? log_field_str("errno", words)
		     : (struct log_field){.key = "errno", .num = err};
}

static int is_plain(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const unsigned char c = (unsigned char)p[i];

		if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=')
			return 0;
	}

	return n > 0;
}

static void add_value(struct buf *b, const char *p, size_t n)
{
	const size_t shown = n < VALUE_MAX_BYTES ? n : VALUE_MAX_BYTES;

	if (shown == n && is_plain(p, n)) {
		buf_add(b, p, n);
		return;
	}
	buf_char(b, '"');
	for (size_t i = 0; i < shown; i++) {
		const unsigned char c = (unsigned char)p[i];

		if (c == '"' || c == '\\')
			buf_fmt(b, "\\%c", c);
		else if (c < ' ' || c >= 0x7f)
			buf_fmt(b, "\\x%02x", c);
		else
			buf_char(b, (char)c);
	}
	buf_str(b, shown < n ? "...\"" : "\"");
}

static void add_time(struct buf *b)
{
	struct timeval now;
	struct tm tm;
	char text[32];

	(void)gettimeofday(&now, NULL); /* cannot fail with these arguments */
	(void)gmtime_r(&now.tv_sec, &tm);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_fmt(b, "%s.%03dZ", text, (int)(now.tv_usec / 1000));
}

/* A pipe that nobody empties must not stop the program. */
static bool stderr_takes_a_line(void)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

/**
 * Writes one line; a line that standard error does not take is lost.
 *
 * @param fields  Ended by one without a key
 */
void log_emit(enum log_level level, const char *event,
	      const struct log_field *fields)
{
	char line[LINE_MAX_BYTES + 1]; /* a lack of memory is told too */
	struct buf b;

	if (level > log_threshold)
		return;
	buf_init_fixed(&b, line, sizeof(line));
	add_time(&b);
	buf_fmt(&b, " level=%s prog=%s event=%s", level_names[level],
		log_program, event);
	for (; fields->key; fields++) {
		if (fields->is_str && !fields->str)
			continue;
		buf_fmt(&b, " %s=", fields->key);
		if (fields->is_str)
			add_value(&b, fields->str, fields->len);
		else
			buf_fmt(&b, "%" PRId64, fields->num);
	}
	if (b.len) {
		b.p[b.len < LINE_MAX_BYTES ? b.len++ : b.len - 1] = '\n';
		/* nowhere to report that the report failed */
		if (stderr_takes_a_line() &&
		    write(STDERR_FILENO, b.p, b.len) < 0)
			errno = 0;
	}
}

/* --- what comes again and again ------------------------------------------- */

struct key {
	const char *name;
	char value[LOG_KEY_SIZE];
};

struct kind {
	enum log_level level;
	const char *event; /* NULL: this place is free */
	struct key key[LOG_KEYS_MAX];
	size_t keys;
	uint64_t until_ms; /* then the count is due */
	unsigned every_s;
	unsigned repeated;
};

/* The log is the process's own, and so are its kinds. The last place is for all
 * that find no other. */
static struct kind kinds[LOG_KINDS_MAX + 1];
static struct kind *const others = &kinds[LOG_KINDS_MAX];

static uint64_t due_ms(unsigned every_s)
{
	return clock_ms() + UINT64_C(1000) * every_s;
}

static void write_count(struct kind *k)
{
	struct log_field fields[LOG_KEYS_MAX + 2] = {{.key = NULL}};
	size_t n = 0;

	for (; n < k->keys; n++)
		fields[n] = LOG_STR(k->key[n].name, k->key[n].value);
	fields[n] = LOG_INT("repeated", k->repeated);
	k->repeated = 0;
	k->until_ms = due_ms(k->every_s);
	log_emit(k->level, k->event, fields);
}

/* A kind that was not seen for a whole period is forgotten: the next is a first
 * one again. */
static void look(struct kind *k, uint64_t now_ms)
{
	if (!k->event || now_ms < k->until_ms)
		return;
	if (k->repeated)
		write_count(k);
	else
		k->event = NULL;
}

static void read_key(struct key *key, const struct log_field *f)
{
	key->name = f->key;
	if (!f->is_str)
		(void)snprintf(key->value, LOG_KEY_SIZE, "%" PRId64, f->num);
	else
		(void)snprintf(key->value, LOG_KEY_SIZE, "%.*s",
			       f->len < LOG_KEY_SIZE ? (int)f->len
						     : LOG_KEY_SIZE,
			       f->str ? f->str : "");
}

static bool is_same(const struct kind *a, const struct kind *b)
{
	if (!a->event || strcmp(a->event, b->event) || a->keys != b->keys)
		return false;
	for (size_t i = 0; i < a->keys; i++)
		if (strcmp(a->key[i].value, b->key[i].value))
			return false;

	return true;
}

/* Its place, or a free one, or that of all others. */
static struct kind *find(const struct kind *wanted)
{
	const uint64_t now_ms = clock_ms();
	struct kind *place = NULL;

	for (size_t i = 0; i <= LOG_KINDS_MAX; i++)
		look(&kinds[i], now_ms);
	for (size_t i = 0; i < LOG_KINDS_MAX; i++) {
		if (is_same(&kinds[i], wanted))
			return &kinds[i];
		if (!kinds[i].event && !place)
			place = &kinds[i];
	}

	return place ? place : others;
}

/**
 * Writes the first line of a kind, and counts the others.
 *
 * @param every_s  A count is written so often, in s
 * @param keys     How many of the first fields tell kinds apart, at most
 *                 LOG_KEYS_MAX
 * @param event    Lives as long as the process, as the names of fields
 * @param fields   As of log_emit()
 */
void log_often(enum log_level level, unsigned every_s, size_t keys,
	       const char *event, const struct log_field *fields)
{
	struct kind wanted = {
		.level = level, .event = event, .every_s = every_s};
	struct kind *k;

	for (; wanted.keys < keys && fields[wanted.keys].key; wanted.keys++)
		read_key(&wanted.key[wanted.keys], &fields[wanted.keys]);
	k = find(&wanted);
	if (k->event) {
		k->repeated++;
		return;
	}
	if (k == others) {
		wanted.event = "many_kinds";
		wanted.keys = 0;
	}
	*k = wanted;
	k->until_ms = due_ms(every_s);
	log_emit(level, event, fields);
}

/** Writes the counts that are due: to be called once a second */
void log_often_counts(void)
{
	const uint64_t now_ms = clock_ms();

	for (size_t i = 0; i <= LOG_KINDS_MAX; i++)
		look(&kinds[i], now_ms);
}

/** Writes all counts: the program ends */
void log_often_end(void)
{
	for (size_t i = 0; i <= LOG_KINDS_MAX; i++)
		look(&kinds[i], UINT64_MAX);
}
