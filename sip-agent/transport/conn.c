/*
 * libre accepts connections itself and shows none before its first message is
 * decoded.  By the seam (libre_seam.c) this puts itself between the connection
 * and libre's handlers.
 *
 * libre does not tell when it closes a connection of its own accord.  We hold a
 * reference to each: once ours is the only one, libre has freed its own.
 *
 * Connections of strangers, and TLS handshakes, end when they take too long,
 * and make room for others where there are too many.
 */
#include "transport/conn.h"

#include <errno.h>
#include <string.h>

#include "gate/budget.h"
#include "gate/gate.h"
#include "gate/prepare.h"
#include "logre.h"
#include "parse/framing.h"
#include "settings/ours.h"
#include "settings/settings.h"
#include "transport/crowd.h"
#include "transport/hello.h"
#include "transport/libre_seam.h"

enum {
	SWEEP_MS = 1000,
	LAYER = 10, /* above TLS, which has 0 */
	BUCKETS = 4096,
};

struct conn_table {
	const struct settings *set;
	struct gate *gate;
	struct budget *budget;
	struct list conns;
	struct hash *by_tc, *by_peer;
	struct crowd strangers, handshakes;
	struct tmr tmr;
	size_t held; /* bytes of unfinished messages */
};

struct conn {
	struct le le;
	struct le by_tc, by_peer;
	struct crowd_member stranger, handshake;
	struct conn_table *ct;
	struct tcp_conn *tc;
	struct tcp_helper *th; /* the connection's */
	struct hello *hello;   /* of TLS */
	struct sa peer;
	bool shaking;	  /* a handshake is counted */
	struct mbuf *acc; /* what is not whole yet */
	size_t held;	  /* of it, as counted */
	struct seam_conn libre;
};

/* Others are given no table */
static struct conn_table *table;

/* --- beginning and end ---------------------------------------------------- */

static void handshake_over(struct conn *c)
{
	if (!c->shaking)
		return;
	c->shaking = false;
	crowd_leave(&c->handshake);
	budget_close(c->ct->budget, BUDGET_HANDSHAKES, &c->peer);
}

static void conn_destructor(void *arg)
{
	struct conn *c = arg;

	handshake_over(c);
	if (c->le.list)
		budget_close(c->ct->budget, BUDGET_CONNECTIONS, &c->peer);
	list_unlink(&c->le);
	hash_unlink(&c->by_tc);
	hash_unlink(&c->by_peer);
	crowd_leave(&c->stranger);
	mem_deref(c->hello);
	c->ct->held -= c->held;
	mem_deref(c->acc);
	if (c->tc)
		tcp_set_handlers(c->tc, NULL, NULL, NULL, NULL);
	mem_deref(c->tc);
}

static void table_destructor(void *arg)
{
	struct conn_table *ct = arg;

	tmr_cancel(&ct->tmr);
	list_flush(&ct->conns);
	mem_deref(ct->by_tc);
	mem_deref(ct->by_peer);
	if (table == ct) {
		table = NULL;
		seam_set_tcp(NULL, NULL);
	}
}

static bool is_abandoned(const struct conn *c)
{
	return mem_nrefs(c->tc) == 1;
}

/* As if the other side had closed it */
static void hang_up(struct conn *c, int err)
{
	tcp_close_h *closeh = c->libre.closeh;

	c->libre.closeh = NULL;
	if (closeh && !is_abandoned(c))
		closeh(err, c->libre.arg);
}

static void end(void *arg, int err)
{
	struct conn *c = mem_ref(arg);

	hang_up(c, err);
	if (c->le.list && is_abandoned(c))
		mem_deref(c);
	mem_deref(c);
}

static void sweep(void *arg)
{
	struct conn_table *ct = arg;
	struct le *le = list_head(&ct->conns);
	const uint64_t now = tmr_jiffies();

	tmr_start(&ct->tmr, SWEEP_MS, sweep, ct);
	while (le) {
		struct conn *c = le->data;

		le = le->next;
		if (is_abandoned(c))
			mem_deref(c);
	}
	crowd_sweep(&ct->handshakes, now);
	crowd_sweep(&ct->strangers, now);
}

static uint32_t tc_key(const struct tcp_conn *tc)
{
	return hash_joaat((const uint8_t *)&tc, sizeof(tc));
}

static bool tc_handler(struct le *le, void *arg)
{
	const struct conn *c = le->data;

	return c->tc == arg;
}

/** The user of a connection has proved who he is: it may be idle from now on */
void conn_set_proven(const struct tcp_conn *tc)
{
	struct conn *c;

	if (!table || !tc)
		return;
	c = list_ledata(hash_lookup(table->by_tc, tc_key(tc), tc_handler,
				    (void *)(uintptr_t)tc));
	if (c)
		crowd_leave(&c->stranger);
}

static bool peer_handler(struct le *le, void *arg)
{
	const struct conn *c = le->data;

	return c->hello && sa_cmp(&c->peer, arg, SA_ALL) && !is_abandoned(c);
}

/** Whether somebody has come from that address over TLS: what libre is given to
    send there over TLS goes to him, whoever he is */
bool conn_came_from(const struct sa *peer)
{
	return table && hash_lookup(table->by_peer, sa_hash(peer, SA_ALL),
				    peer_handler, (void *)(uintptr_t)peer);
}

/* --- what comes ------------------------------------------------------------
 */

/* One message, or empty lines, for libre alone */
static int pass_on(struct conn *c, const char *p, size_t len)
{
	struct mbuf *mb = mbuf_alloc(len);
	int err = 0;

	if (!mb)
		return ENOMEM;

	(void)mbuf_write_mem(mb, (const uint8_t *)p, len);
	mbuf_set_pos(mb, 0);
	if (*p != '\r') {
		err = gate_message(c->ct->gate, c->tc, &c->peer, mb);
		if (!err)
			crowd_touch(&c->ct->strangers, &c->stranger,
				    tmr_jiffies());
	}
	if (!err)
		c->libre.recvh(mb, c->libre.arg);
	mem_deref(mb);

	return err == EACCES ? 0 : err;
}

/* Message by message, while libre keeps the connection */
static int pass_all(struct conn *c, const struct mbuf *in)
{
	const char *p = (const char *)mbuf_buf(in);
	size_t left = mbuf_get_left(in), len;
	int err = 0;

	while (left && !err && !is_abandoned(c)) {
		err = framing_next(&len, p, left);
		if (err || !len)
			break;
		err = pass_on(c, p, len);
		p += len;
		left -= len;
	}

	return err;
}

/* The bytes of unfinished messages are bounded over all connections */
static int count_held(struct conn *c)
{
	struct conn_table *ct = c->ct;
	size_t left;

	ct->held -= c->held;
	c->held = c->acc->end;
	ct->held += c->held;

	left = ct->held < CONN_HELD_MAX ? CONN_HELD_MAX - ct->held : 0;

	return c->held > left / CONN_HELD_PARTS ? EDQUOT : 0;
}

static int take(struct conn *c, struct mbuf *mb)
{
	bool whole;
	int err, gone;

	if (!gate_may_speak(c->ct->gate, &c->peer))
		return EACCES;

	err = framing_take(c->acc, mb, &whole);
	if (whole) {
		gone = pass_all(c, mb);
		err = gone ? gone : err;
	}
	/* the end of the message cannot be known: say so, and close the
	   connection */
	if (err && err != ECONNABORTED && !is_abandoned(c))
		gate_unframed(c->ct->gate, c->tc, &c->peer, c->acc, err);

	return err ? err : count_held(c);
}

static void recv_handler(struct mbuf *mb, void *arg)
{
	struct conn *c = mem_ref(arg);
	int err;

	err = is_abandoned(c) ? ECONNABORTED : take(c, mb);
	if (err)
		hang_up(c, err);

	/* libre has let go of it, there or in its own handlers */
	if (c->le.list && is_abandoned(c))
		mem_deref(c);
	mem_deref(c);
}

static void estab_handler(void *arg)
{
	struct conn *c = arg;

	handshake_over(c);
	if (!is_abandoned(c))
		c->libre.estabh(c->libre.arg);
}

static void close_handler(int err, void *arg)
{
	struct conn *c = arg;

	hang_up(c, err);
	mem_deref(c);
}

static bool send_handler(int *err, struct mbuf *mb, void *arg)
{
	(void)err;
	(void)arg;
	prepare_answer(mb);

	return false;
}

/* --- who comes in ----------------------------------------------------------
 */

/* Counts a new connection.  Where there are too many, another one is closed for
   it; where its own source has too many, one of that source, if phones are
   known there */
static bool open_one(struct conn *c, enum budget_counter counter,
		     struct crowd *cr)
{
	struct conn_table *ct = c->ct;
	const uint64_t now = tmr_jiffies();
	bool all;

	if (budget_open(ct->budget, counter, &c->peer, now))
		return true;

	all = budget_is_full(ct->budget, counter);

	return (all || gate_has_phones(ct->gate, &c->peer)) &&
	       crowd_make_room(cr, &c->peer, !all, now) &&
	       budget_open(ct->budget, counter, &c->peer, now);
}

static int admit_tls(struct conn *c)
{
	struct sa laddr;
	int err;

	err = tcp_conn_local_get(c->tc, &laddr);
	if (err || !settings_is_tls(c->ct->set, &laddr))
		return err;

	if (!open_one(c, BUDGET_HANDSHAKES, &c->ct->handshakes))
		return EACCES;
	c->shaking = true;
	crowd_enter(&c->ct->handshakes, &c->handshake, &c->peer, c,
		    tmr_jiffies());

	return hello_alloc(&c->hello, c->tc);
}

static int admit(struct conn *c)
{
	struct conn_table *ct = c->ct;
	int err;

	err = tcp_conn_peer_get(c->tc, &c->peer);
	if (err)
		return err;
	if (!gate_may_connect(ct->gate, &c->peer) ||
	    !open_one(c, BUDGET_CONNECTIONS, &ct->strangers))
		return EACCES;
	list_append(&ct->conns, &c->le, c);
	hash_append(ct->by_tc, tc_key(c->tc), &c->by_tc, c);
	hash_append(ct->by_peer, sa_hash(&c->peer, SA_ALL), &c->by_peer, c);
	crowd_enter(&ct->strangers, &c->stranger, &c->peer, c, tmr_jiffies());

	c->acc = mbuf_alloc(0);
	if (!c->acc)
		return ENOMEM;

	err = admit_tls(c);
	if (err)
		return err;

	return tcp_register_helper(&c->th, c->tc, LAYER, NULL, send_handler,
				   NULL, c);
}

static int accept_handler(struct tcp_conn **tcp, struct tcp_sock *ts,
			  const struct seam_conn *libre, void *arg)
{
	struct conn *c = mem_zalloc(sizeof(*c), conn_destructor);
	int err;

	if (!c)
		return ENOMEM;

	c->ct = arg;
	c->libre = *libre;
	err = seam_accept(&c->tc, ts,
			  &(struct seam_conn){estab_handler, recv_handler,
					      close_handler, c});
	if (!err)
		err = admit(c);
	if (err)
		mem_deref(c);
	else
		*tcp = mem_ref(c->tc);

	return err;
}

/* --- the table --------------------------------------------------------------
 */

static void crowd_init(struct crowd *cr, struct budget *budget,
		       enum budget_counter counter, uint64_t most_ms)
{
	*cr = (struct crowd){
		.budget = budget,
		.counter = counter,
		.most_ms = most_ms,
		.end = end,
	};
}

/**
 * From now on all connections that come in are of this table
 *
 * @param ctp    Set to the table, owned by the caller; to be freed after
 * libre's stack
 * @param set    Borrowed
 * @param gate   Borrowed
 * @param budget Borrowed
 */
int conn_table_alloc(struct conn_table **ctp, const struct settings *set,
		     struct gate *gate, struct budget *budget)
{
	struct conn_table *ct = mem_zalloc(sizeof(*ct), table_destructor);
	int err;

	if (!ct)
		return ENOMEM;

	ct->set = set;
	ct->gate = gate;
	ct->budget = budget;
	crowd_init(&ct->strangers, budget, BUDGET_CONNECTIONS,
		   CONN_STRANGER_MS);
	crowd_init(&ct->handshakes, budget, BUDGET_HANDSHAKES,
		   settings_handshake_ms(set));
	err = hash_alloc(&ct->by_tc, BUCKETS);
	if (!err)
		err = hash_alloc(&ct->by_peer, BUCKETS);
	if (err) {
		mem_deref(ct);
		return err;
	}
	tmr_start(&ct->tmr, SWEEP_MS, sweep, ct);
	seam_set_tcp(accept_handler, ct);
	table = ct;
	*ctp = ct;

	return 0;
}
