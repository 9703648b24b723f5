#include "common/arena.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BLOCK_SIZE = 8192,
};

struct block {
	struct block *next;
	size_t size;
	size_t used;
	max_align_t data[];
};

struct arena {
	struct block *blocks; /**< The newest first */
};

static struct block *block_new(size_t size)
{
	struct block *b = malloc(sizeof(*b) + size);

	if (b)
		*b = (struct block){.size = size};

	return b;
}

/** @return  A new arena, owned, or NULL without memory */
struct arena *arena_new(void)
{
	struct arena *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->blocks = block_new(BLOCK_SIZE);
	if (!a->blocks) {
		free(a);
		return NULL;
	}

	return a;
}

/** Forgets all allocations; one block is kept for the next request */
void arena_reset(struct arena *a)
{
	struct block *b = a->blocks;

	while (b->next) {
		struct block *next = b->next;

		free(b);
		b = next;
	}
	b->used = 0;
	a->blocks = b;
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	arena_reset(a);
	free(a->blocks);
	free(a);
}

/**
 * Zeroed memory, aligned for anything, freed with the arena.
 *
 * @return  Borrowed from the arena, or NULL without memory
 */
void *arena_alloc(struct arena *a, size_t n)
{
	const size_t align = sizeof(max_align_t);
	struct block *b = a->blocks;
	void *p;

	if (n > SIZE_MAX / 2)
		return NULL;
	n = (n + align - 1) / align * align;
	if (b->size - b->used < n) {
		b = block_new(n > BLOCK_SIZE ? n : BLOCK_SIZE);
		if (!b)
			return NULL;
		b->next = a->blocks;
		a->blocks = b;
	}
	p = (char *)b->data + b->used;
	b->used += n;

	return memset(p, 0, n);
}

/** A copy of n bytes with a NUL behind them */
char *arena_mem(struct arena *a, const void *p, size_t n)
{
	char *copy = n < SIZE_MAX / 2 ? arena_alloc(a, n + 1) : NULL;

	if (copy && n)
		memcpy(copy, p, n);

	return copy;
}

char *arena_str(struct arena *a, const char *s)
{
	return arena_mem(a, s, strlen(s));
}

char *arena_fmt(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	s = arena_alloc(a, (size_t)n + 1);
	if (!s)
		return NULL;
	va_start(ap, fmt);
	(void)vsnprintf(s, (size_t)n + 1, fmt, ap);
	va_end(ap);

	return s;
}
