#include "call/load.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "call/bye.h"
#include "call/caller.h"
#include "call/session/border.h"
#include "call/session/session.h"
#include "call/word.h"
#include "common/log.h"
#include "pg/pgloop.h"
#include "transaction/dialog.h"

struct load {
	struct legs *legs;
	load_h *h;
	void *arg; /* referenced */
};

static const struct pg_stmt stmt_load = {
	.name = "leg_load",
	.sql = "select * from api.leg_load($1, $2, $3, $4, $5, $6, $7)",
	.nparams = 7,
	.write = true,
};

static void destructor(void *arg)
{
	struct load *ld = arg;

	ld->legs->loads--;
	mem_deref(ld->arg);
}

/** Whether it was found, and in what state */
bool load_says(const struct pg_answer *ans, const char *state)
{
	return ans && pg_rows(ans) &&
	       !str_cmp(pgres_text(ans->res, 0, "state"), state);
}

/* Where its relay is not one of ours any more, that is nobody's to ask */
static void load_border(struct leg *l, const struct pg_answer *ans)
{
	const char *relay = pgres_text(ans->res, 0, "relay");

	if (relay &&
	    !border_resume(&l->session.border, l, l->legs->ag->ng, l->account,
			   relay, pgres_bool(ans->res, 0, "web"),
			   l->d.local_tag))
		border_watch(l->session.border, bye_no_media);
	l->session.bordered = relay != NULL;
}

static int read_leg(struct leg *l, const struct pg_answer *ans)
{
	const char *aor = pgres_text(ans->res, 0, "aor");
	const char *host = pgres_text(ans->res, 0, "host");
	const char *flow = pgres_text(ans->res, 0, "flow");
	const char *contact = pgres_text(ans->res, 0, "contact");
	struct dialog d;
	int err;

	l->call = pgres_int(ans->res, 0, "call");
	l->peer = pgres_int(ans->res, 0, "peer");
	l->apart = pgres_bool(ans->res, 0, "apart");
	l->account = pgres_int(ans->res, 0, "account");
	l->secure = pgres_bool(ans->res, 0, "secure");
	l->rest = pgres_bool(ans->res, 0, "rest");
	l->state = LEG_UP;
	l->resumed = true;
	l->invite_cseq = pgres_int(ans->res, 0, "invite_cseq");
	session_load(l, ans);
	str_ncpy(l->aor, aor ? aor : "", sizeof(l->aor));
	if (host)
		(void)sa_set_str(&l->peer_addr, host, 0);
	dialog_of_row(&d, ans, 0);
	err = leg_take_dialog(l, &d);
	if (!err && flow && *flow)
		err = str_dup(&l->flow, flow);
	if (!err && contact)
		err = uri_of_contact(&l->contact, contact);
	l->cseq_told = l->d.local_cseq;
	if (!err && l->d.call_id)
		load_border(l, ans);

	return err ? err : l->d.call_id ? 0 : EBADMSG;
}

/* The answer that the ACK of its 2xx has, where that had the offer; empty: it
   is still waited for; NULL: it is like most */
static void take_ack(struct leg *l, const char *sdp)
{
	l->offerless = sdp && !*sdp;
	if (sdp)
		buf_str(&l->sdp, sdp);
}

/* Somebody else may have asked for it too */
static int resume(struct leg **lp, struct legs *ls, const struct pg_answer *ans)
{
	const char *direction = pgres_text(ans->res, 0, "direction");
	const int64_t id = pgres_int(ans->res, 0, "leg");
	struct leg *l = leg_find(ls, id);
	int err;

	if (l) {
		*lp = mem_ref(l);
		return 0;
	}
	if (ls->count >= LEGS_MAX)
		return ENOSPC;
	err = leg_alloc(&l, ls, !str_cmp(direction, "in"));
	if (err)
		return err;
	err = read_leg(l, ans);
	/* two requests had it loaded: the first, a BYE, may have ended it */
	if (!err && lately_was(&ls->lately, l->d.call_id, l->d.local_tag))
		err = ENOENT;
	if (err) {
		mem_deref(l);
		return err;
	}
	leg_insert(l);
	leg_set_id(l, id);
	if (!l->in)
		take_ack(l, pgres_text(ans->res, 0, "sdp"));
	if (load_says(ans, "answered"))
		caller_resume(l, pgres_text(ans->res, 0, "last_word"),
			      pgres_text(ans->res, 0, "last_word_to"),
			      pgres_text(ans->res, 0, "sdp"));
	else /* what its phone still waits for the answer to */
		word_say(ls, pgres_text(ans->res, 0, "last_word"),
			 pgres_text(ans->res, 0, "last_word_to"));
	session_begin(l);
	log_debug("leg_resumed", LOG_INT("leg", id));
	*lp = l;

	return 0;
}

static void on_loaded(const struct pg_answer *ans, void *arg)
{
	struct load *ld = arg;
	struct leg *l = NULL;
	int err;

	if (load_says(ans, "up") || load_says(ans, "answered")) {
		err = resume(&l, ld->legs, ans);
		if (err && err != ENOENT)
			log_warn_often(1, "leg_not_resumed", LOG_ERRNO(err));
	}
	ld->h(l, ans->end == PG_OK ? ans : NULL, ld->arg);
	mem_deref(l);
	mem_deref(ld);
}

/* PG_CLAIM's and PG_SETTLE's turns are those of orders and ends; this may be
   somebody's who waits */
static int ask(struct legs *ls, size_t most, const struct pg_val *valv,
	       load_h *h, void *arg)
{
	struct load *ld;
	int err;

	if (ls->loads >= most)
		return EAGAIN;
	ld = mem_zalloc(sizeof(*ld), destructor);
	if (!ld)
		return ENOMEM;
	ls->loads++;
	ld->legs = ls;
	ld->h = h;
	ld->arg = mem_ref(arg);
	err = pgloop_query_in(ls->ag->pl, PG_ALONE, 0, &stmt_load, valv,
			      on_loaded, ld);
	if (err)
		mem_deref(ld);

	return err;
}

/**
 * Load the leg of an order
 *
 * @param h   Called once, unless an error is returned
 * @param arg Referenced until then
 *
 * @return 0, EAGAIN where too many are under way, or another errno
 */
int load_leg(struct legs *ls, int64_t id, load_h *h, void *arg)
{
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(ls->ag->pl)),
		pg_int(id),
		pg_null(),
		pg_null(),
		pg_null(),
		pg_null(),
		pg_null(),
	};

	return ask(ls, LEG_LOADS_MAX, valv, h, arg);
}

static bool is_text(const struct pl *pl)
{
	return pl_isset(pl) && pg_is_text(pl->p, pl->l);
}

/**
 * Load the leg that a request is within the dialog of, or whose INVITE an
 * answer is to; as load_leg
 *
 * @param aor Who has sent it, by a digest; NULL: nobody has been asked
 *
 * @return ENOENT where it cannot be of one
 */
int load_dialog(struct legs *ls, const struct sip_msg *msg, const char *aor,
		load_h *h, void *arg)
{
	const struct pl *mine = msg->req ? &msg->to.tag : &msg->from.tag;
	char ip[64];

	if (!is_text(&msg->callid) || !is_text(mine) ||
	    (msg->req && !is_text(&msg->from.tag)))
		return ENOENT;
	(void)re_snprintf(ip, sizeof(ip), "%j", &msg->src);
	{
		const struct pg_val valv[] = {
			pg_int(pgloop_agent(ls->ag->pl)),
			pg_null(),
			pg_pl(&msg->callid),
			pg_pl(mine),
			msg->req ? pg_pl(&msg->from.tag) : pg_null(),
			pg_text(ip),
			aor ? pg_text(aor) : pg_null(),
		};

		return ask(ls, LOADS_BY_MSGS, valv, h, arg);
	}
}
