/*
 * What all parts of the supervisor need: the time, a line in the log, a way
 * out.
 */
#ifndef SAY_H
#define SAY_H

enum { PATH_MAX_BYTES = 4096 };

/** @return monotonic time in milliseconds */
long long now_ms(void);

/** One line of the log, on stderr */
__attribute__((format(printf, 2, 3))) void log_line(const char *level,
						    const char *fmt, ...);

/** Say why, and end */
__attribute__((format(printf, 1, 2), noreturn)) void die(const char *fmt, ...);

/** @return p; ends where it is null */
void *must(void *p);

/** dir/name and suffix; ends where that is too long for PATH_MAX_BYTES */
void path_join(char *out, const char *dir, const char *name,
	       const char *suffix);

#endif
