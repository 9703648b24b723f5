/*
 * SIP phones that register over UDP, as many and as fast as the server lets
 * them: a window of registrations is under way at any time, each by another
 * phone.  A phone keeps its nonce and counts its uses (RFC 7616 section 3.4),
 * repeats what gets no answer (RFC 3261 section 17.1.2) and measures the time
 * from its first request to its 200.
 *
 *   sipload -s HOST:PORT [-d DOMAIN] [-u PREFIX] [-p PASSWORD] [-n PHONES]
 *           [-w WINDOW] [-t SECONDS] [-l PORT] [-o]
 *
 * All are at one port, -l, so that a second run is of the same phones, with the
 * same contacts, after they were switched off and on: new Call-IDs.
 *
 * First each phone registers once, which is not measured.  -o: only that, and
 * it is measured: how long until all are bound.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "load.h"

enum {
	BATCH = 64,
	PACKET = 2048,
	NONCE_SIZE = 160,
	TICK_MS = 50,
	EXPIRES_S = 3600,
	SAMPLES_MAX = 4000000,
};

struct phone {
	int64_t began_us, repeat_us; /* 0: nothing under way */
	int64_t sent_us;
	bool again; /* was refused for now: a new request at repeat_us */
	int64_t wait_us;
	uint32_t cseq, nc;
	bool authenticated; /* what is under way has credentials */
	bool qop;
	char ha1[33];
	char nonce[NONCE_SIZE];
};

struct load {
	const char *domain, *prefix, *password;
	struct sockaddr_in server, local;
	struct phone *phonev;
	size_t phones, window, next, under_way;
	int fd;
	EVP_MD_CTX *md;
	bool measuring, once;
	long boot;
	uint32_t *usv; /* samples */
	size_t samples;
	uint64_t bound, refused, timeouts, repeats, challenges;
	struct mmsghdr out[BATCH];
	struct iovec outv[BATCH];
	char outb[BATCH][PACKET];
	unsigned outc;
};

/* --- digest ------------------------------------------------------------- */

static int write_authorization(struct load *l, char *p, size_t size, size_t i)
{
	struct phone *ph = &l->phonev[i];
	char text[512], ha2[33], response[33];
	int n;

	snprintf(text, sizeof(text), "REGISTER:sip:%s", l->domain);
	load_md5_hex(l->md, ha2, text);
	ph->nc++;
	if (ph->qop)
		snprintf(text, sizeof(text), "%s:%s:%08x:c0ffee:auth:%s",
			 ph->ha1, ph->nonce, ph->nc, ha2);
	else
		snprintf(text, sizeof(text), "%s:%s:%s", ph->ha1, ph->nonce,
			 ha2);
	load_md5_hex(l->md, response, text);
	n = snprintf(p, size,
		     "Authorization: Digest username=\"%s%zu\", realm=\"%s\", "
		     "nonce=\"%s\", uri=\"sip:%s\", response=\"%s\", "
		     "algorithm=MD5",
		     l->prefix, i, l->domain, ph->nonce, l->domain, response);
	if (ph->qop)
		n += snprintf(p + n, size - (size_t)n,
			      ", qop=auth, nc=%08x, cnonce=\"c0ffee\"", ph->nc);
	n += snprintf(p + n, size - (size_t)n, "\r\n");

	return n;
}

/* --- out ---------------------------------------------------------------- */

static void flush(struct load *l)
{
	unsigned sent = 0;

	while (sent < l->outc) {
		const int n = sendmmsg(l->fd, l->out + sent, l->outc - sent, 0);

		if (n <= 0) {
			struct timespec wait = {.tv_nsec = 200000};

			nanosleep(&wait, NULL); /* the socket is full */
			continue;
		}
		sent += (unsigned)n;
	}
	l->outc = 0;
}

static void send_register(struct load *l, size_t i)
{
	struct phone *ph = &l->phonev[i];
	char *p = l->outb[l->outc];
	const unsigned port = ntohs(l->local.sin_port);
	char address[INET_ADDRSTRLEN];
	int n;

	(void)inet_ntop(AF_INET, &l->local.sin_addr, address, sizeof(address));
	n = snprintf(
		p, PACKET,
		"REGISTER sip:%s SIP/2.0\r\n"
		"Via: SIP/2.0/UDP %s:%u;branch=z9hG4bK.%zu.%u.%lx;rport\r\n"
		"Max-Forwards: 70\r\n"
		"From: <sip:%s%zu@%s>;tag=t%zu\r\n"
		"To: <sip:%s%zu@%s>\r\n"
		"Call-ID: load-%lx-%zu@%s\r\n"
		"CSeq: %u REGISTER\r\n"
		"Contact: <sip:%s%zu@%s:%u>\r\n"
		"Expires: %d\r\n",
		l->domain, address, port, i, ph->cseq, l->boot, l->prefix, i,
		l->domain, i, l->prefix, i, l->domain, l->boot, i, address,
		ph->cseq, l->prefix, i, address, port, EXPIRES_S);
	if (ph->authenticated)
		n += write_authorization(l, p + n, PACKET - (size_t)n, i);
	n += snprintf(p + n, PACKET - (size_t)n, "Content-Length: 0\r\n\r\n");

	l->outv[l->outc] = (struct iovec){p, (size_t)n};
	if (++l->outc == BATCH)
		flush(l);
}

static void transmit(struct load *l, size_t i)
{
	struct phone *ph = &l->phonev[i];

	ph->cseq++;
	ph->again = false;
	ph->sent_us = load_now_us();
	ph->authenticated = ph->nonce[0] != '\0';
	ph->wait_us = T1_US;
	ph->repeat_us = load_now_us() + T1_US;
	send_register(l, i);
}

static void start(struct load *l)
{
	while (l->phonev[l->next % l->phones].began_us)
		l->next++;

	const size_t i = l->next++ % l->phones;

	l->phonev[i].began_us = load_now_us();
	l->under_way++;
	transmit(l, i);
}

/* --- in ----------------------------------------------------------------- */

static void finish(struct load *l, struct phone *ph)
{
	ph->began_us = ph->repeat_us = 0;
	l->under_way--;
}

static void take_challenge(struct load *l, size_t i, const char *packet)
{
	struct phone *ph = &l->phonev[i];
	const char *p = strcasestr(packet, "\r\nWWW-Authenticate:");
	const bool again = ph->authenticated && p && !strstr(p, "stale=true");

	l->challenges++;
	if (!p || again ||
	    !load_read_param(ph->nonce, NONCE_SIZE, p, "nonce=\"")) {
		l->refused++;
		ph->nonce[0] = '\0';
		finish(l, ph);
		return;
	}
	ph->qop = strstr(p, "qop=") != NULL;
	ph->nc = 0;
	transmit(l, i);
}

static void take(struct load *l, char *packet)
{
	const char *branch = strstr(packet, "branch=z9hG4bK.");
	struct phone *ph;
	unsigned cseq;
	size_t i;
	int code;

	if (!branch || sscanf(packet, "SIP/2.0 %d", &code) != 1 ||
	    sscanf(branch + 15, "%zu.%u", &i, &cseq) != 2 || i >= l->phones)
		return;
	ph = &l->phonev[i];
	if (!ph->began_us || cseq != ph->cseq || code < 200)
		return; /* an answer to what was answered before */

	if (code == 401) {
		take_challenge(l, i, packet);
		return;
	}
	if (code == 200) {
		l->bound++;
		if (l->measuring && l->samples < SAMPLES_MAX)
			l->usv[l->samples++] = (uint32_t)(load_now_us() -
							  ph->began_us);
	} else {
		l->refused++;
		if (code == 503 && l->once) {
			/* Retry-After: 1 */
			ph->again = true;
			ph->repeat_us = load_now_us() + 1000000 +
					rand() % 500000;
			return;
		}
	}
	finish(l, ph);
}

static void receive(struct load *l)
{
	static char inb[BATCH][PACKET];
	struct mmsghdr in[BATCH];
	struct iovec inv[BATCH];
	int n;

	memset(in, 0, sizeof(in));
	for (int i = 0; i < BATCH; i++) {
		inv[i] = (struct iovec){inb[i], PACKET - 1};
		in[i].msg_hdr = (struct msghdr){.msg_iov = &inv[i],
						.msg_iovlen = 1};
	}
	n = recvmmsg(l->fd, in, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		inb[i][in[i].msg_len] = '\0';
		take(l, inb[i]);
	}
}

static void repeat(struct load *l, int64_t now)
{
	for (size_t i = 0; i < l->phones; i++) {
		struct phone *ph = &l->phonev[i];

		if (!ph->repeat_us || ph->repeat_us > now)
			continue;
		if (ph->again) {
			transmit(l, i);
			continue;
		}
		if (now - ph->sent_us > LIFE_US) {
			l->timeouts++;
			finish(l, ph);
			continue;
		}
		if (ph->authenticated)
			ph->nc--; /* the same request again */
		l->repeats++;
		ph->wait_us = 2 * ph->wait_us < T2_US ? 2 * ph->wait_us : T2_US;
		ph->repeat_us = now + ph->wait_us;
		send_register(l, i);
	}
}

/* --- phases ------------------------------------------------------------- */

/* Until so many are bound or refused (0: no limit), or the time is over */
static void run(struct load *l, uint64_t count, double seconds)
{
	const int ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN};
	const int64_t end = load_now_us() + (int64_t)(seconds * 1e6);
	int64_t look = 0, now;
	uint64_t begun = 0;

	(void)epoll_ctl(ep, EPOLL_CTL_ADD, l->fd, &ev);
	while ((now = load_now_us()) < end) {
		while (l->under_way < l->window && (!count || begun < count)) {
			start(l);
			begun++;
		}
		flush(l);
		if (count && begun == count && !l->under_way)
			break;
		if (epoll_wait(ep, &ev, 1, TICK_MS) > 0)
			receive(l);
		if (now > look) {
			repeat(l, now);
			look = now + TICK_MS * 1000;
		}
	}
	close(ep);
}

static void report(struct load *l, double seconds)
{
	const size_t n = l->samples;
	const struct load_times t = load_times(l->usv, n);

	printf("rate=%.0f p50=%.2f p99=%.2f max=%.1f seconds=%.2f bound=%zu "
	       "bad=%llu repeats=%llu challenges=%llu\n",
	       (double)n / seconds, t.p50, t.p99, t.max, seconds, n,
	       (unsigned long long)(l->refused + l->timeouts),
	       (unsigned long long)l->repeats,
	       (unsigned long long)l->challenges);
}

static void open_socket(struct load *l)
{
	l->fd = load_open_socket(&l->local, &l->server);
	l->boot = (long)time(NULL);
	for (int i = 0; i < BATCH; i++)
		l->out[i].msg_hdr = (struct msghdr){.msg_iov = &l->outv[i],
						    .msg_iovlen = 1};
}

static void make_phones(struct load *l)
{
	char text[256];

	l->phonev = calloc(l->phones, sizeof(*l->phonev));
	l->usv = malloc(SAMPLES_MAX * sizeof(*l->usv));
	l->md = EVP_MD_CTX_new();
	if (!l->phonev || !l->usv || !l->md)
		exit(1);
	for (size_t i = 0; i < l->phones; i++) {
		snprintf(text, sizeof(text), "%s%zu:%s:%s", l->prefix, i,
			 l->domain, l->password);
		load_md5_hex(l->md, l->phonev[i].ha1, text);
	}
}

static void usage(void)
{
	fprintf(stderr, "usage: sipload -s HOST:PORT [-d DOMAIN] [-u PREFIX] "
			"[-p PASSWORD] [-n PHONES] [-w WINDOW] [-t SECONDS] "
			"[-l PORT] [-o]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	static struct load l = {
		.domain = "example.net",
		.prefix = "load",
		.password = "pw",
		.phones = 10000,
		.window = 64,
	};
	double seconds = 10;
	int64_t began;
	int opt;

	while ((opt = getopt(argc, argv, "s:d:u:p:n:w:t:l:o")) != -1) {
		switch (opt) {
		case 's':
			if (!load_read_server(&l.server, optarg))
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
			l.phones = strtoul(optarg, NULL, 10);
			break;
		case 'w':
			l.window = strtoul(optarg, NULL, 10);
			break;
		case 't':
			seconds = atof(optarg);
			break;
		case 'l':
			l.local.sin_port = htons((uint16_t)atoi(optarg));
			break;
		case 'o':
			l.once = true;
			break;
		default:
			usage();
		}
	}
	if (!l.server.sin_port || !l.phones || !l.window)
		usage();
	if (l.window > l.phones)
		l.window = l.phones;

	open_socket(&l);
	make_phones(&l);
	l.measuring = l.once;
	began = load_now_us();
	run(&l, l.phones, l.once ? seconds : 120);
	if (!l.once) {
		l.repeats = l.refused = l.timeouts = l.challenges = 0;
		l.measuring = true;
		began = load_now_us();
		run(&l, 0, seconds);
	}
	report(&l, (double)(load_now_us() - began) / 1e6);

	return 0;
}
