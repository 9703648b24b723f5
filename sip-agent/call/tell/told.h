/*
 * What the database is told of legs, and the orders that it gives in return.
 */
#ifndef TOLD_H
#define TOLD_H

#include <re.h>

#include "call/leg.h"
#include "call/tell/ends.h"

struct pg_answer;
struct told;

/** Rows of app.leg_work: so many, from that one on */
typedef void(told_orders_h)(struct legs *ls, const struct pg_answer *ans,
			    int row, int rows);
/** Those that were put off, of a leg that nothing is asked about any more */
typedef void(told_put_off_h)(struct leg *l);

/** What would end an INVITE that rings where we are no more */
struct told_word {
	struct mbuf *mb; /**< the message; NULL: none */
	struct sa to;	 /**< over UDP */
};

int told_alloc(struct told **tp, struct legs *ls, struct agent *ag,
	       told_orders_h *h, told_put_off_h *put_offh);
void told_rings(struct told *t, const struct leg *l, int code,
		const char *reason, const struct told_word *word);
void told_word(struct buf *b, const struct told_word *word);
void told_moved(struct told *t, const struct leg *l);
void told_lost(struct told *t, const struct leg *l);
void told_asks(struct told *t, const struct leg *l,
	       const struct told_word *word);
void told_up(struct told *t, const struct leg *l);
void told_end(struct told *t, struct leg *l, const struct told_end *end,
	      told_done_h *h);
void told_answer(struct told *t, const struct pg_answer *ans);
void told_rows(struct told *t, const struct pg_answer *ans, int row, int rows);
void told_question(struct leg *l);
void told_heard(struct told *t, struct leg *l, const struct pg_answer *ans,
		int row, int rows);
void told_claim(struct told *t);
size_t told_waiting(const struct told *t);

#endif
