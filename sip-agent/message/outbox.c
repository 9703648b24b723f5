/*
 * The outbox: deliveries, claimed account by account.  Each claim tells the
 * database which destinations have answered lately: those may have any amount
 * under way.
 */
#include "message/outbox.h"

#include <errno.h>

#include "agent.h"
#include "common/json_write.h"
#include "common/log.h"
#include "common/pgres.h"
#include "message/delivery.h"
#include "message/inbound.h"
#include "transaction/destination.h"
#include "work/claimer.h"

struct outbox {
	struct agent *ag;
	struct claimer *claimer;
	struct destinations *destinations;
	struct mbuf *answered; /* destinations, as an array of SQL */
	int64_t account;       /* whose turn was the last */
};

static const struct pg_stmt stmt_claim = {
	.name = "delivery_claim",
	.sql = "select * from api.delivery_claim($1, $2, $3, $5, $6::text[], $4)",
	.nparams = 6,
	.write = true,
};
static const struct pg_stmt stmt_renew = {
	.name = "delivery_renew",
	.sql = "select * from api.delivery_renew($1, $2::bigint[], $3)",
	.nparams = 3,
	.write = true,
};
static const struct pg_stmt stmt_settle = {
	.name = "delivery_settle_many",
	.sql = "select * from api.delivery_settle_many($1, $2)",
	.nparams = 2,
	.write = true,
};

/* --- the kind ------------------------------------------------------------- */

static int claim_values(struct pg_val *valv, void *arg)
{
	struct outbox *ob = arg;
	int err;

	mbuf_rewind(ob->answered);
	err = destinations_print(ob->answered, ob->destinations, tmr_jiffies());
	if (err)
		return err;

	const struct pl names = {(const char *)ob->answered->buf,
				 ob->answered->end};

	valv[0] = pg_int(ob->account);
	valv[1] = pg_pl(&names);

	return 0;
}

static void claimed(const struct pg_answer *ans, int row, void *arg)
{
	struct outbox *ob = arg;

	ob->account = pgres_int(ans->res, row, "account");
}

static int read_row(struct job *job, const struct pg_answer *ans, int row,
		    void *arg)
{
	struct delivery *d = (struct delivery *)job;
	struct outbox *ob = arg;
	const char *name = pgres_text(ans->res, row, "destination");
	int err;

	err = delivery_read(d, ans, row);
	if (!err && name)
		(void)destination_begin(&d->destination, ob->destinations,
					name); /* none is a silent one */

	return err;
}

static void ended(struct job *job, const struct sip_msg *msg, void *arg)
{
	struct delivery *d = (struct delivery *)job;

	(void)msg;
	(void)arg;
	if (job->code && job->went_out)
		destination_heard(d->destination, job->answered, tmr_jiffies());
	log_debug("delivery", LOG_INT("delivery", job->id),
		  LOG_INT("attempt", d->attempt), LOG_INT("send", d->send),
		  LOG_STR("request_id", job->req.request_id),
		  LOG_INT("code", job->code));
}

static void settle_item(struct buf *item, const struct job *job)
{
	const struct delivery *d = (const struct delivery *)job;

	json_member_int(item, "delivery", job->id);
	json_member_int(item, "attempt", d->attempt);
	if (job->code)
		json_member_int(item, "code", job->code);
	json_member(item, "reason", job->reason);
}

static void settled(const struct job *job, const struct pg_answer *ans,
		    void *arg)
{
	const struct delivery *d = (const struct delivery *)job;
	struct outbox *ob = arg;

	if (ans->end == PG_OK && job->code)
		inbound_settled(ob->ag->inbound, d->send, job->code);
	destination_end(d->destination);
}

static const struct claimer_kind deliveries = {
	.claim = &stmt_claim,
	.renew = &stmt_renew,
	.settle = &stmt_settle,
	.id = "delivery",
	.job_size = sizeof(struct delivery),
	.rows_max = OUTBOX_CLAIM_MAX,
	.claim_values = claim_values,
	.claimed = claimed,
	.read = read_row,
	.ended = ended,
	.settle_item = settle_item,
	.settled = settled,
};

/* --- life --------------------------------------------------------------- */

static void destructor(void *arg)
{
	struct outbox *ob = arg;

	mem_deref(ob->claimer);
	mem_deref(ob->destinations);
	mem_deref(ob->answered);
}

/** Allocate the outbox; owned by the caller */
int outbox_alloc(struct outbox **obp, struct agent *ag)
{
	struct outbox *ob = mem_zalloc(sizeof(*ob), destructor);
	int err;

	if (!ob)
		return ENOMEM;

	ob->ag = ag;
	ob->answered = mbuf_alloc(256);
	err = ob->answered ? destinations_alloc(&ob->destinations) : ENOMEM;
	if (!err)
		err = claimer_alloc(&ob->claimer, ag, &deliveries, ob);
	if (err)
		mem_deref(ob);
	else
		*obp = ob;

	return err;
}

/** Borrowed */
struct claimer *outbox_claimer(const struct outbox *ob)
{
	return ob->claimer;
}
