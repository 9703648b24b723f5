/*
 * The outbox: claims deliveries while there is room, account by account,
 * keeps their leases, and settles them however long that takes.  Delivery is at
 * least once: a claim that is not settled goes to whoever comes after us.
 */
#include "message/outbox.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "common/log.h"
#include "message/delivery.h"
#include "message/message.h"
#include "pg/pgloop.h"
#include "transaction/destination.h"
#include "work/settler.h"

enum {
	REASON_SIZE = 256,
};

struct outbox {
	struct agent *ag;
	struct list active;	 /* struct delivery: transaction under way */
	struct settler *settler; /* of those that have ended */
	struct destinations *destinations;
	size_t in_flight; /* active, or not settled */
	size_t body_len;  /* bytes of the active ones' bodies */
	struct tmr tmr_poll, tmr_renew;
	int64_t asked;	 /* rows, of the last claim */
	int64_t account; /* whose turn was the last */
	unsigned empty;	 /* claims in a row that brought nothing */
	bool claiming, again, draining;
	bool more; /* the last claim got all that it asked for, or was told
		      that there is more for when something has ended */
	bool lost; /* look for what was claimed without our knowing */
};

/** How a delivery has ended */
struct ended {
	struct settling s;
	struct destination *destination;
	int64_t delivery, send;
	int attempt, code;
	char reason[REASON_SIZE];
};

static const struct pg_stmt stmt_claim = {
	.name = "delivery_claim",
	.sql = "select * from api.delivery_claim($1, $2, $3, $4, $5::text[], $6)",
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
	.name = "delivery_settle",
	.sql = "select * from api.delivery_settle($1, $2, $3, $4, $5)",
	.nparams = 5,
	.write = true,
};

/* --- settling ----------------------------------------------------------- */

static void ended_values(struct pg_val *valv, const struct settling *s)
{
	const struct ended *e = (const struct ended *)s;

	valv[0] = pg_int(e->delivery);
	valv[1] = pg_int(e->attempt);
	valv[2] = e->code ? pg_int(e->code) : pg_null();
	valv[3] = pg_text(e->reason);
}

static void on_settled(const struct settling *s, const struct pg_answer *ans,
		       void *arg)
{
	const struct ended *e = (const struct ended *)s;
	struct outbox *ob = arg;

	if (ans->end == PG_OK && e->code)
		inbound_settled(ob->ag->inbound, e->send, e->code);
	destination_end(e->destination);
	ob->in_flight--;
	if (ob->more)
		outbox_kick(ob);
}

/* Counts as in flight already */
static void end(struct outbox *ob, const struct ended *from, const char *reason)
{
	struct ended *e = settling_alloc(sizeof(*e));

	if (!e) {
		destination_end(from->destination);
		ob->in_flight--; /* its lease will run out */
		return;
	}

	*e = *from;
	str_ncpy(e->reason, reason, sizeof(e->reason));
	settler_add(ob->settler, &e->s);
}

static void on_end(struct delivery *d, int code, const char *reason, void *arg)
{
	struct outbox *ob = arg;
	const struct ended e = {
		.destination = delivery_destination(d),
		.delivery = delivery_id(d),
		.send = delivery_send(d),
		.attempt = delivery_attempt(d),
		.code = code,
	};

	list_unlink(delivery_le(d));
	if (code && delivery_went_out(d))
		destination_heard(e.destination, delivery_answered(d),
				  tmr_jiffies());
	ob->body_len -= delivery_body_len(d);
	end(ob, &e, reason);
	mem_deref(d);
}

/* --- claiming ----------------------------------------------------------- */

/* A row that cannot become a message: final, unless memory was short */
static void refuse_row(struct outbox *ob, const struct pg_answer *ans, int row,
		       int err)
{
	const struct ended e = {
		.delivery = pgres_int(ans->res, row, "delivery"),
		.send = pgres_int(ans->res, row, "send"),
		.attempt = (int)pgres_int(ans->res, row, "attempt"),
		.code = err == ENOMEM ? 0 : 400,
	};

	end(ob, &e, "Cannot be delivered");
}

static void take_row(struct outbox *ob, const struct pg_answer *ans, int row)
{
	const char *name = pgres_text(ans->res, row, "destination");
	struct destination *dst;
	struct delivery *d;
	int err;

	ob->in_flight++;
	err = delivery_alloc(&d, ob->ag, ans, row, on_end, ob);
	if (err) {
		refuse_row(ob, ans, row, err);
		return;
	}

	if (name && !destination_begin(&dst, ob->destinations, name))
		delivery_set_destination(d, dst);

	list_append(&ob->active, delivery_le(d), d);
	ob->body_len += delivery_body_len(d);
	delivery_start(d);
}

static void on_claimed(const struct pg_answer *ans, void *arg)
{
	struct outbox *ob = arg;
	int rows = ans->end == PG_OK ? pg_rows(ans) : 0;
	bool held = false, again = false;

	ob->claiming = false;
	if (rows) {
		ob->account = pgres_int(ans->res, rows - 1, "account");
		held = !pgres_text(ans->res, rows - 1, "delivery");
		again = held && pgres_bool(ans->res, rows - 1, "again");
	}
	if (held)
		rows--;
	ob->empty = rows ? 0 : ob->empty + 1;
	ob->more = held || rows == ob->asked;
	for (int i = 0; i < rows; i++)
		take_row(ob, ans, i);

	if (rows == ob->asked || (again && ob->empty < OUTBOX_EMPTY_MAX) ||
	    ob->again)
		outbox_kick(ob);
	mem_deref(ob);
}

static void claim(struct outbox *ob, struct mbuf *answered)
{
	struct pgloop *pl = ob->ag->pl;
	const struct pl names = {(const char *)answered->buf, answered->end};
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(pl)),
		pg_int(ob->asked),
		pg_int(OUTBOX_LEASE_S),
		pg_int(ob->account),
		pg_pl(&names),
		pg_bool(ob->lost),
	};

	ob->again = false;
	if (!pgloop_query_in(pl, PG_CLAIM, &stmt_claim, valv, on_claimed, ob)) {
		ob->claiming = true;
		ob->lost = false;
		mem_ref(ob);
	}
}

/** There may be work: claim what there is room for */
void outbox_kick(struct outbox *ob)
{
	struct mbuf *answered;

	if (ob->claiming || ob->draining) {
		ob->again = true;
		return;
	}
	if (ob->in_flight >= OUTBOX_MAX || ob->body_len >= OUTBOX_BODY_MAX ||
	    !pgloop_is_ready(ob->ag->pl))
		return;

	ob->asked = (int64_t)(OUTBOX_MAX - ob->in_flight);
	if (ob->asked > OUTBOX_CLAIM_MAX)
		ob->asked = OUTBOX_CLAIM_MAX;
	answered = mbuf_alloc(256);
	if (answered &&
	    !destinations_print(answered, ob->destinations, tmr_jiffies()))
		claim(ob, answered);
	mem_deref(answered);
}

static void poll(void *arg)
{
	struct outbox *ob = arg;

	tmr_start(&ob->tmr_poll, OUTBOX_POLL_MS, poll, ob);
	ob->lost = true;
	outbox_kick(ob);
}

/* --- leases ------------------------------------------------------------- */

static void on_renewed(const struct pg_answer *ans, void *arg)
{
	(void)ans; /* settling is fenced: a lost lease does no harm */
	(void)arg;
}

static int write_ids(struct mbuf *mb, const struct outbox *ob)
{
	struct le *le;
	int err = 0;

	LIST_FOREACH(&ob->active, le)
	{
		err |= mbuf_printf(mb, "%c%lld", mb->end ? ',' : '{',
				   delivery_id(le->data));
	}

	return err | mbuf_write_str(mb, "}");
}

static void renew(void *arg)
{
	struct outbox *ob = arg;
	struct pgloop *pl = ob->ag->pl;
	struct mbuf *mb;

	tmr_start(&ob->tmr_renew, OUTBOX_RENEW_MS, renew, ob);
	if (list_isempty(&ob->active))
		return;

	mb = mbuf_alloc(256);
	if (mb && !write_ids(mb, ob)) {
		const struct pl ids = {(const char *)mb->buf, mb->end};
		const struct pg_val valv[] = {
			pg_int(pgloop_agent(pl)),
			pg_pl(&ids),
			pg_int(OUTBOX_LEASE_S),
		};

		(void)pgloop_query_in(pl, PG_CLAIM, &stmt_renew, valv,
				      on_renewed, NULL);
	}
	mem_deref(mb);
}

/* --- life --------------------------------------------------------------- */

/**
 * A connection has closed: what was sent over it will not be answered
 *
 * @param flow Its name
 */
void outbox_flow_lost(struct outbox *ob, const char *flow)
{
	struct le *le = list_head(&ob->active);

	while (le) {
		struct delivery *d = le->data;

		le = le->next;
		if (delivery_flow(d) && !strcmp(delivery_flow(d), flow))
			delivery_flow_failed(d);
	}
}

/** Claim nothing more; @return how many deliveries are in flight */
size_t outbox_drain(struct outbox *ob)
{
	ob->draining = true;

	return ob->in_flight;
}

/** Give back what has no answer yet: it is sent again as it was */
void outbox_give_back(struct outbox *ob)
{
	struct le *le;

	ob->draining = true;
	while ((le = list_head(&ob->active))) {
		struct delivery *d = le->data;

		delivery_abandon(d);
		on_end(d, 0, "", ob);
	}
}

static void destructor(void *arg)
{
	struct outbox *ob = arg;

	tmr_cancel(&ob->tmr_poll);
	tmr_cancel(&ob->tmr_renew);
	list_flush(&ob->active);
	mem_deref(ob->settler);
	mem_deref(ob->destinations);
}

/** Allocate the outbox; owned by the caller */
int outbox_alloc(struct outbox **obp, struct agent *ag)
{
	struct outbox *ob = mem_zalloc(sizeof(*ob), destructor);
	int err;

	if (!ob)
		return ENOMEM;

	ob->ag = ag;
	err = settler_alloc(&ob->settler, ag->pl, &stmt_settle, ended_values,
			    on_settled, ob);
	if (!err)
		err = destinations_alloc(&ob->destinations);
	if (err) {
		mem_deref(ob);
		return err;
	}

	tmr_start(&ob->tmr_poll, OUTBOX_POLL_MS, poll, ob);
	tmr_start(&ob->tmr_renew, OUTBOX_RENEW_MS, renew, ob);
	*obp = ob;

	return 0;
}
