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
 *            [-x REFRESHES] [-m] [-f] [-i]
 *
 * -S: where those who are called have registered, if elsewhere. -w: so many
 * calls are being set up at any time, those that ring aside; -r: so many begin
 * in a second. It begins calls
 * for -t seconds, or until there were -c, and then lets all of them end. What
 * ends in the first -k seconds is not measured. -f: each INVITE is challenged.
 * -l: those who are called are at that port, so that a second run is of the
 * same contacts. -i: once all have registered it says "bound", and begins with
 * a line that it reads. -x: who calls has a session timer (RFC 4028), and
 * refreshes that so often, by UPDATE. -m: who calls hands the other on to a
 * third by REFER, who hangs up after as long again.
 *
 * It prints one line: calls a second that were answered and hung up; the time
 * from 200 to 200, from INVITE to 200, and from REFER to the third's ACK, in
 * ms; how many were done and have failed, with their codes; and what was
 * repeated.
 */
#include "callload.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	TICK_US = 5000,
	BINDING_AT_ONCE = 32,
	BINDING_S = 60,
};

static void tick(struct load *l, int64_t now)
{
	for (size_t i = 0; i < CALLS_AT_ONCE; i++) {
		struct call *c = &l->callv[i];

		if (c->caller == FREE)
			continue;
		callee_tick(l, c, now);
		third_tick(l, c, now);
		caller_tick(l, c, now);
	}
}

static void receive(struct load *l, struct side *s)
{
	static char b[65536];
	ssize_t n;

	while ((n = recv(s->fd, b, sizeof(b) - 1, MSG_DONTWAIT)) > 0) {
		b[n] = '\0';
		if (strncmp(b, "SIP/2.0 ", 8) != 0)
			callee_take(l, s, b);
		else if (s == &l->a)
			caller_take(l, b);
		else if (strstr(b, "branch=z9hG4bK.t."))
			third_take_answer(l, b);
		else
			callee_take_registered(l, b);
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

/* All who are to be called */
static void bind_all(struct load *l)
{
	const int64_t end = load_now_us() + (int64_t)BINDING_S * 1000000;
	size_t bound = 0;

	while (bound < l->callers && load_now_us() < end) {
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
				again_begin(&a->again);
				callee_register(l, i);
			} else if (again_is_due(l, &a->again, load_now_us())) {
				callee_register(l, i);
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
	const int64_t began = load_now_us();
	int64_t look = 0, now;

	l->from_us = began + (int64_t)(warm_up_s * 1e6);
	l->end_us = l->from_us + (int64_t)(seconds * 1e6);
	for (;;) {
		now = load_now_us();
		while (begins_another(l, began, now))
			caller_begin(l);
		if (!l->there &&
		    (now >= l->end_us || (l->calls && l->begun >= l->calls)))
			break;
		wait_and_receive(l);
		now = load_now_us();
		if (now > look) {
			tick(l, now);
			look = now + TICK_US;
		}
	}
	if (now < l->end_us) /* it was told how many */
		l->end_us = now;
}

static void print_times(const char *name, uint32_t *usv, size_t n)
{
	const struct load_times t = load_times(usv, n);

	printf("%s50=%.2f %s99=%.2f %smax=%.1f ", name, t.p50, name, t.p99,
	       name, t.max);
}

static void report(struct load *l)
{
	const double seconds = (double)(l->end_us - l->from_us) / 1e6;

	printf("rate=%.1f ", (double)l->done / seconds);
	print_times("pass", l->passv, l->samples);
	print_times("setup", l->setupv, l->samples);
	print_times("move", l->movev, l->moves);
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
	s->fd = load_open_socket(&s->local, &s->server);
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
	l->movev = malloc(SAMPLES_MAX * sizeof(*l->movev));
	l->md = EVP_MD_CTX_new();
	if (!l->accountv || !l->callv || !l->passv || !l->setupv || !l->movev ||
	    !l->md)
		exit(1);
	for (size_t i = 0; i < 2 * l->callers; i++) {
		snprintf(text, sizeof(text), "%s%zu:%s:%s", l->prefix, i,
			 l->domain, l->password);
		load_md5_hex(l->md, l->accountv[i].ha1, text);
	}
}

static void usage(void)
{
	fprintf(stderr,
		"usage: callload -s HOST:PORT [-S HOST:PORT] [-d DOMAIN] "
		"[-u PREFIX] [-p PASSWORD] [-n CALLERS] [-w WINDOW | -r RATE] "
		"[-c CALLS] [-t SECONDS] [-k SECONDS] [-g RING_MS] "
		"[-h HOLD_MS] [-l PORT] [-x REFRESHES] [-m] [-f] [-i]\n");
	exit(2);
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

	while ((opt = getopt(argc, argv,
			     "s:S:d:u:p:n:w:r:c:t:k:g:h:l:x:mfi")) != -1) {
		switch (opt) {
		case 's':
			if (!load_read_server(&l.a.server, optarg))
				usage();
			break;
		case 'S':
			if (!load_read_server(&l.b.server, optarg))
				usage();
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
		case 'x':
			l.refreshes = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'm':
			l.hands_on = true;
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
