/*
 * Makes of a sound message what libre and the agent understand.
 */
#ifndef PREPARE_H
#define PREPARE_H

#include <re.h>

struct sanity;

struct sip_msg *prepare_message(struct sanity *m, struct mbuf *mb,
				const struct sa *src, bool for_libre);
void prepare_answer(struct mbuf *mb);

#endif
