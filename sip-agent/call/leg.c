/*
 * Legs in memory, found by their id and by their dialog.
 */
#include "call/leg.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "call/session/border.h"
#include "common/json_write.h"
#include "transaction/dialog.h"
#include "transaction/next_hop.h"
#include "transaction/uas.h"

enum {
	OFFERS_MAX = 10, /* of a leg in OFFERS_MS: each is a version */
	OFFERS_MS = 10 * 1000,
	REFRESHES_MAX = 20, /* of a leg at once, and one more each second */
	REFRESH_MS = 1000,
};

static void free_dialog(struct leg_dialog *d)
{
	mem_deref(d->call_id);
	mem_deref(d->local_tag);
	mem_deref(d->remote_tag);
	mem_deref(d->local_uri);
	mem_deref(d->remote_uri);
	mem_deref(d->local_target);
	mem_deref(d->remote_target);
	mem_deref(d->route);
}

/** What it holds; may be called for one that is all zeros */
void leg_request_free(struct leg_request *r)
{
	r->out.mb = mem_deref(r->out.mb);
	r->uri = mem_deref(r->uri);
	r->route = mem_deref(r->route);
}

static void destructor(void *arg)
{
	struct leg *l = arg;

	leg_forget(l);
	list_flush(&l->orders);
	mem_deref(l->offer);
	mem_deref(l->later);
	mem_deref(l->ladder);
	if (l->u)
		uas_set_cancel(l->u, NULL, NULL);
	mem_deref(l->u);
	mem_deref(l->uac);
	leg_request_free(&l->req);
	mem_deref(l->ack);
	mem_deref(l->again);
	mem_deref(l->why);
	mem_deref(l->contact);
	mem_deref(l->flow);
	buf_free(&l->sdp);
	buf_free(&l->session.said);
	buf_free(&l->session.heard);
	buf_free(&l->session.offer);
	free_dialog(&l->d);
}

/**
 * Allocate a leg
 *
 * @param lp Set to it, owned by the caller
 * @param in A phone calls
 *
 * @return 0 or ENOMEM
 */
int leg_alloc(struct leg **lp, struct legs *ls, bool in)
{
	struct leg *l = mem_zalloc(sizeof(*l), destructor);

	if (!l)
		return ENOMEM;

	l->legs = ls;
	l->in = in;
	l->d.local_cseq = 1;
	l->d.remote_cseq = DIALOG_NO_CSEQ;
	buf_init(&l->sdp, LEG_SDP_MAX + 1);
	buf_init(&l->session.said, LEG_SDP_MAX + 1);
	buf_init(&l->session.heard, LEG_SDP_MAX + 1);
	buf_init(&l->session.offer, LEG_SDP_MAX + 1);
	*lp = l;

	return 0;
}

/** Have it found by its Call-ID, and live until leg_forget: the table has a
    reference of its own */
void leg_insert(struct leg *l)
{
	hash_append(l->legs->by_call_id, hash_joaat_str(l->d.call_id),
		    &l->by_call_id, mem_ref(l));
	hash_append(l->legs->by_aor, hash_joaat_str(l->aor), &l->by_aor, l);
	l->legs->count++;
}

void leg_set_id(struct leg *l, int64_t id)
{
	l->id = id;
	hash_append(l->legs->by_id, (uint32_t)id, &l->by_id, l);
}

/** Its dialog is over, or about to be; of one that is unloaded what its phone
    is told in it: who waits for it hears so */
void leg_over(struct leg *l)
{
	if (l->goneh)
		l->goneh(l);
	if (l->legs->overh && !l->unloaded)
		l->legs->overh(l);
}

/** It is over; who holds no reference must not use it any more */
void leg_forget(struct leg *l)
{
	l->state = LEG_GONE;
	leg_over(l);
	tmr_cancel(&l->tmr);
	tmr_cancel(&l->session.tmr);
	list_unlink(&l->session.le);
	list_unlink(&l->session.borrows);
	list_flush(&l->session.early);
	l->session.reliable = mem_deref(l->session.reliable);
	if (l->unloaded || !l->legs->ag->pl) /* it goes on without us */
		l->session.border = mem_deref(l->session.border);
	else
		border_close(&l->session.border);
	l->again = mem_deref(l->again);
	hash_unlink(&l->by_id);
	hash_unlink(&l->by_aor);
	if (!l->by_call_id.list)
		return;
	if (l->d.local_tag && !l->unloaded)
		(void)lately_note(&l->legs->lately, l->d.call_id,
				  l->d.local_tag);
	hash_unlink(&l->by_call_id);
	l->legs->count--;
	mem_deref(l);
}

/** Its row has all that it is, and somebody reads it when it is needed */
void leg_unload(struct leg *l)
{
	l->unloaded = true;
	leg_forget(l);
}

static int put(char **sp, const struct pl *pl)
{
	char *s;
	int err;

	if (!pl_isset(pl))
		return 0;
	err = pl_strdup(&s, pl);
	if (err)
		return err;
	mem_deref(*sp);
	*sp = s;

	return 0;
}

/** Keep the values of a dialog that are set; 0 or ENOMEM */
int leg_take_dialog(struct leg *l, const struct dialog *d)
{
	struct leg_dialog *mine = &l->d;

	if (d->local_cseq != DIALOG_NO_CSEQ)
		mine->local_cseq = d->local_cseq;
	if (d->remote_cseq != DIALOG_NO_CSEQ)
		mine->remote_cseq = d->remote_cseq;

	return put(&mine->call_id, &d->call_id) |
	       put(&mine->local_tag, &d->local_tag) |
	       put(&mine->remote_tag, &d->remote_tag) |
	       put(&mine->local_uri, &d->local_uri) |
	       put(&mine->remote_uri, &d->remote_uri) |
	       put(&mine->local_target, &d->local_target) |
	       put(&mine->remote_target, &d->remote_target) |
	       put(&mine->route, &d->route);
}

static void show(struct pl *pl, const char *s)
{
	*pl = pl_null;
	if (s)
		pl_set_str(pl, s);
}

/** Its dialog, for dialog.c; borrowed */
void leg_view(struct dialog *d, const struct leg *l)
{
	show(&d->call_id, l->d.call_id);
	show(&d->local_tag, l->d.local_tag);
	show(&d->remote_tag, l->d.remote_tag);
	show(&d->local_uri, l->d.local_uri);
	show(&d->remote_uri, l->d.remote_uri);
	show(&d->local_target, l->d.local_target);
	show(&d->remote_target, l->d.remote_target);
	show(&d->route, l->d.route);
	d->local_cseq = l->d.local_cseq;
	d->remote_cseq = l->d.remote_cseq;
}

/** Members of what the database is told of its dialog */
void leg_json(struct buf *b, const struct leg *l)
{
	struct dialog d;
	char ip[64];

	leg_view(&d, l);
	(void)re_snprintf(ip, sizeof(ip), "%j", &l->peer_addr);
	dialog_json(b, &d);
	json_member(b, "peer", ip);
	if (l->takes_info)
		json_member(b, "takes_info", l->takes_info);
}

/** Count an offer of its phone; false: there were too many lately */
bool leg_may_offer(struct leg *l)
{
	const uint64_t now = tmr_jiffies();

	if (now >= l->offers_ms + OFFERS_MS) {
		l->offers_ms = now;
		l->offers = 0;
	}

	return l->offers++ < OFFERS_MAX;
}

/** Count an INVITE or UPDATE of its phone, whatever it changes; false: there
    were too many lately */
bool leg_may_refresh(struct leg *l)
{
	const uint64_t now = tmr_jiffies();
	const uint64_t spent = MAX(l->refreshes_ms, now) + REFRESH_MS;

	if (spent > now + (uint64_t)REFRESHES_MAX * REFRESH_MS)
		return false;
	l->refreshes_ms = spent;

	return true;
}

/** An offer is under way, of either side or ours, or the answer to one */
bool leg_is_busy(const struct leg *l)
{
	return l->relay || l->offer || l->session.refresh ||
	       border_asks(l->session.border);
}

/** Whether its phone is reached at its contact, too, once its connection is
 * gone */
bool leg_dials(const struct leg *l)
{
	struct pl target;

	if (!l->flow || !strncmp(l->flow, "udp:", 4) || l->d.route ||
	    !l->d.remote_target)
		return false;
	pl_set_str(&target, l->d.remote_target);

	return next_hop_dials(&target,
			      next_hop_needs_tls("", l->flow) ? SIP_TRANSP_TLS
							      : SIP_TRANSP_TCP,
			      &l->peer_addr);
}

static bool id_handler(struct le *le, void *arg)
{
	const struct leg *l = le->data;

	return l->id == *(const int64_t *)arg;
}

/** NULL where there is none (any more) */
struct leg *leg_find(const struct legs *ls, int64_t id)
{
	return list_ledata(
		hash_lookup(ls->by_id, (uint32_t)id, id_handler, &id));
}

static bool dialog_handler(struct le *le, void *arg)
{
	const struct leg *l = le->data;
	struct dialog d;

	if (!l->d.remote_tag || !l->d.local_tag)
		return false;
	leg_view(&d, l);

	return dialog_has(&d, arg);
}

/** The leg that a request is within the dialog of (section 12.2.2) */
struct leg *leg_of_dialog(const struct legs *ls, const struct sip_msg *msg)
{
	return list_ledata(hash_lookup(ls->by_call_id,
				       hash_joaat_pl(&msg->callid),
				       dialog_handler, (void *)msg));
}

static bool answer_handler(struct le *le, void *arg)
{
	const struct sip_msg *msg = arg;
	const struct leg *l = le->data;

	return !pl_strcmp(&msg->callid, l->d.call_id) && l->d.local_tag &&
	       !pl_strcmp(&msg->from.tag, l->d.local_tag);
}

static bool same_answer_handler(struct le *le, void *arg)
{
	const struct sip_msg *msg = arg;
	const struct leg *l = le->data;

	return answer_handler(le, arg) && l->d.remote_tag &&
	       !pl_strcmp(&msg->to.tag, l->d.remote_tag);
}

/** The leg whose INVITE an answer is to; of several phones behind its contact
    the one whose To tag it has, else that of the INVITE */
struct leg *leg_of_answer(const struct legs *ls, const struct sip_msg *msg)
{
	const uint32_t key = hash_joaat_pl(&msg->callid);
	struct leg *same = list_ledata(hash_lookup(
		ls->by_call_id, key, same_answer_handler, (void *)msg));

	return same ? same
		    : list_ledata(hash_lookup(ls->by_call_id,
					      hash_joaat_pl(&msg->callid),
					      answer_handler, (void *)msg));
}
