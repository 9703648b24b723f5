/*
 * Header fields of a request, as they come behind the gate: what is not sound
 * is not looked at.
 */
#ifndef FUZZ_SOUND_H
#define FUZZ_SOUND_H

#include "fuzz.h"

#include "parse/sanity.h"

#define FUZZ_HEAD(method) \
	method " sip:a SIP/2.0\r\n" \
	       "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n" \
	       "To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 " method "\r\n"

/** Have a request looked at: head, the bytes, and the end of its fields */
static inline void fuzz_sound(const char *head, const uint8_t *data,
			      size_t size, void (*h)(const struct sip_msg *msg))
{
	struct mbuf *mb = mbuf_alloc(strlen(head) + size + 4);
	struct sip_msg *msg;
	struct sanity m;

	HOLDS(mb && !mbuf_write_str(mb, head) &&
	      !mbuf_write_mem(mb, data, size) &&
	      !mbuf_write_str(mb, "\r\n\r\n"));
	mbuf_set_pos(mb, 0);
	(void)sanity_parse(&m, (const char *)mb->buf, mb->end);
	if (!m.scode && !sip_msg_decode(&msg, mb)) {
		h(msg);
		mem_deref(msg);
	}
	mem_deref(mb);
}

#endif
