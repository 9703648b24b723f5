/*
 * pidf.h: presence documents from outside: PIDF (RFC 3863), its data
 * model's person (RFC 4479) and RPID (RFC 4480). No DTD, no entities of their
 * own, bounded depth and length.
 *
 * The first tuple speaks, and every person. A note of that tuple goes before
 * one of a person, that before one of the whole document, and that before one
 * of a list. Elements that we have no word for are kept as XML, by where they
 * stand; what PIDF itself has besides is left out: time stamps, further tuples.
 */
#ifndef RESTSIP_PIDF_H
#define RESTSIP_PIDF_H

#include <stddef.h>

#include "common/arena.h"
#include "common/presence/presence.h"

enum {
	PIDF_CONTACT_MAX = 1024,
};

/** What we keep of one. Borrowed from the arena. */
struct pidf {
	struct presence presence;
	const char *contact; /* the tuple's first one; null: there is none */
};

/**
 * @param out  written only on success
 * @param why  what is wrong, a sentence without its full stop, on EBADMSG
 *             and EMSGSIZE
 * @return 0, EBADMSG (no XML, no PIDF, a DTD, too deep), EMSGSIZE (more than a
 * bound, which why names), ENOMEM
 */
int pidf_parse(struct pidf *out, struct arena *a, const char *p, size_t n,
	       const char **why);

/**
 * Elements alone, as struct presence has them in xml.
 *
 * @param out  the same, written anew; null where there are none
 * @return as pidf_parse()
 */
int pidf_read_xml(const char **out, struct arena *a, const char *p, size_t n,
		  const char **why);

#endif
