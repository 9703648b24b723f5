/*
 * The notifier: NOTIFYs, one for each subscription at a time.
 */
#include "event/notifier.h"

#include <errno.h>

#include "agent.h"
#include "common/json_write.h"
#include "common/log.h"
#include "common/pgres.h"
#include "event/notify.h"
#include "settings/settings.h"
#include "work/claimer.h"

enum {
	TARGET_SIZE = 80,
};

struct notifier {
	struct claimer *claimer;
	char target[TARGET_SIZE]; /* our own URI, for what we take over */
	struct tmr tmr_again;
	uint64_t again_until_ms;
};

static const struct pg_stmt stmt_claim = {
	.name = "notify_claim",
	.sql = "select * from api.notify_claim($1, $5, $2, $3, $4)",
	.nparams = 5,
	.write = true,
};
static const struct pg_stmt stmt_renew = {
	.name = "notify_renew",
	.sql = "select * from api.notify_renew($1, $2::bigint[], $3)",
	.nparams = 3,
	.write = true,
};
static const struct pg_stmt stmt_settle = {
	.name = "notify_settle_many",
	.sql = "select * from api.notify_settle_many($1, $2)",
	.nparams = 2,
	.write = true,
};

/* --- the kind ------------------------------------------------------------- */

static int claim_values(struct pg_val *valv, void *arg)
{
	const struct notifier *nf = arg;

	valv[0] = pg_text(nf->target);

	return 0;
}

static int read_row(struct job *job, const struct pg_answer *ans, int row,
		    void *arg)
{
	const int err = notify_read((struct notify *)job, ans, row);

	(void)arg;
	if (err)
		log_warn_often(1, "notify_refused", LOG_ERRNO(err),
			       LOG_INT("subscription", job->id));

	return err;
}

static void ended(struct job *job, const struct sip_msg *msg, void *arg)
{
	struct notify *n = (struct notify *)job;

	(void)arg;
	notify_ended(n, msg);
	log_debug("notify", LOG_INT("subscription", job->id),
		  LOG_INT("cseq", n->cseq), LOG_INT("code", job->code));
}

static void settle_item(struct buf *item, const struct job *job)
{
	const struct notify *n = (const struct notify *)job;

	json_member_int(item, "subscription", job->id);
	json_member_int(item, "cseq", n->cseq);
	if (job->code)
		json_member_int(item, "code", job->code);
	if (n->retry_s != NOTIFY_NO_RETRY)
		json_member_int(item, "retry", n->retry_s);
}

static const struct claimer_kind notifies = {
	.claim = &stmt_claim,
	.renew = &stmt_renew,
	.settle = &stmt_settle,
	.id = "subscription",
	.job_size = sizeof(struct notify),
	.rows_max = NOTIFIER_CLAIM_MAX,
	.is_series = true,
	.claim_values = claim_values,
	.read = read_row,
	.ended = ended,
	.settle_item = settle_item,
};

/* --- the pause between two ------------------------------------------------ */

static void look_again(void *arg)
{
	struct notifier *nf = arg;

	if (tmr_jiffies() < nf->again_until_ms)
		tmr_start(&nf->tmr_again, NOTIFIER_AGAIN_MS, look_again, nf);
	claimer_kick(nf->claimer);
}

/** Something has changed: there is work now, or as soon as the pause between
   two NOTIFYs is over */
void notifier_ring(struct notifier *nf)
{
	nf->again_until_ms = tmr_jiffies() + NOTIFIER_PAUSE_MS +
			     NOTIFIER_AGAIN_MS;
	if (!tmr_isrunning(&nf->tmr_again))
		tmr_start(&nf->tmr_again, NOTIFIER_AGAIN_MS, look_again, nf);
	claimer_kick(nf->claimer);
}

/* --- life --------------------------------------------------------------- */

static void destructor(void *arg)
{
	struct notifier *nf = arg;

	tmr_cancel(&nf->tmr_again);
	mem_deref(nf->claimer);
}

/** Allocate the notifier; owned by the caller */
int notifier_alloc(struct notifier **nfp, struct agent *ag)
{
	struct notifier *nf = mem_zalloc(sizeof(*nf), destructor);
	const struct sa *listenv;
	int err;

	if (!nf)
		return ENOMEM;

	(void)settings_listen(ag->set, &listenv);
	(void)re_snprintf(nf->target, sizeof(nf->target), "sip:%J", listenv);
	err = claimer_alloc(&nf->claimer, ag, &notifies, nf);
	if (err)
		mem_deref(nf);
	else
		*nfp = nf;

	return err;
}

/** Borrowed */
struct claimer *notifier_claimer(const struct notifier *nf)
{
	return nf->claimer;
}
