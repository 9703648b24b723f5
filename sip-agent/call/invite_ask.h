/*
 * What the database is asked about an INVITE that makes a dialog.
 */
#ifndef INVITE_ASK_H
#define INVITE_ASK_H

#include "auth/auth.h"
#include "call/leg.h"
#include "parse/refer.h"

struct invite_what {
	const struct auth_id *id;
	const char *to;	    /**< AOR of who is called */
	struct pl sdp;	    /**< empty: none */
	struct replaces in; /**< whose place the phone takes, borrowed of the
				 leg's request; without Call-ID: nobody's */
	int64_t hops;	    /**< of Max-Forwards that are left */
	int64_t ring_s;	    /**< that the caller would have it ring; 0: he does
				 not say; the database knows how long it may */
};

int invite_ask_open(struct agent *ag);
int invite_ask(struct leg *l, const struct invite_what *what);

#endif
