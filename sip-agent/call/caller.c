/*
 * From 180 to the ACK. Whoever answers for it does so by the database, which
 * orders what is said here.
 */
#include "call/caller.h"
#include "call/offer/page.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "call/bye.h"
#include "call/confirm.h"
#include "call/repeat.h"
#include "call/session/border.h"
#include "call/session/reliable.h"
#include "call/session/session.h"
#include "call/session/timer.h"
#include "call/tell/told.h"
#include "common/log.h"
#include "transaction/answer.h"
#include "transaction/body.h"
#include "transaction/dialog.h"
#include "transaction/uas.h"

enum { HDRS_SIZE = 1024 };

/* Contact, and what we can do */
static const char *headers(char hdrs[static HDRS_SIZE], const struct leg *l,
			   const char *more)
{
	(void)re_snprintf(hdrs, HDRS_SIZE,
			  "Contact: <%s>\r\n" UAS_ALLOW UAS_SUPPORTED "%s",
			  l->d.local_target, more);

	return hdrs;
}

static void say(struct leg *l, const struct answer *a)
{
	uas_set_tag(l->u, l->d.local_tag);
	uas_answer(l->u, a);
}

/* --- while it rings ---------------------------------------------------------
 */

static void refuse(struct leg *l, uint16_t scode, const char *hdrs)
{
	if (l->u) {
		uas_set_cancel(l->u, NULL, NULL);
		uas_set_tag(l->u, l->d.local_tag);
		uas_reply(l->u, scode, NULL, "%s", hdrs ? hdrs : "");
	}
	leg_forget(l);
}

static void on_timed_out(struct leg *l, bool committed)
{
	(void)committed;
	if (l->state == LEG_ENDING)
		refuse(l, 480, "Reason: Q.850;cause=19\r\n");
}

static void rings_too_long(void *arg)
{
	struct leg *l = arg;
	const struct told_end end = {
		.code = 480, .reason = "No answer", .cause = "no-answer"};

	l->state = LEG_ENDING;
	told_end(l->legs->told, l, &end, on_timed_out);
}

/** The call is in the database, and its callee's phones are rung, so long */
void caller_made(struct leg *l, uint64_t ring_ms)
{
	l->state = LEG_CALLING;
	uas_set_waiting(l->u);
	tmr_start(&l->tmr, ring_ms, rings_too_long, l);
}

static void on_cancelled(struct leg *l, bool committed)
{
	(void)committed;
	if (l->state == LEG_ENDING)
		refuse(l, 487, NULL);
}

/** libre has answered the CANCEL: uas_cancel_h; arg: the leg */
void caller_cancelled(struct uas *u, void *arg)
{
	const struct told_end end = {.code = 487, .cause = "cancelled"};
	struct leg *l = arg;

	if (l->state == LEG_ASKING) { /* see legs_invite */
		l->cancelled = true;
		uas_set_tag(u, l->d.local_tag);
		uas_refuse(u, 487);
	} else if (l->state == LEG_CALLING || l->state == LEG_RINGING) {
		l->state = LEG_ENDING;
		tmr_cancel(&l->tmr);
		told_end(l->legs->told, l, &end, on_cancelled);
	}
}

static void say_progress(struct leg *l, int code, const char *reason,
			 const char *more)
{
	char hdrs[HDRS_SIZE];
	const struct answer a = {
		.scode = (uint16_t)code,
		.reason = reason && *reason ? reason : NULL,
		.hdrs = headers(hdrs, l, more),
		.dialog = true,
	};

	if (l->state == LEG_RINGING)
		say(l, &a);
}

static void on_unproven(struct leg *l, bool committed)
{
	(void)committed;
	if (l->state == LEG_ENDING)
		refuse(l, 504, NULL);
}

/* No PRACK has come (RFC 3262 section 3) */
static void unproven(struct leg *l)
{
	const struct told_end end = {.code = 504, .cause = "no-ack"};

	if (l->state != LEG_RINGING)
		return;
	l->state = LEG_ENDING;
	tmr_cancel(&l->tmr);
	told_end(l->legs->told, l, &end, on_unproven);
}

/** A phone of the callee's rings, or says what else it does. Who wants that
    reliably and has not offered hears nothing: it would have to be our offer */
void caller_progress(struct leg *l, int code, const char *reason)
{
	static const struct reliable_ops ops = {say_progress, unproven};

	if (l->state != LEG_CALLING && l->state != LEG_RINGING)
		return;
	l->state = LEG_RINGING;
	if (!reliable_is_wanted(l))
		say_progress(l, code, reason, "");
	else if (!l->offerless)
		reliable_say(l, code, reason, &ops);
}

/** Nobody has answered, or somebody said no
 *
 * @param header Of a Reason header; NULL: none */
void caller_fail(struct leg *l, int code, const char *reason,
		 const char *header)
{
	char hdrs[HDRS_SIZE] = "";
	const struct answer a = {
		.scode = (uint16_t)code,
		.reason = reason && *reason ? reason : NULL,
		.hdrs = hdrs,
	};

	if (l->state != LEG_CALLING && l->state != LEG_RINGING)
		return; /* its own end is on the way */
	if (header)
		(void)re_snprintf(hdrs, sizeof(hdrs), "Reason: %s\r\n", header);
	uas_set_cancel(l->u, NULL, NULL);
	say(l, &a);
	leg_forget(l);
}

/* --- 200 until its ACK ------------------------------------------------------
 */

static void unacknowledged(void *arg)
{
	const struct told_end end = {.cause = "no-ack"};
	struct leg *l = arg;

	log_debug("no_ack", LOG_INT("leg", l->id));
	told_end(l->legs->told, l, &end, NULL);
	bye_send(l, NULL);
}

static bool waits(const struct leg *l)
{
	return (l->state == LEG_CALLING || l->state == LEG_RINGING ||
		l->state == LEG_ENDING) &&
	       l->u && !uas_is_answered(l->u);
}

static void answer(struct leg *l, const char *sdp)
{
	char hdrs[HDRS_SIZE], timer[SESSION_HDRS_SIZE];
	const struct answer a = {
		.scode = 200,
		.hdrs = headers(hdrs, l, session_answer(timer, l)),
		.dialog = true,
		.content_type = "application/sdp",
		.body = {sdp, str_len(sdp)},
	};

	/* its end came too late (section 9.1) */
	l->bye_after_ack = l->state == LEG_ENDING;
	uas_set_cancel(l->u, NULL, NULL);
	tmr_cancel(&l->tmr);
	l->state = LEG_ANSWERED;
	reliable_stop(l);
	session_said(l, sdp, str_len(sdp));
	uas_set_tag(l->u, l->d.local_tag);
	if (repeat_answer(&l->again, l->u, &a, unacknowledged, l))
		unacknowledged(l);
}

/* Nobody can say to its phone what the page has answered */
static void unsaid(struct leg *l, int err)
{
	const struct told_end end = {
		.code = 488, .reason = bridge_why(err), .cause = "media"};

	told_end(l->legs->told, l, &end, NULL);
	caller_fail(l, 488, bridge_why(err), NULL);
}

static void on_translated(struct leg *l, int err, const struct pl *sdp,
			  void *arg)
{
	char *text = NULL;

	(void)arg;
	if (!waits(l))
		return;
	if (!err)
		err = pl_strdup(&text, sdp);
	if (err) {
		unsaid(l, err);
		return;
	}
	answer(l, text);
	mem_deref(text);
	if (l->session.border)
		told_moved(l->legs->told, l);
}

/**
 * A phone of the callee's has answered, or a page, and was the first
 *
 * @param sdp Of its 200; NULL: it had none
 */
void caller_answer(struct leg *l, const char *sdp)
{
	struct pl pl;
	int err;

	if (!waits(l) || border_asks(l->session.border))
		return;
	pl_set_str(&pl, sdp ? sdp : "");
	if (!l->session.border || !bridge_is_web(&pl)) {
		border_close(&l->session.border); /* that was for pages */
		answer(l, sdp);
		return;
	}
	err = border_say(l->session.border, BRIDGE_ANSWER, false, &pl,
			 on_translated, NULL);
	if (err)
		unsaid(l, err);
}

/* The process before may have had the ACK: its phone knows */
static void resumed_unacknowledged(void *arg)
{
	struct leg *l = arg;

	l->again = mem_deref(l->again);
	l->state = LEG_UP;
	if (l->bye_after_ack) {
		bye_send(l, NULL);
		return;
	}
	told_up(l->legs->told, l);
	session_begin(l);
	timer_ask(l);
}

/* As the 200 that the process before may have sent, which had the same head */
static int encode_again(struct mbuf **mbp, const struct leg *l,
			const char *word, const char *sdp)
{
	static const char end[] = "Content-Length: 0\r\n\r\n";
	const char *head = strstr(word, "\r\n");
	const char *tail = word + str_len(word) -
			   MIN(str_len(word), sizeof(end) - 1);
	char hdrs[HDRS_SIZE], timer[SESSION_HDRS_SIZE];
	struct mbuf *mb;
	int err;

	if (!head || tail < head || strcmp(tail, end))
		return EBADMSG;
	mb = mbuf_alloc(strlen(word) + sizeof(hdrs) + str_len(sdp));
	if (!mb)
		return ENOMEM;
	err = mbuf_write_str(mb, "SIP/2.0 200 OK");
	err |= mbuf_write_mem(mb, (const uint8_t *)head, (size_t)(tail - head));
	err |= mbuf_printf(mb, "%s%sContent-Length: %zu\r\n\r\n%s",
			   headers(hdrs, l, session_answer(timer, l)),
			   str_isset(sdp) ? "Content-Type: application/sdp\r\n"
					  : "",
			   str_len(sdp), sdp ? sdp : "");
	if (err)
		mem_deref(mb);
	else
		*mbp = mb;

	return err;
}

/**
 * The process before may not have come to send its 200, or lost its ACK
 *
 * @param word What it has kept, an answer of the same INVITE
 * @param to   Where that goes
 * @param sdp  Of the 200; NULL: it had none
 */
void caller_resume(struct leg *l, const char *word, const char *to,
		   const char *sdp)
{
	struct mbuf *mb = NULL;
	struct sa dst;

	if (!word || !to || sa_decode(&dst, to, strlen(to)) ||
	    encode_again(&mb, l, word, sdp))
		return;
	if (!repeat_resume(&l->again, l->legs->ag, mb, &dst,
			   resumed_unacknowledged, l))
		l->state = LEG_ANSWERED;
	mem_deref(mb);
}

/* Without it neither side knows what it may send (section 13.2.2.4) */
static void no_answer(struct leg *l, struct leg *peer)
{
	const struct told_end end = {.cause = "media"};

	told_end(l->legs->told, l, &end, NULL);
	bye_send(l, NULL);
	bye_send(peer, NULL);
}

/* The answer to an offer that the callee's 200 had */
static void pass_answer(struct leg *l, const struct sip_msg *msg)
{
	struct leg *peer = leg_find(l->legs, l->peer);
	struct body body;

	if (!l->peer)
		page_first_ack(l, msg);
	if (!peer || !peer->offerless || peer->ack)
		return;
	if (body_open_sdp(&body, msg, LEG_SDP_MAX) ||
	    confirm_send(peer, peer->invite_cseq, &body.data)) {
		no_answer(l, peer);
	} else {
		session_heard(l, body.data.p, body.data.l);
		session_said(peer, body.data.p, body.data.l);
	}
	body_close(&body);
}

/** A request within the dialog: who sends one has had the 200, and has ACKed it
    to the process before */
void caller_heard(struct leg *l)
{
	if (l->state == LEG_ANSWERED && l->resumed && !l->bye_after_ack) {
		l->again = mem_deref(l->again);
		l->state = LEG_UP;
		told_up(l->legs->told, l);
		session_begin(l);
	}
}

/** An ACK within the dialog of the leg; more of them are repeats */
void caller_ack(struct leg *l, const struct sip_msg *msg)
{
	if (l->state != LEG_ANSWERED ||
	    (int64_t)msg->cseq.num != l->invite_cseq)
		return;
	l->state = LEG_UP;
	l->again = mem_deref(l->again);
	l->u = mem_deref(l->u);
	if (l->bye_after_ack) {
		bye_send(l, NULL);
		return;
	}
	told_up(l->legs->told, l);
	session_begin(l);
	border_watch(l->session.border, bye_no_media);
	pass_answer(l, msg);
}

/* --- the end ----------------------------------------------------------------
 */

static void on_gone(struct leg *l, bool committed)
{
	(void)committed;
	if (l->state == LEG_ENDING)
		refuse(l, 480, NULL);
}

/** Its phone has gone, or we do, while it rings */
void caller_gone(struct leg *l, const char *cause)
{
	const struct told_end end = {.code = 480, .cause = cause};

	if (l->state != LEG_CALLING && l->state != LEG_RINGING)
		return;
	l->state = LEG_ENDING;
	tmr_cancel(&l->tmr);
	told_end(l->legs->told, l, &end, on_gone);
}

/** We end while it rings: who calls again finds another process */
void caller_drain(struct leg *l)
{
	const struct told_end end = {.code = 503, .cause = "agent-lost"};

	if (l->state != LEG_CALLING && l->state != LEG_RINGING)
		return;
	l->state = LEG_ENDING;
	told_end(l->legs->told, l, &end, NULL);
	refuse(l, 503, "Retry-After: 1\r\n");
}
