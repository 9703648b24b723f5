#include "call/confirm.h"

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
 * Answer an INVITE within a dialog with 200
 *
 * @param l     The leg whose phone has sent it
 * @param u     Its transaction
 * @param sdp   The answer, or an offer
 * @param again It has been sent before
 */
void confirm_say(const struct leg *l, struct uas *u, const struct buf *sdp,
		 bool again)
{
	char hdrs[ANSWER_HDRS_SIZE];
	const struct answer a = {
		.scode = 200,
		.hdrs = hdrs,
		.dialog = true,
		.content_type = "application/sdp",
		.body = {sdp->p, sdp->len},
	};

	(void)re_snprintf(hdrs, sizeof(hdrs), "Contact: <%s>\r\n" UAS_ALLOW,
			  l->d.local_target);
	if (again)
		uas_repeat(u, &a);
	else
		uas_answer(u, &a);
}
