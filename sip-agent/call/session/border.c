/*
 * Nobody else knows of it: to all others its phone speaks as its call does.
 */
#include "call/session/border.h"

#include <errno.h>

enum {
	LOOK_MS = 20 * 1000, /* whether the relay still has it */
};

struct border {
	struct leg *l; /* has it */
	struct bridge *bridge;
	border_h *h; /* waits for the relay; NULL: nobody does */
	void *arg;
	struct tmr tmr;
	void (*goneh)(struct leg *l);
};

static void destructor(void *arg)
{
	struct border *b = arg;

	tmr_cancel(&b->tmr);
	mem_deref(b->bridge);
}

static int border_alloc(struct border **bp, struct leg *l)
{
	*bp = mem_zalloc(sizeof(**bp), destructor);
	if (!*bp)
		return ENOMEM;
	(*bp)->l = l;

	return 0;
}

/**
 * Have a relay stand there
 *
 * @param bp  Set to it, owned by the leg
 * @param account Who pays for it
 * @param web Its phone speaks WebRTC, and its call does not; else the other way
 *            round
 * @param tag Our tag of the dialog, which is its name at the relay: a phone
 * that calls chooses all else that names one, and could name another's
 *
 * @return 0, EHOSTUNREACH where no relay answers, EDQUOT where the account that
 *         pays has too many, or ENOMEM
 */
int border_open(struct border **bp, struct leg *l, struct ng *n,
		int64_t account, bool web, const char *tag)
{
	struct border *b;
	int err;

	err = border_alloc(&b, l);
	if (err)
		return err;
	err = bridge_alloc(&b->bridge, n, account, tag, web);
	if (err)
		mem_deref(b);
	else
		*bp = b;

	return err;
}

/** The same where one stands there already, as its row says; ENOENT: it is not
    one of ours */
int border_resume(struct border **bp, struct leg *l, struct ng *n,
		  int64_t account, const char *relay, bool web, const char *tag)
{
	struct border *b;
	int err;

	err = border_alloc(&b, l);
	if (err)
		return err;
	err = bridge_resume(&b->bridge, n, account, relay, tag, web);
	if (err)
		mem_deref(b);
	else
		*bp = b;

	return err;
}

/** Which relay, as its row has it; borrowed */
const char *border_relay(const struct border *b)
{
	return bridge_relay(b->bridge);
}

/** Whether its phone speaks WebRTC */
bool border_web(const struct border *b)
{
	return bridge_web(b->bridge);
}

static void on_said(int err, const struct pl *sdp, void *arg)
{
	struct border *b = arg;
	struct leg *l = mem_ref(b->l);
	border_h *h = b->h;
	void *h_arg = b->arg;

	b->h = NULL;
	b->arg = NULL;
	if (h)
		h(l, err, sdp, h_arg);
	mem_deref(l);
}

/**
 * Have something said to the other side
 *
 * @param of_phone What its phone says; else what its call does
 * @param h        Called once, and never from here, unless it is forgotten
 * @param arg      Not NULL: called with ECANCELED where it is closed before
 *
 * @return 0, EBUSY where something is being said, or another errno
 */
int border_say(struct border *b, enum bridge_what what, bool of_phone,
	       const struct pl *sdp, border_h *h, void *arg)
{
	int err;

	err = bridge_say(b->bridge, what, of_phone, sdp, on_said, b);
	if (err)
		return err;
	b->h = h;
	b->arg = arg;

	return 0;
}

/** Whether something is being said, and somebody waits for it */
bool border_asks(const struct border *b)
{
	return b && b->h;
}

/** Who waits for what is being said does so no more */
void border_forget(struct border *b)
{
	if (!b || b->arg)
		return;
	b->h = NULL;
	bridge_hush(b->bridge);
}

/** What was offered across it was not taken: see bridge_refused */
void border_refused(struct border *b)
{
	if (b)
		bridge_refused(b->bridge);
}

static void on_gone(void *arg)
{
	struct border *b = arg;
	struct leg *l = mem_ref(b->l);

	b->goneh(l);
	mem_deref(l);
}

static void look(void *arg)
{
	struct border *b = arg;

	tmr_start(&b->tmr, LOOK_MS, look, b);
	/* one that is away may have it still */
	(void)bridge_look(b->bridge, on_gone, b);
}

/** Its call is up: find out when the relay has lost it */
void border_watch(struct border *b, void (*goneh)(struct leg *l))
{
	if (!b || tmr_isrunning(&b->tmr))
		return;
	b->goneh = goneh;
	tmr_start(&b->tmr, LOOK_MS, look, b);
}

/** No relay is needed any more */
void border_close(struct border **bp)
{
	struct border *b = *bp;

	if (!b)
		return;
	*bp = NULL;
	bridge_end(b->bridge);
	if (b->h && b->arg)
		on_said(ECANCELED, NULL, b);
	mem_deref(b);
}
