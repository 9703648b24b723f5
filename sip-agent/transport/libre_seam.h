/*
 * Where we reach into libre: functions of its own that the agent puts its own
 * in the place of, and what it leaves undone at its sockets.
 */
#ifndef LIBRE_SEAM_H
#define LIBRE_SEAM_H

#include <re.h>

enum {
	SEAM_QUEUE = 4096, /* connections that may wait to be accepted; the
			      kernel's somaxconn may be less */
	SEAM_CHECK_MS = 2000,
	SEAM_PAUSE_MS = 10, /* where a connection cannot even be refused */
};

/** Whom libre tells of a connection */
struct seam_conn {
	tcp_estab_h *estabh;
	tcp_recv_h *recvh;
	tcp_close_h *closeh;
	void *arg;
};

/** libre has opened a UDP socket, and wants to be told of what comes by it */
typedef void(seam_udp_h)(struct udp_sock *us, udp_recv_h *rh, void *rarg,
			 void *arg);

/** libre is about to accept a connection: done in its place, by seam_accept;
    @return an errno: it is closed */
typedef int(seam_tcp_h)(struct tcp_conn **tcp, struct tcp_sock *ts,
			const struct seam_conn *libre, void *arg);

void seam_set_udp(seam_udp_h *h, void *arg);
void seam_set_local(const struct sa *local);
void seam_set_tcp(seam_tcp_h *h, void *arg);
int seam_accept(struct tcp_conn **tcp, struct tcp_sock *ts,
		const struct seam_conn *handlers);
int seam_keep_spare(void);
void seam_lengthen_queues(void);
int seam_check(void);

#endif
