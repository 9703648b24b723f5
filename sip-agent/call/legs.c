#include "call/legs.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "call/callee.h"
#include "call/caller.h"
#include "call/orders.h"
#include "call/relay.h"
#include "call/told.h"
#include "call/within.h"

enum {
	BUCKETS = 1024,
};

static void destructor(void *arg)
{
	struct legs *ls = arg;

	list_flush(&ls->relays);
	ls->told = mem_deref(ls->told);
	hash_clear(ls->by_id);
	hash_flush(ls->by_call_id);
	mem_deref(ls->by_id);
	mem_deref(ls->by_call_id);
}

/** Allocate; to be freed before what ag points at */
int legs_alloc(struct legs **lsp, struct agent *ag)
{
	struct legs *ls = mem_zalloc(sizeof(*ls), destructor);
	int err;

	if (!ls)
		return ENOMEM;
	ls->ag = ag;
	err = hash_alloc(&ls->by_id, BUCKETS);
	if (!err)
		err = hash_alloc(&ls->by_call_id, BUCKETS);
	if (!err)
		err = told_alloc(&ls->told, ls, ag, orders_do);
	if (err)
		mem_deref(ls);
	else
		*lsp = ls;

	return err;
}

/** @return whether a request was of a leg's dialog, and is served */
bool legs_request(struct legs *ls, const struct sip_msg *msg)
{
	struct leg *l;

	if (!pl_isset(&msg->to.tag) || !ls->count)
		return false;
	l = leg_of_dialog(ls, msg);
	if (!l)
		return false;
	within_request(l, msg);

	return true;
}

/** @return whether an answer without a transaction is of a leg's INVITE */
bool legs_response(struct legs *ls, const struct sip_msg *msg)
{
	struct leg *l;

	if (!ls->count)
		return false;
	l = leg_of_answer(ls, msg);
	if (!l)
		return false;
	/* what else comes is of our CANCEL, or too late */
	if (msg->scode >= 200 && msg->scode < 300 &&
	    !pl_strcmp(&msg->cseq.met, "INVITE"))
		callee_answered_again(l, msg);

	return true;
}

/** There may be orders */
void legs_ring(struct legs *ls)
{
	told_claim(ls->told);
}

static bool lost_handler(struct le *le, void *arg)
{
	struct leg *l = le->data;
	const char *flow = arg;

	if (!l->flow || strcmp(l->flow, flow))
		return false;
	if (l->in)
		caller_gone(l, "unreachable");
	else
		callee_flow_lost(l);
	relay_flow_lost(l);

	return false;
}

/** A connection has closed: who rings over it does so no more */
void legs_flow_lost(struct legs *ls, const char *flow)
{
	(void)hash_apply(ls->by_call_id, lost_handler, (void *)flow);
}

static bool drain_handler(struct le *le, void *arg)
{
	struct leg *l = le->data;

	(void)arg;
	if (l->in)
		caller_gone(l, "agent-lost");

	return false;
}

/**
 * The process ends: calls that ring end with it
 *
 * @return How many ends the database has not heard of
 */
size_t legs_drain(struct legs *ls)
{
	(void)hash_apply(ls->by_call_id, drain_handler, NULL);

	return told_waiting(ls->told);
}
