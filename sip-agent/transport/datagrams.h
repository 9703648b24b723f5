/*
 * The UDP sockets of libre's stack, read and written many datagrams at a time.
 * Each datagram passes the gate first.
 */
#ifndef DATAGRAMS_H
#define DATAGRAMS_H

#include <re.h>

struct datagrams;
struct gate;

/** A request that libre need not see: anything but INVITE, ACK and CANCEL */
typedef void(datagrams_request_h)(const struct sip_msg *msg, void *arg);

int datagrams_alloc(struct datagrams **dp, struct gate *gate,
		    datagrams_request_h *h, void *arg);
int datagrams_listen(struct datagrams *d, struct sip *sip,
		     const struct sa *laddr);

#endif
