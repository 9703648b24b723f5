/*
 * What an INVITE, or what is said to one, wants of its session: its timer, and
 * which provisional answers are heard.
 */
#include "fuzz.h"

#include "parse/rack.h"
#include "parse/sanity.h"
#include "parse/session_timer.h"

static void decode(const struct sip_msg *msg)
{
	struct session_timer st;
	struct rack rack;
	uint32_t rseq;

	if (!rack_read_rseq(&rseq, msg))
		HOLDS(rseq);
	if (!rack_read(&rack, msg))
		HOLDS(rack.method.l);
	if (!session_timer_read(&st, msg))
		HOLDS(st.s || st.refresher == REFRESHER_ANY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char head[] =
		"INVITE sip:a SIP/2.0\r\n"
		"Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
		"To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n"
		"Session-Expires: ";
	struct mbuf *mb = mbuf_alloc(sizeof(head) + size + 4);
	struct sip_msg *msg;
	struct sanity m;

	HOLDS(mb && !mbuf_write_str(mb, head) &&
	      !mbuf_write_mem(mb, data, size) &&
	      !mbuf_write_str(mb, "\r\n\r\n"));
	mbuf_set_pos(mb, 0);
	(void)sanity_parse(&m, (const char *)mb->buf, mb->end);
	if (!m.scode && !sip_msg_decode(&msg, mb)) {
		decode(msg);
		mem_deref(msg);
	}
	mem_deref(mb);

	return 0;
}
