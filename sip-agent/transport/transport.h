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

/** @param peer Where it goes, or comes from */
typedef void(transport_trace_h)(bool out, enum sip_transp tp,
				const struct sa *peer, const char *p,
				size_t len, void *arg);

int transport_alloc(struct transport **tp, const struct settings *set,
		    struct gate *gate, struct budget *budget,
		    transport_request_h *h, transport_response_h *rh,
		    void *arg);
void transport_set_trace(struct transport *t, transport_trace_h *h);
struct sip *transport_sip(const struct transport *t);
struct tls *transport_tls(const struct transport *t);

#endif
