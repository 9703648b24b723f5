/*
 * RSeq and RAck of reliable provisional answers (RFC 3262 section 7).
 */
#ifndef RACK_H
#define RACK_H

#include <re.h>

/** Which of them a PRACK is for; borrows from its message */
struct rack {
	uint32_t rseq, cseq;
	struct pl method;
};

int rack_read_rseq(uint32_t *rseq, const struct sip_msg *msg);
int rack_read(struct rack *r, const struct sip_msg *msg);

#endif
