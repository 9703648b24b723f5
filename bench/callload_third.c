/*
 * callload_third.c: to whom the callee is handed on: is asked for an offer, has
 * the callee's answer in its ACK, and hangs up in the end.
 */
#include "callload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The call in which who calls this one was handed on */
static struct call *of_invite(struct load *l, const char *message)
{
	char from[FIELD];
	const char *name;
	struct call *c;
	size_t n;

	name = strstr(sip_header(from, message, "From"), "sip:");
	if (!name || strncmp(name + 4, l->prefix, strlen(l->prefix)) != 0)
		return NULL;
	n = strtoul(name + 4 + strlen(l->prefix), NULL, 10);

	c = n < 2 * l->callers ? l->accountv[n].handed_on : NULL;

	return c && c->to == n ? c : NULL;
}

static void send_answer(const struct load *l, const struct call *c)
{
	callee_answer(l, c->third.saved, call_third(l, c), 200, "OK",
		      c->serial);
}

void third_take_invite(struct load *l, const char *message)
{
	struct call *c = of_invite(l, message);
	char id[FIELD], value[FIELD], tag[64];

	sip_header(id, message, "Call-ID");
	if (!c || (c->caller != REFERRING && c->caller != REFERRED) ||
	    (c->third.is != ABSENT && strcmp(id, c->third.id) != 0))
		return;
	if (c->third.is == ABSENT) {
		c->third.is = COMES;
		snprintf(tag, sizeof(tag), "c%zu.%u", call_slot(l, c),
			 c->serial);
		callee_save(c->third.saved, message, tag);
		memcpy(c->third.id, id, sizeof(id));
		sip_header(c->third.them, message, "From");
		sip_uri(c->third.target, sip_header(value, message, "Contact"));
		sip_header(value, message, "To");
		snprintf(c->third.me, sizeof(c->third.me), "%.*s;tag=%s",
			 FIELD - 70, value, tag);
		again_begin(&c->third.answer);
	}
	if (c->third.is == COMES)
		send_answer(l, c);
}

static void send_bye(const struct load *l, const struct call *c)
{
	struct packet p = {.len = 0};

	packet_put(&p,
		   "BYE %s SIP/2.0\r\n"
		   "Via: SIP/2.0/UDP %s;branch=z9hG4bK.t.%zu.%u.%x;rport\r\n"
		   "Max-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\n"
		   "Call-ID: %s\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
		   c->third.target, l->b.at, call_slot(l, c), c->serial,
		   l->boot, c->third.me, c->third.them, c->third.id);
	packet_send(&l->b, &p);
}

void third_take(struct load *l, struct call *c, const char *message)
{
	const int64_t now = load_now_us();

	if (strncmp(message, "ACK ", 4) != 0) {
		callee_answer_ok(&l->b, message);
		if (!strncmp(message, "BYE ", 4)) {
			c->third.is = WENT;
			call_end_if_over(l, c);
		}
	} else if (c->third.is == COMES) {
		c->third.is = STAYS;
		c->third.answer.at_us = 0;
		c->third.due_us = now + l->hold_us;
		if (call_is_measured(l) && l->moves < SAMPLES_MAX)
			l->movev[l->moves++] = (uint32_t)(now -
							  c->third.asked_us);
	}
}

/* To its BYE */
void third_take_answer(struct load *l, const char *message)
{
	struct call *c = call_of(l, strstr(message, "branch=z9hG4bK.t."),
				 "branch=z9hG4bK.t.%zu.%u");
	int code;

	if (!c || c->third.is != LEAVES ||
	    sscanf(message, "SIP/2.0 %d", &code) != 1 || code < 200)
		return;
	c->third.is = WENT;
	call_end_if_over(l, c);
}

void third_tick(struct load *l, struct call *c, int64_t now)
{
	if (c->third.is == STAYS && c->third.due_us <= now) {
		c->third.is = LEAVES;
		again_begin(&c->third.answer);
		send_bye(l, c);
	} else if (c->third.is == LEAVES &&
		   again_is_due(l, &c->third.answer, now)) {
		send_bye(l, c);
	} else if (c->third.is == COMES &&
		   again_is_due(l, &c->third.answer, now)) {
		send_answer(l, c);
	}
}
