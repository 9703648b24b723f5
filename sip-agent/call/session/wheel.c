#include "call/session/wheel.h"

#include <errno.h>

enum {
	SLOTS = 512,
	SLOT_MS = 500,
};

/* A slot has those of each round */
struct wheel {
	struct list slots[SLOTS];
	uint64_t turned; /* slots that are behind, counted from the start */
	struct tmr tmr;
	wheel_h *h;
};

static void destructor(void *arg)
{
	struct wheel *w = arg;

	tmr_cancel(&w->tmr);
	for (size_t i = 0; i < SLOTS; i++)
		list_clear(&w->slots[i]);
}

static void take_due(struct list *due, struct list *slot, uint64_t now)
{
	struct le *le = list_head(slot);

	while (le) {
		struct leg *l = le->data;

		le = le->next;
		if (l->session.next_ms > now)
			continue; /* in another round */
		list_unlink(&l->session.le);
		list_append(due, &l->session.le, l);
	}
}

static void turn(void *arg)
{
	struct wheel *w = arg;
	const uint64_t now = tmr_jiffies();
	struct list due = LIST_INIT;
	struct le *le;

	tmr_start(&w->tmr, SLOT_MS, turn, w);
	/* after a long standstill each slot once */
	if (now / SLOT_MS > w->turned + SLOTS)
		w->turned = now / SLOT_MS - SLOTS;
	for (; w->turned < now / SLOT_MS; w->turned++)
		take_due(&due, &w->slots[w->turned % SLOTS], now);
	while ((le = list_head(&due))) {
		struct leg *l = mem_ref(le->data);

		list_unlink(&l->session.le);
		w->h(l);
		mem_deref(l);
	}
}

/** Allocate; to be freed after its legs */
int wheel_alloc(struct wheel **wp, wheel_h *h)
{
	struct wheel *w = mem_zalloc(sizeof(*w), destructor);

	if (!w)
		return ENOMEM;
	w->h = h;
	w->turned = tmr_jiffies() / SLOT_MS;
	tmr_start(&w->tmr, SLOT_MS, turn, w);
	*wp = w;

	return 0;
}

/** Have a leg's turn come in a while, up to a second later, and not when it
    would have come before */
void wheel_put(struct wheel *w, struct leg *l, uint64_t wait_ms)
{
	l->session.next_ms = tmr_jiffies() + wait_ms;
	list_unlink(&l->session.le);
	list_append(&w->slots[(l->session.next_ms / SLOT_MS) % SLOTS],
		    &l->session.le, l);
}
