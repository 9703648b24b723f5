#include "call/order/late.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "call/bye.h"
#include "call/info.h"
#include "call/load.h"
#include "call/offer/offer.h"
#include "call/session/border.h"
#include "call/session/timer.h"
#include "call/tell/told.h"
#include "call/word.h"
#include "common/json_write.h"
#include "pg/pgloop.h"
#include "pg/pgval.h"

enum {
	ORDER_MAX = 256 * 1024, /* bytes of one that is handed on, as JSON */
};

static const struct pg_stmt stmt_hand_on = {
	.name = "leg_hand_on",
	.sql = "select * from api.leg_hand_on($1, $2, $3)",
	.nparams = 3,
	.write = true,
};

static void last_word(struct legs *ls, const struct pg_answer *ans)
{
	/* one that was ours has had its answer */
	if (!lately_note(&ls->lately, pgres_text(ans->res, 0, "call_id"),
			 pgres_text(ans->res, 0, "local_tag")))
		word_say(ls, pgres_text(ans->res, 0, "last_word"),
			 pgres_text(ans->res, 0, "last_word_to"));
}

static void gone(struct legs *ls, int64_t leg, const char *cause)
{
	const struct told_end end = {.cause = cause};
	struct leg *l;

	if (leg_alloc(&l, ls, false))
		return;
	leg_set_id(l, leg);
	told_end(ls->told, l, &end, NULL);
	leg_forget(l);
	mem_deref(l);
}

static void lost_for(const struct order *o)
{
	if (order_is(o, "offer"))
		offer_lost(o->legs, o->leg);
	if (order_is(o, "info") || order_is(o, "dtmf"))
		info_lost(o->legs, o->leg, o->number);
}

static void on_handed_on(const struct pg_answer *ans, void *arg)
{
	struct late *late = arg;

	told_answer(late->o.legs->told, ans);
	if (ans->end != PG_OK)
		lost_for(&late->o);
	mem_deref(late);
}

static int write_order(struct buf *b, const struct order *o)
{
	buf_char(b, '{');
	json_member(b, "kind", o->kind);
	json_member_int(b, "number", o->number);
	if (o->reason)
		json_member(b, "reason", o->reason);
	if (o->cause)
		json_member(b, "cause", o->cause);
	if (o->sdp)
		json_member(b, "sdp", o->sdp);
	buf_char(b, '}');

	return b->failed ? ENOMEM : 0;
}

/* Its phone is at another agent, which is to do it. Once: a key that is
   pressed twice is another number */
static void hand_on(struct late *late)
{
	const struct order *o = &late->o;
	const struct agent *ag = o->legs->ag;
	struct buf b;
	int err;

	buf_init(&b, ORDER_MAX);
	err = write_order(&b, o);
	if (!err) {
		const struct pl json = {b.p, b.len};
		const struct pg_val valv[] = {
			pg_int(pgloop_agent(ag->pl)),
			pg_int(o->leg),
			pg_pl(&json),
		};

		err = pgloop_query_in(ag->pl, PG_ALONE, (uint64_t)o->leg,
				      &stmt_hand_on, valv, on_handed_on,
				      mem_ref(late));
		if (err)
			mem_deref(late);
	}
	buf_free(&b);
	if (err)
		lost_for(o);
}

/* That the process before had made */
static void end_relay(const struct legs *ls, const struct pg_answer *ans)
{
	const char *relay = pgres_text(ans->res, 0, "relay");
	const char *tag = pgres_text(ans->res, 0, "local_tag");

	if (relay && tag)
		bridge_delete(ls->ag->ng, relay, tag);
	else if (tag && load_says(ans, "ending") &&
		 !str_cmp(pgres_text(ans->res, 0, "direction"), "out"))
		/* a phone that had not rung yet: its row was not told of it */
		bridge_delete_anywhere(ls->ag->ng, tag);
}

static void not_ours(struct late *late, const struct pg_answer *ans)
{
	const struct order *o = &late->o;

	if (load_says(ans, "elsewhere")) {
		hand_on(late);
		return;
	}
	lost_for(o);
	if (!ans || !pg_rows(ans))
		return;
	end_relay(o->legs, ans);
	if (!load_says(ans, "gone") && !load_says(ans, "expired"))
		last_word(o->legs, ans);
	gone(o->legs, o->leg,
	     load_says(ans, "expired") ? "expired" : "unreachable");
}

/* What is done with a leg that has been read from its row */
static void resumed(struct order *o)
{
	if (order_is(o, "ask"))
		timer_ask(o->l);
	else if (order_is(o, "offer") || order_is(o, "dtmf") ||
		 order_is(o, "info") || order_is(o, "notify"))
		o->doh(o);
	else if (!order_is(o, "answer")) /* that is said again */
		bye_hang_up(o->l, o->cause);
}

/* The order may have overtaken the answer that its leg was made by, which has
   come meanwhile: the two came by two connections */
static void on_loaded(struct leg *l, const struct pg_answer *ans, void *arg)
{
	struct late *late = arg;
	struct order o = late->o;
	struct leg *mine = leg_find(o.legs, o.leg);

	o.l = mem_ref(mine ? mine : l);
	if (mine && (mine->state == LEG_CALLING || mine->state == LEG_RINGING))
		o.doh(&o);
	else if (l)
		resumed(&o);
	else if (!mine)
		not_ours(late, ans);
	mem_deref(o.l);
}

/** Do an order to a leg that is to be read from its row first, if it is ours */
void late_load(const struct order *o)
{
	struct late *late = order_keep(o);

	if (!late)
		return;
	if (load_leg(o->legs, o->leg, on_loaded, late))
		not_ours(late, NULL);
	mem_deref(late);
}
