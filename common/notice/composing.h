/*
 * composing.h: that somebody is writing (RFC 3994), as such or within a
 * message/cpim.
 */
#ifndef RESTSIP_COMPOSING_H
#define RESTSIP_COMPOSING_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

#define COMPOSING_TYPE "application/im-iscomposing+xml"

enum {
	COMPOSING_TEXT_MAX = 32, /* of state and refresh */
	COMPOSING_REFRESH_MAX_S = 86400,
	COMPOSING_XML_MAX = 512, /* of one that we have written */
};

struct composing {
	bool active;   /* else idle */
	int refresh_s; /* until it is said again; 0: it does not say */
};

/**
 * @param type  its media type, of type_len bytes
 * @param why   what is wrong, a sentence without its full stop, on EBADMSG
 * @return 0, ENOENT (it is something else), EBADMSG, ENOMEM
 */
int composing_read(struct composing *out, const char *type, size_t type_len,
		   const char *p, size_t n, const char **why);

/** As a document. */
void composing_write(struct buf *b, const struct composing *c);

#endif
