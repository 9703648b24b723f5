/*
 * Who sent a request: digest authentication against the database (RFC 3261
 * section 22, RFC 7616, RFC 8760).
 */
#ifndef AUTH_H
#define AUTH_H

#include "auth/auth_id.h"

struct agent;
struct pg_answer;

int auth_open(struct agent *ag);
void auth_request(struct agent *ag, const struct sip_msg *msg, auth_h *h);
void auth_identify(struct uas *u, auth_h *h);
void auth_db_failed(struct uas *u, const char *aor,
		    const struct pg_answer *ans);

#endif
