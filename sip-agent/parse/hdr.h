/*
 * Headers of a message by their names.  libre finds them by a 12-bit hash, so
 * that `Qefda:` reads as Authorization; here the name is compared too.
 */
#ifndef HDR_H
#define HDR_H

#include <re.h>

enum hdr {
	HDR_ACCEPT,
	HDR_ALLOW,
	HDR_AUTHORIZATION,
	HDR_CALL_ID,
	HDR_CONTACT,
	HDR_CONTENT_ENCODING,
	HDR_CONTENT_LENGTH,
	HDR_CONTENT_TYPE,
	HDR_CSEQ,
	HDR_EVENT,
	HDR_EXPIRES,
	HDR_FROM,
	HDR_MAX_FORWARDS,
	HDR_MIN_SE,
	HDR_PATH,
	HDR_PROXY_REQUIRE,
	HDR_RACK,
	HDR_RECORD_ROUTE,
	HDR_REFER_SUB,
	HDR_REFER_TO,
	HDR_REPLACES,
	HDR_REQUIRE,
	HDR_RETRY_AFTER,
	HDR_RSEQ,
	HDR_SESSION_EXPIRES,
	HDR_SIP_IF_MATCH,
	HDR_SUPPORTED,
	HDR_TO,
	HDR_USER_AGENT,
	HDR_VIA,
	HDR_COUNT,
};

/** @return true to stop */
typedef bool(hdr_line_h)(const struct pl *val, void *arg);

const char *hdr_name(enum hdr h);
enum sip_hdrid hdr_id(const struct pl *name);
bool hdr_is(const struct sip_hdr *hdr, enum hdr h);
const struct pl *hdr_get(const struct sip_msg *msg, enum hdr h);
unsigned hdr_count(const struct sip_msg *msg, enum hdr h);
bool hdr_each(const struct sip_msg *msg, enum hdr h, hdr_line_h *lh, void *arg);
bool hdr_has_token(const struct sip_msg *msg, enum hdr h, const char *token);
bool hdr_is_lws(char c);
void hdr_skip_lws(struct pl *pl);
bool hdr_is_token_char(char c);
int hdr_token(struct pl *tok, struct pl *list);
int hdr_number(uint64_t *num, const struct pl *val, uint64_t max);
int hdr_delay(uint64_t *seconds, const struct pl *val, uint64_t max);
int hdr_unfold(char **line, const struct pl *val);
size_t hdr_body_len(const struct sip_msg *msg);

#endif
