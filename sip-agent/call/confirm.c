#include "call/confirm.h"

#include <string.h>

#include "call/session/session.h"
#include "call/tell/told.h"
#include "transaction/ack.h"
#include "transaction/answer.h"
#include "transaction/dialog.h"
#include "transaction/uas.h"

enum {
	ANSWER_HDRS_SIZE = 1024,
};

/**
 * Send it
 *
 * @param cseq Of the INVITE that was answered
 * @param sdp  The answer to an offer that the 2xx had; NULL: none
 *
 * @return 0, EINVAL where something would end its line, or another errno
 */
int confirm_send(struct leg *l, int64_t cseq, const struct pl *sdp)
{
	const struct pl none = PL_INIT;
	struct dialog d;
	int err;

	leg_view(&d, l);
	d.local_cseq = cseq;
	l->ack = mem_deref(l->ack);
	err = ack_encode(&l->ack, l->legs->ag, &l->to, &d, "application/sdp",
			 sdp ? sdp : &none);
	if (err)
		return err;
	l->ack_cseq = cseq;
	l->ack_until_ms = tmr_jiffies() + LEG_ACK_MS;
	(void)ack_send(l->legs->ag, &l->to, l->ack); /* the 2xx comes again */

	return 0;
}

/**
 * An INVITE within a dialog waits for its answer, or has it: where we are no
 * more, our successor says that it is to come again; over a connection its end
 * does
 *
 * @param msg NULL: it has it
 */
void confirm_asks(const struct leg *l, const struct sip_msg *msg)
{
	const struct answer later = {.scode = 500,
				     .hdrs = "Retry-After: 2\r\n"};
	struct told_word word = {.mb = NULL};

	if (l->flow && strncmp(l->flow, "udp:", 4))
		return;
	if (msg && answer_encode(&word.mb, &word.to, msg, &later))
		return;
	told_asks(l->legs->told, l, &word);
	mem_deref(word.mb);
}

/**
 * Answer an INVITE within a dialog with 200, until its ACK
 *
 * @param rp  Set to it, owned by the caller
 * @param l   The leg whose phone has sent it
 * @param u   Its transaction
 * @param sdp The answer, or an offer
 * @param h   Called where no ACK comes
 *
 * @return 0 or ENOMEM
 */
int confirm_say(struct repeat **rp, struct leg *l, struct uas *u,
		const struct buf *sdp, repeat_over_h *h, void *arg)
{
	char hdrs[ANSWER_HDRS_SIZE], timer[SESSION_HDRS_SIZE];
	const struct answer a = {
		.scode = 200,
		.hdrs = hdrs,
		.dialog = true,
		.content_type = "application/sdp",
		.body = {sdp->p, sdp->len},
	};

	if (session_of_request(l, uas_msg(u)))
		told_moved(l->legs->told, l);
	session_begin(l);
	(void)re_snprintf(hdrs, sizeof(hdrs),
			  "Contact: <%s>\r\n" UAS_ALLOW UAS_SUPPORTED "%s",
			  l->d.local_target, session_answer(timer, l));

	return repeat_answer(rp, u, &a, h, arg);
}
