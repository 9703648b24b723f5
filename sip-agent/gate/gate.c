/*
 * From bytes to libre, or to an answer, or to nothing.
 */
#include "gate/gate.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "common/log.h"
#include "gate/budget.h"
#include "gate/prepare.h"
#include "gate/refusal.h"
#include "gate/sockfilter.h"
#include "gate/trust.h"
#include "gate/welcome.h"
#include "logre.h"
#include "parse/line.h"
#include "parse/peer.h"
#include "parse/sanity.h"
#include "settings/ours.h"

enum {
	STUN_HEADER_LEN = 20,
};

struct gate {
	const struct settings *set;
	struct budget *budget;
	struct trust *trust;
	struct welcome welcome;
	struct sockfilter *filter;
};

static void destructor(void *arg)
{
	struct gate *g = arg;

	mem_deref(g->filter);
}

/**
 * Allocate
 *
 * @param gp Set to the gate, owned by the caller
 * @param ag With settings, budget, trust and nonces; they are borrowed
 */
int gate_alloc(struct gate **gp, const struct agent *ag)
{
	struct gate *g = mem_zalloc(sizeof(*g), destructor);
	int err;

	if (!g)
		return ENOMEM;

	g->set = ag->set;
	g->budget = ag->budget;
	g->trust = ag->trust;
	g->welcome = (struct welcome){
		.budget = ag->budget,
		.trust = ag->trust,
		.nonces = ag->nonces,
	};
	err = sockfilter_alloc(&g->filter);
	if (err)
		mem_deref(g);
	else
		*gp = g;

	return err;
}

/** Have requests of calls come through, whatever else their source does */
void gate_set_known(struct gate *g, welcome_known_h *h, void *arg)
{
	g->welcome.knownh = h;
	g->welcome.arg = arg;
}

/** A UDP socket whose datagrams will come; borrowed as long as the loop runs */
void gate_add_socket(struct gate *g, const struct udp_sock *us)
{
	struct sa laddr;
	int err;

	err = udp_local_get(us, &laddr);
	if (!err)
		err = sockfilter_add(g->filter, udp_sock_fd(us, sa_af(&laddr)),
				     sa_af(&laddr));
	if (err)
		log_warn("socket_unfiltered", LOG_ERRNO(err));
}

/* --- what is refused ----------------------------------------------------- */

static void refused(struct gate *g, enum budget_proof proof,
		    const struct sa *src, const struct sanity *m)
{
	const uint64_t now = tmr_jiffies();
	uint32_t suppressed;

	if (m->scode == 503) { /* our own trouble is not held against it */
		log_error_often(1, "no_memory", LOG_STR("where", "gate"));
		return;
	}
	budget_bad(g->budget, proof, src, now);
	if (!budget_may_log(g->budget, now, &suppressed))
		return;
	log_info("refused", LOG_SA("source", src), LOG_PL("method", &m->method),
		 LOG_PL("call_id", &m->call_id), LOG_INT("code", m->scode),
		 LOG_STR("why", m->why), LOG_INT("suppressed", suppressed));
}

static void junk(struct gate *g, enum budget_proof proof, const struct sa *src,
		 size_t len)
{
	const uint64_t now = tmr_jiffies();
	uint32_t suppressed;

	budget_bad(g->budget, proof, src, now);
	if (budget_may_log(g->budget, now, &suppressed))
		log_info("junk", LOG_SA("source", src),
			 LOG_INT("bytes", (int64_t)len),
			 LOG_INT("suppressed", suppressed));
}

static void answer_datagram(struct gate *g, struct udp_sock *us,
			    const struct sa *src, const struct sanity *m,
			    const char *head)
{
	struct mbuf *mb;
	struct sa dst;

	refused(g, BUDGET_CLAIMED, src, m);
	if (m->kind != SANITY_REQUEST || sanity_is_ack(m))
		return;

	refusal_dst(&dst, m, src);
	if (!peer_is_possible(&dst) || settings_is_own(g->set, &dst) ||
	    refusal_encode(&mb, m, head, src))
		return;
	(void)udp_send(us, &dst, mb); /* it is lost, as any datagram may be */
	mem_deref(mb);
}

/* --- what passes --------------------------------------------------------- */

/* RFC 5389 section 6; its classes and methods are libre's affair */
static bool is_stun(const uint8_t *p, size_t len)
{
	static const uint8_t cookie[] = {0x21, 0x12, 0xa4, 0x42};

	return len >= STUN_HEADER_LEN && p[0] < 2 &&
	       !memcmp(p + 4, cookie, sizeof(cookie)) &&
	       (size_t)(p[2] << 8 | p[3]) == len - STUN_HEADER_LEN;
}

/* The transactions of INVITE are libre's, and with them ACK and CANCEL */
static bool is_for_libre(const struct sanity *m)
{
	return m->kind != SANITY_REQUEST || sanity_is_ack(m) ||
	       !pl_strcmp(&m->method, "INVITE") ||
	       !pl_strcmp(&m->method, "CANCEL");
}

/* Bytes of the empty lines before a message, which are nothing (RFC 3261
   section 7.5).  Alone they keep a binding of a NAT alive */
static size_t empty_lines(const struct mbuf *mb)
{
	const size_t len = mbuf_get_left(mb);
	const size_t empty = line_empty((const char *)mbuf_buf(mb), len);

	return empty < len ? empty : 0;
}

/**
 * Take a datagram
 *
 * @param us   The socket that it came by, for an answer
 * @param mb   The datagram; changed where libre needs that
 * @param msgp Set where the verdict is GATE_REQUEST; owned by the caller
 */
enum gate_verdict gate_datagram(struct gate *g, struct udp_sock *us,
				const struct sa *src, struct mbuf *mb,
				struct sip_msg **msgp)
{
	const size_t pos = mb->pos + empty_lines(mb), len = mb->end - pos;
	const char *p = (const char *)mb->buf + pos;
	struct sanity m;
	bool heard;

	mb->pos = pos;
	if (!peer_is_possible(src) || settings_is_own(g->set, src) || !len)
		return GATE_DONE;
	heard = welcome_is_heard(&g->welcome, src);
	if (!heard && !trust_has_source(g->trust, src, tmr_jiffies())) {
		sockfilter_dropped(g->filter, src, tmr_jiffies());
		return GATE_DONE;
	}

	if (is_stun((const uint8_t *)p, len))
		return heard && budget_unproven(g->budget, BUDGET_CLAIMED, src,
						tmr_jiffies())
			       ? GATE_LIBRE
			       : GATE_DONE;

	if (sanity_parse(&m, p, len) == SANITY_KEEPALIVE ||
	    (!heard && !welcome_is_heard_anyway(&g->welcome, &m, src)))
		return GATE_DONE;

	if (m.kind != SANITY_JUNK && !m.scode) {
		struct sip_msg *msg;

		if (heard && !welcome_request(&g->welcome, &m, src, false))
			return GATE_DONE;
		msg = prepare_message(&m, mb, src, is_for_libre(&m));
		if (msg && !is_for_libre(&m)) {
			*msgp = msg;
			return GATE_REQUEST;
		}
		mb->pos = pos;
		if (msg) {
			mem_deref(msg);
			return GATE_LIBRE;
		}
	}

	if (m.kind == SANITY_JUNK)
		junk(g, BUDGET_CLAIMED, src, len);
	else
		answer_datagram(g, us, src, &m, (const char *)mbuf_buf(mb));

	return GATE_DONE;
}

/** Whether somebody there has proved who he is, within a day */
bool gate_has_phones(struct gate *g, const struct sa *src)
{
	return trust_has_source(g->trust, src, tmr_jiffies());
}

/** Whether a connection may come from there */
bool gate_may_connect(struct gate *g, const struct sa *src)
{
	const uint64_t now = tmr_jiffies();

	return peer_is_possible(src) &&
	       (budget_may_speak(g->budget, BUDGET_SHOWN, src, now) ||
		trust_has_source(g->trust, src, now));
}

/** Whether what comes by a connection is listened to */
bool gate_may_speak(struct gate *g, const struct sa *src)
{
	const uint64_t now = tmr_jiffies();

	return budget_may_speak(g->budget, BUDGET_SHOWN, src, now) ||
	       trust_spend(g->trust, src, true, now);
}

static void send_answer(struct tcp_conn *tc, const struct sa *src,
			const struct sanity *m, const char *head)
{
	struct mbuf *mb;

	if (m->kind != SANITY_REQUEST || sanity_is_ack(m) ||
	    refusal_encode(&mb, m, head, src))
		return;
	(void)tcp_send(tc, mb); /* who has gone needs no answer */
	mem_deref(mb);
}

static void answer_stream(struct gate *g, struct tcp_conn *tc,
			  const struct sa *src, const struct sanity *m,
			  const char *head)
{
	refused(g, BUDGET_SHOWN, src, m);
	send_answer(tc, src, m, head);
}

/**
 * Take one whole message of a connection
 *
 * @param mb The message; changed where libre needs that
 *
 * @return 0 where it is for libre; EACCES where that was all; ECONNABORTED
 *         where the connection is to end
 */
int gate_message(struct gate *g, struct tcp_conn *tc, const struct sa *src,
		 struct mbuf *mb)
{
	const size_t pos = mb->pos;
	struct sanity m;

	(void)sanity_parse(&m, (const char *)mbuf_buf(mb), mbuf_get_left(mb));
	if (m.kind == SANITY_REQUEST || m.kind == SANITY_RESPONSE) {
		if (!m.scode) {
			struct sip_msg *msg;

			if (!welcome_request(&g->welcome, &m, src, true)) {
				/* nobody repeats over a stream */
				m.scode = 480;
				m.why = "Too Many Requests";
				send_answer(tc, src, &m,
					    (const char *)mbuf_buf(mb));
				return EACCES;
			}
			msg = prepare_message(&m, mb, src, true);
			mb->pos = pos;
			if (msg) {
				mem_deref(msg);
				return 0;
			}
		}
	}
	if (m.kind != SANITY_REQUEST && m.kind != SANITY_RESPONSE) {
		junk(g, BUDGET_SHOWN, src, mbuf_get_left(mb));
		return ECONNABORTED;
	}
	answer_stream(g, tc, src, &m, (const char *)mbuf_buf(mb));

	return EACCES;
}

/**
 * Answer to a stream of which one cannot know where its message ends; the
 * connection is to end then
 *
 * @param mb  What came of the message
 * @param err What framing_take returned
 */
void gate_unframed(struct gate *g, struct tcp_conn *tc, const struct sa *src,
		   const struct mbuf *mb, int err)
{
	struct sanity m;

	(void)sanity_parse(&m, (const char *)mb->buf, mb->end);
	if (m.kind != SANITY_REQUEST) {
		junk(g, BUDGET_SHOWN, src, mb->end);
		return;
	}

	switch (err) {
	case EMSGSIZE:
		m.scode = 513;
		m.why = "Message Too Large";
		break;

	case EOVERFLOW:
		m.scode = 413;
		m.why = "Request Entity Too Large";
		break;

	default:
		m.scode = 400;
		m.why = m.has_length ? "Bad Content-Length"
				     : "Missing Content-Length";
		break;
	}
	answer_stream(g, tc, src, &m, (const char *)mb->buf);
}

/** A response that nobody waits for */
void gate_stray(struct gate *g, const struct sip_msg *msg)
{
	budget_bad(g->budget, budget_proof_of(msg), &msg->src, tmr_jiffies());
}
