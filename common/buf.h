/*
 * A growable byte buffer with a named maximum. A failed append is remembered,
 * so that a renderer checks once, at its end.
 */
#ifndef BUF_H
#define BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *p; /**< NUL behind the last byte, once anything was added */
	size_t len;
	size_t size;
	size_t max; /**< Appending beyond this fails */
	bool failed;
	bool no_memory; /**< It failed for that, not for its maximum */
};

void buf_init(struct buf *b, size_t max);
void buf_init_fixed(struct buf *b, char *p, size_t size);
void buf_free(struct buf *b);
void buf_reset(struct buf *b);
void buf_cut(struct buf *b, size_t len);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_fmt(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
