/*
 * The headers that have rules: which stand once, and what their values are
 * made of (RFC 3261 sections 20 and 25.1).
 */
#ifndef RAWFIELD_H
#define RAWFIELD_H

#include <re.h>

#include "hdr.h"

enum rawfield_id {
	RAWFIELD_AUTHORIZATION,
	RAWFIELD_CALL_ID,
	RAWFIELD_CONTACT,
	RAWFIELD_CONTENT_DISPOSITION,
	RAWFIELD_CONTENT_LENGTH,
	RAWFIELD_CONTENT_TYPE,
	RAWFIELD_CSEQ,
	RAWFIELD_DATE,
	RAWFIELD_EVENT,
	RAWFIELD_EXPIRES,
	RAWFIELD_FROM,
	RAWFIELD_MAX_FORWARDS,
	RAWFIELD_MIME_VERSION,
	RAWFIELD_MIN_EXPIRES,
	RAWFIELD_ORGANIZATION,
	RAWFIELD_PATH,
	RAWFIELD_PRIORITY,
	RAWFIELD_RECORD_ROUTE,
	RAWFIELD_REFER_TO,
	RAWFIELD_REFERRED_BY,
	RAWFIELD_REPLACES,
	RAWFIELD_REPLY_TO,
	RAWFIELD_RETRY_AFTER,
	RAWFIELD_ROUTE,
	RAWFIELD_SESSION_EXPIRES,
	RAWFIELD_SIP_ETAG,
	RAWFIELD_SIP_IF_MATCH,
	RAWFIELD_SUBJECT,
	RAWFIELD_SUBSCRIPTION_STATE,
	RAWFIELD_TIMESTAMP,
	RAWFIELD_TO,
	RAWFIELD_USER_AGENT,
	RAWFIELD_VIA,
	RAWFIELD_COUNT, /**< a bit of 64 each */
};

struct rawfield {
	const char *name;
	char compact; /**< RFC 3261 section 7.3.3; 0: none */
	bool single;
	/** @return why the value is bad, NULL where it is not */
	const char *(*check)(const struct pl *val);
};

const struct rawfield *rawfield_find(enum rawfield_id *id,
				     const struct pl *name);
bool rawfield_is_impostor(const struct pl *name);
bool rawfield_is_sip(const struct pl *uri);
bool rawfield_tag(struct pl *tag, const struct pl *val);

#endif
