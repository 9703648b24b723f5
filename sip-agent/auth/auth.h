/*
 * Who sent a request: digest authentication against the database (RFC 3261
 * section 22, RFC 7616, RFC 8760).
 */
#ifndef AUTH_H
#define AUTH_H

#include <re.h>

#include "parse/digest.h"
#include "parse/uri.h"

struct agent;
struct pg_answer;
struct uas;

/** A sender who has proved to be who From says */
struct auth_id {
	int64_t credential;
	char ha1[DIGEST_HEX_SIZE];
	char aor[AOR_BUF]; /* of From, as the account is written */
};

/** Called only where the request is authentic; else it is answered here */
typedef void(auth_h)(struct uas *u, const struct auth_id *id);

int auth_open(struct agent *ag);
void auth_request(struct agent *ag, const struct sip_msg *msg, auth_h *h);
void auth_db_failed(struct uas *u, const char *aor,
		    const struct pg_answer *ans);

#endif
