/*
 * Asks addresses whether they speak SIP: once for all who wait for the same
 * one, in two datagrams at most, or over a connection of its own, which carries
 * nothing but the question.
 *
 * Anybody may name any address as a contact.  So that nobody learns from us
 * which ports are open elsewhere, or is sent much because of us, no answer is
 * no answer: whether a port is closed, filtered or silent, or speaks something
 * else, or may not be sent to at all, the same is said after the same time.
 */
#include "transaction/probe.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "compat.h"
#include "logre.h"
#include "transaction/address.h"
#include "transaction/codes.h"
#include "transaction/question.h"
#include "transaction/share.h"

enum {
	BUCKETS = 1024,
};

struct prober {
	struct address_book *book;
	struct sip *sip;
	struct tls *tls; /* NULL: we have none */
	struct hash *by_address, *by_id;
	struct list list;
	struct shares *places, *places_tls;
};

struct probe {
	struct le le;
	struct le by_address, by_id;
	struct prober *p;
	struct address to;
	uint64_t id;
	struct share *place, *place_tls;
	int64_t account; /* whose they are: of one who waits */
	bool unasked;	 /* too many of its host are silent, or of all */
	struct mbuf *mb;
	struct tmr tmr_repeat, tmr_end, tmr_lost;
	struct list waiting; /* struct probe_wait */
	/* over a connection */
	struct tcp_conn *tc;
	struct tls_conn *tlsc;
	struct mbuf *in;
};

struct probe_wait {
	struct le le;
	int64_t account;
	bool hurry;
	probe_h *h;
	void *arg;
};

static void hang_up(struct probe *pr)
{
	pr->tlsc = mem_deref(pr->tlsc);
	pr->tc = mem_deref(pr->tc);
	pr->in = mem_deref(pr->in);
}

static void give_place(struct probe *pr)
{
	pr->place = mem_deref(pr->place);
	pr->place_tls = mem_deref(pr->place_tls);
}

static void probe_destructor(void *arg)
{
	struct probe *pr = arg;

	tmr_cancel(&pr->tmr_repeat);
	tmr_cancel(&pr->tmr_end);
	tmr_cancel(&pr->tmr_lost);
	list_clear(&pr->waiting);
	list_unlink(&pr->le);
	hash_unlink(&pr->by_address);
	hash_unlink(&pr->by_id);
	hang_up(pr);
	mem_deref(pr->mb);
	give_place(pr);
}

static void wait_destructor(void *arg)
{
	struct probe_wait *w = arg;

	list_unlink(&w->le);
}

static void destructor(void *arg)
{
	struct prober *p = arg;

	list_flush(&p->list);
	mem_deref(p->by_address);
	mem_deref(p->by_id);
	mem_deref(p->places);
	mem_deref(p->places_tls);
}

/**
 * Allocate
 *
 * @param pp   Set to the prober, owned by the caller; to be freed before
 *             libre's stack
 * @param book Where is written what was found out; borrowed
 * @param tls  For connections over TLS, borrowed; NULL for none
 */
int prober_alloc(struct prober **pp, struct address_book *book, struct sip *sip,
		 struct tls *tls)
{
	struct prober *p = mem_zalloc(sizeof(*p), destructor);
	int err;

	if (!p)
		return ENOMEM;

	p->book = book;
	p->sip = sip;
	p->tls = tls;
	err = hash_alloc(&p->by_address, BUCKETS);
	if (!err)
		err = hash_alloc(&p->by_id, BUCKETS);
	if (!err)
		err = shares_alloc(&p->places, PROBES_MAX);
	if (!err)
		err = shares_alloc(&p->places_tls, PROBES_TLS_MAX);
	if (err)
		mem_deref(p);
	else
		*pp = p;

	return err;
}

/* --- the end -------------------------------------------------------------- */

static void tell_all(struct probe *pr, bool answered)
{
	struct probe_wait *w;

	while ((w = list_ledata(list_head(&pr->waiting)))) {
		list_unlink(&w->le);
		w->h(answered, w->arg); /* who may let go of any of them */
	}
}

static struct probe_wait *find_hurried(const struct probe *pr)
{
	struct le *le;

	LIST_FOREACH(&pr->waiting, le)
	{
		struct probe_wait *w = le->data;

		if (w->hurry)
			return w;
	}

	return NULL;
}

static void tell_hurried(struct probe *pr)
{
	struct probe_wait *w;

	while ((w = find_hurried(pr))) {
		list_unlink(&w->le);
		w->h(false, w->arg);
	}
}

static void end(struct probe *pr, bool answered)
{
	struct address_book *book = pr->p->book;
	const uint64_t now = tmr_jiffies();

	if (answered)
		address_answered(book, &pr->to, now);
	else if (!pr->unasked)
		address_silent(book, &pr->to, now);
	log_info("probe", LOG_SA("address", &pr->to.sa),
		 LOG_STR("transport", sip_transp_name(pr->to.tp)),
		 LOG_STR("result", pr->to.refused ? "not allowed"
				   : answered	  ? "answered"
				   : pr->unasked  ? "too many"
						  : "silent"));

	/* who asks from now on finds what was found out */
	hash_unlink(&pr->by_address);
	hash_unlink(&pr->by_id);
	hang_up(pr);
	tell_all(pr, answered);
	mem_deref(pr);
}

static void silent_handler(void *arg)
{
	end(arg, false);
}

static void answered_handler(void *arg)
{
	end(arg, true);
}

/* Not from within a handler of the connection that goes with it */
static void answered(struct probe *pr)
{
	tmr_start(&pr->tmr_end, 0, answered_handler, pr);
}

/* --- the question --------------------------------------------------------- */

static void send_datagram(struct probe *pr)
{
	mbuf_set_pos(pr->mb, 0);
	/* what becomes of it is told by its answer alone */
	(void)compat_sip_send(pr->p->sip, NULL, SIP_TRANSP_UDP, &pr->to.sa,
			      pr->mb);
}

static void repeat_handler(void *arg)
{
	send_datagram(arg);
}

/* --- over a connection ---------------------------------------------------- */

static void closed_handler(void *arg)
{
	struct probe *pr = arg;

	hang_up(pr);
	tell_hurried(pr);
}

static void closed(struct probe *pr)
{
	if (!tmr_isrunning(&pr->tmr_repeat))
		tmr_start(&pr->tmr_repeat, 0, closed_handler, pr);
}

static void tcp_closed_handler(int err, void *arg)
{
	(void)err;
	closed(arg);
}

static void established_handler(void *arg)
{
	struct probe *pr = arg;

	mbuf_set_pos(pr->mb, 0);
	if (tcp_send(pr->tc, pr->mb))
		closed(pr);
}

static void received_handler(struct mbuf *mb, void *arg)
{
	struct probe *pr = arg;
	const size_t len = mbuf_get_left(mb);

	if (pr->in->end + len > PROBE_ANSWER_MAX ||
	    mbuf_write_mem(pr->in, mbuf_buf(mb), len)) {
		closed(pr);
		return;
	}
	if (question_is_answered(pr->in, pr->id))
		answered(pr);
}

static int connect_to(struct probe *pr)
{
	int err;

	if (pr->to.tp == SIP_TRANSP_TLS && !pr->p->tls)
		return EPROTONOSUPPORT;

	pr->in = mbuf_alloc(512);
	if (!pr->in)
		return ENOMEM;

	err = tcp_connect(&pr->tc, &pr->to.sa, established_handler,
			  received_handler, tcp_closed_handler, pr);
	if (!err && pr->to.tp == SIP_TRANSP_TLS)
		err = tls_start_tcp(&pr->tlsc, pr->p->tls, pr->tc, 0);

	return err;
}

/* --- asking --------------------------------------------------------------- */

/* What goes wrong is not told: it looks as if nothing were there */
static void ask(struct probe *pr)
{
	int err = question_encode(&pr->mb, pr->p->sip, &pr->to, pr->id);

	if (!err && pr->to.tp == SIP_TRANSP_UDP) {
		send_datagram(pr);
		tmr_start(&pr->tmr_repeat, PROBE_REPEAT_MS, repeat_handler, pr);
	} else if (!err) {
		err = connect_to(pr);
	}
	if (codes_is_our_lack(err)) { /* nothing is held against the address */
		log_warn_rarely(1, "probe_failed",
				LOG_STR("why", strerror(err)));
		pr->unasked = true;
	}
	if (err)
		closed(pr);
}

static bool same_handler(struct le *le, void *arg)
{
	const struct probe *pr = le->data;

	return address_is_same(&pr->to, arg);
}

static bool id_handler(struct le *le, void *arg)
{
	const struct probe *pr = le->data;

	return pr->id == *(const uint64_t *)arg;
}

static void lost_handler(void *arg);

static int take_place(struct probe *pr, int64_t account)
{
	int err = 0;

	if (pr->to.tp == SIP_TRANSP_TLS)
		err = share_take(&pr->place_tls, pr->p->places_tls, account,
				 lost_handler, pr);
	if (!err)
		err = share_take(&pr->place, pr->p->places, account,
				 lost_handler, pr);
	if (err)
		give_place(pr);
	else
		pr->account = account;

	return err;
}

/* Who waits for the same address may have a place for it. Where nobody does it
   ends before its time: nothing is held against the address, and who waits
   sees no difference */
static void placeless_handler(void *arg)
{
	struct probe *pr = arg;
	const int64_t account = pr->account;
	struct le *le;

	LIST_FOREACH(&pr->waiting, le)
	{
		const struct probe_wait *w = le->data;

		if (w->account != account && !take_place(pr, w->account))
			return;
	}

	pr->unasked = true;
	end(pr, false);
}

static void lost_handler(void *arg)
{
	struct probe *pr = arg;

	give_place(pr);
	tmr_start(&pr->tmr_lost, 0, placeless_handler, pr);
}

static int probe_alloc(struct probe **prp, struct prober *p,
		       const struct address *to, int64_t account)
{
	struct probe *pr = mem_zalloc(sizeof(*pr), probe_destructor);
	int err;

	if (!pr)
		return ENOMEM;

	pr->p = p;
	pr->to = *to;
	pr->id = rand_u64();
	err = take_place(pr, account);
	if (err) {
		mem_deref(pr);
		return err;
	}
	list_append(&p->list, &pr->le, pr);
	hash_append(p->by_address, address_hash(to), &pr->by_address, pr);
	hash_append(p->by_id, (uint32_t)pr->id, &pr->by_id, pr);
	tmr_start(&pr->tmr_end, PROBE_MS, silent_handler, pr);
	*prp = pr;

	return 0;
}

/**
 * Ask an address, or wait with those for whom it is being asked
 *
 * @param wp      Set to what waits, owned by the caller, who lets go of it
 *                after the handler or to wait no more
 * @param address One that may not be sent to is not sent to: all else is as if
 *                it were silent
 * @param account For whom: each has its share of the places
 * @param hurry   Be told of a connection that is refused when it is; only for
 *                who does not tell that to others
 * @param h       Called once, not within this call
 *
 * @return 0; EHOSTDOWN where it was silent too often; ECONNREFUSED to who is in
 *         a hurry; ENOSPC, ENOMEM
 */
int probe_ask(struct probe_wait **wp, struct prober *p,
	      const struct address *address, int64_t account, bool hurry,
	      probe_h *h, void *arg)
{
	struct probe_wait *w;
	struct probe *pr;
	int err;

	if (address_is_suspended(p->book, address, tmr_jiffies()))
		return EHOSTDOWN;

	pr = list_ledata(hash_lookup(p->by_address, address_hash(address),
				     same_handler, (void *)address));
	if (!pr) {
		err = probe_alloc(&pr, p, address, account);
		if (err)
			return err;
		pr->unasked = !address_may_ask(p->book, address, tmr_jiffies());
		if (!pr->unasked && !address->refused)
			ask(pr);
	} else if (hurry && pr->to.tp != SIP_TRANSP_UDP && !pr->tc) {
		return ECONNREFUSED;
	}

	w = mem_zalloc(sizeof(*w), wait_destructor);
	if (!w)
		return ENOMEM;

	w->account = account;
	w->hurry = hurry;
	w->h = h;
	w->arg = arg;
	list_append(&pr->waiting, &w->le, w);
	*wp = w;

	return 0;
}

/**
 * A response over UDP that nobody waits for: maybe a probe does
 *
 * @return Whether one did
 */
bool probe_response(struct prober *p, const struct sip_msg *msg)
{
	struct probe *pr;
	uint64_t id;

	if (!question_id(&id, msg))
		return false;
	pr = list_ledata(hash_lookup(p->by_id, (uint32_t)id, id_handler, &id));
	if (!pr || pr->to.tp != SIP_TRANSP_UDP)
		return false;

	if (msg->scode >= QUESTION_CODE_MIN)
		answered(pr);

	return true;
}
