/*
 * ice.h: the ICE servers that pages are told of, out of the settings, with
 * credentials for TURN that live an hour.
 */
#ifndef RESTSIP_ICE_H
#define RESTSIP_ICE_H

#include <stdint.h>

#include "common/buf.h"
#include "common/config.h"

/**
 * Look at `ice_servers` and `turn_secret` of [media]: a browser refuses all
 * servers where one is no STUN or TURN URI (RFC 7064, RFC 7065).
 *
 * @param why  A sentence about what is wrong, without the secret
 * @return  0, or EINVAL
 */
int ice_check(const struct config *c, char why[static CONFIG_WHY_SIZE]);

/**
 * Add them as a JSON array of RTCIceServer (WebRTC 1.0, section 4.2.4), `[]`
 * where there are none. TURN servers come with a user name `expires:email` and
 * a credential, base64 of its HMAC-SHA1 under the secret that they share with
 * us ("A REST API For Access To TURN Services", as coturn has it).
 *
 * @param c        That ice_check() has passed
 * @param expires  When the credentials lapse, in s since 1970
 * @return  0, or errno: what was added is of no use
 */
int ice_write(struct buf *b, const struct config *c, const char *email,
	      int64_t expires);

#endif
