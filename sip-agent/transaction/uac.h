/*
 * A request that we send, from the choice of its way to its one final answer
 * (RFC 3261 sections 8.1.2, 8.1.3 and 18.1.1).
 */
#ifndef UAC_H
#define UAC_H

#include <re.h>

struct address;
struct agent;
struct uac;

enum {
	UAC_REASON_SIZE = 201,
	/* until an address must have been found and have answered */
	UAC_UNPROVEN_MS = 4000,
	/* for a final answer after CANCEL (RFC 3261 section 9.1) */
	UAC_CANCEL_MS = 32000,
};

/** What is sent, and where; all of it is borrowed until the request has ended,
    but for the flow, which is copied */
struct uac_request {
	const char *method;
	const char *uri;   /**< Request-URI */
	const char *route; /**< Path or route set; NULL: none */
	const char *asked; /**< URI of who was asked for, where uri may have
			      an IP address of theirs only; NULL: uri */
	const char
		*flow; /**< goes over this; NULL: to the first route or uri */
	bool dials;    /**< without its flow it goes there, too; an INVITE only
			  before it was sent */
	bool tls;      /**< over TLS or not at all, whatever uri and flow are */
	bool contact;  /**< gets a Contact: where we are, seen from there */
	bool rest;     /**< to a contact that REST made */
	int64_t account; /**< whose it is; 0: none that is known */
	struct mbuf *mb; /**< headers but Via, and the body */
	size_t body_len;
	uint64_t sort_key;	/**< of Via's branch, see sip_request */
	const char *request_id; /**< names the request that caused it, for the
				   log; may be NULL */
};

/**
 * A request has ended
 *
 * @param code   SIP code, of the answer or of what happened; 0: it never left
 * @param reason Phrase, one line of UTF-8
 * @param msg    The answer; NULL where there is none
 */
typedef void(uac_end_h)(int code, const char *reason, const struct sip_msg *msg,
			void *arg);

/** A provisional answer has come; the handler may free the request */
typedef void(uac_progress_h)(const struct sip_msg *msg, void *arg);

void uac_reason(char dst[static UAC_REASON_SIZE], const struct pl *src);
int uac_alloc(struct uac **up, struct agent *ag, const struct uac_request *req,
	      uac_end_h *h, void *arg);
void uac_set_progress(struct uac *u, uac_progress_h *h);
void uac_start(struct uac *u);
void uac_cancel(struct uac *u, const char *why);
int uac_cancel_encode(const struct uac *u, struct mbuf **mbp);
const struct address *uac_sent_to(const struct uac *u);
bool uac_went_out(const struct uac *u);
void uac_flow_failed(struct uac *u);

#endif
