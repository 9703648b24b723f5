/*
 * The notifier: claims NOTIFYs while there is room and tells the database how
 * they ended.  What is not settled when we die is sent again by our successor.
 */
#include "notifier.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "log.h"
#include "notify.h"
#include "pgloop.h"
#include "settings.h"

enum {
	SETTLE_AGAIN_MS = 500,
	TARGET_SIZE = 80,
};

struct notifier {
	struct agent *ag;
	char target[TARGET_SIZE]; /* our own URI, for what we take over */
	struct list active;	  /* struct notify: transaction under way */
	struct list ended; /* struct settling: the database must be told */
	size_t in_flight;  /* active and ended */
	struct tmr tmr_poll, tmr_settle;
	int64_t asked; /* rows, of the last claim */
	bool claiming, again, draining;
};

/** How a NOTIFY has ended, until the database knows */
struct settling {
	struct le le;
	struct notifier *nf;
	int64_t subscription, cseq, retry_s;
	int code;
	bool asking;
};

static const struct pg_stmt stmt_claim = {
	"notify_claim", "select * from api.notify_claim($1, $2, $3, $4)", 4, 0};
static const struct pg_stmt stmt_settle = {
	"notify_settle", "select * from api.notify_settle($1, $2, $3, $4, $5)",
	5, 0};

static void settle(struct settling *s);

/* --- settling ----------------------------------------------------------- */

static void settling_destructor(void *arg)
{
	struct settling *s = arg;

	list_unlink(&s->le);
}

static void settle_all(void *arg)
{
	struct notifier *nf = arg;
	struct le *le = list_head(&nf->ended);

	while (le) {
		struct settling *s = le->data;

		le = le->next;
		if (!s->asking)
			settle(s);
	}
}

static void settle_later(struct notifier *nf)
{
	if (!tmr_isrunning(&nf->tmr_settle))
		tmr_start(&nf->tmr_settle, SETTLE_AGAIN_MS, settle_all, nf);
}

/* Meanwhile the next may have fallen due */
static void on_settled(const struct pg_answer *ans, void *arg)
{
	struct settling *s = arg;
	struct notifier *nf = s->nf;

	s->asking = false;
	if (!s->le.list) {
		/* the notifier is gone */
	} else if (ans->end == PG_AWAY) {
		settle_later(nf);
	} else {
		list_unlink(&s->le);
		mem_deref(s);
		nf->in_flight--;
		notifier_kick(nf);
	}
	mem_deref(s);
}

static void settle(struct settling *s)
{
	struct pgloop *pl = s->nf->ag->pl;
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(pl)),
		pg_int(s->subscription),
		pg_int(s->cseq),
		s->code ? pg_int(s->code) : pg_null(),
		s->retry_s == NOTIFY_NO_RETRY ? pg_null() : pg_int(s->retry_s),
	};

	mem_ref(s);
	s->asking = true;
	if (!pgloop_query(pl, &stmt_settle, valv, on_settled, s))
		return;

	s->asking = false;
	mem_deref(s);
	settle_later(s->nf);
}

/* Counts as in flight already */
static void add_settling(struct notifier *nf, const struct settling *from)
{
	struct settling *s = mem_zalloc(sizeof(*s), settling_destructor);

	if (!s) {
		nf->in_flight--; /* its lease will run out */
		return;
	}

	*s = *from;
	s->nf = nf;
	list_append(&nf->ended, &s->le, s);
	settle(s);
}

static void on_end(struct notify *n, int code, int64_t retry_s, void *arg)
{
	const struct settling s = {
		.subscription = notify_subscription(n),
		.cseq = notify_cseq(n),
		.code = code,
		.retry_s = retry_s,
	};

	list_unlink(notify_le(n));
	add_settling(arg, &s);
	mem_deref(n);
}

/* --- claiming ----------------------------------------------------------- */

/* A row that cannot become a NOTIFY: final, unless memory was short */
static void refuse_row(struct notifier *nf, const struct pg_answer *ans,
		       int row, int err)
{
	const struct settling s = {
		.subscription = pgres_int(ans->res, row, "subscription"),
		.cseq = pgres_int(ans->res, row, "cseq"),
		.code = err == ENOMEM ? 0 : 400,
		.retry_s = NOTIFY_NO_RETRY,
	};

	log_warn("notify_refused", LOG_INT("subscription", s.subscription),
		 LOG_INT("errno", err));
	add_settling(nf, &s);
}

static void take_row(struct notifier *nf, const struct pg_answer *ans, int row)
{
	struct notify *n;
	int err;

	nf->in_flight++;
	err = notify_alloc(&n, nf->ag, ans, row, on_end, nf);
	if (err) {
		refuse_row(nf, ans, row, err);
		return;
	}

	list_append(&nf->active, notify_le(n), n);
	notify_start(n);
}

static void on_claimed(const struct pg_answer *ans, void *arg)
{
	struct notifier *nf = arg;
	const int rows = ans->end == PG_OK ? pg_rows(ans) : 0;

	nf->claiming = false;
	for (int i = 0; i < rows; i++)
		take_row(nf, ans, i);

	if (rows == nf->asked || nf->again)
		notifier_kick(nf);
	mem_deref(nf);
}

/** There may be work: claim what there is room for */
void notifier_kick(struct notifier *nf)
{
	struct pgloop *pl = nf->ag->pl;

	if (nf->claiming || nf->draining) {
		nf->again = true;
		return;
	}
	if (nf->in_flight >= NOTIFIER_MAX || !pgloop_is_ready(pl))
		return;

	nf->asked = (int64_t)(NOTIFIER_MAX - nf->in_flight);
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(pl)),
		pg_text(nf->target),
		pg_int(nf->asked),
		pg_int(NOTIFIER_LEASE_S),
	};

	nf->again = false;
	if (!pgloop_query(pl, &stmt_claim, valv, on_claimed, nf)) {
		nf->claiming = true;
		mem_ref(nf);
	}
}

static void poll(void *arg)
{
	struct notifier *nf = arg;

	tmr_start(&nf->tmr_poll, NOTIFIER_POLL_MS, poll, nf);
	notifier_kick(nf);
}

/* --- life --------------------------------------------------------------- */

/**
 * A connection has closed: what was sent over it will not be answered
 *
 * @param flow Its name
 */
void notifier_flow_lost(struct notifier *nf, const char *flow)
{
	struct le *le = list_head(&nf->active);

	while (le) {
		struct notify *n = le->data;

		le = le->next;
		if (notify_flow(n) && !strcmp(notify_flow(n), flow))
			notify_flow_failed(n);
	}
}

/** Claim nothing more; @return how many NOTIFYs are in flight */
size_t notifier_drain(struct notifier *nf)
{
	nf->draining = true;

	return nf->in_flight;
}

static void destructor(void *arg)
{
	struct notifier *nf = arg;

	tmr_cancel(&nf->tmr_poll);
	tmr_cancel(&nf->tmr_settle);
	list_flush(&nf->active);
	list_flush(&nf->ended);
}

/** Allocate the notifier; owned by the caller */
int notifier_alloc(struct notifier **nfp, struct agent *ag)
{
	struct notifier *nf = mem_zalloc(sizeof(*nf), destructor);
	const struct sa *listenv;

	if (!nf)
		return ENOMEM;

	nf->ag = ag;
	(void)settings_listen(ag->set, &listenv);
	(void)re_snprintf(nf->target, sizeof(nf->target), "sip:%J", listenv);
	tmr_start(&nf->tmr_poll, NOTIFIER_POLL_MS, poll, nf);
	*nfp = nf;

	return 0;
}
