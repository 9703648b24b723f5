#include "call/repeat.h"

#include <errno.h>

#include "agent.h"
#include "call/leg.h"
#include "compat.h"
#include "transaction/answer.h"
#include "transaction/uas.h"

struct repeat {
	struct agent *ag;
	struct uas *u; /* over its connection; NULL: over UDP */
	struct mbuf *mb;
	struct sa to;
	struct tmr tmr;
	uint64_t until_ms;
	uint32_t wait_ms;
	repeat_over_h *h;
	void *arg;
};

static void destructor(void *arg)
{
	struct repeat *r = arg;

	tmr_cancel(&r->tmr);
	mem_deref(r->mb);
	mem_deref(r->u);
}

static void send_it(struct repeat *r)
{
	mbuf_set_pos(r->mb, 0);
	if (r->u)
		uas_repeat(r->u, &r->to, r->mb);
	else
		(void)compat_sip_send(r->ag->sip, NULL, SIP_TRANSP_UDP, &r->to,
				      r->mb);
}

/* Over a connection too, for the way behind it may lose it */
static void again(void *arg)
{
	struct repeat *r = arg;

	if (tmr_jiffies() >= r->until_ms) {
		r->h(r->arg);
		return;
	}
	send_it(r);
	r->wait_ms = MIN(2 * r->wait_ms, LEG_T2_MS);
	tmr_start(&r->tmr, r->wait_ms, again, r);
}

static struct repeat *make(struct agent *ag, repeat_over_h *h, void *arg)
{
	struct repeat *r = mem_zalloc(sizeof(*r), destructor);

	if (!r)
		return NULL;
	r->ag = ag;
	r->h = h;
	r->arg = arg;
	r->until_ms = tmr_jiffies() + LEG_ACK_MS;
	r->wait_ms = LEG_T1_MS;

	return r;
}

/**
 * Answer an INVITE with a 2xx, and go on until somebody lets go of it
 *
 * @param rp Set to it, owned by the caller
 * @param h  Called once, after 64*T1
 *
 * @return 0 or ENOMEM: it was sent once
 */
int repeat_answer(struct repeat **rp, struct uas *u, const struct answer *a,
		  repeat_over_h *h, void *arg)
{
	struct repeat *r = make(uas_agent(u), h, arg);

	uas_answer(u, a);
	if (!r || answer_encode(&r->mb, &r->to, uas_msg(u), a)) {
		mem_deref(r);
		return ENOMEM;
	}
	r->u = mem_ref(u);
	tmr_start(&r->tmr, r->wait_ms, again, r);
	*rp = r;

	return 0;
}

/**
 * Go on with that of a process that is no more
 *
 * @param mb The 2xx, referenced
 * @param to Where it goes, over UDP
 *
 * @return 0 or ENOMEM
 */
int repeat_resume(struct repeat **rp, struct agent *ag, struct mbuf *mb,
		  const struct sa *to, repeat_over_h *h, void *arg)
{
	struct repeat *r = make(ag, h, arg);

	if (!r)
		return ENOMEM;
	r->mb = mem_ref(mb);
	r->to = *to;
	send_it(r);
	tmr_start(&r->tmr, r->wait_ms, again, r);
	*rp = r;

	return 0;
}
