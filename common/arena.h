/*
 * A request's memory: everything that lives as long as one request, freed at
 * once.
 */
#ifndef ARENA_H
#define ARENA_H

#include <stddef.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *a);
void arena_reset(struct arena *a);
void *arena_alloc(struct arena *a, size_t n);
char *arena_str(struct arena *a, const char *s);
char *arena_mem(struct arena *a, const void *p, size_t n);
char *arena_fmt(struct arena *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
