#include "call/legs.h"
#include "call/offer/offered.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "call/callee.h"
#include "call/caller.h"
#include "call/info.h"
#include "call/invite_ask.h"
#include "call/keys.h"
#include "call/load.h"
#include "call/order/orders.h"
#include "call/relay.h"
#include "call/session/early.h"
#include "call/session/refresh.h"
#include "call/session/timer.h"
#include "call/session/wheel.h"
#include "call/tell/answered.h"
#include "call/tell/ladder.h"
#include "call/tell/told.h"
#include "call/within.h"
#include "common/log.h"
#include "gate/budget.h"
#include "parse/hdr.h"
#include "parse/nameaddr.h"
#include "parse/rung.h"
#include "parse/sanity.h"
#include "pg/pgloop.h"
#include "transaction/flow.h"

enum {
	BUCKETS = 1024,
};

static void destructor(void *arg)
{
	struct legs *ls = arg;

	ls->count = 0; /* what goes out from here on is nobody's */
	list_flush(&ls->relays);
	list_flush(&ls->infos);
	list_flush(&ls->keys);
	list_flush(&ls->notifies);
	list_flush(&ls->words);
	list_flush(&ls->sayings);
	hash_clear(ls->by_id);
	hash_clear(ls->by_aor);
	hash_flush(ls->by_call_id); /* some have a last word for told */
	ls->told = mem_deref(ls->told);
	mem_deref(ls->wheel);
	mem_deref(ls->by_id);
	mem_deref(ls->by_aor);
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
	ls->overh = info_over;
	err = hash_alloc(&ls->by_id, BUCKETS);
	if (!err)
		err = hash_alloc(&ls->by_aor, BUCKETS);
	if (!err)
		err = hash_alloc(&ls->by_call_id, BUCKETS);
	if (!err)
		err = wheel_alloc(&ls->wheel, timer_due);
	if (!err)
		err = told_alloc(&ls->told, ls, ag, orders_do, orders_put_off);
	if (!err)
		err = invite_ask_open(ag);
	if (!err)
		err = answered_open(ag);
	if (err)
		mem_deref(ls);
	else
		*lsp = ls;

	return err;
}

static bool has_tag(const struct pl *val, const char *tag)
{
	const size_t len = strlen(tag);

	for (size_t i = 0; i + len <= val->l; i++) {
		if (!memcmp(val->p + i, tag, len))
			return true;
	}

	return false;
}

struct look {
	const struct sanity *m;
	const struct sa *src;
};

static bool phone_handler(struct le *le, void *arg)
{
	const struct leg *l = le->data;
	const struct look *look = arg;

	return l->d.local_tag && !pl_strcmp(&look->m->call_id, l->d.call_id) &&
	       sa_cmp(&l->peer_addr, look->src, SA_ADDR) &&
	       has_tag(&look->m->to, l->d.local_tag);
}

/** Whether the bytes of a request are of a leg's dialog, and from where its
    phone is; our tag is what nobody else knows */
bool legs_has_phone(const struct legs *ls, const struct sanity *m,
		    const struct sa *src)
{
	struct look look = {.m = m, .src = src};

	return ls->count &&
	       hash_lookup(ls->by_call_id, hash_joaat_pl(&m->call_id),
			   phone_handler, &look);
}

/** @return whether a request within a dialog is served here */
bool legs_request(struct legs *ls, const struct sip_msg *msg)
{
	struct leg *l;

	if (!pl_isset(&msg->to.tag))
		return false;
	l = leg_of_dialog(ls, msg);
	if (!l)
		return early_request(ls, msg) || within_unknown(ls, msg);
	within_request(l, msg);

	return true;
}

static void charge(struct agent *ag, const struct sip_msg *msg)
{
	budget_bad(ag->budget, budget_proof_of(msg), &msg->src, tmr_jiffies());
}

struct answered {
	struct legs *legs;
	struct sip_msg *msg;
};

static void answered_destructor(void *arg)
{
	struct answered *a = arg;

	mem_deref(a->msg);
}

static void on_loaded(struct leg *l, const struct pg_answer *ans, void *arg)
{
	struct answered *a = arg;

	if (l)
		callee_answered_again(l, a->msg);
	else if (ans && pg_rows(ans) &&
		 !lately_note_answer(&a->legs->lately, a->msg))
		callee_answered_late(a->legs, ans, a->msg);
	else if (ans)
		charge(a->legs->ag, a->msg);
}

/* A phone has answered an INVITE that we do not have in memory */
static bool look_up(struct legs *ls, const struct sip_msg *msg)
{
	struct answered *a = mem_zalloc(sizeof(*a), answered_destructor);
	int err;

	if (!a)
		return true;
	a->legs = ls;
	a->msg = mem_ref((void *)msg);
	err = load_dialog(ls, msg, NULL, on_loaded, a);
	mem_deref(a);

	return err != ENOENT;
}

/** @return whether an answer without a transaction is of a leg's INVITE */
bool legs_response(struct legs *ls, const struct sip_msg *msg)
{
	const bool is_accepted = msg->scode >= 200 && msg->scode < 300 &&
				 !pl_strcmp(&msg->cseq.met, "INVITE");
	struct leg *l;

	l = leg_of_answer(ls, msg);
	if (!l)
		return is_accepted && !lately_was_answer(&ls->lately, msg)
			       ? look_up(ls, msg)
			       : lately_was_of(&ls->lately, msg) || is_accepted;
	/* what else comes is of our CANCEL, or too late */
	if (is_accepted)
		callee_answered_again(l, msg);

	return true;
}

static bool call_id_handler(struct le *le, void *arg)
{
	const struct leg *l = le->data;

	return !pl_strcmp(arg, l->d.call_id);
}

/** A message goes out or has come in, of whatever kind. What comes within a
    dialog is noted by who serves it, for libre does not see it all */
void legs_trace(struct legs *ls, const struct rung *r)
{
	struct pl call_id;
	struct leg *l;

	if (!ls->count || r->len < 8 ||
	    (!r->out && strncmp(r->p, "SIP/2.0 ", 8) != 0 &&
	     strncmp(r->p, "CANCEL ", 7) != 0))
		return;
	if (!rung_call_id(&call_id, r->p, r->len))
		return;
	l = list_ledata(hash_lookup(ls->by_call_id, hash_joaat_pl(&call_id),
				    call_id_handler, &call_id));
	if (l)
		ladder_note(l, r);
}

/** There may be orders */
void legs_ring(struct legs *ls)
{
	told_claim(ls->told);
}

/* Those of a moment, each with a reference: what is done with one may free
   others, which a walk through the table would stumble over */
struct some {
	struct leg **v;
	size_t n, max;
	const char *flow; /* NULL: all */
};

static bool some_handler(struct le *le, void *arg)
{
	struct some *some = arg;
	struct leg *l = le->data;

	if (some->n < some->max &&
	    (!some->flow || (l->flow && !strcmp(l->flow, some->flow))))
		some->v[some->n++] = mem_ref(l);

	return false;
}

static void for_each(const struct legs *ls, const char *flow,
		     void (*h)(struct leg *l))
{
	struct some some = {.max = ls->count, .flow = flow};
	size_t i;

	if (!ls->count)
		return;
	some.v = mem_alloc(ls->count * sizeof(struct leg *), NULL);
	if (!some.v) {
		log_warn_often(1, "legs_not_told", LOG_ERRNO(ENOMEM));
		return;
	}
	(void)hash_apply(ls->by_call_id, some_handler, &some);
	for (i = 0; i < some.n; i++) {
		if (some.v[i]->state != LEG_GONE)
			h(some.v[i]);
		mem_deref(some.v[i]);
	}
	mem_deref(some.v);
}

static void lost(struct leg *l)
{
	told_lost(l->legs->told, l);
	if (l->in)
		caller_gone(l, "unreachable");
	if (l->uac)
		uac_flow_failed(l->uac);
	relay_flow_lost(l);
	offered_flow_lost(l);
	refresh_flow_lost(l);
	info_flow_lost(l);
	keys_flow_lost(l);
	/* its row says where its phone is once it is back */
	if (l->state == LEG_UP && !leg_is_busy(l))
		leg_unload(l);
}

/** A connection has closed: who rings over it does so no more */
void legs_flow_lost(struct legs *ls, const char *flow)
{
	for_each(ls, flow, lost);
}

struct bound {
	const char *aor, *flow;
	const struct sip_msg *msg;
	struct pl contact;
	bool alone;
};

static bool bound_handler(struct le *le, void *arg)
{
	struct leg *l = le->data;
	const struct bound *b = arg;

	if (l->state == LEG_UP && !strcmp(l->aor, b->aor) && l->flow &&
	    !strncmp(l->flow, "udp:", 4) && l->d.remote_target &&
	    !pl_strcmp(&b->contact, l->d.remote_target) &&
	    (b->alone || sa_cmp(&l->peer_addr, &b->msg->src, SA_ADDR)))
		within_move(l, b->msg, b->flow);

	return false;
}

/**
 * A phone has registered: behind a NAT it may have another port by now, and
 * hears of the end of its call there
 *
 * @param alone No other phone has that contact; else it is the one that has
 *              spoken from the same IP address
 */
void legs_bound(struct agent *ag, const char *aor, const struct sip_msg *msg,
		bool alone)
{
	char flow[FLOW_TEXT_SIZE];
	struct bound b = {.aor = aor, .flow = flow, .msg = msg, .alone = alone};
	struct nameaddr na;

	if (!ag->legs->count || msg->tp != SIP_TRANSP_UDP ||
	    nameaddr_decode(&na, hdr_get(msg, HDR_CONTACT)) ||
	    flow_of(flow, sizeof(flow), ag->flows, ag->sip, msg) || !*flow)
		return;
	b.contact = na.uri;
	(void)hash_lookup(ag->legs->by_aor, hash_joaat_str(aor), bound_handler,
			  &b);
}

static void drain_caller(struct leg *l)
{
	if (l->in)
		caller_drain(l);
}

static void drain_callee(struct leg *l)
{
	if (!l->in)
		callee_drain(l);
}

/**
 * The process ends: calls that ring end with it
 *
 * @return How many ends the database has not heard of
 */
size_t legs_drain(struct legs *ls)
{
	ls->draining = true;
	/* first who hears a code of ours, not that of his callee's */
	for_each(ls, NULL, drain_caller);
	for_each(ls, NULL, drain_callee);

	return told_waiting(ls->told);
}
