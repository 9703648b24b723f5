/*
 * callload.h: what the two sides of callload's calls share. The caller's is
 * callload_caller.c, the callee's callload_callee.c, the words of SIP for both
 * callload_sip.c.
 */
#ifndef CALLLOAD_H
#define CALLLOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "load.h"

enum {
	CALLS_AT_ONCE = 16384,
	PACKET = 4096,
	FIELD = 512,
	SAVED = 2048,
	NONCE_SIZE = 160,
	SAMPLES_MAX = 4000000,
	CODES = 700,
	TEXT = 512,
};

enum caller { FREE, CALLING, PROCEEDING, UP, HANGING_UP, GONE };
enum callee { NOBODY, RINGS, ANSWERED, TALKS, CANCELLED, LEFT };

/* What is sent again until something comes */
struct again {
	int64_t at_us, wait_us, until_us; /* at 0: nothing is */
};

struct account {
	uint32_t nc, cseq;
	bool qop, proxy, bound, asked;
	struct again again; /* its REGISTER */
	char ha1[33], nonce[NONCE_SIZE];
};

struct call {
	enum caller caller;
	enum callee callee;
	uint32_t serial, cseq;
	size_t from, to; /* accounts */
	bool signed_once;
	struct again ask, answer; /* of the caller, of the callee */
	int64_t began_us, answered_us, due_us;
	char remote[FIELD], target[FIELD], route[FIELD]; /* of the caller */
	char saved[SAVED]; /* what the callee's answers have */
};

struct side {
	int fd;
	struct sockaddr_in server, local;
	char at[32];
};

struct load {
	const char *domain, *prefix, *password;
	struct side a, b; /* who call, who are called */
	struct account *accountv;
	struct call *callv;
	size_t callers, window, setting_up, there, next_slot, next_caller;
	double rate;
	uint64_t calls, begun;
	int64_t ring_us, hold_us, from_us, end_us;
	bool fresh, asks;
	uint32_t serial;
	unsigned boot;
	EVP_MD_CTX *md;
	uint32_t *passv, *setupv; /* samples in us */
	size_t samples;
	uint64_t done, failed, repeats, challenges, code[CODES];
};

struct packet {
	char b[PACKET];
	size_t len;
};

/* --- the words of SIP --- */

__attribute__((format(printf, 2, 3))) void packet_put(struct packet *p,
						      const char *fmt, ...);
void packet_send(const struct side *s, const struct packet *p);

bool sip_is_header(const char *line, const char *name);

/** @return out: its first header of that name, "" where there is none */
const char *sip_header(char out[static FIELD], const char *message,
		       const char *name);

/** The URI of a Contact; "" where there is none */
void sip_uri(char out[static FIELD], const char *contact);

/** @return out: the address of record of account n */
const char *sip_aor(struct load *l, char out[static FIELD], size_t n);

/** Where account n has a nonce: Authorization, or Proxy-Authorization */
void sip_put_credentials(struct load *l, struct packet *p, size_t n,
			 const char *method, const char *uri);

/** @return whether the request may be sent once more, with credentials */
bool sip_take_challenge(struct load *l, struct account *a, const char *message,
			int code, bool had_some);

void again_begin(struct again *g);

/** @return whether it is to be sent once more */
bool again_is_due(struct load *l, struct again *g, int64_t now);

/* --- a call --- */

size_t call_slot(const struct load *l, const struct call *c);

/** Whether it waits for the server */
bool call_sets_up(const struct call *c);

/** It is over once both sides have hung up */
void call_end_if_over(struct load *l, struct call *c);

void caller_begin(struct load *l);
void caller_take(struct load *l, const char *message); /* an answer */
void caller_tick(struct load *l, struct call *c, int64_t now);

void callee_register(struct load *l, size_t n);
void callee_take_registered(struct load *l, const char *message);

/** A request, of either side's */
void callee_take(struct load *l, const struct side *s, const char *message);
void callee_tick(struct load *l, struct call *c, int64_t now);

#endif
