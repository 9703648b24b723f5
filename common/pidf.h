/*
 * pidf.h: presence documents from outside (RFC 3863), by expat. No DTD, no
 * entities of their own, bounded depth and length.
 */
#ifndef RESTSIP_PIDF_H
#define RESTSIP_PIDF_H

#include <stdbool.h>
#include <stddef.h>

#include "common/arena.h"

enum {
	PIDF_DEPTH_MAX = 16,
	PIDF_NOTE_MAX = 1000, /* bytes; what is longer is refused */
	PIDF_CONTACT_MAX = 1024,
};

/** What we keep of one. Borrowed from the arena. */
struct pidf {
	bool open;	     /* the first tuple's <basic>; open without one */
	const char *note;    /* the first one; null if there is none */
	const char *contact; /* the first one; null if there is none */
};

/**
 * @param out  written only on success
 * @return 0, EBADMSG (no XML, no PIDF, a DTD, too deep or long), ENOMEM
 */
int pidf_parse(struct pidf *out, struct arena *a, const char *p, size_t n);

#endif
