/*
 * Datagrams through the gate, with a budget that never ends.
 */
#include "fuzz.h"

#include "agent.h"
#include "common/log.h"
#include "gate/budget.h"
#include "gate/gate.h"
#include "gate/prepare.h"
#include "gate/nonce.h"
#include "gate/trust.h"
#include "settings/settings.h"

static struct gate *gate;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct budget_conf conf = {
		.bad_burst = UINT32_MAX / 2,
		.bad_per_s = UINT32_MAX / 2,
		.unproven_burst = UINT32_MAX / 2,
		.unproven_per_s = UINT32_MAX / 2,
	};
	static struct agent ag;
	struct settings *set;

	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_LEVEL_ERROR);
	HOLDS(!settings_alloc(&set, NULL) && !budget_alloc(&ag.budget, &conf) &&
	      !trust_alloc(&ag.trust) &&
	      !nonce_pool_alloc(&ag.nonces, NONCE_COUNTED_MAX));
	ag.set = set;
	HOLDS(!gate_alloc(&gate, &ag));

	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mbuf *mb = mbuf_alloc(size);
	struct sip_msg *msg = NULL, *theirs;
	struct sa src;

	HOLDS(mb && !mbuf_write_mem(mb, data, size));
	mbuf_set_pos(mb, 0);
	HOLDS(!sa_set_str(&src, "192.0.2.1", 5060));
	/* without a socket answers go nowhere */
	switch (gate_datagram(gate, NULL, &src, mb, &msg)) {
	case GATE_LIBRE:
		if (size <= 4 || data[0] <= 1)
			break; /* STUN */
		HOLDS(!sip_msg_decode(&msg, mb));
		HOLDS(msg->via.branch.l || !msg->req);
		break;

	case GATE_REQUEST:
		/* libre reads the same of it */
		mbuf_set_pos(mb, 0);
		if (!sip_msg_decode(&theirs, mb)) {
			HOLDS(!pl_cmp(&msg->met, &theirs->met));
			HOLDS(!pl_cmp(&msg->ruri, &theirs->ruri));
			HOLDS(!pl_cmp(&msg->callid, &theirs->callid));
			HOLDS(msg->cseq.num == theirs->cseq.num);
			mem_deref(theirs);
		}
		mbuf_set_pos(mb, 0);
		break;

	case GATE_DONE:
		break;
	}
	mem_deref(msg);
	prepare_answer(mb);
	mem_deref(mb);

	return 0;
}
