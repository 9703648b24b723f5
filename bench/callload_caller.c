/*
 * callload_caller.c: who calls: INVITE, ACK and BYE, and what comes of them.
 */
#include "callload.h"

#include <stdio.h>
#include <string.h>

#define TIMER "Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\n"

size_t call_slot(const struct load *l, const struct call *c)
{
	return (size_t)(c - l->callv);
}

/* A request of the caller's; within: of its dialog, else the INVITE's own */
static void put_request(struct load *l, struct packet *p, const struct call *c,
			const char *method, bool within, const char *branch)
{
	char me[FIELD], uri[FIELD];
	const size_t slot = call_slot(l, c);

	sip_aor(l, me, c->from);
	sip_aor(l, uri, c->to);
	packet_put(
		p,
		"%s %s SIP/2.0\r\n"
		"Via: SIP/2.0/UDP %s;branch=z9hG4bK.%s.%zu.%u.%u.%x;rport\r\n"
		"Max-Forwards: 70\r\nFrom: <%s>;tag=a%zu.%u\r\n"
		"Call-ID: call-%x-%zu-%u\r\nCSeq: %u %s\r\n",
		method, within ? c->target : uri, l->a.at, branch, slot,
		c->serial, c->cseq, l->boot, me, slot, c->serial, l->boot, slot,
		c->serial, c->cseq, method);
	if (c->remote[0])
		packet_put(p, "To: %s\r\n", c->remote);
	else
		packet_put(p, "To: <%s>\r\n", uri);
	if (within && c->route[0])
		packet_put(p, "Route: %s\r\n", c->route);
}

/* Until what it does next */
static void pause_call(const struct load *l, struct call *c)
{
	c->due_us = load_now_us() + l->hold_us / (l->refreshes + 1);
}

size_t call_third(const struct load *l, const struct call *c)
{
	return l->callers + (c->to + l->callers / 2) % l->callers;
}

static void send_invite(struct load *l, struct call *c)
{
	struct packet p = {.len = 0};
	char uri[FIELD], sdp[TEXT];
	int n;

	c->signed_once = l->accountv[c->from].nonce[0] != '\0';
	put_request(l, &p, c, "INVITE", false, "i");
	packet_put(&p, "Contact: <sip:%s%zu@%s>\r\n", l->prefix, c->from,
		   l->a.at);
	sip_put_credentials(l, &p, c->from, "INVITE", sip_aor(l, uri, c->to));
	if (l->refreshes)
		packet_put(&p, TIMER);
	/* its name says to the callee which call it is */
	n = snprintf(sdp, sizeof(sdp),
		     "v=0\r\no=- %u 1 IN IP4 127.0.0.1\r\ns=call %zu %u %x\r\n"
		     "c=IN IP4 127.0.0.1\r\nt=0 0\r\n"
		     "m=audio 40000 RTP/AVP 0 8 101\r\n"
		     "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
		     "a=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n",
		     c->serial, call_slot(l, c), c->serial, l->boot);
	packet_put(
		&p,
		"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
		n, sdp);
	packet_send(&l->a, &p);
}

static void send_ack(struct load *l, const struct call *c, bool success)
{
	struct packet p = {.len = 0};

	put_request(l, &p, c, "ACK", success, success ? "a" : "i");
	packet_put(&p, "Content-Length: 0\r\n\r\n");
	packet_send(&l->a, &p);
}

static void send_bye(struct load *l, const struct call *c)
{
	struct packet p = {.len = 0};

	put_request(l, &p, c, "BYE", true, "b");
	packet_put(&p, "Content-Length: 0\r\n\r\n");
	packet_send(&l->a, &p);
}

static void send_refresh(struct load *l, const struct call *c)
{
	struct packet p = {.len = 0};

	put_request(l, &p, c, "UPDATE", true, "u");
	packet_put(&p,
		   "Contact: <sip:%s%zu@%s>\r\n" TIMER
		   "Content-Length: 0\r\n\r\n",
		   l->prefix, c->from, l->a.at);
	packet_send(&l->a, &p);
}

static void send_refer(struct load *l, const struct call *c)
{
	struct packet p = {.len = 0};
	char uri[FIELD];

	put_request(l, &p, c, "REFER", true, "f");
	packet_put(&p,
		   "Contact: <sip:%s%zu@%s>\r\nRefer-To: <%s>\r\n"
		   "Content-Length: 0\r\n\r\n",
		   l->prefix, c->from, l->a.at,
		   sip_aor(l, uri, call_third(l, c)));
	packet_send(&l->a, &p);
}

/* What it does in the call, and to end it */
static void go_on(struct load *l, struct call *c)
{
	c->cseq++;
	again_begin(&c->ask);
	if (c->refreshes < l->refreshes) {
		c->caller = REFRESHING;
		send_refresh(l, c);
	} else if (l->hands_on) {
		c->caller = REFERRING;
		c->third.asked_us = load_now_us();
		l->accountv[c->to].handed_on = c;
		send_refer(l, c);
	} else {
		c->caller = HANGING_UP;
		send_bye(l, c);
	}
}

void caller_begin(struct load *l)
{
	struct call *c;

	if (l->there >= CALLS_AT_ONCE)
		return;
	do
		c = &l->callv[l->next_slot++ % CALLS_AT_ONCE];
	while (c->caller != FREE);
	memset(c, 0, sizeof(*c));
	c->caller = CALLING;
	c->serial = ++l->serial;
	c->cseq = 1;
	c->from = l->next_caller++ % l->callers;
	c->to = c->from + l->callers;
	c->began_us = load_now_us();
	if (l->fresh)
		l->accountv[c->from].nonce[0] = '\0';
	l->there++;
	l->setting_up++;
	l->begun++;
	again_begin(&c->ask);
	send_invite(l, c);
}

/* Whether it waits for the server */
bool call_sets_up(const struct call *c)
{
	return (c->caller == CALLING || c->caller == PROCEEDING) &&
	       c->callee != RINGS;
}

static void is_set_up(struct load *l, struct call *c, enum caller next)
{
	l->setting_up -= call_sets_up(c) ? 1U : 0U;
	c->caller = next;
}

bool call_is_measured(const struct load *l)
{
	const int64_t now = load_now_us();

	return now >= l->from_us && now < l->end_us;
}

static void fail(struct load *l, struct call *c, int code)
{
	l->failed++;
	l->code[code < CODES ? code : 0]++;
	is_set_up(l, c, FREE);
	l->there--;
}

/* All have hung up */
void call_end_if_over(struct load *l, struct call *c)
{
	if (c->caller != GONE || c->callee != LEFT ||
	    (l->hands_on && c->third.is != WENT))
		return;
	l->done += call_is_measured(l);
	c->caller = FREE;
	l->there--;
}

static void take_200(struct load *l, struct call *c, const char *message)
{
	char value[FIELD];
	const int64_t now = load_now_us();

	sip_header(c->remote, message, "To");
	sip_header(c->route, message, "Record-Route"); /* of one proxy */
	sip_uri(c->target, sip_header(value, message, "Contact"));
	c->ask.at_us = 0;
	is_set_up(l, c, UP);
	pause_call(l, c);
	if (call_is_measured(l) && c->answered_us && l->samples < SAMPLES_MAX) {
		l->passv[l->samples] = (uint32_t)(now - c->answered_us);
		l->setupv[l->samples++] = (uint32_t)(now - c->began_us);
	}
}

static void take_refusal(struct load *l, struct call *c, const char *message,
			 int code)
{
	sip_header(c->remote, message, "To");
	send_ack(l, c, false);
	c->remote[0] = '\0';
	if ((code == 401 || code == 407) &&
	    sip_take_challenge(l, &l->accountv[c->from], message, code,
			       c->signed_once && c->cseq > 1)) {
		c->cseq++;
		c->caller = CALLING;
		again_begin(&c->ask);
		send_invite(l, c);
		return;
	}
	fail(l, c, code);
}

static void take_of_invite(struct load *l, struct call *c, const char *message,
			   int code)
{
	if (c->caller == UP && code / 100 == 2) {
		send_ack(l, c, true); /* it was lost */
	} else if (c->caller != CALLING && c->caller != PROCEEDING) {
		return;
	} else if (code < 200) {
		c->caller = PROCEEDING;
		c->ask.at_us = 0;
		c->ask.until_us = load_now_us() +
				  6 * (int64_t)LIFE_US; /* timer C */
	} else if (code < 300) {
		take_200(l, c, message);
		send_ack(l, c, true);
	} else {
		take_refusal(l, c, message, code);
	}
}

static void take_of_bye(struct load *l, struct call *c, int code)
{
	if (c->caller != HANGING_UP || code < 200)
		return;
	if (code >= 300) {
		fail(l, c, code);
		return;
	}
	c->caller = GONE;
	c->ask.at_us = 0;
	call_end_if_over(l, c);
}

static void take_of_refresh(struct load *l, struct call *c, int code)
{
	if (c->caller != REFRESHING || code < 200)
		return;
	if (code >= 300) {
		fail(l, c, code);
		return;
	}
	c->refreshes++;
	c->caller = UP;
	c->ask.at_us = 0;
	pause_call(l, c);
}

static void take_of_refer(struct load *l, struct call *c, int code)
{
	if (c->caller != REFERRING || code < 200)
		return;
	if (code >= 300) {
		fail(l, c, code);
		return;
	}
	c->caller = REFERRED;
	c->ask.at_us = 0;
}

void caller_take(struct load *l, const char *message)
{
	const char *branch = strstr(message, "branch=z9hG4bK.");
	char kind;
	unsigned serial, cseq;
	size_t slot;
	int code;

	if (!branch || sscanf(message, "SIP/2.0 %d", &code) != 1)
		return;
	if (sscanf(branch + 15, "%c.%zu.%u.%u", &kind, &slot, &serial, &cseq) ==
	    4) {
		struct call *c;

		if (slot >= CALLS_AT_ONCE)
			return;
		c = &l->callv[slot];
		if (c->caller == FREE || c->serial != serial || c->cseq != cseq)
			return;
		if (kind == 'i')
			take_of_invite(l, c, message, code);
		else if (kind == 'b')
			take_of_bye(l, c, code);
		else if (kind == 'u')
			take_of_refresh(l, c, code);
		else if (kind == 'f')
			take_of_refer(l, c, code);
	}
}

static void send_again(struct load *l, struct call *c)
{
	switch (c->caller) {
	case CALLING:
		send_invite(l, c);
		break;
	case REFRESHING:
		send_refresh(l, c);
		break;
	case REFERRING:
		send_refer(l, c);
		break;
	case HANGING_UP:
		send_bye(l, c);
		break;
	default:
		break;
	}
}

void caller_tick(struct load *l, struct call *c, int64_t now)
{
	if (c->caller == UP && c->due_us <= now)
		go_on(l, c);
	else if (c->caller != UP && c->ask.until_us < now)
		fail(l, c, 408);
	else if (again_is_due(l, &c->ask, now))
		send_again(l, c);
}
