/*
 * The bytes of an answer to a request (RFC 3261 section 8.2.6), and sending
 * them.
 */
#ifndef ANSWER_H
#define ANSWER_H

#include <re.h>

int answer_encode(struct mbuf **mbp, struct sa *dst, const struct sip_msg *msg,
		  bool route, uint16_t scode, const char *reason,
		  const char *hdrs);

#endif
