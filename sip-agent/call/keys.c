/*
 * At a phone they are pressed one after the other; the database hears of the
 * last of a delivery (sql/functions/53_info.sql).
 */
#include "call/keys.h"

#include <errno.h>

#include "agent.h"
#include "call/bye.h"
#include "call/info.h"

enum {
	KEYS_MAX = 10, /* deliveries of a leg; more are refused by the database
			  (app.keys_press) */
	KEY_PAUSE_MS = 200, /* a phone sounds it for 160 ms */
	COUNT_MAX = 10000,  /* of all legs */
};

/* Of one delivery */
struct keys {
	struct le le;
	struct leg *l; /* whose phone is told, referenced */
	struct uac *uac;
	struct leg_request req;
	int64_t number;
	char *keys;
	size_t pressed; /* how many of them were sent */
	struct tmr tmr;
};

static void destructor(void *arg)
{
	struct keys *k = arg;

	list_unlink(&k->le);
	tmr_cancel(&k->tmr);
	if (k->l)
		k->l->keys--;
	mem_deref(k->keys);
	mem_deref(k->uac);
	leg_request_free(&k->req);
	mem_deref(k->l);
}

/* They do not take the place of what the phones say */
static int keys_alloc(struct keys **kp, struct leg *l, int64_t number,
		      const char *keys)
{
	struct keys *k;

	if (l->keys >= KEYS_MAX)
		return EAGAIN;
	if (list_count(&l->legs->keys) >= COUNT_MAX)
		return ENOSPC;
	k = mem_zalloc(sizeof(*k), destructor);
	if (!k)
		return ENOMEM;
	l->keys++;
	k->l = mem_ref(l);
	k->number = number;
	if (str_dup(&k->keys, keys)) {
		mem_deref(k);
		return ENOMEM;
	}
	list_append(&l->legs->keys, &k->le, k);
	*kp = k;

	return 0;
}

static void press(void *arg);

static bool leg_handler(struct le *le, void *arg)
{
	const struct keys *k = le->data;

	return k->l == arg;
}

static struct keys *keys_of(struct leg *l)
{
	return list_ledata(list_apply(&l->legs->keys, true, leg_handler, l));
}

static void pressed(struct keys *k, int code)
{
	struct leg *l = mem_ref(k->l);
	struct keys *next;

	info_tell(l->legs, l->id, k->number, code);
	mem_deref(k);
	next = keys_of(l);
	if (next)
		tmr_start(&next->tmr, KEY_PAUSE_MS, press, next);
	if (code == 481)
		bye_lost(l);
	mem_deref(l);
}

static void on_pressed(int code, const char *reason, const struct sip_msg *msg,
		       void *arg)
{
	struct keys *k = arg;

	(void)reason;
	if (msg && code < 300 && k->keys[k->pressed])
		tmr_start(&k->tmr, KEY_PAUSE_MS, press, k);
	else
		pressed(k, code ? code : 480);
}

static int send_one(struct keys *k, char key)
{
	static const struct info_text text = {.type = "application/dtmf-relay"};
	char said[64];
	struct pl body;
	int err;

	(void)re_snprintf(said, sizeof(said), "Signal=%c\r\nDuration=160\r\n",
			  key);
	pl_set_str(&body, said);
	k->uac = mem_deref(k->uac);
	err = info_write(&k->req, k->l, &text, &body);
	if (!err)
		err = uac_alloc(&k->uac, k->l->legs->ag, &k->req.out,
				on_pressed, k);
	if (!err)
		uac_start(k->uac);

	return err;
}

static void press(void *arg)
{
	struct keys *k = arg;

	if (k->l->state != LEG_UP || send_one(k, k->keys[k->pressed++]))
		pressed(k, 480);
}

static bool number_handler(struct le *le, void *arg)
{
	const struct keys *k = le->data;

	return k->number == *(const int64_t *)arg;
}

/** Press keys at a phone, one after the other; number: of their delivery */
void keys_press(struct leg *l, int64_t number, const char *keys)
{
	const bool is_first = !keys_of(l);
	struct keys *k = NULL;

	if (list_apply(&l->legs->keys, true, number_handler, &number))
		return; /* the order has come twice */
	if (l->state != LEG_UP || !keys || !*keys ||
	    keys_alloc(&k, l, number, keys))
		info_lost(l->legs, l->id, number);
	else if (is_first)
		press(k);
}

/** The connection of a leg has closed: what waits for an answer over it */
void keys_flow_lost(struct leg *l)
{
	struct le *le = list_head(&l->legs->keys);

	while (le) {
		struct keys *k = le->data;

		le = le->next; /* its end frees it, and no other */
		if (k->l == l && k->uac)
			uac_flow_failed(k->uac);
	}
}
