/*
 * All legs of this agent, as main and dispatch see them.
 */
#ifndef LEGS_H
#define LEGS_H

#include <re.h>

#include "call/leg.h"

struct rung;
struct sanity;

#define LEGS_BELL "call" /* payload */

int legs_alloc(struct legs **lsp, struct agent *ag);
bool legs_has_phone(const struct legs *ls, const struct sanity *m,
		    const struct sa *src);
bool legs_request(struct legs *ls, const struct sip_msg *msg);
bool legs_response(struct legs *ls, const struct sip_msg *msg);
void legs_trace(struct legs *ls, const struct rung *r);
void legs_ring(struct legs *ls);
void legs_flow_lost(struct legs *ls, const char *flow);
void legs_bound(struct agent *ag, const char *aor, const struct sip_msg *msg,
		bool alone);
size_t legs_drain(struct legs *ls);

#endif
