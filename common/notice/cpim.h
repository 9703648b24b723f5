/*
 * cpim.h: what a message/cpim carries (RFC 3862): headers of its own, then a
 * MIME body with its headers.
 */
#ifndef RESTSIP_CPIM_H
#define RESTSIP_CPIM_H

#include <stdbool.h>
#include <stddef.h>

/** Borrowed from the text; p null: there is none. */
struct cpim_part {
	const char *p;
	size_t n;
};

struct cpim {
	struct cpim_part message_id; /* imdn.Message-ID (RFC 5438, section 6) */
	struct cpim_part type;	     /* of the content */
	struct cpim_part content;
};

/**
 * What a message carries: itself, or within a message/cpim.
 *
 * @param type  its media type, of type_len bytes
 */
struct cpim cpim_of(const char *type, size_t type_len, const char *p, size_t n);

/** Whether a media type with or without parameters is that one. */
bool cpim_type_is(const char *type, size_t n, const char *name);

#endif
