/*
 * Each relay has a socket of its own, connected to it, so that nobody else is
 * heard. One that does not answer a ping is passed over until it answers one.
 */
#include "media/ng.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "common/secret.h"
#include "logre.h"
#include "media/bencode.h"
#include "media/seat.h"

enum {
	COOKIE_BYTES = 8,
	COOKIE_SIZE = 2 * COOKIE_BYTES + 1,
	BUCKETS = 256,
	PING_MS = 5000,
	DATAGRAM_MAX = 65536,
};

struct relay {
	struct ng *ng;
	struct sa sa;
	struct udp_sock *us;
	struct sa media; /* where it has media sent to */
	bool silent;
	uint64_t failed_until; /* ms; others are asked rather */
	bool pinged;	       /* and has not answered yet */
};

struct ng {
	struct relay relayv[NG_RELAYS_MAX];
	size_t relayc, next;
	struct hash *asks; /* by their cookies */
	struct seats *seats;
	struct list ends; /* asks of ng_end */
	size_t count;
	struct tmr tmr;
	ng_may_h *mayh;
	void *may_arg;
};

/* Its table has a reference, until it is answered, given up or cancelled */
struct ng_ask {
	struct le le;
	struct le ends;
	char *id; /* of the session that is to end */
	struct relay *relay;
	char cookie[COOKIE_SIZE];
	struct mbuf *mb;
	int tries, tries_max;
	struct tmr tmr;
	ng_h *h;
	void *arg;
};

static void ask_destructor(void *arg)
{
	struct ng_ask *a = arg;

	tmr_cancel(&a->tmr);
	if (a->le.list)
		a->relay->ng->count--;
	hash_unlink(&a->le);
	list_unlink(&a->ends);
	mem_deref(a->id);
	mem_deref(a->mb);
}

static void destructor(void *arg)
{
	struct ng *n = arg;

	tmr_cancel(&n->tmr);
	hash_flush(n->asks);
	mem_deref(n->asks);
	mem_deref(n->seats);
	for (size_t i = 0; i < n->relayc; i++)
		mem_deref(n->relayv[i].us);
}

/* --- answers ----------------------------------------------------------------
 */

static bool cookie_handler(struct le *le, void *arg)
{
	const struct ng_ask *a = le->data;
	const struct pl *cookie = arg;

	return !pl_strcmp(cookie, a->cookie);
}

static void heard(struct relay *r)
{
	if (r->silent)
		log_info("relay_is_back", LOG_SA("relay", &r->sa));
	r->silent = false;
}

/* Over; whoever has asked may free it meanwhile */
static void end(struct ng_ask *a, int err, const struct pl *dict)
{
	ng_h *h = a->h;
	void *arg = a->arg;

	mem_deref(a);
	if (h)
		h(err, dict, arg);
}

static void on_datagram(const struct sa *src, struct mbuf *mb, void *arg)
{
	struct relay *r = arg;
	struct pl dict = {(const char *)mbuf_buf(mb), mbuf_get_left(mb)};
	struct pl cookie = {dict.p, 0}, result;
	struct ng_ask *a;
	int err;

	while (cookie.l < dict.l && cookie.p[cookie.l] != ' ')
		cookie.l++;
	if (!sa_cmp(src, &r->sa, SA_ALL) || cookie.l >= dict.l)
		return;
	a = list_ledata(hash_lookup(r->ng->asks, hash_joaat_pl(&cookie),
				    cookie_handler, &cookie));
	if (!a || a->relay != r)
		return;
	pl_advance(&dict, (ssize_t)(cookie.l + 1));
	err = bencode_find(&result, &dict, "result");
	if (err) {
		log_warn_often(1, "relay_answer_refused",
			       LOG_SA("relay", &r->sa));
		err = EBADMSG;
	}
	end(a, err, err ? NULL : &dict);
}

/* --- questions ---------------------------------------------------------------
 */

static void silent(struct relay *r)
{
	if (!r->silent)
		log_warn_often(1, "relay_is_silent", LOG_SA("relay", &r->sa));
	r->silent = true;
}

static void send_it(void *arg)
{
	struct ng_ask *a = arg;
	struct relay *r = a->relay;

	if (a->tries++ >= a->tries_max) {
		end(a, ETIMEDOUT, NULL);
		return;
	}
	tmr_start(&a->tmr, NG_AGAIN_MS, send_it, a);
	mbuf_set_pos(a->mb, 0);
	/* what is lost is repeated; nobody listens there: the same */
	(void)udp_send(r->us, &r->sa, a->mb);
}

static int make_cookie(char cookie[static COOKIE_SIZE])
{
	uint8_t raw[COOKIE_BYTES];

	if (random_bytes(raw, sizeof(raw)))
		return EIO;

	return re_snprintf(cookie, COOKIE_SIZE, "%w", raw, sizeof(raw)) < 0
		       ? EIO
		       : 0;
}

/**
 * Ask a relay
 *
 * @param ap   Set to the question, which mem_deref cancels as long as it is
 *             under way; NULL: nobody does. Borrowed
 * @param dict What is asked, bencoded
 * @param tries How often, NG_AGAIN_MS each
 * @param h    Called once, unless it is cancelled; may be NULL
 *
 * @return 0, EBUSY where too many are under way, or another errno
 */
int ng_ask(struct ng_ask **ap, struct ng *n, size_t relay,
	   const struct buf *dict, int tries, ng_h *h, void *arg)
{
	struct ng_ask *a;
	int err;

	if (dict->failed || dict->len > NG_BODY_MAX)
		return EMSGSIZE;
	if (n->count >= NG_ASKS_MAX)
		return EBUSY;
	a = mem_zalloc(sizeof(*a), ask_destructor);
	if (!a)
		return ENOMEM;
	a->relay = &n->relayv[relay];
	a->tries_max = tries;
	a->h = h;
	a->arg = arg;
	a->mb = mbuf_alloc(dict->len + COOKIE_SIZE);
	err = a->mb ? make_cookie(a->cookie) : ENOMEM;
	if (!err)
		err = mbuf_printf(a->mb, "%s %b", a->cookie, dict->p,
				  dict->len);
	if (err) {
		mem_deref(a);
		return err;
	}
	hash_append(n->asks, hash_joaat_str(a->cookie), &a->le, a);
	n->count++;
	send_it(a);
	if (ap)
		*ap = a;

	return 0;
}

/**
 * Have a relay end a session, for which nobody waits: it is told for longer, as
 * far as that takes no more than half of the places
 *
 * @param id What it calls it
 */
int ng_end(struct ng *n, size_t relay, const struct buf *dict, const char *id)
{
	const bool has_time = n->count < NG_ASKS_MAX / 2;
	struct ng_ask *a;
	int err;

	err = ng_ask(&a, n, relay, dict,
		     has_time ? NG_TRIES_LAST : NG_TRIES_MAX, NULL, NULL);
	if (err)
		return err;
	err = str_dup(&a->id, id);
	if (err) /* it could end another that is begun meanwhile */
		mem_deref(a);
	else
		list_append(&n->ends, &a->ends, a);

	return err;
}

/** One of that name begins there: what has ended before is not told any more */
void ng_begin(struct ng *n, size_t relay, const char *id)
{
	struct le *le = list_head(&n->ends);

	while (le) {
		struct ng_ask *a = le->data;

		le = le->next;
		if (a->relay == &n->relayv[relay] && !str_cmp(a->id, id))
			mem_deref(a);
	}
}

/* --- are they there? ------------------------------------------------------
 */

/* That alone says whether it is there: what it does not answer else may be what
   a phone has said */
static void on_pong(int err, const struct pl *dict, void *arg)
{
	struct relay *r = arg;
	struct pl result;

	r->pinged = false;
	if (!err && !bencode_find(&result, dict, "result") &&
	    !pl_strcmp(&result, "pong"))
		heard(r);
	else
		silent(r);
}

static void ping(void *arg)
{
	struct ng *n = arg;
	struct buf b;

	tmr_start(&n->tmr, PING_MS, ping, n);
	buf_init(&b, NG_BODY_MAX);
	buf_char(&b, 'd');
	bencode_member(&b, "command", "ping");
	buf_char(&b, 'e');
	for (size_t i = 0; i < n->relayc; i++) {
		struct relay *r = &n->relayv[i];

		if (!r->pinged)
			r->pinged = !ng_ask(NULL, n, i, &b, NG_TRIES_MAX,
					    on_pong, r);
	}
	buf_free(&b);
}

/* From the next in turn, but that one. Whoever is put back comes after the
   others, and is better than none: a phone may have been the cause */
static int pick(struct ng *n, const struct relay *but, size_t *relay)
{
	const uint64_t now = tmr_jiffies();
	bool found = false;

	for (size_t i = 0; i < n->relayc; i++) {
		const size_t at = (n->next + i) % n->relayc;
		const struct relay *r = &n->relayv[at];
		const bool failed = r->failed_until > now;

		if (r->silent || r == but || (found && failed))
			continue;
		*relay = at;
		found = true;
		if (!failed)
			break;
	}

	return found ? 0 : EHOSTUNREACH;
}

/**
 * The next in turn that answers
 *
 * @return 0, or EHOSTUNREACH where none does
 */
int ng_pick(struct ng *n, size_t *relay)
{
	int err;

	err = pick(n, NULL, relay);
	if (!err)
		n->next = *relay + 1;

	return err;
}

/**
 * Another that answers
 *
 * @param relay Set to it; before, which one it is not to be
 *
 * @return 0, or EHOSTUNREACH where none does
 */
int ng_other(struct ng *n, size_t *relay)
{
	return pick(n, &n->relayv[*relay], relay);
}

/** It has failed at an offer: others are asked rather, for a while */
void ng_failed(struct ng *n, size_t relay)
{
	n->relayv[relay].failed_until = tmr_jiffies() + NG_PUT_BACK_MS;
}

/** Which one it is, whether it answers or not; 0 or ENOENT */
int ng_find(size_t *relay, const struct ng *n, const struct sa *sa)
{
	for (size_t i = 0; i < n->relayc; i++) {
		if (sa_cmp(&n->relayv[i].sa, sa, SA_ALL)) {
			*relay = i;
			return 0;
		}
	}

	return ENOENT;
}

/** Who says where media may be sent; without it, anywhere */
void ng_guard(struct ng *n, ng_may_h *h, void *arg)
{
	n->mayh = h;
	n->may_arg = arg;
}

/** Where a relay has media sent to: another, or itself, may send some there */
void ng_learn(struct ng *n, size_t relay, const struct sa *media)
{
	if (!sa_is_any(media))
		n->relayv[relay].media = *media;
}

static bool is_of_relay(const struct ng *n, const struct sa *sa)
{
	for (size_t i = 0; i < n->relayc; i++) {
		if (sa_cmp(&n->relayv[i].media, sa, SA_ADDR))
			return true;
	}

	return false;
}

/**
 * Whether a relay may be told to send media there
 *
 * Never to a port where a relay is asked: it may listen at more addresses than
 * we know of, and what it sends itself it may obey.
 */
bool ng_may_aim(const struct ng *n, const struct sa *sa)
{
	for (size_t i = 0; i < n->relayc; i++) {
		if (sa_port(&n->relayv[i].sa) == sa_port(sa))
			return false;
	}

	/* the unspecified one: nothing is sent (RFC 3264 section 8.4) */
	return sa_is_any(sa) || !n->mayh ||
	       n->mayh(sa, is_of_relay(n, sa), n->may_arg);
}

/** Whose sessions they have; borrowed */
struct seats *ng_seats(struct ng *n)
{
	return n->seats;
}

size_t ng_count(const struct ng *n)
{
	return n->relayc;
}

const struct sa *ng_address(const struct ng *n, size_t relay)
{
	return &n->relayv[relay].sa;
}

static int open_relay(struct ng *n, const struct sa *sa)
{
	struct relay *r = &n->relayv[n->relayc];
	struct sa any;
	int err;

	r->ng = n;
	r->sa = *sa;
	sa_init(&any, sa_af(sa));
	if (sa_is_loopback(sa)) /* whatever is to be said where */
		err = sa_set_str(&any,
				 sa_af(sa) == AF_INET ? "127.0.0.1" : "::1", 0);
	else
		err = sa_set_str(&any,
				 sa_af(sa) == AF_INET ? "0.0.0.0" : "::", 0);
	if (!err)
		err = udp_listen(&r->us, &any, on_datagram, r);
	if (err)
		return err;
	n->relayc++;
	udp_rxsz_set(r->us, DATAGRAM_MAX);

	return udp_connect(r->us, sa);
}

/**
 * Allocate, and find out which of them are there
 *
 * @param relayv Where they listen, NG_RELAYS_MAX at most
 */
int ng_alloc(struct ng **np, const struct sa *relayv, size_t relayc)
{
	struct ng *n = mem_zalloc(sizeof(*n), destructor);
	int err;

	if (!n)
		return ENOMEM;
	err = hash_alloc(&n->asks, BUCKETS);
	if (!err)
		err = seats_alloc(&n->seats);
	for (size_t i = 0; !err && i < relayc && i < NG_RELAYS_MAX; i++)
		err = open_relay(n, &relayv[i]);
	if (!err && relayc > NG_RELAYS_MAX)
		err = E2BIG;
	if (err) {
		mem_deref(n);
		return err;
	}
	tmr_start(&n->tmr, 0, ping, n);
	*np = n;

	return 0;
}
