/*
 * A request on its way through authentication: auth finds what it says of its
 * sender, credential looks that up, verdict serves it or counts a guess, and
 * challenge answers 401.  Each takes over the reference, and lets go of it.
 */
#ifndef AUTH_STEP_H
#define AUTH_STEP_H

#include <re.h>

#include "auth/auth_id.h"
#include "common/source.h"
#include "transaction/uas.h"

enum {
	AUTH_ITEM_MAX = 16384,	    /* bytes of a question's JSON */
	AUTH_QUESTIONS_AT_ONCE = 1, /* statements of a kind */
};

struct auth {
	struct uas *u;
	struct digest_auth digest; /* borrows from the request */
	struct auth_id id;
	const char *realm; /* within id */
	char source[SOURCE_SIZE];
	char email[AOR_BUF]; /* of the account that the credential is of */
	int64_t account;     /* the same */
	bool stale;
	bool unknown; /* the database is to know of a success from here */
	auth_h *h;
};

/** The database cannot be asked: errno says why */
static inline void step_fail(struct auth *a, int err)
{
	uas_fail(a->u, err);
	mem_deref(a);
}

#endif
