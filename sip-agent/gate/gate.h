/*
 * What comes in passes here before libre sees it: the budget of its source
 * first, then the strict look at its bytes.  What is refused is answered here,
 * without state.
 */
#ifndef GATE_H
#define GATE_H

#include <re.h>

#include "gate/welcome.h"

struct agent;
struct gate;

enum gate_verdict {
	GATE_DONE,    /* nothing is left to do: it was answered or dropped */
	GATE_REQUEST, /* decoded, and of a method that libre need not see */
	GATE_LIBRE,
};

int gate_alloc(struct gate **gp, const struct agent *ag);
void gate_set_known(struct gate *g, welcome_known_h *h, void *arg);
void gate_add_socket(struct gate *g, const struct udp_sock *us);
enum gate_verdict gate_datagram(struct gate *g, struct udp_sock *us,
				const struct sa *src, struct mbuf *mb,
				struct sip_msg **msgp);
bool gate_has_phones(struct gate *g, const struct sa *src);
bool gate_may_connect(struct gate *g, const struct sa *src);
bool gate_may_speak(struct gate *g, const struct sa *src);
int gate_message(struct gate *g, struct tcp_conn *tc, const struct sa *src,
		 struct mbuf *mb);
void gate_unframed(struct gate *g, struct tcp_conn *tc, const struct sa *src,
		   const struct mbuf *mb, int err);
void gate_stray(struct gate *g, const struct sip_msg *msg);

#endif
