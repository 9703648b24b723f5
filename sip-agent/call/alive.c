/*
 * OPTIONS within the dialog. A phone that knows nothing of it, or is silent
 * twice, has gone.
 */
#include "call/alive.h"

#include "agent.h"
#include "call/bye.h"
#include "call/request.h"
#include "call/session/session.h"

enum {
	AGAIN_S = 60,
	SILENCE_S = 32, /* timer F */
	SILENT_MAX = 2, /* times in turn */
};

static void again(void *arg)
{
	alive_ask(arg);
}

static uint64_t ms(const struct leg *l, uint32_t s)
{
	return 1000 * (uint64_t)MIN(s, session_probe_s(l));
}

static void silent(void *arg)
{
	struct leg *l = arg;

	l->uac = mem_deref(l->uac);
	if (++l->silent >= SILENT_MAX)
		bye_lost(l);
	else
		tmr_start(&l->session.tmr, ms(l, AGAIN_S), again, l);
}

static void on_end(int code, const char *reason, const struct sip_msg *msg,
		   void *arg)
{
	struct leg *l = mem_ref(arg);

	(void)reason;
	tmr_cancel(&l->session.tmr);
	l->uac = mem_deref(l->uac);
	if (code == 430) { /* its connection has gone: it may come back */
		tmr_start(&l->session.tmr, ms(l, AGAIN_S), again, l);
	} else if (!msg) {
		silent(l);
	} else if (code == 481 || code == 408) { /* RFC 5057 section 5.1 */
		bye_lost(l);
	} else {
		l->silent = 0;
		if (!l->session.s)
			session_begin(l);
	}
	mem_deref(l);
}

/** Ask the phone of a leg */
void alive_ask(struct leg *l)
{
	static const struct pl none = PL_INIT;

	if (l->state != LEG_UP || tmr_isrunning(&l->session.tmr))
		return;
	l->uac = mem_deref(l->uac);
	/* what is under way tells it too */
	if (leg_is_busy(l) ||
	    request_write(&l->req, l, "OPTIONS", NULL, &none) ||
	    uac_alloc(&l->uac, l->legs->ag, &l->req.out, on_end, l)) {
		if (!l->session.s)
			session_wait(l, ms(l, AGAIN_S));
		return;
	}
	tmr_start(&l->session.tmr, ms(l, SILENCE_S), silent, l);
	uac_start(l->uac);
}
