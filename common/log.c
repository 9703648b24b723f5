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
	struct buf b;

	if (level > log_threshold)
		return;
	buf_init(&b, LINE_MAX_BYTES);
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
	buf_free(&b);
}
