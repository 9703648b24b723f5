/*
 * A socket's filter is a list of addresses (of /64 networks for IPv6) in the
 * kernel's classic BPF, which sees a datagram before it is queued.  What is not
 * in the list passes whole.
 */
#include "gate/sockfilter.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/filter.h>

#include "logre.h"

enum {
	SOCKETS_MAX = 64,
	CHECK_MS = 100,
	/* where the sender's address is in the IP header */
	IP4_SOURCE = 12,
	IP6_SOURCE = 8,
	CODE_MAX = 5 * SOCKFILTER_SOURCES + 1,
};

/* Whom we drop: all zero where the place is free */
struct source {
	int af;
	uint32_t net[2]; /* IPv4: one word; IPv6: the first two */
	uint64_t since_ms;
	uint32_t drops;
	uint64_t until_ms; /* shut out; 0: not yet */
};

struct sock {
	int fd, af;
	bool filtered;
};

struct sockfilter {
	struct source sources[SOCKFILTER_SOURCES];
	struct sock sockets[SOCKETS_MAX];
	size_t socketc;
	struct tmr tmr;
	bool failed; /* which is logged once */
};

static void destructor(void *arg)
{
	struct sockfilter *f = arg;

	tmr_cancel(&f->tmr);
}

/** Allocate; owned by the caller */
int sockfilter_alloc(struct sockfilter **fp)
{
	struct sockfilter *f = mem_zalloc(sizeof(*f), destructor);

	if (!f)
		return ENOMEM;
	tmr_init(&f->tmr);
	*fp = f;

	return 0;
}

/**
 * Filter a UDP socket from now on
 *
 * @param fd Borrowed: open as long as the filter's timer may run
 * @param af AF_INET, or AF_INET6 where no IPv4 comes in by it
 *
 * @return 0, ENOSPC
 */
int sockfilter_add(struct sockfilter *f, int fd, int af)
{
	if (f->socketc >= SOCKETS_MAX)
		return ENOSPC;
	f->sockets[f->socketc++] = (struct sock){.fd = fd, .af = af};

	return 0;
}

/* --- the kernel's ---------------------------------------------------------
 */

static void emit(struct sock_fprog *prog, uint16_t code, uint32_t k, uint8_t jf)
{
	prog->filter[prog->len++] = (struct sock_filter){
		.code = code, .jf = jf, .k = k};
}

static void emit_load(struct sock_fprog *prog, uint32_t off)
{
	emit(prog, BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_NET_OFF + off, 0);
}

static void emit_source(struct sock_fprog *prog, const struct source *s)
{
	const uint16_t equal = BPF_JMP | BPF_JEQ | BPF_K;

	if (s->af == AF_INET) {
		emit_load(prog, IP4_SOURCE);
		emit(prog, equal, s->net[0], 1);
	} else {
		emit_load(prog, IP6_SOURCE);
		emit(prog, equal, s->net[0], 3);
		emit_load(prog, IP6_SOURCE + 4);
		emit(prog, equal, s->net[1], 1);
	}
	emit(prog, BPF_RET | BPF_K, 0, 0);
}

/* @return Whether anybody of the family is shut out */
static bool make(struct sock_fprog *prog, const struct sockfilter *f, int af)
{
	prog->len = 0;
	for (size_t i = 0; i < SOCKFILTER_SOURCES; i++) {
		if (f->sources[i].until_ms && f->sources[i].af == af)
			emit_source(prog, &f->sources[i]);
	}
	if (!prog->len)
		return false;
	emit(prog, BPF_RET | BPF_K, UINT32_MAX, 0);

	return true;
}

static int apply_to(struct sock *s, const struct sockfilter *f)
{
	struct sock_filter code[CODE_MAX];
	struct sock_fprog prog = {.filter = code};
	const int none = 0;
	int err = 0;

	if (make(&prog, f, s->af)) {
		err = setsockopt(s->fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog,
				 sizeof(prog));
		s->filtered = s->filtered || !err;
	} else if (s->filtered) {
		err = setsockopt(s->fd, SOL_SOCKET, SO_DETACH_FILTER, &none,
				 sizeof(none));
		s->filtered = err != 0;
	}

	return err ? errno : 0;
}

/* Without it all is still refused, but at our own expense */
static void apply(struct sockfilter *f)
{
	int err;

	for (size_t i = 0; i < f->socketc; i++) {
		err = apply_to(&f->sockets[i], f);
		if (err && !f->failed) {
			f->failed = true;
			log_warn("socket_filter_failed", LOG_ERRNO(err));
		}
	}
}

/* --- who ----------------------------------------------------------------- */

static struct source source_of(const struct sa *src, uint64_t now_ms)
{
	struct source s = {.af = sa_af(src), .since_ms = now_ms};
	uint8_t in6[16];

	if (s.af == AF_INET) {
		s.net[0] = sa_in(src);
	} else {
		sa_in6(src, in6);
		for (size_t i = 0; i < 8; i++)
			s.net[i / 4] = s.net[i / 4] << 8 | in6[i];
	}

	return s;
}

static bool is_same(const struct source *a, const struct source *b)
{
	return a->af == b->af && a->net[0] == b->net[0] &&
	       a->net[1] == b->net[1];
}

static bool is_over(const struct source *s, uint64_t now_ms)
{
	return !s->until_ms && now_ms - s->since_ms >= SOCKFILTER_WINDOW_MS;
}

/* Its place, with a window that is open now; NULL where all are taken */
static struct source *find(struct sockfilter *f, const struct sa *src,
			   uint64_t now_ms)
{
	const struct source wanted = source_of(src, now_ms);
	struct source *place = NULL;

	for (size_t i = 0; i < SOCKFILTER_SOURCES; i++) {
		struct source *s = &f->sources[i];

		if (is_same(s, &wanted)) {
			place = s;
			if (!is_over(s, now_ms))
				return s;
			break;
		}
		if (!place && (!s->af || is_over(s, now_ms)))
			place = s;
	}
	if (place)
		*place = wanted;

	return place;
}

/**
 * Hear whose time is over again
 */
void sockfilter_release(struct sockfilter *f, uint64_t now_ms)
{
	bool changed = false;

	for (size_t i = 0; i < SOCKFILTER_SOURCES; i++) {
		struct source *s = &f->sources[i];

		if (s->until_ms && now_ms >= s->until_ms) {
			memset(s, 0, sizeof(*s));
			changed = true;
		}
	}
	if (changed)
		apply(f);
}

static bool is_anybody_shut(const struct sockfilter *f)
{
	for (size_t i = 0; i < SOCKFILTER_SOURCES; i++) {
		if (f->sources[i].until_ms)
			return true;
	}

	return false;
}

static void check(void *arg)
{
	struct sockfilter *f = arg;

	sockfilter_release(f, tmr_jiffies());
	if (is_anybody_shut(f))
		tmr_start(&f->tmr, CHECK_MS, check, f);
}

/**
 * A datagram of a source that is not listened to came all the same; where there
 * are many, no more come
 */
void sockfilter_dropped(struct sockfilter *f, const struct sa *src,
			uint64_t now_ms)
{
	struct source *s = find(f, src, now_ms);

	if (!s || s->until_ms || ++s->drops < SOCKFILTER_DROPS)
		return;

	s->until_ms = now_ms + SOCKFILTER_SHUT_MS;
	apply(f);
	if (!tmr_isrunning(&f->tmr))
		tmr_start(&f->tmr, CHECK_MS, check, f);
}
