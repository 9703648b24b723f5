/*
 * The bytes of an answer to a request (RFC 3261 section 8.2.6).
 */
#ifndef ANSWER_H
#define ANSWER_H

#include <re.h>

/** What an answer says.  All pointers are borrowed; NULL or zero leaves the
 * part out */
struct answer {
	uint16_t scode;
	const char *reason;	  /**< NULL: the usual phrase */
	const char *hdrs;	  /**< further ones, each ended by CRLF */
	bool dialog;		  /**< makes one, or is within one */
	const char *content_type; /**< of the body */
	struct pl body;
};

int answer_encode(struct mbuf **mbp, struct sa *dst, const struct sip_msg *msg,
		  const struct answer *a);

#endif
