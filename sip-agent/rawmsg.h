/*
 * A strict look at a SIP message as it came, before any other parser sees it
 * (RFC 3261 sections 7, 8.1.1, 8.2, 18.3 and 25.1; RFC 4475).  Knows nothing
 * of sockets: bytes in, verdict out.
 */
#ifndef RAWMSG_H
#define RAWMSG_H

#include <re.h>

#include "via.h"

/** What the branches begin with that we give (rawmsg_branch) */
#define RAWMSG_MARK "z9hG4bK-rfc2543-"

enum {
	RAWMSG_HEAD_MAX = 32 * 1024,
	RAWMSG_BODY_MAX = 64 * 1024,
	RAWMSG_LINES_MAX = 256,
	RAWMSG_VIAS_MAX = 70,	      /* as Max-Forwards has it */
	RAWMSG_CSEQ_MAX = 0x7fffffff, /* RFC 3261 section 8.1.1.5 */
	RAWMSG_MARKED_LEN = 16,	      /* hex digits behind the mark */
	RAWMSG_BRANCH_SIZE = 40,
};

enum rawmsg_kind {
	RAWMSG_JUNK, /* nothing that can be answered */
	RAWMSG_KEEPALIVE,
	RAWMSG_REQUEST,
	RAWMSG_RESPONSE,
};

/** A header line that could be read */
struct rawline {
	struct pl name, val;
};

/** All pl are borrowed from the message */
struct rawmsg {
	enum rawmsg_kind kind;
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
	struct rawline linev[RAWMSG_LINES_MAX]; /**< in order; last here */
};

enum rawmsg_kind rawmsg_parse(struct rawmsg *m, const char *p, size_t n);
bool rawmsg_is_ack(const struct rawmsg *m);
int rawmsg_branch(char *branch, size_t size, const struct rawmsg *m);

#endif
