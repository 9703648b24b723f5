/*
 * A sender who has proved to be who From says.
 */
#ifndef AUTH_ID_H
#define AUTH_ID_H

#include <re.h>

#include "parse/digest.h"
#include "parse/uri.h"

struct uas;

struct auth_id {
	int64_t credential;
	char ha1[DIGEST_HEX_SIZE];
	char aor[AOR_BUF]; /* of From, as the account is written */
};

/** Called only where the request is authentic; else it is answered already */
typedef void(auth_h)(struct uas *u, const struct auth_id *id);

#endif
