/*
 * JSON strings (RFC 8259 section 7) into an mbuf.
 */
#ifndef JSON_H
#define JSON_H

#include <re.h>

int json_write_pl(struct mbuf *mb, const struct pl *pl);
int json_write_str(struct mbuf *mb, const char *s);

#endif
