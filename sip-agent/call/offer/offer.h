/*
 * One offer of a leg, its phone's or the other side's, until it is done with:
 * RFC 3264, and RFC 3261 section 14.
 */
#ifndef OFFER_H
#define OFFER_H

#include <re.h>

#include "call/leg.h"
#include "call/request.h"
#include "call/session/border.h"

struct repeat;
struct uac;
struct uas;

/** Its leg has it */
struct offer {
	struct leg *l;
	struct uas *u;	 /**< the phone's UPDATE, or INVITE until its ACK; or */
	struct uac *uac; /**< ours, with what the other side offers */
	struct leg_request req;
	struct buf answer;    /**< of our 200; or what we, or it, has offered */
	struct repeat *again; /**< our 200, until its ACK */
	struct tmr tmr;	      /**< it takes too long */
	bool wants;	      /**< it asks for an offer */
	bool said;	      /**< the phone has, in answer to our refresh */
	bool asked; /**< the database has not said yet whether it may be */
	border_h *translated; /**< waits for the relay; NULL: nobody does */
	const char *why;      /**< its phone is refused, NULL: as is usual */
	struct border *was;   /**< what its leg has without it */
	bool opens;	      /**< its leg has got a relay for it */
	bool acks;	      /**< its phone has said 2xx, and has had no ACK */
	bool gone;	      /**< nobody has answered it in time */
	bool answered; /**< by us, or by the phone, whose ACK waits for what it
			    is to say */
};

struct offer *offer_make(struct leg *l);
int offer_alloc(struct offer **op, struct leg *l);
bool offer_is_open(const struct offer *o);
void offer_end(struct offer *o, uint16_t scode);
void offer_refused(struct offer *o);
void offer_translate(struct leg *l, enum bridge_what what, bool of_phone,
		     const struct pl *sdp, border_h *h);
void offer_tell(const struct leg *l, int code, const char *reason,
		const struct pl *sdp);
void offer_take_border(struct offer *o);
void offer_tell_own(struct leg *l);
void offer_lost(struct legs *ls, int64_t leg);
void offer_no_media(struct leg *l);

#endif
