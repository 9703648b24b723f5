/*
 * What a media relay is asked in rtpengine's protocol, and the SDP that it
 * answers with. Who asks, and when, is for bridge.h.
 */
#ifndef NGWORD_H
#define NGWORD_H

#include <re.h>

#include "common/buf.h"

enum {
	NGWORD_SDP_MAX = 48 * 1024, /* of an answer */
};

/** An offer or an answer that the other side is to hear in its own words */
struct ngword {
	const char *id; /**< of the session */
	struct pl sdp;
	bool is_offer, of_phone;
	bool known;  /**< the relay has heard of both sides */
	bool to_web; /**< who is to hear it speaks WebRTC */
};

void ngword_say(struct buf *ask, const struct ngword *word);
void ngword_about(struct buf *ask, const char *command, const char *id);
int ngword_heard(struct pl *sdp, const struct pl *dict);

#endif
