/*
 * What the parts of the agent share: one object, made by main, passed to all.
 */
#ifndef AGENT_H
#define AGENT_H

#include <stdbool.h>

struct address_book;
struct budget;
struct credcache;
struct fleeting;
struct flow_table;
struct inbound;
struct janitor;
struct ladders;
struct legs;
struct ng;
struct nonce_pool;
struct notifier;
struct outbox;
struct pgbatch;
struct pgloop;
struct prober;
struct strans_table;
struct settings;
struct sip;
struct trust;
struct uas_list;

struct sip_msg;

struct agent {
	const struct settings *set;
	struct budget *budget;
	struct trust *trust;
	struct sip *sip;
	struct pgloop *pl;
	struct credcache *credcache; /* auth.c's */
	/* asked for by auth.c */
	struct pgbatch *algorithms, *credentials, *known;
	struct pgbatch *registrations;
	struct pgbatch *invites, *answers; /* of calls */
	struct nonce_pool *nonces;
	struct flow_table *flows;
	struct address_book *addresses;
	struct prober *prober;
	struct outbox *outbox;
	struct inbound *inbound;
	struct fleeting *fleeting;
	struct janitor *janitor;
	struct legs *legs;
	struct ng *ng;		 /* media relays; NULL: there are none */
	struct ladders *ladders; /* call/tell/ladder.c's */
	struct notifier *notifier;
	struct strans_table *strans;
	struct uas_list *uas;
	/* a REGISTER has bound contacts of aor; legs follow their phones.
	   alone: no other phone has that contact */
	void (*boundh)(struct agent *ag, const char *aor,
		       const struct sip_msg *msg, bool alone);
};

#endif
