/*
 * A strict look at a SIP message as it came, before any other parser sees it
 * (RFC 3261 sections 7, 8.1.1, 8.2, 18.3 and 25.1; RFC 4475).  Knows nothing
 * of sockets: bytes in, verdict out.
 */
#ifndef SANITY_H
#define SANITY_H

#include <re.h>

#include "parse/via.h"

/** Our own branches (sanity_branch) begin with this */
#define SANITY_MARK "z9hG4bK-rfc2543-"

enum {
	SANITY_HEAD_MAX = 32 * 1024,
	SANITY_BODY_MAX = 64 * 1024,
	SANITY_LINES_MAX = 256,
	SANITY_VIAS_MAX = 70,	/* as Max-Forwards has it */
	SANITY_MARKED_LEN = 16, /* hex digits behind the mark */
	SANITY_BRANCH_SIZE = 40,
};

enum sanity_kind {
	SANITY_JUNK, /* nothing that could be answered */
	SANITY_KEEPALIVE,
	SANITY_REQUEST,
	SANITY_RESPONSE,
};

/** A header line that could be read */
struct sanity_line {
	struct pl name, val;
};

/** All pl are borrowed from the message */
struct sanity {
	enum sanity_kind kind;
	uint16_t scode;	 /**< what to refuse it with; 0: it is sound */
	const char *why; /**< in a few words, static */
	struct pl method, uri;
	struct pl from, to, call_id, cseq; /**< their first values */
	unsigned vias;			   /**< values, bad ones too */
	struct via via;	      /**< topmost; val.p NULL where it is bad */
	bool cut;	      /**< the head has no end */
	bool has_length;      /**< there is a Content-Length */
	bool has_credentials; /**< there is an Authorization */
	size_t head_len;      /**< with the empty line */
	size_t body_len;      /**< the rest of a datagram is not counted */
	unsigned linec;
	struct sanity_line linev[SANITY_LINES_MAX]; /**< in order; last here */
};

enum sanity_kind sanity_parse(struct sanity *m, const char *p, size_t n);
bool sanity_is_ack(const struct sanity *m);
int sanity_branch(char *branch, size_t size, const struct sanity *m);

#endif
