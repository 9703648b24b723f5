/*
 * The body of a request without its Content-Encoding (RFC 3261 section 20.12).
 */
#ifndef BODY_H
#define BODY_H

#include <re.h>

struct uas;

enum {
	BODY_MAX_LEN = 65536, /* decoded */
};

struct body {
	struct pl data; /**< borrowed from the request or from this */
	struct mbuf *decoded;
};

int body_open(struct body *b, const struct sip_msg *msg);
int body_open_sdp(struct body *b, const struct sip_msg *msg, size_t max);
void body_close(struct body *b);
void body_refuse(struct uas *u, int err);

#endif
