/*
 * A leg: one SIP dialog of a call, from its INVITE on (RFC 3261 sections 12
 * and 13). Its row in app.leg has all that outlives this process.
 */
#ifndef LEG_H
#define LEG_H

#include <re.h>

#include "call/session/state.h"
#include "common/buf.h"
#include "parse/uri.h"
#include "transaction/address.h"
#include "transaction/lately.h"
#include "transaction/uac.h"

struct agent;
struct dialog;
struct leg;

enum {
	LEGS_MAX = 10000,
	LEG_LOADS_MAX = 256, /* under way at once, see load.c */
	LEG_INVITE_CSEQ = 1, /* of ours that makes the dialog */
	LEG_CSEQ_TOLD = 500, /* the database hears of each so many */
	LEG_SDP_MAX = 48 * 1024,
	LEG_T1_MS = 500, /* RFC 3261 section 17.1.1.1 */
	LEG_T2_MS = 4000,
	LEG_ACK_MS = 64 * LEG_T1_MS,
};

enum leg_state {
	LEG_ASKING,  /**< the database has not heard of it yet */
	LEG_CALLING, /**< nobody rings */
	LEG_RINGING,
	LEG_ANSWERED, /**< in: 200 without its ACK; out: was it the first? */
	LEG_UP,
	LEG_ENDING, /**< what ends it is under way */
	LEG_GONE,   /**< nothing is left to do */
};

/** Values of the dialog, owned; NULL: not known (yet) */
struct leg_dialog {
	char *call_id, *local_tag, *remote_tag, *local_uri, *remote_uri;
	char *local_target, *remote_target, *route;
	int64_t local_cseq, remote_cseq;
};

/** A request of ours, and what it borrows */
struct leg_request {
	struct uac_request out;
	char *uri, *route; /**< of out */
	int64_t cseq;
};

/** All legs of this agent */
struct legs {
	struct agent *ag;
	struct told *told;
	struct wheel *wheel;
	struct hash *by_id, *by_call_id, *by_aor;
	struct list relays, infos, keys, sayings, words, notifies;
	size_t count;
	size_t loads;	       /* that are under way */
	struct list borrowers; /* legs whose SDP is read, see session_borrow */
	bool draining;	       /* nothing new is begun */
	struct lately lately;
	void (*overh)(struct leg *l); /* of leg_over */
};

struct leg {
	struct le by_id, by_call_id, by_aor;
	struct legs *legs;
	int64_t id;   /**< of its row; 0: there is none yet */
	int64_t call; /**< its call */
	int64_t peer; /**< the other side's, where that is ours too; else 0 */
	bool apart;   /**< app.leg_is_apart: offers go by the database */
	bool in;      /**< a phone calls */
	int64_t invite_cseq; /**< of the INVITE that makes the dialog */
	enum leg_state state;
	struct leg_dialog d;
	char aor[AOR_BUF];   /**< of who is at the phone */
	char *contact;	     /**< URI that was called; NULL: none */
	char *flow;	     /**< of its requests, NULL: to the remote target */
	struct sa peer_addr; /**< where the phone has spoken from */
	bool secure, rest;
	int64_t account; /**< who pays for questions to addresses */
	struct tmr tmr;	 /**< rings too long; the ACK is late */
	int asks;	 /**< questions about it under way, see told_heard */
	int notifies;	 /**< of its REFERs, that its phone has not answered */
	struct list orders; /**< that wait for the answers, owned */
	int pairs;	    /**< how many of that kind were done */
	int64_t cseq_told;  /**< our CSeq that the row has */
	bool resumed;	    /**< loaded from its row */
	bool unloaded;	    /**< forgotten, and goes on in its row */
	int silent;	    /**< times in turn that its phone said nothing */
	struct leg_session session;
	struct relay *relay; /**< of a re-INVITE; NULL: none is under way */
	struct offer *offer; /**< the same with a page, owned */
	struct offer *later; /**< waits for a refresh's end, owned */
	void (*goneh)(struct leg *l); /**< it is over, or about to be */
	int offers; /**< of its phone in a while, from offers_ms on */
	uint64_t offers_ms;
	uint64_t refreshes_ms; /**< when those that it has sent are forgotten */
	int infos;	       /**< that are passed on */
	int said; /**< those that the database was told, since said_ms */
	uint64_t said_ms;
	int keys; /**< of REST: how many times it has pressed some */
	const char *takes_info; /**< "true", "false", NULL: not said */
	struct ladder *ladder;	/**< what has passed; ladder.c's */

	/* in */
	struct uas *u;	      /**< its INVITE, until the ACK */
	struct repeat *again; /**< our 200, until then */
	struct buf sdp;	      /**< of our 200, or of the ACK of theirs */
	bool bye_after_ack, cancelled; /**< while the database was asked */

	/* out */
	struct uac *uac; /**< INVITE, then OPTIONS, at last BYE */
	struct leg_request req;
	struct address to; /**< where the INVITE was answered from */
	struct mbuf *ack;  /**< of its 2xx */
	int64_t ack_cseq;  /**< of the INVITE that it is for */
	uint64_t ack_until_ms;
	bool offerless; /**< the ACK has the answer (out: and waits for it) */
	char *why;	/**< it is cancelled for */
	int progress, progresses; /**< the last 1xx; those told */
	uint64_t told_ms;	  /**< when the last one was */
	int forks; /**< phones behind the contact that were too late */
};

int leg_alloc(struct leg **lp, struct legs *ls, bool in);
void leg_request_free(struct leg_request *r);
void leg_insert(struct leg *l);
void leg_set_id(struct leg *l, int64_t id);
void leg_over(struct leg *l);
void leg_forget(struct leg *l);
int leg_take_dialog(struct leg *l, const struct dialog *d);
void leg_view(struct dialog *d, const struct leg *l);
void leg_json(struct buf *b, const struct leg *l);
bool leg_may_offer(struct leg *l);
bool leg_may_refresh(struct leg *l);
bool leg_is_busy(const struct leg *l);
bool leg_dials(const struct leg *l);
struct leg *leg_find(const struct legs *ls, int64_t id);
struct leg *leg_of_dialog(const struct legs *ls, const struct sip_msg *msg);
void leg_unload(struct leg *l);
struct leg *leg_of_answer(const struct legs *ls, const struct sip_msg *msg);

#endif
