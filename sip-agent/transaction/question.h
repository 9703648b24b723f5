/*
 * What a probe asks: an OPTIONS, known again by the number in its branch.
 */
#ifndef QUESTION_H
#define QUESTION_H

#include <re.h>

struct address;

enum {
	QUESTION_CODE_MIN = 200, /* of final answers */
};

int question_encode(struct mbuf **mbp, struct sip *sip,
		    const struct address *to, uint64_t id);
bool question_is_answered(const struct mbuf *in, uint64_t id);
bool question_id(uint64_t *id, const struct sip_msg *msg);

#endif
