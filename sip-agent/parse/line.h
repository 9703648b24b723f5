/*
 * Lines of a message's head (RFC 3261 section 7.3.1).  Who looks for the end of
 * a message and who reads it must agree on them, or one message is two.
 */
#ifndef LINE_H
#define LINE_H

#include <re.h>

int line_take(struct pl *line, struct pl *in);
void line_trim(struct pl *val);
int line_split(struct pl *name, struct pl *val, const struct pl *line);
size_t line_empty(const char *p, size_t n);

#endif
