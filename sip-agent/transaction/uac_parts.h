/*
 * uac_parts.h: a request that we send as its two files see it.
 */
#ifndef UAC_PARTS_H
#define UAC_PARTS_H

#include <re.h>

#include "transaction/address.h"
#include "transaction/uac_request.h"

struct agent;
struct cancel;
struct probe_wait;

/* What libre knows of a request, for as long as it may send it: where it is
   still looking for an address it lets go of nothing, and would send it later
   without asking send_handler. */
struct way {
	struct uac *u; /* NULL: nobody waits any more */
	struct sip_request *req;
	bool sent;
};

struct uac {
	struct agent *ag;
	struct uac_request out;
	char *flow; /* of out: a phone may move to another meanwhile */
	uac_end_h *h;
	uac_progress_h *progressh;
	void *arg;
	struct way *way;	 /* NULL: nothing is under way */
	struct tmr tmr;		 /* until something may be sent; after CANCEL */
	struct probe_wait *wait; /* for an answer to a probe */
	struct address next;	 /* the address that is to be asked */
	bool has_next;
	struct address sent;   /* where it has been sent to */
	bool tls;	       /* or not at all */
	bool is_direct;	       /* to an address that we have chosen */
	bool wants_tcp;	       /* it is long, and UDP would be our idea */
	bool may_fall_back;    /* TCP was our idea: try UDP next */
	struct cancel *cancel; /* of an INVITE that was sent */
	bool heard;	       /* a provisional answer has come */
	bool cancelled;
	bool is_ours; /* it ended by what we know without the network */
};

/* Of uac.c: how it ends */
void uac_end(struct uac *u, int code, const char *reason,
	     const struct sip_msg *msg);
void uac_end_silent(struct uac *u);
void uac_end_cancelled(struct uac *u, int err);
void uac_transport_failed(struct uac *u, int err);
bool uac_is_ours(int err);

/* Of uac_way.c */
void uac_let_go(struct uac *u);

#endif
