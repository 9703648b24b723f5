/*
 * streams_client.c: many HTTP clients at once, for bench/streams: opens
 * streams, posts what they are told of, and notes when each was.
 *
 *   streams_client PORT GET POST MARK
 *
 * GET and POST are files with a whole HTTP request each, in which {i} is a
 * stream's number, from 1, and {seq} a number of six digits; what a stream is
 * sent has `seq-` before it. MARK is text of a stream's beginning. Commands,
 * one a line, each answered with a line:
 *
 *   open N          open N more streams at once: seconds until the last began
 *   lazy N          the same of streams that are never read: their number
 *   all RATE COUNT  post COUNT times, RATE a second, each for every stream:
 *                   p50, p99, longest in ms, missed, bytes of the last event
 *   one RATE COUNT  the same, each for stream {i} alone, in turn
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	OPENING_MAX = 256, /* connections at a time that have not begun */
	POSTERS = 16,
	READ_SIZE = 256 << 10,
	TAIL = 64, /* kept of what was read, for what is cut in two */
	REQUEST_MAX = 128 << 10,
	LAZY_BUFFER = 4096,
	GIVE_UP_S = 30,
	EVENTS = 512,
};

struct conn {
	int fd;
	bool begun, poster, busy;
	uint8_t tail_len;
	char tail[TAIL];
};

struct round {
	bool one;
	double rate;
	uint32_t count, posted; /* posted: and due */
	double *due;		/* of each */
	bool *seen;		/* of each, by each stream */
	double *ms;
	size_t n, wanted, size;
};

static struct conn *conns;
static size_t nconns, nbegun, nfailed;
static struct conn posters[POSTERS];
static struct round turn;
static uint32_t seq_base;
static size_t last_bytes;
static char *get_text, *post_text;
static const char *mark;
static int port, epoll;

static double now_s(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what)
{
	(void)fprintf(stderr, "streams_client: %s: %s\n", what,
		      strerror(errno));
	exit(1);
}

static char *file_read(const char *name)
{
	FILE *f = fopen(name, "r");
	char *text = calloc(1, REQUEST_MAX);

	if (!f || !text)
		die(name);
	if (!fread(text, 1, REQUEST_MAX - 1, f))
		die(name);
	(void)fclose(f);
	return text;
}

/* ---- requests ---- */

static size_t fill(char *out, const char *text, size_t i, uint32_t seq)
{
	char *to = out;

	while (*text) {
		if (!strncmp(text, "{i}", 3)) {
			to += sprintf(to, "%zu", i);
			text += 3;
		} else if (!strncmp(text, "{seq}", 5)) {
			to += sprintf(to, "%06u", seq);
			text += 5;
		} else
			*to++ = *text++;
	}
	return (size_t)(to - out);
}

static void send_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t did = send(fd, p, n, MSG_NOSIGNAL);

		if (did < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (did < 0)
			die("send");
		p += did;
		n -= (size_t)did;
	}
}

static int connect_to(int rcvbuf)
{
	const struct linger reset = {.l_onoff = 1};
	const int on = 1;
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		die("socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (rcvbuf)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf,
				 sizeof(rcvbuf));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		die("connect");
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void conn_watch(struct conn *c)
{
	struct epoll_event e = {.events = EPOLLIN, .data = {.ptr = c}};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e))
		die("epoll_ctl");
}

static void conn_open(struct conn *c, size_t i, int rcvbuf)
{
	char request[REQUEST_MAX];

	*c = (struct conn){.fd = connect_to(rcvbuf)};
	send_all(c->fd, request, fill(request, get_text, i, 0));
}

/* ---- what comes ---- */

static void came(double ms)
{
	if (turn.n == turn.size) {
		turn.size = turn.size ? 2 * turn.size : 4096;
		turn.ms = realloc(turn.ms, turn.size * sizeof(*turn.ms));
		if (!turn.ms)
			die("memory");
	}
	turn.ms[turn.n++] = ms;
}

/* Numbers of six digits behind `seq-`, each once. */
static void look_for_seq(struct conn *c, const char *p, size_t n, double now)
{
	const char *end = p + n;
	bool *seen;

	while ((p = memmem(p, (size_t)(end - p), "seq-", 4)) && end - p >= 10) {
		uint32_t seq = (uint32_t)strtoul(
			(char[7]){p[4], p[5], p[6], p[7], p[8], p[9]}, NULL,
			10);

		p += 10;
		if (seq < seq_base || seq - seq_base >= turn.posted)
			continue;
		seq -= seq_base;
		seen = &turn.seen[(size_t)(c - conns) * turn.count + seq];
		if (!*seen)
			came((now - turn.due[seq]) * 1e3);
		*seen = true;
	}
}

static void conn_read(struct conn *c)
{
	static char buf[TAIL + READ_SIZE + 1];
	size_t kept = c->tail_len;
	ssize_t n = recv(c->fd, buf + TAIL, READ_SIZE, 0);
	char *from = buf + TAIL - kept;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		(void)epoll_ctl(epoll, EPOLL_CTL_DEL, c->fd, NULL);
		(void)close(c->fd);
		c->fd = -1;
		nfailed++;
		return;
	}
	if (c->poster) { /* small answers, which come as one */
		c->busy = false;
		return;
	}
	memcpy(from, c->tail, kept);
	n += (ssize_t)kept;
	from[n] = '\0';
	if (!c->begun && strstr(from, mark)) {
		c->begun = true;
		nbegun++;
	}
	if (turn.due) {
		last_bytes = (size_t)n - kept;
		look_for_seq(c, from, (size_t)n, now_s());
	}
	c->tail_len = (uint8_t)(n < 12 ? n : 12);
	memcpy(c->tail, from + n - c->tail_len, c->tail_len);
}

static void look(int timeout_ms)
{
	struct epoll_event e[EVENTS];
	int n = epoll_wait(epoll, e, EVENTS, timeout_ms);

	for (int i = 0; i < n; i++)
		conn_read(e[i].data.ptr);
}

/* ---- commands ---- */

static void streams_open(size_t n)
{
	size_t to = nconns + n;
	double began = now_s();

	while (nconns < to || nbegun + nfailed < to) {
		while (nconns < to && nconns - nbegun - nfailed < OPENING_MAX) {
			struct conn *c = &conns[nconns];

			conn_open(c, ++nconns, 0);
			conn_watch(c);
		}
		look(100);
		if (now_s() - began > GIVE_UP_S)
			break;
	}
	printf("%.2f %zu\n", now_s() - began, nbegun);
}

static void lazy_open(size_t n)
{
	static struct conn lazy;

	for (size_t i = 1; i <= n; i++)
		conn_open(&lazy, i, LAZY_BUFFER); /* left as they are */
	printf("%zu\n", n);
}

static bool post(uint32_t k)
{
	static char request[REQUEST_MAX];

	for (size_t i = 0; i < POSTERS; i++) {
		struct conn *c = &posters[i];

		if (c->busy)
			continue;
		if (c->fd <= 0) {
			*c = (struct conn){.fd = connect_to(0), .poster = true};
			conn_watch(c);
		}
		c->busy = true;
		send_all(
			c->fd, request,
			fill(request, post_text, k % nconns + 1, seq_base + k));
		return true;
	}
	return false;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void round_run(bool one, double rate, uint32_t count)
{
	double began = now_s() + 0.01, last = began + (count - 1) / rate;

	turn = (struct round){
		.one = one,
		.rate = rate,
		.count = count,
		.due = calloc(count, sizeof(double)),
		.seen = calloc(nconns * count, sizeof(bool)),
		.wanted = one ? count : count * (size_t)nbegun,
	};
	if (!turn.due || !turn.seen)
		die("memory");
	while (turn.n < turn.wanted && now_s() < last + GIVE_UP_S) {
		double next = began + turn.posted / rate;
		double left = turn.posted < count ? next - now_s() : 0.1;

		if (turn.posted < count && left <= 0) {
			/* It counts from when it was due. */
			turn.due[turn.posted] = next;
			turn.posted++;
			if (post(turn.posted - 1))
				continue;
			turn.posted--;
			left = 0.001;
		}
		look(left < 0 ? 0 : (int)(left * 1e3));
	}
	qsort(turn.ms, turn.n, sizeof(*turn.ms), compare);
	if (turn.n)
		printf("%.2f %.2f %.2f %zu %zu\n", turn.ms[turn.n / 2],
		       turn.ms[turn.n * 99 / 100], turn.ms[turn.n - 1],
		       turn.wanted - turn.n, last_bytes);
	else
		printf("- - - %zu 0\n", turn.wanted);
	seq_base += count;
	free(turn.due);
	free(turn.seen);
	free(turn.ms);
	turn = (struct round){0};
}

int main(int argc, char **argv)
{
	char line[256], what[16];
	double a, b;
	struct rlimit limit;
	/* Clients are elsewhere: they do not push the servers off a core. */
	const struct sched_param normal = {.sched_priority = 0};

	if (argc != 5) {
		(void)fputs("usage: streams_client PORT GET POST MARK\n",
			    stderr);
		return 2;
	}
	port = atoi(argv[1]);
	get_text = file_read(argv[2]);
	post_text = file_read(argv[3]);
	mark = argv[4];
	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	(void)sched_setscheduler(0, SCHED_BATCH, &normal);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	conns = calloc(limit.rlim_cur, sizeof(*conns));
	if (epoll < 0 || !conns)
		die("start");
	seq_base = 1;
	while (fgets(line, sizeof(line), stdin)) {
		int n = sscanf(line, "%15s %lf %lf", what, &a, &b);

		if (n == 2 && !strcmp(what, "open"))
			streams_open((size_t)a);
		else if (n == 2 && !strcmp(what, "lazy"))
			lazy_open((size_t)a);
		else if (n == 3 && !strcmp(what, "all"))
			round_run(false, a, (uint32_t)b);
		else if (n == 3 && !strcmp(what, "one"))
			round_run(true, a, (uint32_t)b);
		else
			(void)fprintf(stderr, "streams_client: %s", line);
		(void)fflush(stdout);
	}
	return 0;
}
