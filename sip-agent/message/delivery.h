/*
 * One delivery: a MESSAGE out, from its row to its end (RFC 3428).
 */
#ifndef DELIVERY_H
#define DELIVERY_H

#include "work/job.h"

struct destination;
struct pg_answer;

struct delivery {
	struct job job;
	int64_t send;
	int attempt;
	struct destination *destination; /**< the outbox's; NULL: none */
};

int delivery_read(struct delivery *d, const struct pg_answer *ans, int row);

#endif
