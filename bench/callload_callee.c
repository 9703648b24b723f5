/*
 * callload_callee.c: who is called: registers, rings, answers, is hung up on.
 */
#include "callload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXPIRES_S = 7200 };

void callee_register(struct load *l, size_t n)
{
	struct account *a = &l->accountv[n];
	struct packet p = {.len = 0};
	char me[FIELD], uri[TEXT];

	sip_aor(l, me, n);
	snprintf(uri, sizeof(uri), "sip:%s", l->domain);
	packet_put(&p,
		   "REGISTER %s SIP/2.0\r\n"
		   "Via: SIP/2.0/UDP %s;branch=z9hG4bK.r.%zu.%u.%x;rport\r\n"
		   "Max-Forwards: 70\r\nFrom: <%s>;tag=r%zu\r\nTo: <%s>\r\n"
		   "Call-ID: reg-%x-%zu\r\nCSeq: %u REGISTER\r\n"
		   "Contact: <sip:%s%zu@%s>\r\nExpires: %d\r\n",
		   uri, l->b.at, n, a->cseq, l->boot, me, n, me, l->boot, n,
		   a->cseq, l->prefix, n, l->b.at, EXPIRES_S);
	sip_put_credentials(l, &p, n, "REGISTER", uri);
	packet_put(&p, "Content-Length: 0\r\n\r\n");
	packet_send(&l->b, &p);
}

static void take_of_register(struct load *l, size_t n, const char *message,
			     int code)
{
	struct account *a = &l->accountv[n];

	if (!a->asked || code < 200)
		return;
	if ((code == 401 || code == 407) &&
	    sip_take_challenge(l, a, message, code, a->cseq > 1)) {
		a->cseq++;
		again_begin(&a->again);
		callee_register(l, n);
		return;
	}
	a->asked = false;
	a->bound = code == 200;
	a->nonce[0] = '\0';
	if (!a->bound) {
		fprintf(stderr, "callload: a REGISTER got %d\n", code);
		exit(1);
	}
}

void callee_take_registered(struct load *l, const char *message)
{
	const char *branch = strstr(message, "branch=z9hG4bK.r.");
	unsigned cseq;
	size_t n;
	int code;

	if (branch && sscanf(message, "SIP/2.0 %d", &code) == 1 &&
	    sscanf(branch + 17, "%zu.%u", &n, &cseq) == 2 &&
	    n < 2 * l->callers && l->accountv[n].cseq == cseq)
		take_of_register(l, n, message, code);
}

void callee_save(char out[static SAVED], const char *message, const char *tag)
{
	static const char *const names[] = {
		"Via", "Record-Route", "From", "To", "Call-ID", "CSeq", NULL};
	const char *line = message, *end;
	size_t n = 0;

	out[0] = '\0';
	while ((line = strstr(line, "\r\n")) != NULL && line[2] != '\r') {
		line += 2;
		end = strstr(line, "\r\n");
		for (size_t i = 0; end && names[i]; i++) {
			const bool tagged = !strcmp(names[i], "To") && tag;
			int m;

			if (!sip_is_header(line, names[i]))
				continue;
			m = snprintf(out + n, SAVED - n, "%.*s%s%s\r\n",
				     (int)(end - line), line,
				     tagged ? ";tag=" : "", tagged ? tag : "");
			if (m < 0 || (size_t)m >= SAVED - n)
				exit(1);
			n += (size_t)m;
		}
	}
}

void callee_answer(const struct load *l, const char *saved, size_t n, int code,
		   const char *reason, unsigned serial)
{
	struct packet p = {.len = 0};
	char sdp[TEXT] = "";

	packet_put(&p, "SIP/2.0 %d %s\r\n%sContact: <sip:%s%zu@%s>\r\n", code,
		   reason, saved, l->prefix, n, l->b.at);
	if (code == 200) {
		snprintf(sdp, sizeof(sdp),
			 "v=0\r\no=- %u 1 IN IP4 127.0.0.1\r\ns=-\r\n"
			 "c=IN IP4 127.0.0.1\r\nt=0 0\r\n"
			 "m=audio 40002 RTP/AVP 0\r\n"
			 "a=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n",
			 serial);
		packet_put(&p, "Content-Type: application/sdp\r\n");
	}
	packet_put(&p, "Content-Length: %zu\r\n\r\n%s", strlen(sdp), sdp);
	packet_send(&l->b, &p);
}

/* Of the callee, to the INVITE */
static void send_answer(struct load *l, const struct call *c, int code,
			const char *reason)
{
	callee_answer(l, c->saved, c->to, code, reason, c->serial);
}

void callee_answer_ok(const struct side *s, const char *message)
{
	struct packet p = {.len = 0};
	char saved[SAVED];

	callee_save(saved, message, NULL);
	packet_put(&p, "SIP/2.0 200 OK\r\n%sContent-Length: 0\r\n\r\n", saved);
	packet_send(s, &p);
}

struct call *call_of(struct load *l, const char *text, const char *fmt)
{
	unsigned serial;
	size_t slot;
	struct call *c;

	if (!text || sscanf(text, fmt, &slot, &serial) != 2 ||
	    slot >= CALLS_AT_ONCE)
		return NULL;
	c = &l->callv[slot];

	return c->caller != FREE && c->serial == serial ? c : NULL;
}

static void take_invite(struct load *l, const char *message)
{
	struct call *c = call_of(l, strstr(message, "s=call "),
				 "s=call %zu %u");
	char tag[64];

	if (!c)
		return;
	if (c->callee == NOBODY) {
		snprintf(tag, sizeof(tag), "b%zu.%u", call_slot(l, c),
			 c->serial);
		callee_save(c->saved, message, tag);
		c->callee = RINGS;
		l->setting_up--;
		c->answer.at_us = load_now_us() + l->ring_us;
	}
	if (c->callee == RINGS)
		send_answer(l, c, 180, "Ringing");
}

/* Another is to talk to it */
static void take_again(struct load *l, const struct call *c,
		       const char *message)
{
	char saved[SAVED];

	callee_save(saved, message, NULL);
	callee_answer(l, saved, c->to, 200, "OK", c->serial);
}

/* A BYE for who calls, and has handed the other on */
static void take_of_caller(struct load *l, const char *to, const char *message)
{
	struct call *c = call_of(l, strstr(to, "tag=a"), "tag=a%zu.%u");

	callee_answer_ok(&l->a, message);
	if (!c || strncmp(message, "BYE ", 4) != 0 ||
	    (c->caller != REFERRED && c->caller != REFERRING))
		return;
	c->caller = GONE;
	call_end_if_over(l, c);
}

void callee_take(struct load *l, const struct side *s, const char *message)
{
	const bool is_invite = !strncmp(message, "INVITE ", 7);
	char to[FIELD];
	struct call *c;

	sip_header(to, message, "To");
	if (s == &l->a && strncmp(message, "ACK ", 4) != 0) {
		take_of_caller(l, to, message);
		return;
	}
	c = call_of(l, strstr(to, "tag=c"), "tag=c%zu.%u");
	if (c) {
		third_take(l, c, message);
		return;
	}
	c = call_of(l, strstr(to, "tag=b"), "tag=b%zu.%u");
	if (is_invite && c) {
		take_again(l, c, message);
		return;
	} else if (is_invite) {
		(strstr(message, "s=call ") ? take_invite
					    : third_take_invite)(l, message);
		return;
	}
	if (!strncmp(message, "ACK ", 4)) {
		if (c && c->callee == ANSWERED) {
			c->callee = TALKS;
			c->answer.at_us = 0;
		} else if (c && c->callee == CANCELLED) {
			c->callee = LEFT;
		}
		return;
	}
	callee_answer_ok(s, message);
	if (c && !strncmp(message, "BYE ", 4)) {
		c->callee = LEFT;
		c->answer.at_us = 0;
		call_end_if_over(l, c);
	}
}

void callee_tick(struct load *l, struct call *c, int64_t now)
{
	if (c->callee == RINGS && c->answer.at_us <= now) {
		c->callee = ANSWERED;
		l->setting_up += call_sets_up(c) ? 1U : 0U;
		c->answered_us = load_now_us();
		again_begin(&c->answer);
		send_answer(l, c, 200, "OK");
	} else if (c->callee == ANSWERED && again_is_due(l, &c->answer, now)) {
		send_answer(l, c, 200, "OK");
	}
}
