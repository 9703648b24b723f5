/*
 * name-addr and addr-spec with their parameters (RFC 3261 section 25.1): what
 * stands in From, To, Contact and Path.
 */
#ifndef NAMEADDR_H
#define NAMEADDR_H

#include <re.h>

/** One address; all pl are borrowed */
struct nameaddr {
	struct pl display; /**< as it came, with its quotes */
	struct pl uri;
	struct pl params; /**< from the first semicolon on */
	bool brackets;	  /**< the URI stood in <> */
	bool star;	  /**< a lone `*` (Contact) */
};

int nameaddr_take(struct nameaddr *na, struct pl *list);
int nameaddr_decode(struct nameaddr *na, const struct pl *val);
bool nameaddr_next_param(struct pl *name, struct pl *text, struct pl *rest);
bool nameaddr_param(const struct nameaddr *na, const char *name,
		    struct pl *val);

#endif
