/*
 * One line an event, key=value, on standard error: a time, the level, the
 * program, the event, then its fields. Values are quoted and escaped, so that
 * nothing from outside can start a line. Never give it a password, a token or
 * a body.
 */
#ifndef LOG_H
#define LOG_H

#include <stddef.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR, /**< An operator must act */
	LOG_LEVEL_WARN,	 /**< Degraded */
	LOG_LEVEL_INFO,	 /**< Life cycle */
	LOG_LEVEL_DEBUG, /**< Per message */
};

struct log_field {
	const char *key;
	const char *str; /**< NULL: num counts, unless is_str */
	size_t len;
	int64_t num;
	int is_str;
};

struct log_field log_field_str(const char *key, const char *s);
struct log_field log_field_errno(int err);

#define LOG_STR(k, s) log_field_str((k), (s))
#define LOG_MEM(k, p, n) \
	((struct log_field){.key = (k), .str = (p), .len = (n), .is_str = 1})
#define LOG_ERRNO(err) log_field_errno(err)
#define LOG_INT(k, n) ((struct log_field){.key = (k), .num = (int64_t)(n)})

#define log_error(...) LOG_EVENT(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) LOG_EVENT(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) LOG_EVENT(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) LOG_EVENT(LOG_LEVEL_DEBUG, __VA_ARGS__)
/* The field without a key ends the list. */
#define LOG_EVENT(level, ...) LOG_FIELDS(level, __VA_ARGS__, {.key = NULL})
#define LOG_FIELDS(level, event, ...) \
	log_emit((level), (event), (const struct log_field[]){__VA_ARGS__})

void log_init(const char *program, enum log_level level);
int log_level_parse(enum log_level *level, const char *name);
void log_emit(enum log_level level, const char *event,
	      const struct log_field *fields);

/*
 * Lines of the log that may come in thousands: a failure that everybody meets.
 * The first of a kind is written at once and whole. The others are counted, and
 * the count is a line of its own: event=... repeated=N.
 *
 * A kind is an event and the values of its first fields, of which `keys` says
 * how many count: what is always the same, as the statement, never what is new
 * each time, as a request's id.
 */
enum {
	LOG_OFTEN_S = 1,   /**< A count a second */
	LOG_RARELY_S = 60, /**< A count a minute */
	LOG_KINDS_MAX =
		64, /**< At a time; all beyond them are counted as one */
	LOG_KEYS_MAX = 2,
	LOG_KEY_SIZE = 96, /**< Bytes of a value that are compared */
};

#define log_error_often(...) \
	LOG_OFTEN(LOG_LEVEL_ERROR, LOG_OFTEN_S, __VA_ARGS__)
#define log_warn_often(...) LOG_OFTEN(LOG_LEVEL_WARN, LOG_OFTEN_S, __VA_ARGS__)
#define log_info_often(...) LOG_OFTEN(LOG_LEVEL_INFO, LOG_OFTEN_S, __VA_ARGS__)
#define log_warn_rarely(...) \
	LOG_OFTEN(LOG_LEVEL_WARN, LOG_RARELY_S, __VA_ARGS__)
/* The field without a key ends the list. */
#define LOG_OFTEN(level, every_s, ...) \
	LOG_OFTEN_FIELDS(level, every_s, __VA_ARGS__, {.key = NULL})
#define LOG_OFTEN_FIELDS(level, every_s, keys, event, ...) \
	log_often((level), (every_s), (keys), (event), \
		  (const struct log_field[]){__VA_ARGS__})

void log_often(enum log_level level, unsigned every_s, size_t keys,
	       const char *event, const struct log_field *fields);
void log_often_counts(void);
void log_often_end(void);

#endif
