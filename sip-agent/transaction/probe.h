/*
 * One OPTIONS to an address that has not spoken yet, before we send it a
 * message that somebody else has written.
 */
#ifndef PROBE_H
#define PROBE_H

#include <re.h>

struct address;
struct address_book;
struct probe_wait;
struct prober;
struct tls;

enum {
	PROBES_MAX = 4096,	 /* addresses that are asked at once, */
	PROBES_TLS_MAX = 512,	 /* those of them over TLS, which costs more */
	PROBE_MS = 4000,	 /* for connecting and answering */
	PROBE_REPEAT_MS = 1000,	 /* over UDP it is sent twice */
	PROBE_ANSWER_MAX = 4096, /* bytes that are read of an answer */
};

/**
 * An address has been asked
 *
 * @param answered Whether it answered; said at once.  That it did not is said
 *                 after PROBE_MS, whatever the reason, but to who is in a hurry
 */
typedef void(probe_h)(bool answered, void *arg);

int prober_alloc(struct prober **pp, struct address_book *book, struct sip *sip,
		 struct tls *tls);
int probe_ask(struct probe_wait **wp, struct prober *p,
	      const struct address *address, int64_t account, bool hurry,
	      probe_h *h, void *arg);
bool probe_response(struct prober *p, const struct sip_msg *msg);

#endif
