#include "call/word.h"

#include <string.h>

#include "agent.h"
#include "call/leg.h"
#include "compat.h"

enum { WORD_TIMES = 3 };

struct word {
	struct le le;
	struct agent *ag;
	struct mbuf *mb;
	struct sa to;
	int left;
	uint32_t wait_ms;
	struct tmr tmr;
};

static void word_destructor(void *arg)
{
	struct word *w = arg;

	list_unlink(&w->le);
	tmr_cancel(&w->tmr);
	mem_deref(w->mb);
}

static void say_word(void *arg)
{
	struct word *w = arg;

	mbuf_set_pos(w->mb, 0);
	(void)compat_sip_send(w->ag->sip, NULL, SIP_TRANSP_UDP, &w->to, w->mb);
	if (!--w->left) {
		mem_deref(w);
		return;
	}
	tmr_start(&w->tmr, w->wait_ms, say_word, w);
	w->wait_ms *= 2;
}

/**
 * Say it
 *
 * @param text A message; NULL: there is none
 * @param to   Where it goes: host:port, over UDP
 */
void word_say(struct legs *ls, const char *text, const char *to)
{
	struct word *w;

	if (!text || !*text || !to || list_count(&ls->words) >= LEGS_MAX)
		return;
	w = mem_zalloc(sizeof(*w), word_destructor);
	if (!w)
		return;
	w->ag = ls->ag;
	w->left = WORD_TIMES;
	w->wait_ms = LEG_T1_MS;
	w->mb = mbuf_alloc(strlen(text));
	if (!w->mb || mbuf_write_str(w->mb, text) ||
	    sa_decode(&w->to, to, strlen(to))) {
		mem_deref(w);
		return;
	}
	list_append(&ls->words, &w->le, w);
	say_word(w);
}
