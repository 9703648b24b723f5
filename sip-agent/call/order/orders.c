/*
 * Orders are wishes: what is done already, or too late, does nothing.
 */
#include "call/order/orders.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "call/bye.h"
#include "call/callee.h"
#include "call/caller.h"
#include "call/info.h"
#include "call/keys.h"
#include "call/offer/offered.h"
#include "call/offer/page.h"
#include "call/order/late.h"
#include "call/session/border.h"
#include "call/transfer/refer.h"
#include "pg/pgloop.h"

enum {
	PUT_OFF_MAX = 32, /* of a leg */
};

static void invite(const struct order *o)
{
	callee_call(o->legs, o->ans, o->row);
}

static void progress(const struct order *o)
{
	if (o->l)
		caller_progress(o->l, o->code, o->reason);
	else /* its INVITE was refused, by what we knew */
		late_load(o);
}

/* Each side knows the other's leg from here on, if nothing newer has said so */
static void answer(const struct order *o)
{
	struct leg *peer;

	if (!o->l) {
		late_load(o);
		return;
	}
	peer = leg_find(o->legs, o->peer);
	if (!o->l->pairs)
		o->l->peer = o->peer;
	if (peer && !o->l->pairs && !peer->pairs) {
		peer->peer = o->l->id;
		o->l->apart = peer->apart = peer->session.border != NULL;
	}
	caller_answer(o->l, o->sdp);
}

static void fail(const struct order *o)
{
	if (o->l)
		caller_fail(o->l, o->code, o->reason, o->cause);
	else
		late_load(o);
}

static void cancel(const struct order *o)
{
	if (o->l)
		callee_cancel(o->l, o->cause);
	else
		late_load(o);
}

/* The order to answer it may have been overtaken: then it still rings */
static void bye(const struct order *o)
{
	if (!o->l)
		late_load(o);
	else if (o->l->in &&
		 (o->l->state == LEG_CALLING || o->l->state == LEG_RINGING))
		caller_gone(o->l, "hangup");
	else
		bye_hang_up(o->l, o->cause);
}

/* Is its phone there? Of those in memory their own turn comes (timer.c) */
static void ask(const struct order *o)
{
	if (!o->l)
		late_load(o);
}

/* Another agent has it now */
static void left(const struct order *o)
{
	if (o->l)
		leg_unload(o->l);
}

static void won(const struct order *o)
{
	if (o->l)
		callee_won(o->l, o->sdp);
}

static void lost(const struct order *o)
{
	if (o->l)
		callee_lost(o->l, o->cause);
}

/* The other side offers, or asks for an offer */
static void offer(const struct order *o)
{
	if (o->l)
		offered_begin(o->l, o->sdp);
	else
		late_load(o);
}

/* It answers */
static void accept_offer(const struct order *o)
{
	if (o->l && !page_accept(o->l, o->sdp))
		callee_accept(o->l, o->sdp);
}

static void refuse(const struct order *o)
{
	if (o->l)
		page_refuse(o->l, o->code);
}

static void wait(const struct order *o)
{
	if (o->l)
		page_wait(o->l, o->ring_s);
}

/* The other side's phone has something to say */
static void info(const struct order *o)
{
	const struct info_text said = {o->reason, o->cause, o->sdp};

	if (o->l)
		info_send(o->l, o->number, &said);
	else
		late_load(o);
}

/* REST has pressed keys */
static void dtmf(const struct order *o)
{
	if (o->l)
		keys_press(o->l, o->number, o->sdp);
	else
		late_load(o);
}

/* What it has said to it */
static void informed(const struct order *o)
{
	info_answer(o->legs, o->number, o->code);
}

/* Which leg it speaks to without the database, but for what it offers where
   number says so */
static void pair(const struct order *o)
{
	if (!o->l)
		return;
	o->l->peer = o->peer;
	o->l->call = o->call;
	o->l->apart = o->number;
	o->l->pairs++;
}

/* What has become of its REFER */
static void notify(const struct order *o)
{
	if (o->l)
		refer_notify(o->l, o->number, o->reason);
	else
		late_load(o);
}

static const struct {
	const char *kind;
	void (*h)(const struct order *o);
} kinds[] = {
	{"invite", invite}, {"progress", progress},
	{"answer", answer}, {"fail", fail},
	{"cancel", cancel}, {"bye", bye},
	{"won", won},	    {"lost", lost},
	{"ask", ask},	    {"left", left},
	{"offer", offer},   {"accept", accept_offer},
	{"refuse", refuse}, {"wait", wait},
	{"info", info},	    {"informed", informed},
	{"dtmf", dtmf},	    {"pair", pair},
	{"notify", notify},
};

static void do_one(const struct order *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (order_is(o, kinds[i].kind))
			kinds[i].h(o);
	}
}

/* --- in their turn -----------------------------------------------------------
 */

struct asking {
	const char *call_id, *tag;
};

static bool asking_handler(struct le *le, void *arg)
{
	const struct leg *l = le->data;
	const struct asking *a = arg;

	return l->state == LEG_ASKING && l->in &&
	       !str_cmp(l->d.call_id, a->call_id) &&
	       !str_cmp(l->d.local_tag, a->tag);
}

/* One that the database has made has no id here before its answer: it is found
   by its dialog, which an order names where others may have caused it */
static struct leg *find(const struct order *o)
{
	struct leg *l = leg_find(o->legs, o->leg);
	struct asking a = {
		.call_id = pgres_text(o->ans->res, o->row, "sip_call_id"),
		.tag = pgres_text(o->ans->res, o->row, "local_tag"),
	};

	if (l || !a.call_id || !a.tag)
		return l;

	return list_ledata(hash_lookup(o->legs->by_call_id,
				       hash_joaat_str(a.call_id),
				       asking_handler, &a));
}

/* The database is being asked about its leg: what that has come to is older */
static bool put_off(const struct order *o)
{
	struct late *late;

	if (!o->l || !o->l->asks || list_count(&o->l->orders) >= PUT_OFF_MAX)
		return false;
	late = order_keep(o);
	if (!late)
		return false;
	list_append(&o->l->orders, &late->le, late);

	return true;
}

static void read_order(struct order *o)
{
	const PGresult *res = o->ans->res;

	o->doh = do_one;
	o->kind = pgres_text(res, o->row, "kind");
	o->reason = pgres_text(res, o->row, "reason");
	o->cause = pgres_text(res, o->row, "cause");
	o->sdp = pgres_text(res, o->row, "sdp");
	o->leg = pgres_int(res, o->row, "leg");
	o->call = pgres_int(res, o->row, "call");
	o->peer = pgres_int(res, o->row, "peer");
	o->number = pgres_int(res, o->row, "number");
	o->ring_s = pgres_int(res, o->row, "ring_s");
	o->code = (int)pgres_int(res, o->row, "code");
}

/**
 * Do the orders of an answer, or of a part of it
 *
 * @param ans  One that went well, with rows of app.leg_work
 * @param row  The first
 * @param rows How many
 */
void orders_do(struct legs *ls, const struct pg_answer *ans, int row, int rows)
{
	const int end = row + rows;

	for (; row < end; row++) {
		struct order o = {.legs = ls, .ans = ans, .row = row};

		read_order(&o);
		if (!o.kind)
			continue;
		o.l = mem_ref(find(&o));
		if (!put_off(&o))
			o.doh(&o);
		mem_deref(o.l);
	}
}

/** Do those that were put off, now that nothing is asked about their leg */
void orders_put_off(struct leg *l)
{
	struct late *late;

	while (!l->asks && (late = list_ledata(list_head(&l->orders)))) {
		struct order o = late->o;

		list_unlink(&late->le);
		o.l = mem_ref(leg_find(o.legs, o.leg));
		if (o.legs->ag->pl) /* this process is not at its end */
			o.doh(&o);
		mem_deref(o.l);
		mem_deref(late);
	}
}
