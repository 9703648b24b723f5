/*
 * How much each source may still get wrong (token buckets in a table of fixed
 * size).  Requests that fail, are malformed or have no credentials are charged.
 * A source that then proves who it is gets the charge back, so that a proxy for
 * many phones is not taken for an attacker.
 *
 * Each source has two accounts, because anybody can write any source on a
 * datagram: what datagrams merely claim is charged to the one, and never uses
 * up the other.
 */
#ifndef BUDGET_H
#define BUDGET_H

#include <re.h>

struct budget;
struct config;

enum budget_counter {
	BUDGET_REQUESTS,    /* being served */
	BUDGET_CONNECTIONS, /* open */
	BUDGET_STRANGERS,   /* requests whose sender has proved nothing yet */
	BUDGET_HANDSHAKES,  /* of TLS, unfinished */
	BUDGET_COUNTERS,
};

enum budget_proof {
	BUDGET_CLAIMED, /* a datagram that says to be from there */
	BUDGET_SHOWN,	/* a connection, or a nonce that was sent there */
	BUDGET_PROOFS,
};

struct budget_conf {
	uint32_t bad_burst, bad_per_s;
	uint32_t unproven_burst, unproven_per_s;
	uint32_t most[BUDGET_COUNTERS]; /**< a source */
	uint32_t total[BUDGET_COUNTERS];
};

void budget_conf_of(struct budget_conf *conf, const struct config *cfg);
int budget_alloc(struct budget **bp, const struct budget_conf *conf);
enum budget_proof budget_proof_of(const struct sip_msg *msg);
bool budget_may_speak(struct budget *b, enum budget_proof proof,
		      const struct sa *src, uint64_t now_ms);
void budget_bad(struct budget *b, enum budget_proof proof, const struct sa *src,
		uint64_t now_ms);
bool budget_unproven(struct budget *b, enum budget_proof proof,
		     const struct sa *src, uint64_t now_ms);
bool budget_has_unproven(struct budget *b, enum budget_proof proof,
			 const struct sa *src, uint64_t now_ms);
void budget_proven(struct budget *b, enum budget_proof proof,
		   const struct sa *src, uint64_t now_ms);
bool budget_is_known(struct budget *b, const struct sa *src, uint64_t now_ms);
bool budget_open(struct budget *b, enum budget_counter c, const struct sa *src,
		 uint64_t now_ms);
bool budget_may_log(struct budget *b, uint64_t now_ms, uint32_t *suppressed);
uint32_t budget_count(struct budget *b, enum budget_counter c,
		      const struct sa *src, uint64_t now_ms);
bool budget_is_full(const struct budget *b, enum budget_counter c);
void budget_close(struct budget *b, enum budget_counter c,
		  const struct sa *src);

#endif
