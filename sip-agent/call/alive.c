/*
 * OPTIONS within the dialog. A phone that knows nothing of it, or is silent
 * twice, has gone.
 */
#include "call/alive.h"

#include "agent.h"
#include "call/bye.h"
#include "call/request.h"

enum {
	AGAIN_MS = 60 * 1000,
	SILENT_MAX = 2, /* times in turn */
};

static void again(void *arg)
{
	alive_ask(arg);
}

static void on_end(int code, const char *reason, const struct sip_msg *msg,
		   void *arg)
{
	struct leg *l = mem_ref(arg);

	(void)reason;
	l->uac = mem_deref(l->uac);
	if (msg && code != 481) {
		l->silent = 0;
	} else if (msg || ++l->silent >= SILENT_MAX) {
		bye_lost(l);
	} else {
		tmr_start(&l->tmr, AGAIN_MS, again, l);
	}
	mem_deref(l);
}

/** Ask the phone of a leg */
void alive_ask(struct leg *l)
{
	static const struct pl none = PL_INIT;

	if (l->state != LEG_UP || l->relay || l->offer)
		return; /* that tells it too */
	l->uac = mem_deref(l->uac);
	if (request_write(&l->req, l, "OPTIONS", NULL, &none) ||
	    uac_alloc(&l->uac, l->legs->ag, &l->req.out, on_end, l))
		return;
	uac_start(l->uac);
}
