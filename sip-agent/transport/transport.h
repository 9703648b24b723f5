/*
 * The sockets that SIP comes in by.
 */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#include <re.h>

struct budget;
struct gate;
struct settings;
struct transport;

typedef void(transport_request_h)(const struct sip_msg *msg, void *arg);
/** @return Whether something waits for it */
typedef bool(transport_response_h)(const struct sip_msg *msg, void *arg);

int transport_alloc(struct transport **tp, const struct settings *set,
		    struct gate *gate, struct budget *budget,
		    transport_request_h *h, transport_response_h *rh,
		    void *arg);
struct sip *transport_sip(const struct transport *t);
struct tls *transport_tls(const struct transport *t);

#endif
