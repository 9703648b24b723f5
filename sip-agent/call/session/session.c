/*
 * The phone refreshes where it can: it knows best whether it is still there,
 * and what it sends keeps its connection and the way through its NAT.
 */
#include "call/session/session.h"

#include <string.h>

#include "agent.h"
#include "call/session/border.h"
#include "call/session/wheel.h"
#include "common/config.h"
#include "common/json_write.h"
#include "parse/hdr.h"
#include "parse/session_timer.h"
#include "pg/pgloop.h"
#include "settings/settings.h"
#include "transaction/uas.h"

enum {
	EARLY_S = 32,	     /* before its end it is given up (section 10) */
	KEPT_MAX = 8 * 1024, /* of an SDP, for each leg for as long as it is */
	BORROWED_MAX = 64,   /* legs whose longer ones are in memory, */
	BORROWED_BY_ONE = 8, /* and of calls of one account */
};

static const struct config *config_of(const struct leg *l)
{
	return settings_config(l->legs->ag->set);
}

static uint32_t min_s(const struct leg *l)
{
	return (uint32_t)config_of(l)->agent.session_min_s;
}

static uint32_t usual_s(const struct leg *l)
{
	return MAX((uint32_t)config_of(l)->agent.session_expires_s, min_s(l));
}

/** How often the phone of a leg without a timer is asked */
uint32_t session_probe_s(const struct leg *l)
{
	return (uint32_t)config_of(l)->agent.session_probe_s;
}

/* --- what is agreed on ------------------------------------------------------
 */

/**
 * Whether an INVITE or UPDATE is refused, and here, for the time that it wants:
 * 422 is for who knows what that is (section 6)
 */
bool session_refuses(struct uas *u)
{
	const struct agent *ag = uas_agent(u);
	const uint32_t least =
		(uint32_t)settings_config(ag->set)->agent.session_min_s;
	const struct sip_msg *msg = uas_msg(u);
	struct session_timer st;

	if (session_timer_read(&st, msg)) {
		uas_reply(u, 400, "Bad Session-Expires", NULL);
		return true;
	}
	if (!st.s || st.s >= least ||
	    !hdr_has_token(msg, HDR_SUPPORTED, "timer"))
		return false;
	uas_reply(u, 422, "Session Interval Too Small", "Min-SE: %u\r\n",
		  least);

	return true;
}

static bool set(struct leg *l, uint32_t s, bool ours)
{
	struct leg_session *ss = &l->session;
	const bool is_new = ss->s != s || (s && ss->ours != ours);

	ss->s = s;
	ss->ours = s && ours;

	return is_new;
}

static void read_allow(struct leg *l, const struct sip_msg *msg)
{
	if (hdr_count(msg, HDR_ALLOW))
		l->session.takes_update = hdr_has_token(msg, HDR_ALLOW,
							"UPDATE");
}

/**
 * Agree to what an INVITE or UPDATE of its phone wants, as far as we can
 * (section 9)
 *
 * @return whether that is anything new
 */
bool session_of_request(struct leg *l, const struct sip_msg *msg)
{
	struct session_timer st;
	uint32_t s = usual_s(l);

	read_allow(l, msg);
	if (session_timer_read(&st, msg) ||
	    !(hdr_has_token(msg, HDR_SUPPORTED, "timer") ||
	      hdr_has_token(msg, HDR_REQUIRE, "timer")))
		return set(l, 0, false);
	if (st.s && st.s < s)
		s = st.s;
	s = MAX(s, MAX(st.min_s, min_s(l)));

	return set(l, s > SESSION_MAX_S ? 0 : s, st.refresher == REFRESHER_UAS);
}

/**
 * Take what its phone has agreed to, by the 2xx of ours (section 7.2)
 *
 * @return whether that is anything new
 */
bool session_of_answer(struct leg *l, const struct sip_msg *msg)
{
	struct session_timer st;

	read_allow(l, msg);
	l->session.raised = false;
	if (session_timer_read(&st, msg) || !st.s || st.s > SESSION_MAX_S)
		return set(l, 0, false);

	return set(l, MAX(st.s, min_s(l)), st.refresher != REFRESHER_UAS);
}

/**
 * Its phone wants more time than we have offered it (422)
 *
 * @return whether it is to be offered that, once (section 7.4)
 */
bool session_raise(struct leg *l, const struct sip_msg *msg)
{
	struct leg_session *ss = &l->session;
	struct session_timer st;

	if (ss->raised || session_timer_read(&st, msg) ||
	    st.min_s <= (ss->s ? ss->s : usual_s(l)) ||
	    st.min_s > SESSION_MAX_S)
		return false;
	ss->raised = true;
	ss->s = st.min_s;

	return true;
}

/** What an INVITE or UPDATE of ours says of it */
const char *session_offer(char hdrs[static SESSION_HDRS_SIZE], struct leg *l)
{
	struct leg_session *ss = &l->session;
	const bool is_first = l->state < LEG_ANSWERED;

	hdrs[0] = '\0';
	if (ss->s || is_first)
		(void)re_snprintf(hdrs, SESSION_HDRS_SIZE,
				  "Session-Expires: %u;refresher=%s\r\n"
				  "Min-SE: %u\r\n",
				  ss->s ? ss->s : usual_s(l),
				  ss->ours ? "uac" : "uas",
				  ss->raised ? ss->s : min_s(l));

	return hdrs;
}

/** What our 2xx says of it */
const char *session_answer(char hdrs[static SESSION_HDRS_SIZE],
			   const struct leg *l)
{
	const struct leg_session *ss = &l->session;

	hdrs[0] = '\0';
	if (ss->s)
		(void)re_snprintf(hdrs, SESSION_HDRS_SIZE,
				  "%sSession-Expires: %u;refresher=%s\r\n",
				  ss->ours ? "" : "Require: timer\r\n", ss->s,
				  ss->ours ? "uas" : "uac");

	return hdrs;
}

/* --- when something is to be done for it ------------------------------------
 */

/** When it is given up, unless it is refreshed */
uint64_t session_ends_ms(const struct leg *l)
{
	const uint32_t s = l->session.s;

	return l->session.agreed_ms + 1000 * (s - MIN(EARLY_S, s / 3));
}

/** Look after it in a while (timer.c) */
void session_wait(struct leg *l, uint64_t ms)
{
	wheel_put(l->legs->wheel, l, ms);
}

/** It has been agreed on, or refreshed */
void session_begin(struct leg *l)
{
	struct leg_session *ss = &l->session;

	ss->agreed_ms = tmr_jiffies();
	if (!ss->s)
		session_wait(l, 1000 * (uint64_t)session_probe_s(l));
	else if (ss->ours)
		session_wait(l, 500 * (uint64_t)ss->s);
	else
		session_wait(l, session_ends_ms(l) - ss->agreed_ms);
}

/* What is longer is passed on whatever it is, and read from its row where it is
   needed */
static void keep(struct buf *b, const char *sdp, size_t len)
{
	buf_reset(b);
	if (len && len <= KEPT_MAX)
		buf_add(b, sdp, len);
}

/* --- its row -----------------------------------------------------------------
 */

/* What its phone has said, and was told: its row has what its call was */
static void write_border(struct buf *b, const struct leg_session *ss)
{
	json_member(b, "relay", border_relay(ss->border));
	json_member(b, "own_said", ss->said.len ? ss->said.p : "");
	json_member(b, "own_heard", ss->heard.len ? ss->heard.p : "");
}

static const char *speaks(const struct leg_session *ss)
{
	const struct pl heard = {ss->heard.p, ss->heard.len};

	return bridge_is_web(&heard) ? "webrtc" : "rtp";
}

/** Write it as members of a JSON object */
void session_json(struct buf *b, const struct leg *l)
{
	const struct leg_session *ss = &l->session;

	json_member_int(b, "session_s", ss->s);
	json_member_int(b, "session_ours", ss->ours);
	json_member_int(b, "takes_update", ss->takes_update);
	if (ss->border)
		write_border(b, ss);
	else if (ss->bordered)
		json_member(b, "relay", "");
	if (ss->border || ss->tried)
		json_member(b, "spoke", speaks(ss));
}

static void load_sdp(struct buf *b, const struct pg_answer *ans,
		     const char *column)
{
	const char *sdp = pgres_text(ans->res, 0, column);

	keep(b, sdp, str_len(sdp));
}

/** Read it from its row, of api.leg_load */
void session_load(struct leg *l, const struct pg_answer *ans)
{
	struct leg_session *ss = &l->session;
	const int64_t s = pgres_int(ans->res, 0, "session_s");

	ss->s = s > 0 && s <= SESSION_MAX_S ? (uint32_t)s : 0;
	ss->ours = pgres_bool(ans->res, 0, "session_ours");
	ss->takes_update = pgres_bool(ans->res, 0, "takes_update");
	load_sdp(&ss->said, ans, "said");
	load_sdp(&ss->heard, ans, "heard");
}

static void borrow(struct buf *b, const char *sdp)
{
	buf_reset(b);
	buf_str(b, sdp ? sdp : "");
}

/* Phones that do not answer keep theirs for long */
static bool may_borrow(const struct leg *l)
{
	size_t all = 0, mine = 0;
	const struct le *le;

	LIST_FOREACH(&l->legs->borrowers, le)
	{
		const struct leg *other = le->data;

		all++;
		mine += other->account == l->account;
	}

	return all < BORROWED_MAX && mine < BORROWED_BY_ONE;
}

/**
 * Have in memory what is too long to be kept, until session_give_back
 *
 * @param ans Of api.leg_sdps
 *
 * @return false: there is none, or too many are
 */
bool session_borrow(struct leg *l, const struct pg_answer *ans)
{
	struct leg_session *ss = &l->session;

	if (!may_borrow(l) || !pg_rows(ans))
		return false;
	list_append(&l->legs->borrowers, &ss->borrows, l);
	borrow(&ss->said, pgres_text(ans->res, 0, "said"));
	borrow(&ss->heard, pgres_text(ans->res, 0, "heard"));

	return true;
}

/** Forget it again, if it was borrowed */
void session_give_back(struct leg *l)
{
	struct leg_session *ss = &l->session;

	if (!ss->borrows.list)
		return;
	list_unlink(&ss->borrows);
	if (ss->said.len > KEPT_MAX)
		buf_free(&ss->said);
	if (ss->heard.len > KEPT_MAX)
		buf_free(&ss->heard);
}

/* --- what is said in it ------------------------------------------------------
 */

/** Its phone has our SDP, and takes it */
void session_said(struct leg *l, const char *sdp, size_t len)
{
	keep(&l->session.said, sdp, len);
}

/** We have that of its phone, and the other side has it */
void session_heard(struct leg *l, const char *sdp, size_t len)
{
	keep(&l->session.heard, sdp, len);
}

/**
 * Whether an INVITE or UPDATE of its phone refreshes the session and changes
 * nothing, so that the answer is the same as before
 */
bool session_is_refresh(const struct leg *l, const struct sip_msg *msg,
			const struct pl *sdp)
{
	return (l->session.s || hdr_count(msg, HDR_SESSION_EXPIRES)) &&
	       session_is_same(l, sdp);
}

/** Whether it has said the same before. By its bytes: there are phones that
    hold without counting o= up */
bool session_is_same(const struct leg *l, const struct pl *sdp)
{
	const struct leg_session *ss = &l->session;

	return sdp->l && ss->said.len && !ss->said.failed &&
	       !ss->heard.failed && sdp->l == ss->heard.len &&
	       !memcmp(sdp->p, ss->heard.p, sdp->l);
}
