/*
 * What an INVITE, or what is said to one, wants of its session: its timer, and
 * which provisional answers are heard.
 */
#include "fuzz_sound.h"

#include "parse/rack.h"
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
	fuzz_sound(FUZZ_HEAD("INVITE") "Session-Expires: ", data, size, decode);

	return 0;
}
