/*
 * Outcomes are asked for in turn, so many at a time, all of them every 200 ms;
 * what this agent has settled itself is next.
 */
#include "message/inbound.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "pg/pgloop.h"
#include "transaction/uas.h"

enum {
	POLL_MS = 200,
	POLL_MAX = 500, /* sends of one question: more go in the next */
	BUCKETS = 1024,
};

struct inbound {
	struct agent *ag;
	struct list waiting; /* struct waiter: whose turn it is */
	struct hash *by_send;
	struct tmr tmr;	 /* the next round of all; never put off */
	struct tmr soon; /* what this agent has settled */
	size_t left;	 /* of waiting: still to be asked about in this round */
	bool asking;
};

struct waiter {
	struct le le, by_send;
	struct uas *u;
	int64_t send;
	int code; /* of the last delivery that we settled ourselves */
	uint64_t until_ms;
};

static const struct pg_stmt stmt_outcome = {
	.name = "send_outcome",
	.sql = "select * from api.send_outcome($1::bigint[])",
	.nparams = 1,
};

static void poll_outcomes(void *arg);
static void ask_outcomes(struct inbound *in);

static void inbound_destructor(void *arg)
{
	struct inbound *in = arg;

	tmr_cancel(&in->tmr);
	tmr_cancel(&in->soon);
	list_flush(&in->waiting);
	mem_deref(in->by_send);
}

/** Allocate the list of those that wait; owned by the caller */
int inbound_alloc(struct inbound **ip, struct agent *ag)
{
	struct inbound *in = mem_zalloc(sizeof(*in), inbound_destructor);
	int err;

	if (!in)
		return ENOMEM;
	in->ag = ag;
	err = hash_alloc(&in->by_send, BUCKETS);
	if (err)
		mem_deref(in);
	else
		*ip = in;

	return err;
}

static void waiter_destructor(void *arg)
{
	struct waiter *m = arg;

	list_unlink(&m->le);
	hash_unlink(&m->by_send);
	mem_deref(m->u);
}

/* The SIP code for a send's status, 0: still under way */
static uint16_t code_of_status(const char *status, int last_code)
{
	static const struct {
		const char *status;
		uint16_t scode;
	} codes[] = {
		{"delivered", 200}, {"displayed", 200}, {"accepted", 202},
		{"stored", 202},    {"cancelled", 480},
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		if (!strcmp(status, codes[i].status))
			return codes[i].scode;
	}
	if (strcmp(status, "failed"))
		return 0;

	/* the phone's challenge or redirection does not concern the sender */
	return last_code >= 402 && last_code < 700 && last_code != 407
		       ? (uint16_t)last_code
		       : 480;
}

/**
 * Answer a MESSAGE if its outcome is known
 *
 * @param status Of its send
 * @param code   How the last delivery that we know of ended, or 0
 *
 * @return whether it is answered
 */
bool inbound_answer(struct uas *u, const char *status, int code)
{
	const uint16_t scode = code_of_status(status, code);

	if (!scode)
		return false;
	uas_refuse(u, scode);

	return true;
}

static bool is_of_send(struct le *le, void *arg)
{
	const struct waiter *m = le->data;
	const int64_t *send = arg;

	return m->send == *send;
}

static struct waiter *find(const struct inbound *in, int64_t send)
{
	return list_ledata(
		hash_lookup(in->by_send, (uint32_t)send, is_of_send, &send));
}

static void take_outcomes(struct inbound *in, const struct pg_answer *ans)
{
	for (int i = 0; i < pg_rows(ans); i++) {
		struct waiter *m;
		const char *status = pgres_text(ans->res, i, "status");

		m = find(in, pgres_int(ans->res, i, "send"));
		if (m && status && inbound_answer(m->u, status, m->code))
			mem_deref(m);
	}
}

static void on_outcomes(const struct pg_answer *ans, void *arg)
{
	struct inbound *in = arg;

	in->asking = false;
	if (ans->end == PG_OK) {
		take_outcomes(in, ans);
		ask_outcomes(in); /* the rest of this round */
	}
	mem_deref(in);
}

/* Those whose turn it is, which from now on is that of the others */
static int write_sends(struct mbuf *mb, struct inbound *in)
{
	unsigned n = 0;
	int err = 0;

	for (; in->left && n < POLL_MAX && !err; in->left--) {
		struct waiter *m = list_ledata(list_head(&in->waiting));

		if (!m)
			break;
		list_unlink(&m->le);
		list_append(&in->waiting, &m->le, m);
		err = mbuf_printf(mb, "%c%lld", n++ ? ',' : '{', m->send);
	}

	return err ? err : mbuf_write_str(mb, n ? "}" : "{}");
}

static void ask_outcomes(struct inbound *in)
{
	struct mbuf *mb;

	/* Some may have been answered since they were counted. */
	if (list_isempty(&in->waiting))
		in->left = 0;
	if (in->asking || !in->left)
		return;
	mb = mbuf_alloc(256);
	if (mb && !write_sends(mb, in)) {
		const struct pl pl = {(const char *)mb->buf, mb->end};
		const struct pg_val valv[] = {pg_pl(&pl)};

		if (!pgloop_query(in->ag->pl, &stmt_outcome, valv, on_outcomes,
				  in)) {
			in->asking = true;
			mem_ref(in);
		}
	}
	mem_deref(mb);
}

/* Answer 202 to those that have waited long enough: all of them are stored */
static void end_waits(struct inbound *in)
{
	const uint64_t now = tmr_jiffies();
	struct le *le = list_head(&in->waiting);

	while (le) {
		struct waiter *m = le->data;

		le = le->next;
		if (m->until_ms > now)
			continue;
		uas_refuse(m->u, 202);
		mem_deref(m);
	}
}

static void poll_outcomes(void *arg)
{
	struct inbound *in = arg;

	end_waits(in);
	if (list_isempty(&in->waiting))
		return;

	tmr_start(&in->tmr, POLL_MS, poll_outcomes, in);
	in->left = list_count(&in->waiting);
	ask_outcomes(in);
}

static void ask_soon(void *arg)
{
	ask_outcomes(arg);
}

/**
 * This agent has settled a delivery: a MESSAGE may be waiting for its outcome
 *
 * @param send Whose delivery it was
 * @param code How it ended
 */
void inbound_settled(struct inbound *in, int64_t send, int code)
{
	struct waiter *m = find(in, send);

	if (!m)
		return;
	m->code = code;
	list_unlink(&m->le);
	list_prepend(&in->waiting, &m->le, m); /* it is next */
	in->left++;
	if (!in->asking)
		tmr_start(&in->soon, 0, ask_soon, in);
}

/** Answer 202 to all that wait: their messages are stored */
void inbound_release(struct inbound *in)
{
	struct waiter *m;

	while ((m = list_ledata(list_head(&in->waiting)))) {
		uas_refuse(m->u, 202);
		mem_deref(m);
	}
}

/**
 * Wait for the outcome, and answer then
 *
 * @param u        Shared
 * @param send     What the MESSAGE is in the database
 * @param until_ms Then 202, at the latest
 *
 * @return 0 or ENOMEM
 */
int inbound_wait(struct inbound *in, struct uas *u, int64_t send,
		 uint64_t until_ms)
{
	struct waiter *m = mem_zalloc(sizeof(*m), waiter_destructor);

	if (!m)
		return ENOMEM;
	m->u = mem_ref(u);
	m->send = send;
	m->until_ms = until_ms;
	list_append(&in->waiting, &m->le, m);
	hash_append(in->by_send, (uint32_t)send, &m->by_send, m);
	if (!tmr_isrunning(&in->tmr))
		tmr_start(&in->tmr, POLL_MS, poll_outcomes, in);

	return 0;
}
