/*
 * range.h: a part of a content (RFC 9110, section 14): one range of bytes.
 */
#ifndef RESTSIP_RANGE_H
#define RESTSIP_RANGE_H

#include <stdbool.h>
#include <stdint.h>

/** What Range asks for. */
struct range {
	bool given;  /* false: the whole; also for what we do not know */
	bool suffix; /* the last `last` bytes */
	int64_t first;
	int64_t last; /* with it; -1: to the end */
};

/** What that is of a content. */
struct range_part {
	bool partial; /* 206 */
	int64_t first;
	int64_t length;
};

/** @param header  Range, or null. Several ranges count as none. */
struct range range_parse(const char *header);

/** @return false: there is no such part (416) */
bool range_resolve(const struct range *r, int64_t size,
		   struct range_part *part);

#endif
