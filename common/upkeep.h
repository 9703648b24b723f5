/*
 * What each program does once a second beside its work: the log's counts, and
 * a look whether there is memory.
 *
 * A program without memory can only refuse. One that was so for some seconds
 * ends, in order: it is started anew at once, and has lost nothing.
 */
#ifndef UPKEEP_H
#define UPKEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/log.h"

enum {
	UPKEEP_MS = 1000,
	UPKEEP_MISSES_MAX = 5, /**< Looks in a row that found no memory */
	UPKEEP_BLOCK = 65536,  /**< Bytes that malloc() is asked for */
};

struct upkeep {
	size_t need;	 /**< Bytes at once that the program cannot do without;
			      they are asked for, not used */
	unsigned misses; /**< In a row */
};

/* By malloc(), as nearly all is had; and what is needed in one piece by mmap(),
 * for a large piece that is freed would make malloc() keep others. */
static inline bool upkeep_has_memory(size_t need)
{
	void *volatile block = malloc(UPKEEP_BLOCK); /* truly asked for */
	void *piece = mmap(NULL, need, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const bool there = block && piece != MAP_FAILED;

	free(block);
	if (piece != MAP_FAILED)
		(void)munmap(piece, need); /* it has just been mapped */

	return there;
}

/**
 * To be called every UPKEEP_MS
 *
 * @return  false where the program has been without memory for too long and is
 *          to end
 */
static inline bool upkeep_look(struct upkeep *u)
{
	log_often_counts();
	if (upkeep_has_memory(u->need)) {
		u->misses = 0;
		return true;
	}
	u->misses++;
	log_error_often(1, "no_memory", LOG_STR("where", "program"),
			LOG_INT("needed", u->need));

	return u->misses < UPKEEP_MISSES_MAX;
}

#endif
