/*
 * link.h: our own addresses, spelled as the database spells them in its
 * documents: an email is one segment of a path, and characters that may stand
 * there (RFC 3986, section 3.3) are not escaped.
 */
#ifndef RESTSIP_LINK_H
#define RESTSIP_LINK_H

#include <stdint.h>

#include "common/arena.h"
#include "common/buf.h"

/** Add a segment. */
void link_segment(struct buf *b, const char *s);

/**
 * `/login/alice@example.net/7`.
 *
 * @param under  `/login/`
 * @param email  null: `me`
 * @param more   what follows, `/` or `/credential/`; null: nothing does
 * @param n      number behind more; negative: none
 * @return borrowed from a; null: no memory
 */
const char *link_to(struct arena *a, const char *under, const char *email,
		    const char *more, int64_t n);

/**
 * A segment as it was before it was percent-encoded.
 *
 * @return borrowed from a; null: a bad escape, a NUL, a slash, no memory
 */
const char *link_unescape(struct arena *a, const char *s);

#endif
