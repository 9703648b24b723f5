/*
 * libre keeps the whole request for each of its transactions, and one timer in
 * a list that every other timer is sorted into: ten thousand registrations a
 * second would be a gigabyte and a third of the time.  Here it is the answer
 * alone, and all are kept for the same time: the oldest is the first to go.
 * With libre's transactions a registration costs the agent 1.6 times as much of
 * the processor (bench/register's load).
 */
#include "transaction/strans.h"

#include <errno.h>
#include <string.h>

#include "compat.h"

enum { BUCKETS = 65536 };

struct strans_table {
	struct hash *by_branch, *by_call;
	struct list kept; /* struct strans, the oldest answer first */
	size_t count;	  /* of them */
};

struct strans {
	struct le by_branch, by_call;
	struct le kept;
	struct strans_table *r;
	struct mbuf *answer; /* NULL: being served */
	struct way {
		void *sock;
		enum sip_transp tp;
		struct sa dst;
	} to;
	uint64_t until_ms;
	/* of the request; they stand in text */
	struct pl branch, sentby, met, callid, tag, ruri;
	uint32_t cseq;
	char text[];
};

static void list_destructor(void *arg)
{
	struct strans_table *r = arg;

	list_flush(&r->kept);
	mem_deref(r->by_branch);
	mem_deref(r->by_call);
}

/**
 * Allocate
 *
 * @param rp Set to the object, owned by the caller
 */
int strans_alloc(struct strans_table **rp)
{
	struct strans_table *r = mem_zalloc(sizeof(*r), list_destructor);
	int err;

	if (!r)
		return ENOMEM;

	err = hash_alloc(&r->by_branch, BUCKETS);
	if (!err)
		err = hash_alloc(&r->by_call, BUCKETS);
	if (err)
		mem_deref(r);
	else
		*rp = r;

	return err;
}

static void destructor(void *arg)
{
	struct strans *rep = arg;

	if (rep->kept.list)
		rep->r->count--;
	list_unlink(&rep->kept);
	hash_unlink(&rep->by_branch);
	hash_unlink(&rep->by_call);
	mem_deref(rep->to.sock);
	mem_deref(rep->answer);
}

/* --- finding -------------------------------------------------------------- */

static bool is_same_hop(const struct strans *rep, const struct sip_msg *msg)
{
	return !pl_cmp(&rep->branch, &msg->via.branch) &&
	       !pl_cmp(&rep->sentby, &msg->via.sentby);
}

static bool same_handler(struct le *le, void *arg)
{
	const struct strans *rep = le->data;
	const struct sip_msg *msg = arg;

	return is_same_hop(rep, msg) && !pl_cmp(&rep->met, &msg->met);
}

static bool hop_handler(struct le *le, void *arg)
{
	return is_same_hop(le->data, arg);
}

static bool merged_handler(struct le *le, void *arg)
{
	const struct strans *rep = le->data;
	const struct sip_msg *msg = arg;

	return rep->cseq == msg->cseq.num && !pl_cmp(&rep->met, &msg->met) &&
	       !pl_cmp(&rep->callid, &msg->callid) &&
	       !pl_cmp(&rep->tag, &msg->from.tag) &&
	       !pl_cmp(&rep->ruri, &msg->ruri);
}

/* A phone may keep one Call-ID for all that it sends */
static uint32_t call_key(const struct pl *callid, uint32_t cseq)
{
	return hash_joaat_pl(callid) ^ cseq * UINT32_C(0x9e3779b1);
}

static struct strans *find(const struct strans_table *r,
			   const struct sip_msg *msg, list_apply_h *h)
{
	return list_ledata(hash_lookup(
		r->by_branch, hash_joaat_pl(&msg->via.branch), h, (void *)msg));
}

static void drop_old(struct strans_table *r, uint64_t now_ms)
{
	struct strans *rep;

	while ((rep = list_ledata(list_head(&r->kept))) &&
	       (rep->until_ms <= now_ms || r->count > STRANS_KEPT_MAX))
		mem_deref(rep);
}

/**
 * Look whether a request is there already; one that was answered is answered
 * again
 */
enum strans_verdict strans_look(struct strans_table *r, struct sip *sip,
				const struct sip_msg *msg, uint64_t now_ms)
{
	struct strans *rep;

	drop_old(r, now_ms);
	rep = find(r, msg, same_handler);
	if (rep) {
		if (rep->answer)
			(void)compat_sip_send(sip, rep->to.sock, rep->to.tp,
					      &rep->to.dst, rep->answer);
		return STRANS_SAME;
	}
	if (pl_isset(&msg->to.tag))
		return STRANS_NEW;

	return hash_lookup(r->by_call, call_key(&msg->callid, msg->cseq.num),
			   merged_handler, (void *)msg)
		       ? STRANS_MERGED
		       : STRANS_NEW;
}

/** Whether there is a request that a CANCEL could be of (section 9.2) */
bool strans_has(const struct strans_table *r, const struct sip_msg *cancel)
{
	return find(r, cancel, hop_handler) != NULL;
}

/* --- beginning and end ---------------------------------------------------- */

static void copy(struct pl *dst, char **p, const struct pl *src)
{
	if (src->l)
		memcpy(*p, src->p, src->l);
	*dst = (struct pl){*p, src->l};
	*p += src->l;
}

/**
 * A request is being served: from now on it is known if it comes again, until
 * the object is freed
 *
 * @param rep Set to the object, owned by the caller
 */
int strans_begin(struct strans **repp, struct strans_table *r,
		 const struct sip_msg *msg)
{
	const size_t len = msg->via.branch.l + msg->via.sentby.l + msg->met.l +
			   msg->callid.l + msg->from.tag.l + msg->ruri.l;
	struct strans *rep = mem_zalloc(sizeof(*rep) + len, destructor);
	char *p;

	if (!rep)
		return ENOMEM;

	p = rep->text;
	copy(&rep->branch, &p, &msg->via.branch);
	copy(&rep->sentby, &p, &msg->via.sentby);
	copy(&rep->met, &p, &msg->met);
	copy(&rep->callid, &p, &msg->callid);
	copy(&rep->tag, &p, &msg->from.tag);
	copy(&rep->ruri, &p, &msg->ruri);
	rep->cseq = msg->cseq.num;
	rep->r = r;
	rep->to.sock = mem_ref(msg->sock);
	rep->to.tp = msg->tp;
	hash_append(r->by_branch, hash_joaat_pl(&rep->branch), &rep->by_branch,
		    rep);
	hash_append(r->by_call, call_key(&rep->callid, rep->cseq),
		    &rep->by_call, rep);
	*repp = rep;

	return 0;
}

/**
 * A request has its final answer; over UDP that is kept for when it comes again
 *
 * @param rep    Taken over
 * @param answer Referenced; what is sent
 * @param dst    Where that goes
 */
void strans_keep(struct strans *rep, struct mbuf *answer, const struct sa *dst,
		 uint64_t now_ms)
{
	if (rep->to.tp != SIP_TRANSP_UDP) {
		mem_deref(rep);
		return;
	}

	rep->answer = mem_ref(answer);
	rep->to.dst = *dst;
	rep->until_ms = now_ms + STRANS_KEPT_MS;
	list_append(&rep->r->kept, &rep->kept, rep);
	rep->r->count++;
	drop_old(rep->r, now_ms);
}
