/*
 * What a leg knows of its session: until when it is good (RFC 4028), and what
 * both sides have said last.
 */
#ifndef STATE_H
#define STATE_H

#include <re.h>

#include "common/buf.h"

struct border;
struct refresh;
struct reliable;

struct leg_session {
	struct le le;	    /**< it waits for its turn, see wheel.c */
	uint64_t next_ms;   /**< when that is */
	uint64_t agreed_ms; /**< when the session was last refreshed */
	struct tmr tmr;	    /**< its phone does not answer */
	uint32_t s;	    /**< so long it is good; 0: there is no timer, and
			       its phone is asked instead */
	bool ours;	    /**< we refresh it, not its phone */
	bool raised;	    /**< to what its phone wants at least */
	bool takes_update;  /**< its phone knows UPDATE */
	struct list early;  /**< dialogs before the 2xx of our INVITE */
	struct reliable *reliable; /**< 1xx that its phone gets, owned */
	struct refresh *refresh;   /**< a re-INVITE that changes nothing */
	struct le borrows;	   /**< those two are read for a while */
	struct buf said, heard;	   /**< SDP: our last, and its phone's; empty:
				      unknown */
	struct border *border;	   /**< its phone speaks another kind of media
				      than its call, owned; NULL: the same */
	struct buf offer; /**< of its call, until its phone has answered */
	bool tried;	  /**< its phone was offered both kinds */
	bool bordered;	  /**< its row may say that there is a relay */
	int64_t tells;	  /**< its offer is told as of app.leg_relay_number */
};

#endif
