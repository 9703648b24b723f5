/*
 * The notifier: claims NOTIFYs while there is room and tells the database how
 * they ended.  What is not settled when we die is sent again by our successor.
 */
#include "event/notifier.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "common/log.h"
#include "event/notify.h"
#include "pg/pgloop.h"
#include "settings.h"
#include "work/settler.h"

enum {
	TARGET_SIZE = 80,
};

struct notifier {
	struct agent *ag;
	char target[TARGET_SIZE]; /* our own URI, for what we take over */
	struct list active;	  /* struct notify: transaction under way */
	struct settler *settler;  /* of those that have ended */
	size_t in_flight;	  /* active, or not settled */
	struct tmr tmr_poll, tmr_again;
	uint64_t again_until_ms;
	int64_t asked; /* rows, of the last claim */
	bool claiming, again, draining;
};

/** How a NOTIFY has ended */
struct ended {
	struct settling s;
	int64_t subscription, cseq, retry_s;
	int code;
};

static const struct pg_stmt stmt_claim = {
	.name = "notify_claim",
	.sql = "select * from api.notify_claim($1, $2, $3, $4)",
	.nparams = 4,
	.write = true,
};
static const struct pg_stmt stmt_settle = {
	.name = "notify_settle",
	.sql = "select * from api.notify_settle($1, $2, $3, $4, $5)",
	.nparams = 5,
	.write = true,
};

/* --- settling ----------------------------------------------------------- */

static void ended_values(struct pg_val *valv, const struct settling *s)
{
	const struct ended *e = (const struct ended *)s;

	valv[0] = pg_int(e->subscription);
	valv[1] = pg_int(e->cseq);
	valv[2] = e->code ? pg_int(e->code) : pg_null();
	valv[3] = e->retry_s == NOTIFY_NO_RETRY ? pg_null()
						: pg_int(e->retry_s);
}

/* Meanwhile the next may have fallen due */
static void on_settled(const struct settling *s, const struct pg_answer *ans,
		       void *arg)
{
	struct notifier *nf = arg;

	(void)s;
	(void)ans;
	nf->in_flight--;
	notifier_kick(nf);
}

/* Counts as in flight already */
static void end(struct notifier *nf, int64_t subscription, int64_t cseq,
		int code, int64_t retry_s)
{
	struct ended *e = settling_alloc(sizeof(*e));

	if (!e) {
		nf->in_flight--; /* its lease will run out */
		return;
	}

	e->subscription = subscription;
	e->cseq = cseq;
	e->code = code;
	e->retry_s = retry_s;
	settler_add(nf->settler, &e->s);
}

static void on_end(struct notify *n, int code, int64_t retry_s, void *arg)
{
	list_unlink(notify_le(n));
	end(arg, notify_subscription(n), notify_cseq(n), code, retry_s);
	mem_deref(n);
}

/* --- claiming ----------------------------------------------------------- */

/* A row that cannot become a NOTIFY: final, unless memory was short */
static void refuse_row(struct notifier *nf, const struct pg_answer *ans,
		       int row, int err)
{
	const int64_t subscription = pgres_int(ans->res, row, "subscription");

	log_warn("notify_refused", LOG_INT("subscription", subscription),
		 LOG_INT("errno", err));
	end(nf, subscription, pgres_int(ans->res, row, "cseq"),
	    err == ENOMEM ? 0 : 400, NOTIFY_NO_RETRY);
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
	if (!pgloop_query_in(pl, PG_CLAIM, &stmt_claim, valv, on_claimed, nf)) {
		nf->claiming = true;
		mem_ref(nf);
	}
}

static void look_again(void *arg)
{
	struct notifier *nf = arg;

	if (tmr_jiffies() < nf->again_until_ms)
		tmr_start(&nf->tmr_again, NOTIFIER_AGAIN_MS, look_again, nf);
	notifier_kick(nf);
}

/** Something has changed: there is work now, or as soon as the pause between
   two NOTIFYs is over */
void notifier_ring(struct notifier *nf)
{
	nf->again_until_ms = tmr_jiffies() + NOTIFIER_PAUSE_MS +
			     NOTIFIER_AGAIN_MS;
	if (!tmr_isrunning(&nf->tmr_again))
		tmr_start(&nf->tmr_again, NOTIFIER_AGAIN_MS, look_again, nf);
	notifier_kick(nf);
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
	tmr_cancel(&nf->tmr_again);
	list_flush(&nf->active);
	mem_deref(nf->settler);
}

/** Allocate the notifier; owned by the caller */
int notifier_alloc(struct notifier **nfp, struct agent *ag)
{
	struct notifier *nf = mem_zalloc(sizeof(*nf), destructor);
	const struct sa *listenv;
	int err;

	if (!nf)
		return ENOMEM;

	nf->ag = ag;
	err = settler_alloc(&nf->settler, ag->pl, &stmt_settle, ended_values,
			    on_settled, nf);
	if (err) {
		mem_deref(nf);
		return err;
	}

	(void)settings_listen(ag->set, &listenv);
	(void)re_snprintf(nf->target, sizeof(nf->target), "sip:%J", listenv);
	tmr_start(&nf->tmr_poll, NOTIFIER_POLL_MS, poll, nf);
	*nfp = nf;

	return 0;
}
