/*
 * Where a session description has a media relay send to.  Who wrote it chooses
 * that, and the relay sends from inside.
 */
#ifndef AIM_H
#define AIM_H

#include <re.h>

#include "common/buf.h"

enum {
	AIM_STREAMS_MAX = 4,	 /* m= lines: the relay opens ports for each */
	AIM_SDP_MAX = 16 * 1024, /* bytes */
};

/** @return Whether media may be sent there; its port is one */
typedef bool(aim_h)(const struct sa *sa, void *arg);

bool aim_first(struct sa *sa, const struct pl *sdp);
void aim_ports(uint16_t portv[static AIM_STREAMS_MAX], const struct pl *sdp);
int aim_check(struct buf *b, const struct pl *sdp, aim_h *may, void *arg);

#endif
