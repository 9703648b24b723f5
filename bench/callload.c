/*
 * Phones that call each other over UDP: accounts 0 to N-1 call N to 2N-1, who
 * ring, answer, and are hung up on. Both sides are played here, so that the
 * time from the callee's 200 to the caller's is of one clock. They have digest,
 * keep their nonce and count its uses (RFC 7616 section 3.4), repeat what gets
 * no answer (RFC 3261 section 17.1), and each 200 until its ACK (13.3.1.4).
 *
 *   callload -s HOST:PORT [-S HOST:PORT] [-d DOMAIN] [-u PREFIX]
 *            [-p PASSWORD] [-n CALLERS] [-w WINDOW | -r RATE] [-c CALLS]
 *            [-t SECONDS] [-k SECONDS] [-g RING_MS] [-h HOLD_MS] [-l PORT]
 *            [-f] [-i]
 *
 * -S: where those who are called have registered, if elsewhere. -w: so many
 * calls are being set up at any time, those that ring aside; -r: so many begin
 * in a second. It begins calls
 * for -t seconds, or until there were -c, and then lets all of them end. What
 * ends in the first -k seconds is not measured. -f: each INVITE is challenged.
 * -l: those who are called are at that port, so that a second run is of the
 * same contacts. -i: once all have registered it says "bound", and begins with
 * a line that it reads.
 *
 * It prints one line: calls a second that were answered and hung up; the time
 * from 200 to 200, and from INVITE to 200, in ms; how many were done and have
 * failed, with their codes; and what was repeated.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

enum {
	CALLS_AT_ONCE = 16384,
	PACKET = 4096,
	FIELD = 512,
	SAVED = 2048,
	NONCE_SIZE = 160,
	T1_US = 500000,
	T2_US = 4000000,
	LIFE_US = 32000000, /* 64 * T1: timers B, F, H */
	TICK_US = 5000,
	RCVBUF = 16 << 20,
	EXPIRES_S = 7200,
	SAMPLES_MAX = 4000000,
	CODES = 700,
	BINDING_AT_ONCE = 32,
	BINDING_S = 60,
	TEXT = 512,
};

enum caller { FREE, CALLING, PROCEEDING, UP, HANGING_UP, GONE };
enum callee { NOBODY, RINGS, ANSWERED, TALKS, CANCELLED, LEFT };

/* What is sent again until something comes */
struct again {
	int64_t at_us, wait_us, until_us; /* at 0: nothing is */
};

struct account {
	uint32_t nc, cseq;
	bool qop, proxy, bound, asked;
	struct again again; /* its REGISTER */
	char ha1[33], nonce[NONCE_SIZE];
};

struct call {
	enum caller caller;
	enum callee callee;
	uint32_t serial, cseq;
	size_t from, to; /* accounts */
	bool signed_once;
	struct again ask, answer; /* of the caller, of the callee */
	int64_t began_us, answered_us, due_us;
	char remote[FIELD], target[FIELD], route[FIELD]; /* of the caller */
	char saved[SAVED]; /* what the callee's answers have */
};

struct side {
	int fd;
	struct sockaddr_in server, local;
	char at[32];
};

struct load {
	const char *domain, *prefix, *password;
	struct side a, b; /* who call, who are called */
	struct account *accountv;
	struct call *callv;
	size_t callers, window, setting_up, there, next_slot, next_caller;
	double rate;
	uint64_t calls, begun;
	int64_t ring_us, hold_us, from_us, end_us;
	bool fresh, asks;
	uint32_t serial;
	unsigned boot;
	EVP_MD_CTX *md;
	uint32_t *passv, *setupv; /* samples in us */
	size_t samples;
	uint64_t done, failed, repeats, challenges, code[CODES];
};

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);

	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* --- text ------------------------------------------------------------------
 */

struct packet {
	char b[PACKET];
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void put(struct packet *p,
						      const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(p->b + p->len, sizeof(p->b) - p->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(p->b) - p->len) {
		fprintf(stderr, "callload: a message is too long\n");
		exit(1);
	}
	p->len += (size_t)n;
}

static bool is_header(const char *line, const char *name)
{
	const size_t n = strlen(name);

	return !strncasecmp(line, name, n) && line[n] == ':';
}

/* The value of its first header of that name; "" where there is none */
static const char *header(char out[static FIELD], const char *message,
			  const char *name)
{
	const char *line = message, *end;

	out[0] = '\0';
	while ((line = strstr(line, "\r\n")) != NULL) {
		line += 2;
		if (line[0] == '\r')
			break;
		if (!is_header(line, name))
			continue;
		line += strlen(name) + 1;
		line += strspn(line, " ");
		end = strstr(line, "\r\n");
		if (end && end - line < FIELD) {
			memcpy(out, line, (size_t)(end - line));
			out[end - line] = '\0';
		}
		break;
	}

	return out;
}

/* The URI of a Contact */
static void uri_of(char out[static FIELD], const char *contact)
{
	const char *p = strchr(contact, '<'), *end = p ? strchr(p, '>') : NULL;

	out[0] = '\0';
	if (end)
		snprintf(out, FIELD, "%.*s", (int)(end - p - 1), p + 1);
}

static bool read_param(char *out, size_t size, const char *p, const char *name)
{
	const char *q = strstr(p, name), *end;

	if (!q)
		return false;
	q += strlen(name);
	end = strchr(q, '"');
	if (!end || (size_t)(end - q) >= size)
		return false;
	memcpy(out, q, (size_t)(end - q));
	out[end - q] = '\0';

	return true;
}

/* --- digest ----------------------------------------------------------------
 */

static void md5_hex(struct load *l, char hex[static 33], const char *text)
{
	unsigned char md[EVP_MAX_MD_SIZE];

	EVP_DigestInit_ex(l->md, EVP_md5(), NULL);
	EVP_DigestUpdate(l->md, text, strlen(text));
	EVP_DigestFinal_ex(l->md, md, NULL);
	for (size_t i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", md[i]);
}

static void put_credentials(struct load *l, struct packet *p, size_t n,
			    const char *method, const char *uri)
{
	struct account *a = &l->accountv[n];
	char text[2 * TEXT], ha2[33], response[33], count[64] = "";

	if (!a->nonce[0])
		return;
	snprintf(text, sizeof(text), "%s:%s", method, uri);
	md5_hex(l, ha2, text);
	if (a->qop)
		snprintf(count, sizeof(count), "%08x:c0ffee:auth:", ++a->nc);
	snprintf(text, sizeof(text), "%s:%s:%s%s", a->ha1, a->nonce, count,
		 ha2);
	md5_hex(l, response, text);
	put(p,
	    "%sAuthorization: Digest username=\"%s%zu\", realm=\"%s\", "
	    "nonce=\"%s\", uri=\"%s\", response=\"%s\", algorithm=MD5",
	    a->proxy ? "Proxy-" : "", l->prefix, n, l->domain, a->nonce, uri,
	    response);
	if (a->qop)
		put(p, ", qop=auth, nc=%08x, cnonce=\"c0ffee\"", a->nc);
	put(p, "\r\n");
}

/* Whether the request may be sent once more, with credentials */
static bool take_challenge(struct load *l, struct account *a,
			   const char *message, int code, bool had_some)
{
	char value[FIELD];

	l->challenges++;
	header(value, message,
	       code == 407 ? "Proxy-Authenticate" : "WWW-Authenticate");
	if ((had_some && a->nonce[0] && !strstr(value, "stale=true") &&
	     !strstr(value, "stale=TRUE")) ||
	    !read_param(a->nonce, sizeof(a->nonce), value, "nonce=\""))
		return false;
	a->qop = strstr(value, "qop=") != NULL;
	a->proxy = code == 407;
	a->nc = 0;

	return true;
}

/* --- out -------------------------------------------------------------------
 */

static void send_packet(const struct side *s, const struct packet *p)
{
	const struct timespec wait = {.tv_nsec = 200000};

	for (int i = 0; i < 1000; i++) {
		if (send(s->fd, p->b, p->len, 0) >= 0 ||
		    (errno != EAGAIN && errno != ENOBUFS))
			return; /* or its repeat comes */
		nanosleep(&wait, NULL);
	}
}

static void wait_for(struct again *g)
{
	const int64_t now = now_us();

	*g = (struct again){now + T1_US, T1_US, now + LIFE_US};
}

static const char *aor(struct load *l, char out[static FIELD], size_t n)
{
	snprintf(out, FIELD, "sip:%s%zu@%s", l->prefix, n, l->domain);

	return out;
}

static void send_register(struct load *l, size_t n)
{
	struct account *a = &l->accountv[n];
	struct packet p = {.len = 0};
	char me[FIELD], uri[TEXT];

	aor(l, me, n);
	snprintf(uri, sizeof(uri), "sip:%s", l->domain);
	put(&p,
	    "REGISTER %s SIP/2.0\r\n"
	    "Via: SIP/2.0/UDP %s;branch=z9hG4bK.r.%zu.%u.%x;rport\r\n"
	    "Max-Forwards: 70\r\nFrom: <%s>;tag=r%zu\r\nTo: <%s>\r\n"
	    "Call-ID: reg-%x-%zu\r\nCSeq: %u REGISTER\r\n"
	    "Contact: <sip:%s%zu@%s>\r\nExpires: %d\r\n",
	    uri, l->b.at, n, a->cseq, l->boot, me, n, me, l->boot, n, a->cseq,
	    l->prefix, n, l->b.at, EXPIRES_S);
	put_credentials(l, &p, n, "REGISTER", uri);
	put(&p, "Content-Length: 0\r\n\r\n");
	send_packet(&l->b, &p);
}

static size_t slot_of(const struct load *l, const struct call *c)
{
	return (size_t)(c - l->callv);
}

/* A request of the caller's; within: of its dialog, else the INVITE's own */
static void put_request(struct load *l, struct packet *p, const struct call *c,
			const char *method, bool within, const char *branch)
{
	char me[FIELD], uri[FIELD];
	const size_t slot = slot_of(l, c);

	aor(l, me, c->from);
	aor(l, uri, c->to);
	put(p,
	    "%s %s SIP/2.0\r\n"
	    "Via: SIP/2.0/UDP %s;branch=z9hG4bK.%s.%zu.%u.%u.%x;rport\r\n"
	    "Max-Forwards: 70\r\nFrom: <%s>;tag=a%zu.%u\r\n"
	    "Call-ID: call-%x-%zu-%u\r\nCSeq: %u %s\r\n",
	    method, within ? c->target : uri, l->a.at, branch, slot, c->serial,
	    c->cseq, l->boot, me, slot, c->serial, l->boot, slot, c->serial,
	    c->cseq, method);
	if (c->remote[0])
		put(p, "To: %s\r\n", c->remote);
	else
		put(p, "To: <%s>\r\n", uri);
	if (within && c->route[0])
		put(p, "Route: %s\r\n", c->route);
}

static void send_invite(struct load *l, struct call *c)
{
	struct packet p = {.len = 0};
	char uri[FIELD], sdp[TEXT];
	int n;

	c->signed_once = l->accountv[c->from].nonce[0] != '\0';
	put_request(l, &p, c, "INVITE", false, "i");
	put(&p, "Contact: <sip:%s%zu@%s>\r\n", l->prefix, c->from, l->a.at);
	put_credentials(l, &p, c->from, "INVITE", aor(l, uri, c->to));
	/* its name says to the callee which call it is */
	n = snprintf(sdp, sizeof(sdp),
		     "v=0\r\no=- %u 1 IN IP4 127.0.0.1\r\ns=call %zu %u %x\r\n"
		     "c=IN IP4 127.0.0.1\r\nt=0 0\r\n"
		     "m=audio 40000 RTP/AVP 0 8 101\r\n"
		     "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
		     "a=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n",
		     c->serial, slot_of(l, c), c->serial, l->boot);
	put(&p, "Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
	    n, sdp);
	send_packet(&l->a, &p);
}

static void send_ack(struct load *l, const struct call *c, bool success)
{
	struct packet p = {.len = 0};

	put_request(l, &p, c, "ACK", success, success ? "a" : "i");
	put(&p, "Content-Length: 0\r\n\r\n");
	send_packet(&l->a, &p);
}

static void send_bye(struct load *l, const struct call *c)
{
	struct packet p = {.len = 0};

	put_request(l, &p, c, "BYE", true, "b");
	put(&p, "Content-Length: 0\r\n\r\n");
	send_packet(&l->a, &p);
}

/* An answer of the callee's to the INVITE */
static void send_answer(struct load *l, const struct call *c, int code,
			const char *reason)
{
	struct packet p = {.len = 0};
	char sdp[TEXT] = "";

	put(&p, "SIP/2.0 %d %s\r\n%sContact: <sip:%s%zu@%s>\r\n", code, reason,
	    c->saved, l->prefix, c->to, l->b.at);
	if (code == 200) {
		snprintf(sdp, sizeof(sdp),
			 "v=0\r\no=- %u 1 IN IP4 127.0.0.1\r\ns=-\r\n"
			 "c=IN IP4 127.0.0.1\r\nt=0 0\r\n"
			 "m=audio 40002 RTP/AVP 0\r\n"
			 "a=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n",
			 c->serial);
		put(&p, "Content-Type: application/sdp\r\n");
	}
	put(&p, "Content-Length: %zu\r\n\r\n%s", strlen(sdp), sdp);
	send_packet(&l->b, &p);
}

/* --- a call ----------------------------------------------------------------
 */

static void begin(struct load *l)
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
	c->began_us = now_us();
	if (l->fresh)
		l->accountv[c->from].nonce[0] = '\0';
	l->there++;
	l->setting_up++;
	l->begun++;
	wait_for(&c->ask);
	send_invite(l, c);
}

/* Whether it waits for the server */
static bool sets_up(const struct call *c)
{
	return (c->caller == CALLING || c->caller == PROCEEDING) &&
	       c->callee != RINGS;
}

static void is_set_up(struct load *l, struct call *c, enum caller next)
{
	l->setting_up -= sets_up(c) ? 1U : 0U;
	c->caller = next;
}

static bool measures(const struct load *l)
{
	const int64_t now = now_us();

	return now >= l->from_us && now < l->end_us;
}

static void fail(struct load *l, struct call *c, int code)
{
	l->failed++;
	l->code[code < CODES ? code : 0]++;
	is_set_up(l, c, FREE);
	l->there--;
}

/* Both sides have hung up */
static void end_if_over(struct load *l, struct call *c)
{
	if (c->caller != GONE || c->callee != LEFT)
		return;
	l->done += measures(l);
	c->caller = FREE;
	l->there--;
}

static void take_200(struct load *l, struct call *c, const char *message)
{
	char value[FIELD];
	const int64_t now = now_us();

	header(c->remote, message, "To");
	header(c->route, message, "Record-Route"); /* of one proxy */
	uri_of(c->target, header(value, message, "Contact"));
	c->ask.at_us = 0;
	is_set_up(l, c, UP);
	c->due_us = now + l->hold_us;
	if (measures(l) && c->answered_us && l->samples < SAMPLES_MAX) {
		l->passv[l->samples] = (uint32_t)(now - c->answered_us);
		l->setupv[l->samples++] = (uint32_t)(now - c->began_us);
	}
}

static void take_refusal(struct load *l, struct call *c, const char *message,
			 int code)
{
	header(c->remote, message, "To");
	send_ack(l, c, false);
	c->remote[0] = '\0';
	if ((code == 401 || code == 407) &&
	    take_challenge(l, &l->accountv[c->from], message, code,
			   c->signed_once && c->cseq > 1)) {
		c->cseq++;
		c->caller = CALLING;
		wait_for(&c->ask);
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
		c->ask.until_us = now_us() + 6 * (int64_t)LIFE_US; /* timer C */
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
	end_if_over(l, c);
}

static void take_of_register(struct load *l, size_t n, const char *message,
			     int code)
{
	struct account *a = &l->accountv[n];

	if (!a->asked || code < 200)
		return;
	if ((code == 401 || code == 407) &&
	    take_challenge(l, a, message, code, a->cseq > 1)) {
		a->cseq++;
		wait_for(&a->again);
		send_register(l, n);
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

static void take_response(struct load *l, const char *message)
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
	}
}

static void take_registered(struct load *l, const char *message)
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

/* --- who is called ---------------------------------------------------------
 */

/* What an answer has of its request */
static void save(char *out, size_t size, const char *message, const char *tag)
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

			if (!is_header(line, names[i]))
				continue;
			m = snprintf(out + n, size - n, "%.*s%s%s\r\n",
				     (int)(end - line), line,
				     tagged ? ";tag=" : "", tagged ? tag : "");
			if (m < 0 || (size_t)m >= size - n)
				exit(1);
			n += (size_t)m;
		}
	}
}

static void answer_ok(const struct side *s, const char *message)
{
	struct packet p = {.len = 0};
	char saved[SAVED];

	save(saved, sizeof(saved), message, NULL);
	put(&p, "SIP/2.0 200 OK\r\n%sContent-Length: 0\r\n\r\n", saved);
	send_packet(s, &p);
}

static struct call *call_of(struct load *l, const char *text, const char *fmt)
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
		snprintf(tag, sizeof(tag), "b%zu.%u", slot_of(l, c), c->serial);
		save(c->saved, sizeof(c->saved), message, tag);
		c->callee = RINGS;
		l->setting_up--;
		c->answer.at_us = now_us() + l->ring_us;
	}
	if (c->callee == RINGS)
		send_answer(l, c, 180, "Ringing");
}

static void take_request(struct load *l, const struct side *s,
			 const char *message)
{
	char to[FIELD];
	struct call *c;

	if (!strncmp(message, "INVITE ", 7) && s == &l->b) {
		take_invite(l, message);
		return;
	}
	c = call_of(l, strstr(header(to, message, "To"), "tag=b"),
		    "tag=b%zu.%u");
	if (!strncmp(message, "ACK ", 4)) {
		if (c && c->callee == ANSWERED) {
			c->callee = TALKS;
			c->answer.at_us = 0;
		} else if (c && c->callee == CANCELLED) {
			c->callee = LEFT;
		}
		return;
	}
	answer_ok(s, message);
	if (c && !strncmp(message, "BYE ", 4)) {
		c->callee = LEFT;
		c->answer.at_us = 0;
		end_if_over(l, c);
	}
}

/* --- time ------------------------------------------------------------------
 */

/* Whether it is to be sent once more; false where it is time to give up, too */
static bool is_due(struct load *l, struct again *g, int64_t now)
{
	if (!g->at_us || g->at_us > now)
		return false;
	g->wait_us = 2 * g->wait_us < T2_US ? 2 * g->wait_us : T2_US;
	g->at_us = now + g->wait_us;
	l->repeats++;

	return true;
}

static void tick_callee(struct load *l, struct call *c, int64_t now)
{
	if (c->callee == RINGS && c->answer.at_us <= now) {
		c->callee = ANSWERED;
		l->setting_up += sets_up(c) ? 1U : 0U;
		c->answered_us = now_us();
		wait_for(&c->answer);
		send_answer(l, c, 200, "OK");
	} else if (c->callee == ANSWERED && is_due(l, &c->answer, now)) {
		send_answer(l, c, 200, "OK");
	}
}

static void tick_caller(struct load *l, struct call *c, int64_t now)
{
	if (c->caller == UP && c->due_us <= now) {
		c->caller = HANGING_UP;
		c->cseq++;
		wait_for(&c->ask);
		send_bye(l, c);
	} else if (c->caller != UP && c->ask.until_us < now) {
		fail(l, c, 408);
	} else if (c->caller == CALLING && is_due(l, &c->ask, now)) {
		send_invite(l, c);
	} else if (c->caller == HANGING_UP && is_due(l, &c->ask, now)) {
		send_bye(l, c);
	}
}

static void tick(struct load *l, int64_t now)
{
	for (size_t i = 0; i < CALLS_AT_ONCE; i++) {
		struct call *c = &l->callv[i];

		if (c->caller == FREE)
			continue;
		tick_callee(l, c, now);
		tick_caller(l, c, now);
	}
}

static void receive(struct load *l, struct side *s)
{
	static char b[65536];
	ssize_t n;

	while ((n = recv(s->fd, b, sizeof(b) - 1, MSG_DONTWAIT)) > 0) {
		b[n] = '\0';
		if (strncmp(b, "SIP/2.0 ", 8) != 0)
			take_request(l, s, b);
		else if (s == &l->a)
			take_response(l, b);
		else
			take_registered(l, b);
	}
}

static void wait_and_receive(struct load *l)
{
	struct pollfd fds[] = {{.fd = l->a.fd, .events = POLLIN},
			       {.fd = l->b.fd, .events = POLLIN}};

	if (poll(fds, 2, TICK_US / 1000) > 0) {
		receive(l, &l->a);
		receive(l, &l->b);
	}
}

/* --- phases ----------------------------------------------------------------
 */

/* All who are to be called */
static void bind_all(struct load *l)
{
	const int64_t end = now_us() + (int64_t)BINDING_S * 1000000;
	size_t bound = 0;

	while (bound < l->callers && now_us() < end) {
		size_t asked = 0;

		bound = 0;
		for (size_t i = l->callers; i < 2 * l->callers; i++) {
			struct account *a = &l->accountv[i];

			bound += a->bound;
			if (a->bound || asked >= BINDING_AT_ONCE)
				continue;
			asked++;
			if (!a->asked) {
				a->asked = true;
				a->cseq = 1;
				wait_for(&a->again);
				send_register(l, i);
			} else if (is_due(l, &a->again, now_us())) {
				send_register(l, i);
			}
		}
		wait_and_receive(l);
	}
	if (bound < l->callers) {
		fprintf(stderr, "callload: not all have registered\n");
		exit(1);
	}
	l->repeats = l->challenges = 0;
}

static bool begins_another(const struct load *l, int64_t began, int64_t now)
{
	if (now >= l->end_us || (l->calls && l->begun >= l->calls))
		return false;
	if (l->rate > 0)
		return (double)l->begun < l->rate * (double)(now - began) / 1e6;

	return l->setting_up < l->window;
}

static void run(struct load *l, double warm_up_s, double seconds)
{
	const int64_t began = now_us();
	int64_t look = 0, now;

	l->from_us = began + (int64_t)(warm_up_s * 1e6);
	l->end_us = l->from_us + (int64_t)(seconds * 1e6);
	for (;;) {
		now = now_us();
		while (begins_another(l, began, now))
			begin(l);
		if (!l->there &&
		    (now >= l->end_us || (l->calls && l->begun >= l->calls)))
			break;
		wait_and_receive(l);
		now = now_us();
		if (now > look) {
			tick(l, now);
			look = now + TICK_US;
		}
	}
	if (now < l->end_us) /* it was told how many */
		l->end_us = now;
}

static int compare(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void print_times(const char *name, uint32_t *usv, size_t n)
{
	qsort(usv, n, sizeof(*usv), compare);
	printf("%s50=%.2f %s99=%.2f %smax=%.1f ", name,
	       n ? usv[n / 2] / 1e3 : 0, name,
	       n ? usv[n - 1 - n / 100] / 1e3 : 0, name,
	       n ? usv[n - 1] / 1e3 : 0);
}

static void report(struct load *l)
{
	const double seconds = (double)(l->end_us - l->from_us) / 1e6;

	printf("rate=%.1f ", (double)l->done / seconds);
	print_times("pass", l->passv, l->samples);
	print_times("setup", l->setupv, l->samples);
	printf("begun=%llu done=%llu failed=%llu repeats=%llu challenges=%llu "
	       "seconds=%.2f codes=",
	       (unsigned long long)l->begun, (unsigned long long)l->done,
	       (unsigned long long)l->failed, (unsigned long long)l->repeats,
	       (unsigned long long)l->challenges, seconds);
	for (int i = 0; i < CODES; i++) {
		if (l->code[i])
			printf("%d:%llu,", i, (unsigned long long)l->code[i]);
	}
	printf("\n");
}

static void open_side(struct side *s)
{
	socklen_t len = sizeof(s->local);
	int size = RCVBUF;

	s->local.sin_family = AF_INET;
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	(void)setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size,
			 sizeof(size));
	if (s->fd < 0 || bind(s->fd, (void *)&s->local, len) ||
	    connect(s->fd, (const void *)&s->server, sizeof(s->server)) ||
	    getsockname(s->fd, (void *)&s->local, &len)) {
		perror("callload");
		exit(1);
	}
	inet_ntop(AF_INET, &s->local.sin_addr, s->at, sizeof(s->at));
	snprintf(s->at + strlen(s->at), sizeof(s->at) - strlen(s->at), ":%u",
		 ntohs(s->local.sin_port));
}

static void make(struct load *l)
{
	char text[TEXT];

	l->boot = (unsigned)time(NULL) ^ (unsigned)getpid() << 16;
	l->accountv = calloc(2 * l->callers, sizeof(*l->accountv));
	l->callv = calloc(CALLS_AT_ONCE, sizeof(*l->callv));
	l->passv = malloc(SAMPLES_MAX * sizeof(*l->passv));
	l->setupv = malloc(SAMPLES_MAX * sizeof(*l->setupv));
	l->md = EVP_MD_CTX_new();
	if (!l->accountv || !l->callv || !l->passv || !l->setupv || !l->md)
		exit(1);
	for (size_t i = 0; i < 2 * l->callers; i++) {
		snprintf(text, sizeof(text), "%s%zu:%s:%s", l->prefix, i,
			 l->domain, l->password);
		md5_hex(l, l->accountv[i].ha1, text);
	}
}

static void usage(void)
{
	fprintf(stderr,
		"usage: callload -s HOST:PORT [-S HOST:PORT] [-d DOMAIN] "
		"[-u PREFIX] [-p PASSWORD] [-n CALLERS] [-w WINDOW | -r RATE] "
		"[-c CALLS] [-t SECONDS] [-k SECONDS] [-g RING_MS] "
		"[-h HOLD_MS] [-l PORT] [-f] [-i]\n");
	exit(2);
}

static void read_server(struct sockaddr_in *to, char *text)
{
	char *colon = strchr(text, ':');

	if (!colon)
		usage();
	*colon = '\0';
	to->sin_family = AF_INET;
	to->sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	if (inet_pton(AF_INET, text, &to->sin_addr) != 1)
		usage();
}

int main(int argc, char **argv)
{
	static struct load l = {
		.domain = "example.net",
		.prefix = "load",
		.password = "pw",
		.callers = 100,
		.window = 32,
		.ring_us = 500000,
		.hold_us = 1000000,
	};
	double seconds = 5, warm_up_s = 0;
	int opt;

	while ((opt = getopt(argc, argv, "s:S:d:u:p:n:w:r:c:t:k:g:h:l:fi")) !=
	       -1) {
		switch (opt) {
		case 's':
			read_server(&l.a.server, optarg);
			break;
		case 'S':
			read_server(&l.b.server, optarg);
			break;
		case 'd':
			l.domain = optarg;
			break;
		case 'u':
			l.prefix = optarg;
			break;
		case 'p':
			l.password = optarg;
			break;
		case 'n':
			l.callers = strtoul(optarg, NULL, 10);
			break;
		case 'w':
			l.window = strtoul(optarg, NULL, 10);
			break;
		case 'r':
			l.rate = strtod(optarg, NULL);
			break;
		case 'c':
			l.calls = strtoul(optarg, NULL, 10);
			break;
		case 't':
			seconds = strtod(optarg, NULL);
			break;
		case 'k':
			warm_up_s = strtod(optarg, NULL);
			break;
		case 'g':
			l.ring_us = strtol(optarg, NULL, 10) * 1000;
			break;
		case 'h':
			l.hold_us = strtol(optarg, NULL, 10) * 1000;
			break;
		case 'l':
			l.b.local.sin_port = htons(
				(uint16_t)strtoul(optarg, NULL, 10));
			break;
		case 'f':
			l.fresh = true;
			break;
		case 'i':
			l.asks = true;
			break;
		default:
			usage();
		}
	}
	if (!l.a.server.sin_port || !l.callers || !l.window)
		usage();
	if (!l.b.server.sin_port)
		l.b.server = l.a.server;

	open_side(&l.a);
	open_side(&l.b);
	make(&l);
	bind_all(&l);
	if (l.asks) {
		puts("bound");
		(void)fflush(stdout);
		(void)getchar();
	}
	run(&l, warm_up_s, seconds);
	report(&l);

	return 0;
}
