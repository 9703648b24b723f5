/*
 * Requests being served.  The server transaction (libre's for INVITE, ours for
 * all else) is there before the first question to the database, so that
 * retransmissions are absorbed while the answer is awaited, and that a CANCEL
 * finds its INVITE.
 */
#include "transaction/uas.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "agent.h"
#include "common/log.h"
#include "common/pg/pg.h"
#include "compat.h"
#include "gate/trust.h"
#include "logre.h"
#include "transaction/answer.h"
#include "transaction/codes.h"
#include "transaction/journal.h"
#include "transaction/strans.h"
#include "transport/conn.h"

struct uas_list {
	struct list list;
	size_t count;
	uint64_t next_id; /* from anywhere, and up */
	struct journal *journal;
};

struct uas {
	struct le le;
	struct agent *ag;
	struct sip_strans *st; /* of INVITE */
	struct strans *rep;    /* of all else */
	struct sip_msg *msg;
	bool answered; /* for good */
	uas_cancel_h *cancelh;
	void *cancel_arg;
	char id[UAS_ID_SIZE];
	const char *why; /* the refusal's name, while it is answered */
	bool proven;	 /* who sent it */
};

static void list_destructor(void *arg)
{
	struct uas_list *ul = arg;

	list_clear(&ul->list);
	mem_deref(ul->journal);
}

int uas_list_alloc(struct uas_list **ulp)
{
	struct uas_list *ul = mem_zalloc(sizeof(*ul), list_destructor);
	int err;

	if (!ul)
		return ENOMEM;
	err = journal_alloc(&ul->journal);
	if (err) {
		mem_deref(ul);
		return err;
	}
	ul->next_id = rand_u64();
	*ulp = ul;

	return 0;
}

/** Requests that are not answered yet */
size_t uas_list_count(const struct uas_list *ul)
{
	return ul->count;
}

static void leave_list(struct uas *u)
{
	if (!u->le.list)
		return;

	u->ag->uas->count--;
	budget_close(u->ag->budget, BUDGET_REQUESTS, &u->msg->src);
	if (!u->proven)
		budget_close(u->ag->budget, BUDGET_STRANGERS, &u->msg->src);
	list_unlink(&u->le);
}

static void uas_destructor(void *arg)
{
	struct uas *u = arg;

	leave_list(u);
	mem_deref(u->st);
	mem_deref(u->rep);
	mem_deref(u->msg);
}

/* libre has answered the CANCEL.  Who has not taken on the INVITE yet has
   nothing to undo */
static void cancel_handler(void *arg)
{
	struct uas *u = mem_ref(arg);

	if (u->cancelh)
		u->cancelh(u, u->cancel_arg);
	else
		uas_refuse(u, 487);
	mem_deref(u);
}

static int open_transaction(struct uas *u, const struct sip_msg *msg)
{
	if (!pl_strcmp(&msg->met, "INVITE"))
		return sip_strans_alloc(&u->st, u->ag->sip, msg, cancel_handler,
					u);

	return strans_begin(&u->rep, u->ag->strans, msg);
}

static void close_transaction(struct uas *u)
{
	u->st = mem_deref(u->st);
	u->rep = mem_deref(u->rep);
}

/**
 * Begin to serve a request
 *
 * @param up  Set to the request; whoever is to answer it holds a reference
 * @param msg The request, referenced
 *
 * @return 0, EAGAIN where too many are being served, ENOMEM
 */
int uas_alloc(struct uas **up, struct agent *ag, const struct sip_msg *msg)
{
	struct uas *u;
	int err;

	u = mem_zalloc(sizeof(*u), uas_destructor);
	if (!u)
		return ENOMEM;

	u->ag = ag;
	err = open_transaction(u, msg);
	if (!err &&
	    !budget_open(ag->budget, BUDGET_REQUESTS, &msg->src, tmr_jiffies()))
		err = EAGAIN;
	if (err) {
		mem_deref(u);
		return err;
	}
	u->msg = mem_ref((void *)msg);
	(void)snprintf(u->id, sizeof(u->id), "%016" PRIx64, ag->uas->next_id++);
	(void)budget_open(ag->budget, BUDGET_STRANGERS, &msg->src,
			  tmr_jiffies()); /* the gate is who refuses */
	list_append(&ag->uas->list, &u->le, u);
	ag->uas->count++;
	*up = u;

	return 0;
}

const struct sip_msg *uas_msg(const struct uas *u)
{
	return u->msg;
}

struct agent *uas_agent(const struct uas *u)
{
	return u->ag;
}

/** Names the request in logs and in the database */
const char *uas_id(const struct uas *u)
{
	return u->id;
}

bool uas_is_answered(const struct uas *u)
{
	return u->answered;
}

/**
 * The sender is who From says: from here on the answer is kept for repeats
 */
void uas_set_proven(struct uas *u)
{
	if (u->proven)
		return;
	u->proven = true;
	budget_close(u->ag->budget, BUDGET_STRANGERS, &u->msg->src);
	budget_proven(u->ag->budget, budget_proof_of(u->msg), &u->msg->src,
		      tmr_jiffies());
	if (u->msg->tp != SIP_TRANSP_UDP)
		conn_set_proven(sip_msg_tcpconn(u->msg));
	trust_add(u->ag->trust, &u->msg->src, u->msg->tp != SIP_TRANSP_UDP,
		  tmr_jiffies());
}

/**
 * Be told of a CANCEL, from now until the INVITE is answered
 *
 * @param h NULL: it is answered with 487 at once
 */
void uas_set_cancel(struct uas *u, uas_cancel_h *h, void *arg)
{
	u->cancelh = h;
	u->cancel_arg = arg;
}

/** It waits for people: so long it is no load, and takes none of the places of
    its source */
void uas_set_waiting(struct uas *u)
{
	leave_list(u);
}

/** @param tag Our tag, as uas_tag gave it for this request or an equal one */
void uas_set_tag(struct uas *u, const char *tag)
{
	struct pl pl;

	pl_set_str(&pl, tag);
	u->msg->tag = pl_x64(&pl);
}

static void log_answer(const struct uas *u, uint16_t scode)
{
	log_debug("answer", LOG_STR("request_id", u->id),
		  LOG_PL("method", &u->msg->met),
		  LOG_PL("call_id", &u->msg->callid), LOG_INT("code", scode));
	journal_tell(u->ag->uas->journal, u->msg, u->proven, scode, u->why,
		     u->id);
}

/* libre keeps it for repeats, and the transaction for what follows; where it
   cannot be sent libre drops that too, and with it our handler */
static int send_progress(struct uas *u, uint16_t scode, struct mbuf *mb,
			 const struct sa *dst)
{
	const int err = sip_strans_reply(&u->st, u->ag->sip, u->msg, dst, scode,
					 mb);

	if (!u->st)
		(void)open_transaction(u, u->msg);

	return err;
}

/* Nothing is kept for a stranger: a repeat is just refused again (RFC 3261
   section 8.2.7) */
static int send_final(struct uas *u, uint16_t scode, struct mbuf *mb,
		      const struct sa *dst)
{
	struct sip *sip = u->ag->sip;
	int err;

	if (!u->proven && scode >= 300)
		close_transaction(u);
	if (u->st) {
		/* libre has the transaction from here on, or has freed it */
		err = sip_strans_reply(&u->st, sip, u->msg, dst, scode, mb);
		u->st = NULL;
		return err;
	}

	err = compat_sip_send(sip, u->msg->sock, u->msg->tp, dst, mb);
	if (u->rep) {
		strans_keep(u->rep, mb, dst, tmr_jiffies());
		u->rep = NULL;
	}

	return err;
}

static int send_answer(struct uas *u, const struct answer *a)
{
	struct mbuf *mb;
	struct sa dst;
	int err;

	err = answer_encode(&mb, &dst, u->msg, a);
	if (err)
		return err;

	err = a->scode < 200 ? send_progress(u, a->scode, mb, &dst)
			     : send_final(u, a->scode, mb, &dst);
	mem_deref(mb);

	return err;
}

/**
 * Answer a request: an INVITE with as many provisional answers as need be, any
 * with one that is final; what follows that does nothing
 *
 * @param a Provisional ones are for INVITE alone (RFC 4320 section 4.1), to
 *          others they are not sent
 */
void uas_answer(struct uas *u, const struct answer *a)
{
	const bool final = a->scode >= 200;
	int err;

	if (u->answered || (!final && !u->st))
		return;
	u->answered = final;

	/* libre would dial a phone whose connection has closed */
	if (u->msg->tp != SIP_TRANSP_UDP && !sip_msg_tcpconn(u->msg)) {
		if (final)
			close_transaction(u);
		return;
	}

	err = send_answer(u, a);
	if (err)
		log_warn_often(1, "reply_failed", LOG_ERRNO(err),
			       LOG_STR("request_id", u->id),
			       LOG_INT("code", a->scode));
	log_answer(u, a->scode);
}

/**
 * Send the 2xx of an INVITE again: the transaction does not (RFC 3261 section
 * 13.3.1.4)
 *
 * @param dst Of answer_encode
 * @param mb  Its bytes
 */
void uas_repeat(struct uas *u, const struct sa *dst, struct mbuf *mb)
{
	if (u->msg->tp == SIP_TRANSP_UDP || sip_msg_tcpconn(u->msg))
		(void)compat_sip_send(u->ag->sip, u->msg->sock, u->msg->tp, dst,
				      mb);
}

static void reply(struct uas *u, struct answer *a, const char *fmt, va_list *ap)
{
	char *hdrs = NULL;

	if (fmt && re_vsdprintf(&hdrs, fmt, *ap)) {
		log_warn_often(1, "reply_failed", LOG_ERRNO(ENOMEM),
			       LOG_STR("request_id", u->id),
			       LOG_INT("code", a->scode));
		return;
	}
	a->hdrs = hdrs;
	uas_answer(u, a);
	mem_deref(hdrs);
}

/**
 * Answer a request for good
 *
 * @param reason NULL for the usual phrase
 * @param fmt    Further headers, each ended by CRLF, or NULL
 */
void uas_reply(struct uas *u, uint16_t scode, const char *reason,
	       const char *fmt, ...)
{
	struct answer a = {.scode = scode, .reason = reason};
	va_list ap;

	va_start(ap, fmt);
	reply(u, &a, fmt, &ap);
	va_end(ap);
}

/** The tag that To has in the answer, unless the request brought one */
void uas_tag(const struct uas *u, char *tag, size_t size)
{
	(void)re_snprintf(tag, size, "%016llx", u->msg->tag);
}

/**
 * Answer 200 to a request that makes a dialog or is within one
 *
 * @param tag Of uas_set_tag
 */
void uas_reply_dialog(struct uas *u, const char *tag, const char *fmt, ...)
{
	struct answer a = {.scode = 200, .dialog = true};
	va_list ap;

	uas_set_tag(u, tag);
	va_start(ap, fmt);
	reply(u, &a, fmt, &ap);
	va_end(ap);
}

/** Answer with a code, its usual phrase and the headers that go with it. One
    that is not final would leave whoever has asked without an answer */
void uas_refuse(struct uas *u, uint16_t scode)
{
	if (scode < 200)
		scode = 500;
	if (scode == 503)
		uas_reply(u, 503, NULL, "Retry-After: %u\r\n", RETRY_AFTER_S);
	else
		uas_reply(u, scode, NULL, NULL);
}

/** Answer 500, to what may come again in a moment (RFC 3261 section 14.2) */
void uas_refuse_for_now(struct uas *u)
{
	uas_reply(u, 500, NULL, "Retry-After: %u\r\n", LATER_S);
}

/** Answer what a refusal or a failure of the database means in SIP */
void uas_db_failed(struct uas *u, const struct pg_answer *ans)
{
	const uint16_t scode = codes_of_answer(ans);

	u->why = ans->slug;
	if (ans->end == PG_REFUSED && ans->status == 429)
		uas_reply(u, scode, NULL, "Retry-After: %u\r\n",
			  ans->retry_s > 0 ? (unsigned)ans->retry_s
					   : TOO_OFTEN_S);
	else if (codes_reason_of(ans))
		uas_reply(u, scode, codes_reason_of(ans), NULL);
	else
		uas_refuse(u, scode);
	u->why = NULL;
}

/** Answer what an error of our own functions means in SIP */
void uas_fail(struct uas *u, int err)
{
	uas_refuse(u, codes_of_error(err));
}

/**
 * Answer without a transaction: what costs nothing to say again
 *
 * @param reason NULL for the usual phrase
 * @param hdrs   Further headers, each ended by CRLF, or NULL
 */
void uas_reply_stateless(struct agent *ag, const struct sip_msg *msg,
			 uint16_t scode, const char *reason, const char *hdrs)
{
	const struct answer a = {
		.scode = scode, .reason = reason, .hdrs = hdrs};
	struct mbuf *mb;
	struct sa dst;

	if (msg->tp != SIP_TRANSP_UDP && !sip_msg_tcpconn(msg))
		return;

	if (answer_encode(&mb, &dst, msg, &a))
		return;
	(void)compat_sip_send(ag->sip, msg->sock, msg->tp, &dst, mb);
	mem_deref(mb);
	journal_tell(ag->uas->journal, msg, false, scode, reason, NULL);
}

/** The same where we have too much to do: 503, and when to come again */
void uas_busy_stateless(struct agent *ag, const struct sip_msg *msg)
{
	char hdr[32];

	(void)re_snprintf(hdr, sizeof(hdr), "Retry-After: %u\r\n",
			  RETRY_AFTER_S);
	uas_reply_stateless(ag, msg, 503, NULL, hdr);
}
