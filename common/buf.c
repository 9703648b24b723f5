#include "common/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FIRST_SIZE = 256,
};

/**
 * @param b    Buffer to set up, owned by the caller, ended by buf_free()
 * @param max  Maximum length in bytes
 */
void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

/**
 * As buf_init(), in memory of the caller's: none is ever asked for, and
 * buf_free() is not to be called
 *
 * @param size  Of p; one byte of it is for the NUL
 */
void buf_init_fixed(struct buf *b, char *p, size_t size)
{
	*b = (struct buf){.p = p, .size = size, .max = size - 1};
	p[0] = '\0';
}

void buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){.max = b->max};
}

/** Forgets the content and a failure, keeps the memory */
void buf_reset(struct buf *b)
{
	buf_cut(b, 0);
}

/** Forget what was added since it was so long, failures too */
void buf_cut(struct buf *b, size_t len)
{
	b->len = len;
	b->failed = b->no_memory = false;
	if (b->p)
		b->p[len] = '\0';
}

static bool buf_reserve(struct buf *b, size_t n)
{
	size_t size = b->size ? b->size : FIRST_SIZE;
	char *p;

	if (b->failed || n > b->max || b->len > b->max - n) {
		b->failed = true;
		return false;
	}
	if (b->len + n + 1 <= b->size)
		return true;
	while (size < b->len + n + 1)
		size *= 2;
	p = realloc(b->p, size);
	if (!p) {
		b->failed = b->no_memory = true;
		return false;
	}
	b->p = p;
	b->size = size;

	return true;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	if (!buf_reserve(b, n))
		return;
	if (n)
		memcpy(b->p + b->len, p, n);
	b->len += n;
	b->p[b->len] = '\0';
}

void buf_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_char(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_fmt(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !buf_reserve(b, (size_t)n)) {
		b->failed = true;
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}
