/*
 * JSON text into a buffer (RFC 8259): strings escaped, members named.
 */
#ifndef JSON_WRITE_H
#define JSON_WRITE_H

#include <stdint.h>

#include "common/buf.h"

void json_str(struct buf *b, const char *p, size_t n);
void json_cstr(struct buf *b, const char *s);
void json_int(struct buf *b, int64_t n);
void json_key(struct buf *b, const char *key);
void json_member(struct buf *b, const char *key, const char *value);
void json_member_int(struct buf *b, const char *key, int64_t value);

#endif
