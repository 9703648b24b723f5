/*
 * News (who rings, who has ACKed) are told together and may get lost. Each
 * answer brings the orders that follow.
 */
#include "call/tell/told.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "call/session/border.h"
#include "call/session/session.h"
#include "common/json_write.h"
#include "common/log.h"
#include "pg/pgloop.h"
#include "pg/pgval.h"
#include "transaction/dialog.h"

enum {
	ITEMS_MAX = 64,	       /* of a statement */
	NEWS_MAX = 256 * 1024, /* bytes of its JSON */
	WORD_MAX = 4096,       /* of a message that is kept */
	NEWS_NOW_MS = 1,       /* who waits hears it */
	NEWS_LATE_MS = 500,    /* nobody does */
	POLL_MS = 2000,	       /* for bells that were missed */
	JOBS_MAX = 256,	       /* of a claim, see app.leg_take */
	ASKS_MAX = 50,	       /* legs to look after, of a claim; */
	ASKS_ON_MS = 100,      /* and so soon the next, while there are more */
};

struct told {
	struct legs *legs;
	struct agent *ag;
	told_orders_h *ordersh;
	told_put_off_h *put_offh;
	struct ends *ends;
	struct tmr tmr_news, tmr_poll;
	struct buf news;       /* JSON without its brackets */
	size_t newsc, news_at; /* how many; where the last begins */
	bool news_under_way, claiming, claim_again;
	int asks; /* of that claim */
};

static const struct pg_stmt stmt_news = {
	.name = "leg_news",
	.sql = "select * from api.leg_news($1, $2)",
	.nparams = 2,
	.write = true,
};
static const struct pg_stmt stmt_claim = {
	.name = "leg_claim",
	.sql = "select * from api.leg_claim($1, $2)",
	.nparams = 2,
	.write = true,
};

static void destructor(void *arg)
{
	struct told *t = arg;

	tmr_cancel(&t->tmr_news);
	tmr_cancel(&t->tmr_poll);
	mem_deref(t->ends);
	buf_free(&t->news);
}

static void poll(void *arg)
{
	struct told *t = arg;

	tmr_start(&t->tmr_poll, POLL_MS, poll, t);
	told_claim(t);
}

static void on_ends(const struct pg_answer *ans, void *arg)
{
	told_answer(arg, ans);
}

/**
 * Allocate
 *
 * @param h        What does the orders of an answer
 * @param put_offh See told_heard
 */
int told_alloc(struct told **tp, struct legs *ls, struct agent *ag,
	       told_orders_h *h, told_put_off_h *put_offh)
{
	struct told *t = mem_zalloc(sizeof(*t), destructor);

	if (!t)
		return ENOMEM;
	t->legs = ls;
	t->ag = ag;
	t->ordersh = h;
	t->put_offh = put_offh;
	buf_init(&t->news, NEWS_MAX);
	if (ends_alloc(&t->ends, ag, on_ends, t)) {
		mem_deref(t);
		return ENOMEM;
	}
	tmr_start(&t->tmr_poll, POLL_MS, poll, t);
	*tp = t;

	return 0;
}

/** A leg has ended: see ends_add */
void told_end(struct told *t, struct leg *l, const struct told_end *end,
	      told_done_h *h)
{
	border_close(&l->session.border);
	ends_add(t->ends, l, end, h);
}

/** How many ends the database has not heard of */
size_t told_waiting(const struct told *t)
{
	return ends_count(t->ends);
}

/** Do the orders that so many rows of an answer bring, from that one on */
void told_rows(struct told *t, const struct pg_answer *ans, int row, int rows)
{
	if (ans->end == PG_OK)
		t->ordersh(t->legs, ans, row, rows);
	else if (ans->end == PG_BUG)
		log_error_often(1, "legs_failed",
				LOG_STR("sqlstate", ans->sqlstate));
}

/** Do the orders that an answer brings */
void told_answer(struct told *t, const struct pg_answer *ans)
{
	told_rows(t, ans, 0, pg_rows(ans));
}

/** The database is asked about a leg: what it orders of that may be read before
    the answer, for it comes by another connection. Such orders are put off
    until told_heard, which is to follow */
void told_question(struct leg *l)
{
	l->asks++;
}

/** The answer is there: its own orders, as told_rows, and then those that were
    put off */
void told_heard(struct told *t, struct leg *l, const struct pg_answer *ans,
		int row, int rows)
{
	l->asks--;
	told_rows(t, ans, row, rows);
	t->put_offh(l);
}

/* --- news ------------------------------------------------------------------
 */

static void send_news(void *arg);

static void on_news(const struct pg_answer *ans, void *arg)
{
	struct told *t = arg;

	t->news_under_way = false;
	told_answer(t, ans);
	if (t->newsc && !tmr_isrunning(&t->tmr_news))
		tmr_start(&t->tmr_news, NEWS_NOW_MS, send_news, t);
}

static void send_news(void *arg)
{
	struct told *t = arg;

	if (t->news_under_way || !t->newsc || !t->ag->pl)
		return;
	buf_char(&t->news, ']');
	if (!t->news.failed) {
		const struct pl json = {t->news.p, t->news.len};
		const struct pg_val valv[] = {
			pg_int(pgloop_agent(t->ag->pl)),
			pg_pl(&json),
		};

		t->news_under_way = !pgloop_query_in(
			t->ag->pl, PG_ALONE, 0, &stmt_news, valv, on_news, t);
	}
	buf_reset(&t->news);
	t->newsc = 0;
}

/* The caller ends it by close_news; NULL: there is no place */
static struct buf *open_news(struct told *t, const struct leg *l,
			     const char *state)
{
	struct buf *b = &t->news;

	if (!l->id)
		return NULL;
	if (t->newsc >= ITEMS_MAX || b->len > NEWS_MAX / 2)
		send_news(t);
	if (t->newsc >= 8 * ITEMS_MAX || b->len > NEWS_MAX / 2)
		return NULL; /* the database does not come after: they are only
				news */
	t->news_at = b->len;
	buf_char(b, t->newsc++ ? ',' : '[');
	buf_char(b, '{');
	json_member_int(b, "leg", l->id);
	json_member(b, "state", state);

	return b;
}

static void close_news(struct told *t, uint64_t in_ms)
{
	buf_char(&t->news, '}');
	/* what has no place is not to take that of others */
	if (t->news.failed || t->news.len >= NEWS_MAX) {
		log_warn_often(1, "leg_news_too_long", LOG_ERRNO(EMSGSIZE));
		buf_cut(&t->news, t->news_at);
		t->newsc--;
	}
	if (!tmr_isrunning(&t->tmr_news) ||
	    tmr_get_expire(&t->tmr_news) > in_ms)
		tmr_start(&t->tmr_news, in_ms, send_news, t);
}

/** Write it as members of a JSON object, as far as it is text */
void told_word(struct buf *b, const struct told_word *word)
{
	char to[64];

	if (!word->mb)
		json_member(b, "last_word", "");
	if (!word->mb || word->mb->end > WORD_MAX ||
	    !pg_is_text((const char *)word->mb->buf, word->mb->end))
		return;
	(void)re_snprintf(to, sizeof(to), "%J", &word->to);
	json_key(b, "last_word");
	json_str(b, (const char *)word->mb->buf, word->mb->end);
	json_member(b, "last_word_to", to);
}

/**
 * A phone rings, or says what else it does before it answers
 *
 * @param word What would cancel it
 */
void told_rings(struct told *t, const struct leg *l, int code,
		const char *reason, const struct told_word *word)
{
	struct buf *b = open_news(t, l, "ringing");

	if (!b)
		return;
	json_member_int(b, "code", code);
	json_member(b, "reason", reason);
	told_word(b, word);
	if (l->session.border)
		json_member(b, "relay", border_relay(l->session.border));
	close_news(t, NEWS_NOW_MS);
}

/** A caller's phone has ACKed */
void told_up(struct told *t, const struct leg *l)
{
	if (open_news(t, l, "up"))
		close_news(t, NEWS_LATE_MS);
}

/* Until then its phone may come back; nobody asks for it before */
static void write_lost(struct buf *b, const struct leg *l)
{
	const uint64_t now = tmr_jiffies();
	const uint64_t until = l->session.s ? session_ends_ms(l)
					    : l->session.next_ms;

	json_member_int(b, "lost", 1);
	json_member_int(b, "left_s",
			until > now ? (int64_t)(until - now) / 1000 : 0);
}

static void moved(struct told *t, const struct leg *l, bool lost,
		  const struct told_word *word)
{
	struct buf *b = open_news(t, l, "moved");
	char ip[64];

	if (!b)
		return;
	(void)re_snprintf(ip, sizeof(ip), "%j", &l->peer_addr);
	json_member(b, "flow", l->flow ? l->flow : "");
	json_member(b, "peer", ip);
	if (l->d.remote_target)
		json_member(b, "remote_target", l->d.remote_target);
	json_member_int(b, "cseq", l->d.local_cseq);
	if (l->d.remote_cseq != DIALOG_NO_CSEQ)
		json_member_int(b, "remote_cseq", l->d.remote_cseq);
	session_json(b, l);
	if (lost)
		write_lost(b, l);
	if (word)
		told_word(b, word);
	close_news(t, word && word->mb ? NEWS_NOW_MS : NEWS_LATE_MS);
}

/** The dialog of a leg has other values: its phone is elsewhere, or much has
    been sent in it */
void told_moved(struct told *t, const struct leg *l)
{
	moved(t, l, false, NULL);
}

/** The connection of a leg has closed, of which its row may not have heard yet
 */
void told_lost(struct told *t, const struct leg *l)
{
	moved(t, l, true, NULL);
}

/** Its phone waits for the answer to a re-INVITE
 *
 * @param word What ends that where we are no more; without one: it waits no
 *             more */
void told_asks(struct told *t, const struct leg *l,
	       const struct told_word *word)
{
	moved(t, l, false, word);
}

/* --- what others have caused ------------------------------------------------
 */

/* Each is to be read from its row: no more than can be while others are, of
   which strangers' (LOADS_BY_MSGS) leave some room */
static int may_ask(const struct told *t)
{
	const size_t most = LEG_LOADS_MAX * 3 / 4, loads = t->legs->loads;

	return loads < most ? (int)MIN(ASKS_MAX, most - loads) : 0;
}

static int count_asks(const struct pg_answer *ans)
{
	int n = 0;

	for (int row = 0; row < pg_rows(ans); row++)
		n += !str_cmp(pgres_text(ans->res, row, "kind"), "ask");

	return n;
}

static void on_claimed(const struct pg_answer *ans, void *arg)
{
	struct told *t = arg;

	t->claiming = false;
	if (ans->end == PG_OK && t->asks && count_asks(ans) >= t->asks)
		tmr_start(&t->tmr_poll, ASKS_ON_MS, poll, t);
	told_answer(t, ans);
	if (t->claim_again || pg_rows(ans) > JOBS_MAX)
		told_claim(t);
}

/** Ask for orders: a bell has rung, or might have */
void told_claim(struct told *t)
{
	const int asks = may_ask(t);
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(t->ag->pl)),
		pg_int(asks),
	};

	t->claim_again = t->claiming;
	if (t->claiming)
		return;
	t->asks = asks;
	t->claiming = !pgloop_query_in(t->ag->pl, PG_CLAIM, 0, &stmt_claim,
				       valv, on_claimed, t);
}
