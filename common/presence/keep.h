/*
 * keep.h: XML elements written out again as they came, each with the
 * namespaces that it needs, so that they can stand in any other document.
 * What expat has read as entities, CDATA or another character set is written
 * as UTF-8; comments and processing instructions are left out.
 */
#ifndef KEEP_H
#define KEEP_H

#include <stddef.h>

#include "common/arena.h"
#include "common/buf.h"

/** An expanded name of expat's, in triplets. Borrowed. */
struct xml_name {
	const char *uri, *local, *prefix; /* not terminated */
	size_t uri_len, local_len, prefix_len;
};

enum {
	KEEP_DEPTH_MAX = 16,
};

struct keep {
	struct arena *a;
	struct buf *out;
	size_t depth; /* 0: nothing is being kept */
	struct xml_name open[KEEP_DEPTH_MAX];
};

void xml_name_read(struct xml_name *out, const char *name);

/** An element begins. @return 0, EMSGSIZE (out is full, too deep), ENOMEM */
int keep_start(struct keep *k, const struct xml_name *name,
	       const char *const *attrs);
/** Text within it. @return as above */
int keep_text(struct keep *k, const char *p, size_t n);
/** The element that was begun last ends. @return as above */
int keep_end(struct keep *k);

#endif
