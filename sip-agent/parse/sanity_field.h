/*
 * The headers that have rules: which stand once, and what their values are
 * made of (RFC 3261 sections 20 and 25.1).
 */
#ifndef SANITY_FIELD_H
#define SANITY_FIELD_H

#include <re.h>

#include "parse/hdr.h"

enum {
	SANITY_FIELD_CSEQ_MAX = 0x7fffffff, /* RFC 3261 section 8.1.1.5 */
};

enum sanity_field_id {
	SANITY_FIELD_AUTHORIZATION,
	SANITY_FIELD_CALL_ID,
	SANITY_FIELD_CONTACT,
	SANITY_FIELD_CONTENT_DISPOSITION,
	SANITY_FIELD_CONTENT_LENGTH,
	SANITY_FIELD_CONTENT_TYPE,
	SANITY_FIELD_CSEQ,
	SANITY_FIELD_DATE,
	SANITY_FIELD_EVENT,
	SANITY_FIELD_EXPIRES,
	SANITY_FIELD_FROM,
	SANITY_FIELD_MAX_FORWARDS,
	SANITY_FIELD_MIME_VERSION,
	SANITY_FIELD_MIN_EXPIRES,
	SANITY_FIELD_ORGANIZATION,
	SANITY_FIELD_PATH,
	SANITY_FIELD_PRIORITY,
	SANITY_FIELD_RECORD_ROUTE,
	SANITY_FIELD_REFER_TO,
	SANITY_FIELD_REFERRED_BY,
	SANITY_FIELD_REPLACES,
	SANITY_FIELD_REPLY_TO,
	SANITY_FIELD_RETRY_AFTER,
	SANITY_FIELD_ROUTE,
	SANITY_FIELD_SESSION_EXPIRES,
	SANITY_FIELD_SIP_ETAG,
	SANITY_FIELD_SIP_IF_MATCH,
	SANITY_FIELD_SUBJECT,
	SANITY_FIELD_SUBSCRIPTION_STATE,
	SANITY_FIELD_TIMESTAMP,
	SANITY_FIELD_TO,
	SANITY_FIELD_USER_AGENT,
	SANITY_FIELD_VIA,
	SANITY_FIELD_COUNT, /**< a bit of 64 each */
};

struct sanity_field {
	const char *name;
	char compact; /**< RFC 3261 section 7.3.3; 0: none */
	bool single;
	/** @return why the value is bad, NULL where it is not */
	const char *(*check)(const struct pl *val);
};

const struct sanity_field *sanity_field_find(enum sanity_field_id *id,
					     const struct pl *name);
bool sanity_field_is_impostor(const struct pl *name);
bool sanity_field_is_sip(const struct pl *uri);
bool sanity_field_has_host(const struct pl *uri);
bool sanity_field_tag(struct pl *tag, const struct pl *val);

#endif
