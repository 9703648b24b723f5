/*
 * Which addresses have spoken SIP to us: only those are sent more than a
 * question (RFC 3261 section 26.3.2.4 has why).
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <re.h>

struct address_book;

enum {
	/* how many are remembered; the one heard of longest ago makes room, and
	   is asked again before it is sent anything */
	ADDRESS_PROVEN_MAX = 65536,
	ADDRESS_SILENT_MAX = 16384,
	ADDRESS_ANSWERED_S = 3600, /* that an answer proves an address */
	ADDRESS_PAUSE_S = 10,	   /* that a silent one is left alone */
	ADDRESS_TRIES = 2,	   /* until it is for longer */
	ADDRESS_SUSPENDED_S = 300,
	/* a host has many ports: how many silent ones are asked at once, and
	   one more each so many seconds */
	ADDRESS_HOSTS_MAX = 16384,
	ADDRESS_HOST_BURST = 32,
	ADDRESS_HOST_EVERY_S = 4,
};

/** Host and port after DNS, and transport */
struct address {
	struct sa sa;
	enum sip_transp tp;
	bool refused; /**< it may not be sent to: another one, never proven */
};

uint32_t address_hash(const struct address *a);
bool address_is_same(const struct address *a, const struct address *b);
int address_book_alloc(struct address_book **bp, size_t proven_max,
		       size_t silent_max);
bool address_is_proven(struct address_book *b, const struct address *a,
		       uint64_t now_ms);
bool address_is_suspended(struct address_book *b, const struct address *a,
			  uint64_t now_ms);
bool address_may_ask(struct address_book *b, const struct address *a,
		     uint64_t now_ms);
void address_answered(struct address_book *b, const struct address *a,
		      uint64_t now_ms);
void address_prove(struct address_book *b, const struct address *a,
		   uint32_t for_s, uint64_t now_ms);
void address_forget(struct address_book *b, const struct address *a);
void address_silent(struct address_book *b, const struct address *a,
		    uint64_t now_ms);

#endif
