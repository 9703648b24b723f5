/*
 * callload.h: what the two sides of callload's calls share. The caller's is
 * callload_caller.c, the callee's callload_callee.c, that of who comes in the
 * caller's place callload_third.c, the words of SIP for all callload_sip.c.
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

enum caller {
	FREE,
	CALLING,
	PROCEEDING,
	UP,
	REFRESHING, /* its UPDATE has no answer yet */
	REFERRING,  /* nor its REFER */
	REFERRED,
	HANGING_UP,
	GONE,
};
enum callee { NOBODY, RINGS, ANSWERED, TALKS, CANCELLED, LEFT };
enum third { ABSENT, COMES, STAYS, LEAVES, WENT };

/* What is sent again until something comes */
struct again {
	int64_t at_us, wait_us, until_us; /* at 0: nothing is */
};

struct account {
	uint32_t nc, cseq;
	bool qop, proxy, bound, asked;
	struct call *handed_on; /* of who is called: the last one */
	struct again again;	/* its REGISTER */
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
	unsigned refreshes;
	struct {
		enum third is;
		struct again answer; /* or its BYE */
		int64_t asked_us, due_us;
		char saved[SAVED], id[FIELD], me[FIELD], them[FIELD],
			target[FIELD];
	} third;
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
	unsigned refreshes; /* UPDATEs in each call; 0: it has no timer */
	bool hands_on;
	uint64_t calls, begun;
	int64_t ring_us, hold_us, from_us, end_us;
	bool fresh, asks;
	uint32_t serial;
	unsigned boot;
	EVP_MD_CTX *md;
	uint32_t *passv, *setupv, *movev; /* samples in us */
	size_t samples, moves;
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

/** Who is called by account n in the place of who called it */
size_t call_third(const struct load *l, const struct call *c);

/** Whether what is measured falls into the time for that */
bool call_is_measured(const struct load *l);

/** It is over once all sides have hung up */
void call_end_if_over(struct load *l, struct call *c);

void caller_begin(struct load *l);
void caller_take(struct load *l, const char *message); /* an answer */
void caller_tick(struct load *l, struct call *c, int64_t now);

/** What an answer has of its request; tag: to be added to To, or NULL */
void callee_save(char out[static SAVED], const char *message, const char *tag);

/** An answer of account n, with SDP where it is 200 */
void callee_answer(const struct load *l, const char *saved, size_t n, int code,
		   const char *reason, unsigned serial);

void callee_answer_ok(const struct side *s, const char *message);

/** @return the call that a tag or branch names by its slot and serial */
struct call *call_of(struct load *l, const char *text, const char *fmt);

void callee_register(struct load *l, size_t n);
void callee_take_registered(struct load *l, const char *message);

/** A request, of either side's */
void callee_take(struct load *l, const struct side *s, const char *message);
void callee_tick(struct load *l, struct call *c, int64_t now);

void third_take_invite(struct load *l, const char *message);
void third_take(struct load *l, struct call *c, const char *message);
void third_take_answer(struct load *l, const char *message);
void third_tick(struct load *l, struct call *c, int64_t now);

#endif
