#include "media/bridge.h"

#include <errno.h>
#include <string.h>

#include "logre.h"
#include "media/aim.h"
#include "media/bencode.h"
#include "media/ng.h"
#include "media/ngword.h"
#include "media/seat.h"

enum {
	ADDRESS_SIZE = 64,
	FIRST_TRIES = 1, /* where there is another; NG_TRIES_MAX of both */
};

/* What one side has said, as the relay has heard it */
struct saying {
	struct buf sdp; /* empty: nothing is known of it */
	bool of_phone;
};

struct bridge {
	struct ng *ng;
	struct seat *seat;
	size_t relay;
	char address[ADDRESS_SIZE];
	char *id;
	bool web;	       /* the phone speaks WebRTC, its call plain RTP */
	bool known;	       /* the relay has heard of both sides */
	bool open;	       /* it has heard of one */
	bool moves;	       /* another relay is asked if this one fails */
	struct buf words;      /* that it is asked */
	struct saying offered; /* and not answered yet */
	struct saying offer, answer; /* that both sides have agreed on */
	struct ng_ask *ask, *look;
	struct ng_ask *again; /* what was agreed on is said once more */
	enum bridge_what what;
	bool of_phone; /* what is being said */
	uint16_t portv[2]
		      [AIM_STREAMS_MAX]; /* that the call, the phone sends to */
	int moved;			 /* how often they were others */
	bridge_h *h;
	void *arg;
	void (*goneh)(void *arg);
	void *gone_arg;
};

static void destructor(void *arg)
{
	struct bridge *b = arg;

	mem_deref(b->ask);
	mem_deref(b->look);
	mem_deref(b->again);
	mem_deref(b->seat);
	buf_free(&b->words);
	buf_free(&b->offered.sdp);
	buf_free(&b->offer.sdp);
	buf_free(&b->answer.sdp);
	mem_deref(b->id);
}

static bool has(const struct pl *sdp, const char *text)
{
	return sdp->l && memmem(sdp->p, sdp->l, text, strlen(text));
}

/** Whether it is of WebRTC; as app.sdp_kind says */
bool bridge_is_web(const struct pl *sdp)
{
	return has(sdp, "UDP/TLS/RTP/SAVPF") || has(sdp, "\na=fingerprint:");
}

/** Whether it is of plain RTP */
bool bridge_is_plain(const struct pl *sdp)
{
	return !bridge_is_web(sdp) &&
	       !re_regex(sdp->p, sdp->l, "\nm=[^ \r\n]+ [0-9]+ RTP/", NULL,
			 NULL);
}

/** What its failure is, for people */
const char *bridge_why(int err)
{
	switch (err) {
	case EHOSTUNREACH:
		return "No Media Relay";
	case ETIMEDOUT:
		return "Media Relay Does Not Answer";
	case EBUSY:
		return "Media Relay Is Busy";
	case ENOTSUP:
		return "Media Relay Refuses";
	case EDQUOT:
		return "Too Many Calls By Media Relay";
	case EOVERFLOW:
		return "Media Changed Too Often";
	case E2BIG:
		return "Too Many Media Streams";
	case EMSGSIZE:
		return "Session Description Too Long";
	case EACCES:
		return "Media Address Not Allowed";
	case EPROTO:
		return "Session Description Not Understood";
	default:
		return "Media Relay Failed";
	}
}

static void set_relay(struct bridge *b, size_t relay)
{
	b->relay = relay;
	(void)re_snprintf(b->address, sizeof(b->address), "%J",
			  ng_address(b->ng, relay));
}

static int make(struct bridge **bp, struct ng *n, int64_t account, size_t relay,
		const char *id, bool web, bool had)
{
	struct bridge *b = mem_zalloc(sizeof(*b), destructor);
	int err;

	if (!b)
		return ENOMEM;
	buf_init(&b->words, NG_BODY_MAX);
	buf_init(&b->offered.sdp, AIM_SDP_MAX);
	buf_init(&b->offer.sdp, AIM_SDP_MAX);
	buf_init(&b->answer.sdp, AIM_SDP_MAX);
	b->ng = n;
	b->web = web;
	b->known = b->open = had;
	set_relay(b, relay);
	err = seat_take(&b->seat, ng_seats(n), account, had);
	if (!err)
		err = str_dup(&b->id, id);
	if (err) {
		if (err == EDQUOT)
			log_warn_often(1, "relay_account_full",
				       LOG_INT("account", account));
		mem_deref(b);
		return err;
	}
	*bp = b;

	return 0;
}

/**
 * Allocate one at the relay whose turn it is
 *
 * @param bp      Set to it, owned by the caller
 * @param account Who pays for it
 * @param id      What the relay is to call it
 * @param web     The phone speaks WebRTC
 *
 * @return 0, EHOSTUNREACH where no relay answers, EDQUOT where the account has
 *         SEATS_MAX, or ENOMEM
 */
int bridge_alloc(struct bridge **bp, struct ng *n, int64_t account,
		 const char *id, bool web)
{
	size_t relay;
	int err;

	err = n ? ng_pick(n, &relay) : EHOSTUNREACH;

	return err ? err : make(bp, n, account, relay, id, web, false);
}

static int find_relay(size_t *relay, const struct ng *n, const char *text)
{
	struct sa sa;
	int err;

	err = n ? sa_decode(&sa, text, strlen(text)) : ENOENT;

	return err ? err : ng_find(relay, n, &sa);
}

/** The same for one that the process before has made; ENOENT where its relay is
    not ours any more */
int bridge_resume(struct bridge **bp, struct ng *n, int64_t account,
		  const char *relay, const char *id, bool web)
{
	size_t at;
	int err;

	err = find_relay(&at, n, relay);

	return err ? err : make(bp, n, account, at, id, web, true);
}

/** Whether its phone speaks WebRTC */
bool bridge_web(const struct bridge *b)
{
	return b->web;
}

/** Where its relay is, as its row has it; borrowed */
const char *bridge_relay(const struct bridge *b)
{
	return b->address;
}

static void remove_at(struct ng *n, size_t relay, const char *id)
{
	struct buf ask;

	ngword_about(&ask, "delete", id);
	bencode_str(&ask, "delete-delay");
	buf_str(&ask, "i0e");
	buf_char(&ask, 'e');
	/* what is lost all the same ends by itself: after a minute without
	   media, or an hour where nobody has answered, or both have held */
	(void)ng_end(n, relay, &ask, id);
	buf_free(&ask);
}

/* --- what is said ------------------------------------------------------------
 */

static void on_answer(int err, const struct pl *dict, void *arg);

/* The first could not open it */
static int move(struct bridge *b)
{
	size_t other = b->relay;
	int err;

	err = ng_other(b->ng, &other);
	if (err)
		return err;
	remove_at(b->ng, b->relay, b->id);
	set_relay(b, other);
	ng_begin(b->ng, b->relay, b->id);
	b->moves = false;

	return ng_ask(&b->ask, b->ng, b->relay, &b->words,
		      NG_TRIES_MAX - FIRST_TRIES, on_answer, b);
}

/* One that has got other ports keeps the old ones, until the session ends */
static void count_moved(struct bridge *b, bool of_phone, const struct pl *sdp)
{
	uint16_t *had = b->portv[of_phone], portv[AIM_STREAMS_MAX];

	aim_ports(portv, sdp);
	for (size_t i = 0; i < AIM_STREAMS_MAX; i++) {
		if (!portv[i])
			continue;
		b->moved += had[i] && had[i] != portv[i];
		had[i] = portv[i];
	}
}

/* It has heard the answer: what was offered is what both sides have now */
static void agreed(struct bridge *b)
{
	b->known = true;
	if (!b->offered.sdp.len)
		return;
	buf_free(&b->offer.sdp);
	b->offer = b->offered;
	buf_init(&b->offered.sdp, AIM_SDP_MAX);
}

static void on_answer(int err, const struct pl *dict, void *arg)
{
	struct bridge *b = arg;
	struct pl sdp = PL_INIT;
	struct sa at;

	b->ask = NULL;
	if (!err)
		err = ngword_heard(&sdp, dict);
	if (!err && aim_first(&at, &sdp))
		ng_learn(b->ng, b->relay, &at);
	if (!err)
		count_moved(b, b->of_phone, &sdp);
	if (err)
		log_warn_often(1, "relay_failed", LOG_STR("relay", b->address),
			       LOG_STR("session", b->id),
			       LOG_STR("why", bridge_why(err)));
	else if (b->what == BRIDGE_ANSWER)
		agreed(b);
	if (err && b->what == BRIDGE_OFFER)
		ng_failed(b->ng, b->relay);
	if (err && b->moves && !move(b))
		return;
	b->open |= !err;
	buf_free(&b->words);
	b->h(err, &sdp, b->arg);
}

static bool may_aim(const struct sa *sa, void *arg)
{
	const struct bridge *b = arg;

	return ng_may_aim(b->ng, sa);
}

/* What it may hear: written to heard */
static int check(struct bridge *b, enum bridge_what what, struct buf *heard,
		 const struct pl *sdp)
{
	int err;

	err = what == BRIDGE_OFFER && b->moved >= BRIDGE_MOVED_MAX
		      ? EOVERFLOW
		      : aim_check(heard, sdp, may_aim, b);
	if (err)
		log_warn_often(1, "relay_not_asked", LOG_STR("session", b->id),
			       LOG_STR("why", bridge_why(err)));

	return err;
}

static void write_ask(struct buf *ask, const struct bridge *b,
		      enum bridge_what what, const struct saying *s)
{
	const struct ngword word = {
		.id = b->id,
		.sdp = {s->sdp.p, s->sdp.len},
		.is_offer = what == BRIDGE_OFFER,
		.of_phone = s->of_phone,
		.known = b->known,
		/* the phone's other side speaks what it does not */
		.to_web = s->of_phone ? !b->web : b->web,
	};

	buf_free(ask);
	ngword_say(ask, &word);
}

/**
 * Say something to the other side
 *
 * @param of_phone What the phone says; else what its call does
 * @param h        Called once, and never from here, unless it is freed before
 *
 * @return 0, EBUSY where something is being said, what aim_check says of it,
 *         EOVERFLOW for an offer where the relay has opened ports for too many
 *         before, or another errno
 */
int bridge_say(struct bridge *b, enum bridge_what what, bool of_phone,
	       const struct pl *sdp, bridge_h *h, void *arg)
{
	struct saying said = {.of_phone = of_phone};
	struct saying *kept = what == BRIDGE_OFFER ? &b->offered : &b->answer;
	size_t other = b->relay;
	int err;

	if (b->ask)
		return EBUSY;
	if (!b->open)
		ng_begin(b->ng, b->relay, b->id);
	buf_init(&said.sdp, AIM_SDP_MAX);
	err = check(b, what, &said.sdp, sdp);
	if (err) {
		buf_free(&said.sdp);
		return err;
	}
	b->again = mem_deref(b->again);
	write_ask(&b->words, b, what, &said);
	buf_free(&kept->sdp);
	*kept = said;
	b->what = what;
	b->of_phone = of_phone;
	b->h = h;
	b->arg = arg;
	b->moves = what == BRIDGE_OFFER && !b->open && !ng_other(b->ng, &other);

	return ng_ask(&b->ask, b->ng, b->relay, &b->words,
		      b->moves ? FIRST_TRIES : NG_TRIES_MAX, on_answer, b);
}

/** Who waits for what is being said does so no more */
void bridge_hush(struct bridge *b)
{
	b->ask = mem_deref(b->ask);
}

static void say_again(struct bridge *b, enum bridge_what what, ng_h *h)
{
	struct buf ask;

	buf_init(&ask, NG_BODY_MAX);
	write_ask(&ask, b, what, what == BRIDGE_OFFER ? &b->offer : &b->answer);
	if (ng_ask(&b->again, b->ng, b->relay, &ask, NG_TRIES_MAX, h, b))
		b->again = NULL;
	buf_free(&ask);
}

/* @return Whether it has heard that, and what that was translated to */
static bool heard_again(struct bridge *b, bool of_phone, int err,
			const struct pl *dict)
{
	struct pl sdp;

	b->again = NULL;
	if (!err)
		err = ngword_heard(&sdp, dict);
	if (err)
		log_warn_often(1, "relay_failed", LOG_STR("relay", b->address),
			       LOG_STR("session", b->id),
			       LOG_STR("why", bridge_why(err)));
	else
		count_moved(b, of_phone, &sdp);

	return !err;
}

static void on_answer_again(int err, const struct pl *dict, void *arg)
{
	struct bridge *b = arg;

	(void)heard_again(b, b->answer.of_phone, err, dict);
}

static void on_offer_again(int err, const struct pl *dict, void *arg)
{
	struct bridge *b = arg;

	if (heard_again(b, b->offer.of_phone, err, dict))
		say_again(b, BRIDGE_ANSWER, on_answer_again);
}

/**
 * What was offered is not taken, and the sides go on with what they had: so is
 * the relay to, which has media sent to where an offer says from then on. It
 * hears that once more; what a process before has said to it is not known
 */
void bridge_refused(struct bridge *b)
{
	if (!b->offered.sdp.len)
		return;
	buf_free(&b->offered.sdp);
	if (b->offer.sdp.len && b->answer.sdp.len && !b->ask)
		say_again(b, BRIDGE_OFFER, on_offer_again);
}

/* --- its end -----------------------------------------------------------------
 */

static void on_look(int err, const struct pl *dict, void *arg)
{
	struct bridge *b = arg;
	struct pl result;

	b->look = NULL;
	/* that it does not answer says nothing of what it has */
	if (!err && !bencode_find(&result, dict, "result") &&
	    !pl_strcmp(&result, "error"))
		b->goneh(b->gone_arg);
}

/**
 * Find out whether the relay still has it
 *
 * @param gone Called where it says that it has not
 */
int bridge_look(struct bridge *b, void (*gone)(void *arg), void *arg)
{
	struct buf ask;
	int err;

	if (b->look)
		return EBUSY;
	b->goneh = gone;
	b->gone_arg = arg;
	ngword_about(&ask, "query", b->id);
	buf_char(&ask, 'e');
	err = ng_ask(&b->look, b->ng, b->relay, &ask, NG_TRIES_MAX, on_look, b);
	buf_free(&ask);

	return err;
}

/** The relay needs it no more; the caller frees it */
void bridge_end(struct bridge *b)
{
	b->ask = mem_deref(b->ask);
	b->look = mem_deref(b->look);
	b->again = mem_deref(b->again);
	remove_at(b->ng, b->relay, b->id);
}

/** The same by what its row says */
void bridge_delete(struct ng *n, const char *relay, const char *id)
{
	size_t at;

	if (!find_relay(&at, n, relay))
		remove_at(n, at, id);
}

/** The same where no row says which relay it is at, if at any */
void bridge_delete_anywhere(struct ng *n, const char *id)
{
	for (size_t i = 0; n && i < ng_count(n); i++)
		remove_at(n, i, id);
}
