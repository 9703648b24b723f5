/*
 * uac_request.h: what is sent, and how its end is told.
 */
#ifndef UAC_REQUEST_H
#define UAC_REQUEST_H

#include <re.h>

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

#endif
