/*
 * One delivery: a MESSAGE out, from its claim to its final answer (RFC 3428).
 */
#ifndef DELIVERY_H
#define DELIVERY_H

#include <re.h>

struct agent;
struct delivery;
struct destination;
struct pg_answer;

/**
 * A delivery has ended
 *
 * @param code   SIP code; 0: it never left us
 * @param reason Phrase, one line of UTF-8
 */
typedef void(delivery_end_h)(struct delivery *d, int code, const char *reason,
			     void *arg);

int delivery_alloc(struct delivery **dp, struct agent *ag,
		   const struct pg_answer *ans, int row, delivery_end_h *h,
		   void *arg);
void delivery_start(struct delivery *d);
void delivery_flow_failed(struct delivery *d);
void delivery_abandon(struct delivery *d);
int64_t delivery_id(const struct delivery *d);
int64_t delivery_send(const struct delivery *d);
int delivery_attempt(const struct delivery *d);
size_t delivery_body_len(const struct delivery *d);
const char *delivery_flow(const struct delivery *d);
bool delivery_answered(const struct delivery *d);
bool delivery_went_out(const struct delivery *d);
void delivery_set_destination(struct delivery *d, struct destination *dst);
struct destination *delivery_destination(const struct delivery *d);
struct le *delivery_le(struct delivery *d);

#endif
