/*
 * xml_walk.h: small documents from outside, by expat: no DTD, no entities of
 * their own, bounded depth. What an element is, is said by where it stands.
 */
#ifndef RESTSIP_XML_WALK_H
#define RESTSIP_XML_WALK_H

#include <stdbool.h>
#include <stddef.h>

enum {
	XML_WALK_DEPTH_MAX = 16,
	XML_WALK_ABOVE = 0, /* around the document's element */
	XML_WALK_REFUSED = -1,
	XML_WALK_SEPARATOR = '|', /* which no namespace may have, says expat */
};

/** What was wrong with a document */
enum xml_walk_why {
	XML_WALK_NO_XML,
	XML_WALK_DTD,
	XML_WALK_DEEP,
	XML_WALK_BY_OPS, /* these have refused it */
};

struct xml_walk_ops {
	/* An element begins in one that is `in`: name is its name space, the
	   separator and its local name; attrs as expat has them. @return what
	   it is, or XML_WALK_REFUSED */
	int (*start)(int in, const char *name, const char *const *attrs,
		     void *arg);
	/* Text in one, maybe not all of it. @return the same; it may say
	   anything else where that will do */
	int (*text)(int in, const char *p, size_t n, void *arg);
	/* One ends in one that is `in`; NULL: nobody asks. @return as text */
	int (*end)(int was, int in, void *arg);
	int above;     /* what is around the document's element */
	bool prefixed; /* the prefix of a name follows, behind a separator */
};

/** A piece of a document */
struct xml_walk_part {
	const char *p;
	size_t n;
};

/** @return 0, EBADMSG (it is no XML, or was refused), ENOMEM */
int xml_walk(const struct xml_walk_ops *ops, void *arg, const char *p,
	     size_t n);

/**
 * The same of a document in pieces
 *
 * @param why set to what is wrong, on EBADMSG
 */
int xml_walk_parts(const struct xml_walk_ops *ops, void *arg,
		   const struct xml_walk_part *partv, size_t count,
		   enum xml_walk_why *why);

/**
 * Add text to a string that has *len bytes, and is to be ended by its owner.
 *
 * @param max  the most bytes that it may have
 * @return as text() of the functions
 */
int xml_walk_add(char *text, size_t *len, size_t max, const char *p, size_t n);

/** End a string of len bytes, without the blanks at its ends. */
void xml_walk_trim(char *text, size_t len);

#endif
