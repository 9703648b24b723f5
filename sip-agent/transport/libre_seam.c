/*
 * libre 1.1.0 reads one datagram a turn, shows a connection only when its first
 * message is decoded, and has no hook before that.  So udp_listen(),
 * tcp_accept() and tcp_connect() are defined here once more (and
 * tls_start_tcp() in identity.c, the timers in timers.c).  A shared library
 * calls its own exported functions by name, and the program's come first; ours
 * call libre's, found by RTLD_NEXT.
 *
 * So is tmr_jiffies(), which in 1.1.0 is gettimeofday(): set back by an hour,
 * it stops all timers for an hour.  Ours only goes forward.
 *
 * So is the C library's accept(), of which libre takes a failure for nothing:
 * without descriptors it would be called again at once, for ever, for the same
 * connection.
 *
 * That holds only while libre is a shared library that was not linked with
 * -Bsymbolic or the like.  Otherwise UDP and TCP would pass by the gate and
 * every limit, without a word: seam_check() looks before anything is served.
 */
#include "transport/libre_seam.h"

#include <dlfcn.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/descriptors.h"
#include "common/log.h"
#include "transport/identity.h"
#include "transport/timers.h"

typedef int(listen_f)(struct udp_sock **usp, const struct sa *local,
		      udp_recv_h *rh, void *arg);
typedef int(accept_f)(struct tcp_conn **tcp, struct tcp_sock *ts,
		      tcp_estab_h *eh, tcp_recv_h *rh, tcp_close_h *ch,
		      void *arg);
typedef int(connect_f)(struct tcp_conn **tcp, const struct sa *peer,
		       tcp_estab_h *eh, tcp_recv_h *rh, tcp_close_h *ch,
		       void *arg);

/* libre's functions have no argument of ours */
static struct {
	seam_udp_h *udph;
	void *udp_arg;
	seam_tcp_h *tcph;
	void *tcp_arg;
	const struct sa *local;
	uint64_t ahead_ms; /* of the clock, for the check */
	bool accepts;	   /* accept() was called */
	bool has_spare;
	int spare; /* descriptor; -1 while it is used */
} seam;

/** From now on libre's UDP sockets are shown to this; NULL: to nobody */
void seam_set_udp(seam_udp_h *h, void *arg)
{
	seam.udph = h;
	seam.udp_arg = arg;
}

/** From now on libre's UDP sockets that are for every address of the host bind
    to this one alone; borrowed, NULL: as libre says */
void seam_set_local(const struct sa *local)
{
	seam.local = local;
}

/** From now on connections are accepted by this; NULL: by libre alone */
void seam_set_tcp(seam_tcp_h *h, void *arg)
{
	seam.tcph = h;
	seam.tcp_arg = arg;
}

/* An answer does not wait for the other side to have acknowledged what went
   before: after a handshake that would be 40 ms */
static void send_at_once(const struct tcp_conn *tc)
{
	const int yes = 1;

	(void)setsockopt(tcp_conn_fd(tc), IPPROTO_TCP, TCP_NODELAY, &yes,
			 sizeof(yes));
}

/** From now on connections are closed, and not left waiting, where there are
    no descriptors; @return 0 or an errno */
int seam_keep_spare(void)
{
	const int err = spare_open(&seam.spare);

	seam.has_spare = !err;

	return err;
}

/* It has nothing unread when it is closed, for that would be a reset.  To a
   client the end of a connection is as good as a 503 (RFC 3261 section
   8.1.3.1) */
static void hang_up(int fd)
{
	char trash[4096];

	while (recv(fd, trash, sizeof(trash), MSG_DONTWAIT) > 0)
		;
	(void)shutdown(fd, SHUT_WR);
	(void)close(fd);
}

/* @return whether there will be no more of it at once */
static bool refuse(int listener)
{
	int fd;

	if (!seam.has_spare)
		return false;
	if (seam.spare < 0)
		(void)spare_open(&seam.spare); /* else spare_accept fails */
	fd = spare_accept(&seam.spare, listener, NULL, NULL);
	if (fd < 0)
		return false;
	hang_up(fd);
	(void)spare_open(&seam.spare); /* else before the next one */

	return true;
}

/* --- in the place of libre's ---------------------------------------------- */

/** As the C library's; called by libre for each connection that comes */
int accept(int listener, __SOCKADDR_ARG sa, socklen_t *len)
{
	const int fd = accept4(listener, sa, len, SOCK_CLOEXEC);
	const int err = fd < 0 ? errno : 0;

	seam.accepts = true;
	if (!spare_is_needed(err) && err != ENOMEM && err != ENOBUFS)
		return fd;

	log_warn_rarely(1, "connection_refused", LOG_STR("why", strerror(err)));
	if (!spare_is_needed(err) || !refuse(listener))
		(void)poll(NULL, 0, SEAM_PAUSE_MS);
	errno = err;

	return -1;
}

/* What is for every address of the host is bound to ours alone; of the other
   family there is nobody to ask, and to loopback it does no harm */
static const struct sa *narrowed(struct sa *narrow, const struct sa *local)
{
	if (!seam.local || (local && !sa_is_any(local)))
		return local;
	if (!local || sa_af(local) == sa_af(seam.local))
		return seam.local;

	return sa_set_str(narrow, sa_af(local) == AF_INET ? "127.0.0.1" : "::1",
			  0)
		       ? local
		       : narrow;
}

/** As libre's; called by libre for each UDP socket that it opens */
int udp_listen(struct udp_sock **usp, const struct sa *local, udp_recv_h *rh,
	       void *arg)
{
	union {
		void *p;
		listen_f *f;
	} real = {.p = dlsym(RTLD_NEXT, "udp_listen")};
	struct sa narrow;
	int err;

	if (!real.p)
		return ENOSYS;

	err = real.f(usp, narrowed(&narrow, local), rh, arg);
	if (!err && seam.udph)
		seam.udph(*usp, rh, arg, seam.udp_arg);

	return err;
}

/** As libre's; called by libre for each connection that comes */
int tcp_accept(struct tcp_conn **tcp, struct tcp_sock *ts, tcp_estab_h *eh,
	       tcp_recv_h *rh, tcp_close_h *ch, void *arg)
{
	const struct seam_conn libre = {
		.estabh = eh, .recvh = rh, .closeh = ch, .arg = arg};

	if (!seam.tcph)
		return seam_accept(tcp, ts, &libre);

	return seam.tcph(tcp, ts, &libre, seam.tcp_arg);
}

/** As libre's; called by libre for each connection that it makes, and by us */
int tcp_connect(struct tcp_conn **tcp, const struct sa *peer, tcp_estab_h *eh,
		tcp_recv_h *rh, tcp_close_h *ch, void *arg)
{
	union {
		void *p;
		connect_f *f;
	} real = {.p = dlsym(RTLD_NEXT, "tcp_connect")};
	int err;

	if (!real.p)
		return ENOSYS;

	err = real.f(tcp, peer, eh, rh, ch, arg);
	if (!err) {
		send_at_once(*tcp);
		identity_opened(*tcp, peer);
	}

	return err;
}

/** As libre's; called by libre for each timer, and by us. @return milliseconds
    since some time in the past, which only grow */
uint64_t tmr_jiffies(void)
{
	return clock_ms() + seam.ahead_ms;
}

/**
 * Accept a connection, as libre does
 *
 * @param tcp      Set to it, owned by the caller
 * @param handlers Whom it tells
 */
int seam_accept(struct tcp_conn **tcp, struct tcp_sock *ts,
		const struct seam_conn *handlers)
{
	union {
		void *p;
		accept_f *f;
	} real = {.p = dlsym(RTLD_NEXT, "tcp_accept")};
	int err;

	if (!real.p)
		return ENOSYS;

	err = real.f(tcp, ts, handlers->estabh, handlers->recvh,
		     handlers->closeh, handlers->arg);
	if (!err) {
		send_at_once(*tcp);
		identity_accepted();
	}

	return err;
}

/* --- queues --------------------------------------------------------------- */

static bool is_listening(int fd)
{
	int yes = 0;
	socklen_t len = sizeof(yes);

	return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len) && yes;
}

/**
 * libre listens with a queue of five, which drops connections when phones come
 * back all at once, and keeps its sockets to itself.  To listen again on a
 * socket that listens only changes the length of its queue.
 *
 * To be called once all sockets are there: looks at each open descriptor.
 */
void seam_lengthen_queues(void)
{
	for (int fd = 0; fd < 1024; fd++) {
		if (is_listening(fd))
			(void)listen(fd, SEAM_QUEUE);
	}
}

/* --- the check ------------------------------------------------------------ */

struct check {
	bool udp, tcp;
};

static void check_udp(struct udp_sock *us, udp_recv_h *rh, void *rarg,
		      void *arg)
{
	struct check *c = arg;

	(void)us;
	(void)rh;
	(void)rarg;
	c->udp = true;
}

static int check_tcp(struct tcp_conn **tcp, struct tcp_sock *ts,
		     const struct seam_conn *libre, void *arg)
{
	struct check *c = arg;

	(void)tcp;
	(void)ts;
	(void)libre;
	c->tcp = true;
	re_cancel();

	return ECONNREFUSED;
}

static void late(void *arg)
{
	(void)arg;
	re_cancel();
}

/* Connects to the stack, which accepts in the loop */
static int connect_once(const struct sa *to)
{
	struct tmr tmr;
	const int fd = socket(sa_af(to), SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return errno;

	err = connect(fd, &to->u.sa, to->len) ? errno : 0;
	if (!err) {
		tmr_init(&tmr);
		tmr_start(&tmr, SEAM_CHECK_MS, late, NULL);
		err = re_main(NULL);
		tmr_cancel(&tmr);
	}
	(void)close(fd);

	return err;
}

/* Whether libre's timers go by our clock: when that is a minute ahead, one of a
   minute is over */
static bool check_clock(void)
{
	enum { AHEAD_MS = 60 * 1000 };
	struct tmr tmr;
	bool is_over;

	tmr_init(&tmr);
	tmr_start(&tmr, AHEAD_MS, late, NULL);
	seam.ahead_ms = AHEAD_MS;
	is_over = !tmr_get_expire(&tmr);
	seam.ahead_ms = 0;
	tmr_cancel(&tmr);

	return is_over;
}

static int run_check(const char *host)
{
	struct sip *sip = NULL;
	struct sa laddr;
	int err;

	err = sa_set_str(&laddr, host, 0);
	if (!err)
		err = sip_alloc(&sip, NULL, 1, 1, 1, "restsip", NULL, NULL);
	if (!err)
		err = sip_transp_add(sip, SIP_TRANSP_UDP, &laddr);
	if (!err)
		err = sip_transp_add(sip, SIP_TRANSP_TCP, &laddr);
	if (!err)
		err = sip_transp_laddr(sip, &laddr, SIP_TRANSP_TCP, &laddr);
	if (!err)
		err = connect_once(&laddr);
	sip_close(sip, true);
	mem_deref(sip);

	return err;
}

/**
 * Whether libre does call what stands here: a stack of its own on a loopback
 * address gets a connection.  Runs the loop: to be called before anything else
 * is in it
 *
 * @return 0, ENOSYS where it does not, or another errno; the log says what
 */
int seam_check(void)
{
	const bool timers = timers_check(); /* without, the loop has no end */
	struct check c = {.udp = false};
	const char *passed_by = NULL;
	int err = 0;

	seam_set_udp(check_udp, &c);
	seam_set_tcp(check_tcp, &c);
	if (timers)
		err = run_check("127.0.0.1");
	if (err)
		err = run_check("::1");
	seam_set_udp(NULL, NULL);
	seam_set_tcp(NULL, NULL);
	if (err) {
		log_error("libre_unchecked", LOG_ERRNO(err));
		return err;
	}

	if (!timers)
		passed_by = "tmr_start";
	else if (!c.udp)
		passed_by = "udp_listen";
	else if (!c.tcp)
		passed_by = "tcp_accept";
	else if (!seam.accepts)
		passed_by = "accept";
	else if (!check_clock())
		passed_by = "tmr_jiffies";
	if (!passed_by)
		return 0;
	log_error("libre_unfit",
		  LOG_STR("why", "it does not call the program's "
				 "functions in the place of its own: "
				 "is it linked with -Bsymbolic?"),
		  LOG_STR("function", passed_by));

	return ENOSYS;
}
