/*
 * Whom a call is handed on to: Refer-To (RFC 3515 section 2.1), and whose place
 * somebody takes: Replaces (RFC 3891 section 6.1).
 */
#ifndef REFER_PARSE_H
#define REFER_PARSE_H

#include <re.h>

enum {
	REFER_TEXT_MAX = 1024,
};

/** A dialog, by what its other side calls it; all pl are borrowed */
struct replaces {
	struct pl call_id, to_tag, from_tag;
	bool early_only;
};

struct refer_to {
	struct pl uri;		   /**< without its headers, borrowed */
	bool attended;		   /**< it has a Replaces */
	struct replaces replaces;  /**< borrows from text */
	char text[REFER_TEXT_MAX]; /**< of that */
};

int replaces_read(struct replaces *r, const struct pl *val);
int refer_to_read(struct refer_to *r, const struct pl *val);

#endif
