#include "call/session/reliable.h"

#include "parse/hdr.h"
#include "parse/rack.h"
#include "transaction/body.h"
#include "transaction/uas.h"

enum {
	MORE_SIZE = 64,
	RSEQ_FIRST_MAX = 1 << 16, /* it only goes up from there */
};

struct said {
	int code;
	char *reason;
};

struct reliable {
	struct leg *l;
	const struct reliable_ops *ops;
	struct said now, next; /* next.code 0: none waits for now's PRACK */
	uint32_t rseq;
	bool waits; /* for its PRACK */
	struct tmr tmr;
	uint32_t wait_ms;
	uint64_t until_ms;
};

static void destructor(void *arg)
{
	struct reliable *r = arg;

	tmr_cancel(&r->tmr);
	mem_deref(r->now.reason);
	mem_deref(r->next.reason);
}

static void set(struct said *s, int code, const char *reason)
{
	s->code = code;
	s->reason = mem_deref(s->reason);
	if (reason && *reason)
		(void)str_dup(&s->reason, reason); /* the usual will do */
}

static void send_it(struct reliable *r)
{
	char more[MORE_SIZE];

	(void)re_snprintf(more, sizeof(more), "Require: 100rel\r\nRSeq: %u\r\n",
			  r->rseq);
	r->ops->sayh(r->l, r->now.code, r->now.reason, more);
}

static void again(void *arg)
{
	struct reliable *r = arg;
	const uint64_t now = tmr_jiffies();

	if (now >= r->until_ms) {
		r->ops->failh(r->l);
		return;
	}
	r->wait_ms *= 2;
	tmr_start(&r->tmr, MIN(r->wait_ms, r->until_ms - now), again, r);
	send_it(r);
}

static void begin(struct reliable *r)
{
	r->rseq++;
	r->waits = true;
	r->wait_ms = LEG_T1_MS;
	r->until_ms = tmr_jiffies() + LEG_ACK_MS;
	tmr_start(&r->tmr, r->wait_ms, again, r);
	send_it(r);
}

/** Whether its phone wants that of all but 100 */
bool reliable_is_wanted(const struct leg *l)
{
	return l->u && hdr_has_token(uas_msg(l->u), HDR_REQUIRE, "100rel");
}

/** Say it, once what was said before has its PRACK; of several that wait the
    last */
void reliable_say(struct leg *l, int code, const char *reason,
		  const struct reliable_ops *ops)
{
	struct reliable *r = l->session.reliable;

	if (!r) {
		r = mem_zalloc(sizeof(*r), destructor);
		if (!r)
			return;
		r->l = l;
		r->ops = ops;
		r->rseq = rand_u32() % RSEQ_FIRST_MAX;
		l->session.reliable = r;
	}
	set(r->waits ? &r->next : &r->now, code, reason);
	if (!r->waits)
		begin(r);
}

/** There is a final answer: a PRACK may still come */
void reliable_stop(struct leg *l)
{
	if (!l->session.reliable)
		return;
	tmr_cancel(&l->session.reliable->tmr);
	l->session.reliable->next.code = 0;
}

static bool is_for(const struct reliable *r, const struct sip_msg *msg)
{
	struct rack rack;

	return r && r->waits && !rack_read(&rack, msg) &&
	       rack.rseq == r->rseq && rack.cseq == r->l->invite_cseq &&
	       !pl_strcmp(&rack.method, "INVITE");
}

/** Serve a PRACK: its offer would be one before the answer to the first */
void reliable_prack(struct leg *l, struct uas *u)
{
	struct reliable *r = l->session.reliable;

	if (!is_for(r, uas_msg(u))) {
		uas_refuse(u, 481);
		return;
	}
	if (hdr_body_len(uas_msg(u))) {
		uas_refuse(u, 488);
		return;
	}
	uas_reply(u, 200, NULL, NULL);
	tmr_cancel(&r->tmr);
	r->waits = false;
	if (r->next.code) {
		set(&r->now, r->next.code, r->next.reason);
		r->next.code = 0;
		begin(r);
	}
}
